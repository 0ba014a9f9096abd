"""The training workflow's definition: every path through it, and what each call would send to AWS."""

import json
import re
from collections.abc import Iterator
from typing import Any

import botocore.session
import pytest
from botocore.validate import ParamValidator

from tests.template.assembly import Assembly

State = dict[str, Any]
States = dict[str, State]


@pytest.fixture
def definition(dev: Assembly) -> dict[str, Any]:
    return dev.state_machine("Workflow")


@pytest.fixture
def states(definition: dict[str, Any]) -> States:
    """All states by name, those inside the parallel one too."""
    found: States = {}
    for machine in _machines(definition):
        found |= machine["States"]
    return found


def _machines(definition: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield definition
    for state in definition["States"].values():
        for branch in state.get("Branches", []):
            yield from _machines(branch)


def _next(state: State) -> set[str]:
    following = {state[key] for key in ("Next", "Default") if key in state}
    following |= {choice["Next"] for choice in state.get("Choices", [])}
    return following | {catcher["Next"] for catcher in state.get("Catch", [])}


def _paths(states: States, name: str, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    assert name not in path, f"a loop: {path} then {name}"
    path = (*path, name)
    following = _next(states[name])
    if not following:
        yield path
    for after in sorted(following):
        yield from _paths(states, after, path)


def test_every_state_is_reached_and_every_path_ends(definition: dict[str, Any]) -> None:
    for machine in _machines(definition):
        paths = list(_paths(machine["States"], machine["StartAt"]))
        assert {name for path in paths for name in path} == set(machine["States"])
        for path in paths:
            last = machine["States"][path[-1]]
            assert last.get("End") is True or last["Type"] in ("Fail", "Succeed"), path


def test_the_way_to_a_registered_model(definition: dict[str, Any]) -> None:
    (way,) = [
        path
        for path in _paths(definition["States"], definition["StartAt"])
        if definition["States"][path[-1]].get("End")
    ]

    assert way == (
        "RememberExecution",
        "PrepareData",
        "Train",
        "CreateScoringModel",
        "Score",
        "DeleteScoringModel",
        "Evaluate",
        "Gate",
        "Register",
    )


@pytest.mark.parametrize("given", [set(), {"ratings"}])
def test_nothing_is_read_before_it_is_there(definition: dict[str, Any], given: set[str]) -> None:
    """On every path, each `$.name` that a state reads is in the input or the result of a state before it."""
    states = definition["States"]
    for path in _paths(states, definition["StartAt"]):
        known = set(given)
        for name, after in zip(path, (*path[1:], ""), strict=True):
            state = states[name]
            assert _read(state) <= known, (path, name)
            caught = [catcher for catcher in state.get("Catch", []) if catcher["Next"] == after]
            produced = caught[0]["ResultPath"] if caught else state.get("ResultPath")
            if produced:
                known.add(produced.removeprefix("$."))


def _read(state: State) -> set[str]:
    own = {key: value for key, value in state.items() if key not in ("ResultSelector", "ResultPath", "Catch")}
    return set(re.findall(r"(?<!\$)\$\.(\w+)", json.dumps(own)))


def test_calls_end(states: States) -> None:
    for name, state in states.items():
        resource = state.get("Resource", "")
        if resource.endswith(".sync") or name in ("PrepareData", "Evaluate"):
            assert state["TimeoutSeconds"] > 0, name


def test_calls_are_retried(states: States) -> None:
    for name, state in states.items():
        if state["Type"] == "Task":
            assert state["Retry"], name


def test_the_scoring_model_is_deleted_whatever_happens(definition: dict[str, Any]) -> None:
    states = definition["States"]
    deleting = {name for name, state in states.items() if state.get("Resource", "").endswith(":deleteModel")}

    for path in _paths(states, definition["StartAt"]):
        if "Score" in path:
            assert deleting & set(path), path


def test_a_good_run_does_not_end_over_its_clean_up(states: States) -> None:
    deleting = states["DeleteScoringModel"]

    (catcher,) = deleting["Catch"]
    assert (catcher["ErrorEquals"], catcher["Next"]) == (["States.ALL"], deleting["Next"])
    assert catcher["ResultPath"] is None


def test_a_failed_job_ends_the_execution_with_its_reason(states: States) -> None:
    for name in ("Train", "CreateScoringModel"):
        (catcher,) = states[name]["Catch"]
        assert catcher == {"ErrorEquals": ["States.ALL"], "ResultPath": "$.failure", "Next": "JobGaveReason"}
    assert states["DeleteScoringModelAfterFailure"]["Next"] == "JobGaveReason"
    (choice,) = states["JobGaveReason"]["Choices"]
    pattern = re.escape(choice["StringMatches"]).replace(r"\*", ".*")
    description = json.dumps({"TrainingJobName": "a", "FailureReason": "ClientError: no data", "Tags": []})
    assert re.fullmatch(pattern, description)
    assert not re.fullmatch(pattern, "User is not authorized to perform: sagemaker:CreateTrainingJob")
    assert states["ReadFailureReason"]["Parameters"] == {"job.$": "States.StringToJson($.failure.Cause)"}
    assert states["ReadFailureReason"]["ResultPath"] == "$.failed"
    assert states["JobFailed"]["CausePath"] == "$.failed.job.FailureReason"
    assert states["StepFailed"]["CausePath"] == "$.failure.Cause"
    assert states["StepFailed"]["ErrorPath"] == "$.failure.Error"


def test_gate_stops_with_its_cause(states: States) -> None:
    assert states["Gate"]["Choices"] == [
        {"Variable": "$.evaluation.gate.passed", "BooleanEquals": True, "Next": "Register"}
    ]
    assert states["Gate"]["Default"] == "GateFailed"
    assert states["GateFailed"] == {
        "Type": "Fail",
        "Error": "GateFailed",
        "CausePath": "$.evaluation.gate.cause",
    }


CALLS = {
    "sagemaker:createTrainingJob.sync": ("sagemaker", "CreateTrainingJob"),
    "sagemaker:createTransformJob.sync": ("sagemaker", "CreateTransformJob"),
    "sagemaker:createModel": ("sagemaker", "CreateModel"),
    "aws-sdk:sagemaker:deleteModel": ("sagemaker", "DeleteModel"),
    "aws-sdk:sagemaker:createModelPackage": ("sagemaker", "CreateModelPackage"),
}


def test_calls_are_what_aws_takes(states: States) -> None:
    """Against botocore's models: parameter names, types, required ones, ranges."""
    session = botocore.session.get_session()
    checked = 0
    for name, state in states.items():
        resource = state.get("Resource", "")
        if not resource.startswith("arn:aws:states:::"):
            continue
        service, operation = CALLS[resource.removeprefix("arn:aws:states:::")]
        shape = session.get_service_model(service).operation_model(operation).input_shape
        report = ParamValidator().validate(_filled(state["Parameters"]), shape)
        assert not report.has_errors(), (name, report.generate_report())
        checked += 1
    assert checked == 7


def _filled(value: Any) -> Any:
    """Parameters with a string in the place of every expression."""
    if isinstance(value, list):
        return [_filled(inner) for inner in value]
    if not isinstance(value, dict):
        return value
    placeholder = "from-the-state-of-the-execution"
    return {
        key.removesuffix(".$"): placeholder if key.endswith(".$") else _filled(inner)
        for key, inner in value.items()
    }


def test_training_job(states: States, dev: Assembly) -> None:
    parameters = states["Train"]["Parameters"]

    assert dev.settings.training is not None
    assert parameters["HyperParameters"] == {
        "predictor_type": "binary_classifier",
        "feature_dim.$": "$.prepared.feature_dim",
        **dev.settings.training.hyperparameters.as_strings(),
    }
    assert all(isinstance(value, str) for value in parameters["HyperParameters"].values())
    assert [channel["ChannelName"] for channel in parameters["InputDataConfig"]] == ["train", "test"]
    assert re.fullmatch(r"s3://\w+/models/", parameters["OutputDataConfig"]["S3OutputPath"])
    assert parameters["StoppingCondition"]["MaxRuntimeInSeconds"] < states["Train"]["TimeoutSeconds"]


@pytest.mark.parametrize(("state", "part"), [("ScoreTestRatings", "test"), ("ScoreRanking", "ranking")])
def test_transform_jobs(states: States, state: str, part: str) -> None:
    parameters = states[state]["Parameters"]

    assert parameters["TransformJobName.$"] == f"States.Format('{{}}-{part}', $.prepared.name)"
    assert parameters["TransformInput"] == {
        "ContentType": "application/x-recordio-protobuf",
        "SplitType": "RecordIO",
        "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri.$": f"$.prepared.{part}_uri"}},
    }
    output = parameters["TransformOutput"]
    assert (output["Accept"], output["AssembleWith"]) == ("application/jsonlines", "Line")
    place = f"States.Format('s3://{{}}/scores/{{}}/{part}', $.prepared.bucket, $.prepared.name)"
    assert output["S3OutputPath.$"] == place
    evaluated = states["Evaluate"]["Parameters"]["scores"][f"{part}.$"]
    assert evaluated == place.replace(f"{part}'", f"{part}/{part}.protobuf.out'")


