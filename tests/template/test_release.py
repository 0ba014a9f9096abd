"""The release workflow: what starts it, its definition, what it may do."""

import json
import re
from typing import Any

import pytest

from release_model.messages import BeginRequest, Outcome, State
from tests.template.assembly import Assembly


@pytest.fixture
def states(dev: Assembly) -> dict[str, Any]:
    states: dict[str, Any] = dev.state_machine("Release")["States"]
    return states


def test_there_is_one_where_models_are_trained_and_nowhere_else(any_assembly: Assembly) -> None:
    rules = [name for name, _ in any_assembly.resources("AWS::Events::Rule") if "OnApproval" in name]

    assert bool(rules) == (any_assembly.settings.training is not None)


def test_starts_when_a_package_of_the_registry_is_approved_or_rejected(dev: Assembly) -> None:
    rule = dev.the("AWS::Events::Rule", "OnApproval")["Properties"]

    assert rule["EventPattern"] == {
        "source": ["aws.sagemaker"],
        "detail-type": ["SageMaker Model Package State Change"],
        "detail": {
            "ModelPackageGroupName": ["movie-recommender-dev"],
            "ModelPackageStatus": ["Completed"],
            "ModelApprovalStatus": ["Approved", "Rejected"],
        },
    }
    (target,) = rule["Targets"]
    assert "ReleaseStateMachine" in json.dumps(target["Arn"])
    template = re.sub("(<.*?>)", r'"\1"', target["InputTransformer"]["InputTemplate"])
    assert set(json.loads(template)) == {"package", "approval"}


def test_begins_and_checks_until_it_is_over(states: dict[str, Any]) -> None:
    choices = {choice["StringEquals"]: choice["Next"] for choice in states["Proceed"]["Choices"]}

    assert choices == {"waiting": "WaitForStack", "updating": "WaitForUpdate", "released": "Released"}
    assert states["Proceed"]["Default"] == "NotReleased"
    assert {state.value for state in State} == {*choices, "failed"}
    assert {choice["Variable"] for choice in states["Proceed"]["Choices"]} == {"$.release.state"}
    following = {name: state["Next"] for name, state in states.items() if "Next" in state}
    assert following == {
        "Begin": "Proceed",
        "WaitForStack": "Begin",
        "WaitForUpdate": "Check",
        "Check": "Proceed",
        "WaitToRestore": "Restore",
        "Restore": "Restored",
    }
    assert states["Released"] == {"Type": "Succeed"}
    assert states["NotReleased"] == {
        "Type": "Fail",
        "Error": "NotReleased",
        "CausePath": "$.release.reason",
    }


def test_a_step_that_fails_for_good_leaves_no_unjudged_package(states: dict[str, Any]) -> None:
    for step in ("Begin", "Check"):
        (catch,) = states[step]["Catch"]
        assert catch == {"ErrorEquals": ["States.ALL"], "ResultPath": "$.failure", "Next": "Restore"}
    # All of the state: after a first Begin that failed there is a failure in it, but no release.
    assert "Parameters" not in states["Restore"]
    assert states["Restore"]["ResultPath"] == "$.release"
    choices = {choice["StringEquals"]: choice["Next"] for choice in states["Restored"]["Choices"]}
    assert choices == {"updating": "WaitToRestore", "released": "Released"}
    assert states["Restored"]["Default"] == "NotReleased"


def test_steps_get_and_return_what_the_function_knows(states: dict[str, Any]) -> None:
    sent = {key.removesuffix(".$"): path for key, path in states["Begin"]["Parameters"].items()}
    assert set(sent) == set(BeginRequest.model_fields)
    # What stays the same while the step is retried, and differs when it is entered again.
    assert sent["entered"] == "$$.State.EnteredTime"
    assert states["Check"]["Parameters"] == {"release.$": "$.release"}
    assert states["Begin"]["ResultPath"] == states["Check"]["ResultPath"] == "$.release"
    assert {"state", "reason"} <= set(Outcome.model_fields)


def test_a_passing_fault_leaves_no_update_unwatched(states: dict[str, Any]) -> None:
    for step in ("Begin", "Check", "Restore"):
        assert states[step]["Retry"][-1]["ErrorEquals"] == ["States.ALL"]
        assert states[step]["TimeoutSeconds"] == 120


def test_polls_stay_within_the_longest_history(dev: Assembly, states: dict[str, Any]) -> None:
    shortest = min(states[name]["Seconds"] for name in ("WaitForStack", "WaitForUpdate", "WaitToRestore"))

    assert dev.state_machine("Release")["TimeoutSeconds"] / shortest * 9 < 25_000


def test_the_parameters_that_the_serving_template_reads_are_open(dev: Assembly) -> None:
    """CloudFormation resolves them for whoever calls UpdateStack."""
    read = {
        parameter["Default"]
        for parameter in dev.templates["serving"]["Parameters"].values()
        if parameter["Type"].startswith("AWS::SSM::Parameter::Value")
    }
    granted = [
        json.dumps(statement["Resource"])
        for name, policy in dev.resources("AWS::IAM::Policy")
        if "ReleaseBegin" in name
        for statement in policy["Properties"]["PolicyDocument"]["Statement"]
        if statement["Action"] == "ssm:GetParameters"
    ]

    assert len(read) == 2
    assert all(any(f"parameter{name}" in resources for resources in granted) for name in read)


def test_the_serving_template_says_what_it_serves(dev: Assembly) -> None:
    """By this output the release knows whether the stack serves a package."""
    template = dev.templates["serving"]
    parameter = template["Outputs"]["ModelPackageArn"]["Value"]["Ref"]

    assert template["Parameters"][parameter]["Default"] == dev.settings.model_package_parameter


def test_the_serving_template_needs_no_capability_beyond_named_roles(dev: Assembly) -> None:
    assert "Transform" not in dev.templates["serving"]