def test_registered_package_can_be_traced_to_its_data(states: States) -> None:
    parameters = states["Register"]["Parameters"]

    assert {key.removesuffix(".$") for key in parameters["CustomerMetadataProperties"]} == {
        "artifact_sha256",
        "dataset_digest",
        "catalog_uri",
        "histories_uri",
        "reference_uri",
        "training_job",
        "source_key",
        "accuracy",
        "auc",
        "cross_entropy",
    }
    figure = "States.Format('{}', $.evaluation.metrics.auc)"
    assert parameters["CustomerMetadataProperties"]["auc.$"] == figure
    statistics = parameters["ModelMetrics"]["ModelQuality"]["Statistics"]
    assert statistics["S3Uri.$"] == "$.evaluation.evaluation_uri"
    assert parameters["ModelApprovalStatus"] == "Approved"


def test_a_model_waits_for_approval_where_a_person_gives_it(assemblies: Any) -> None:
    assembly = assemblies("dev that keeps its data, trains by schedule and waits for approval")

    register = assembly.state_machine("Workflow")["States"]["Register"]
    assert register["End"] is True
    assert register["Parameters"]["ModelApprovalStatus"] == "PendingManualApproval"


def test_prepare_gets_the_input_and_the_execution(states: States) -> None:
    assert states["RememberExecution"]["InputPath"] == "$$.Execution.Id"
    assert states["RememberExecution"]["ResultPath"] == "$.execution"
    assert "Parameters" not in states["PrepareData"]
