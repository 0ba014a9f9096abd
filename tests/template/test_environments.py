"""What each kind of environment consists of, and the names that others rely on."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

import evaluate_model.settings as evaluate_settings
import prepare_data.settings as prepare_settings
import recommend.settings as recommend_settings
import release_model.settings as release_settings
from first_model.events import Properties
from infra.custom_resource_provider import LONGEST_WAIT
from infra.environment import load_environment
from infra.errors import ConfigurationError
from tests.template.assembly import Assembly, Resource, changed, define, make_project

PARAMETER = "/movie-recommender/dev/model-package"


@pytest.mark.parametrize(
    ("variant", "parts"),
    [
        ("dev", ["storage", "training", "serving"]),
        ("staging", ["storage"]),
        ("prod", ["storage"]),
        ("prod with a promoted model", ["storage", "serving"]),
        ("dev that GitHub Actions delivers", ["storage", "training", "serving", "delivery"]),
        ("prod that GitHub Actions delivers", ["storage", "delivery"]),
    ],
)
def test_stacks(assemblies: Callable[[str], Assembly], variant: str, parts: list[str]) -> None:
    assert list(assemblies(variant).templates) == parts


def test_stacks_are_deployed_one_after_the_other(dev: Assembly) -> None:
    artifacts = json.loads((dev.folder / "manifest.json").read_text())["artifacts"]

    assert "movie-recommender-dev-storage" in artifacts["movie-recommender-dev-training"]["dependencies"]
    assert "movie-recommender-dev-training" in artifacts["movie-recommender-dev-serving"]["dependencies"]


@pytest.mark.parametrize(
    ("part", "outputs"),
    [
        ("storage", {"RawBucketName", "PreparedBucketName", "ModelBucketName"}),
        ("training", {"StateMachineArn", "ReleaseStateMachineArn"}),
        ("serving", {"ApiUrl", "ApiKeyId", "EndpointName", "ModelPackageArn"}),
    ],
)
def test_outputs(dev: Assembly, part: str, outputs: set[str]) -> None:
    found = dev.templates[part]["Outputs"]

    assert {name for name, output in found.items() if "Export" not in output} == outputs


def test_registry_is_there_before_any_model(any_assembly: Assembly) -> None:
    group = any_assembly.the("AWS::SageMaker::ModelPackageGroup")

    assert group["Properties"]["ModelPackageGroupName"] == any_assembly.settings.prefix


class TestEndpoint:
    """Model, configuration and endpoint."""

    def test_keeps_its_name_while_the_rest_can_be_replaced(self, dev: Assembly) -> None:
        endpoint = dev.the("AWS::SageMaker::Endpoint")["Properties"]

        assert endpoint["EndpointName"] == "movie-recommender-dev"
        assert "ModelName" not in dev.the("AWS::SageMaker::Model")["Properties"]
        assert "EndpointConfigName" not in dev.the("AWS::SageMaker::EndpointConfig")["Properties"]

    def test_has_as_many_instances_as_the_settings_say_after_an_update_too(self, dev: Assembly) -> None:
        endpoint = dev.the("AWS::SageMaker::Endpoint")["Properties"]
        (variant,) = dev.the("AWS::SageMaker::EndpointConfig")["Properties"]["ProductionVariants"]

        assert variant["InitialInstanceCount"] == dev.settings.serving.instance_count
        assert endpoint["RetainAllVariantProperties"] is True
        assert endpoint["ExcludeRetainedVariantProperties"] == [
            {"VariantPropertyType": "DesiredInstanceCount"}
        ]

    def test_serves_what_the_parameter_names(self, dev: Assembly) -> None:
        container = dev.the("AWS::SageMaker::Model")["Properties"]["PrimaryContainer"]
        parameter = dev.templates["serving"]["Parameters"][container["ModelPackageName"]["Ref"]]

        assert parameter == {"Type": "AWS::SSM::Parameter::Value<String>", "Default": PARAMETER}

    def test_serves_the_pin_of_a_promotion(self, prod: Assembly) -> None:
        model = prod.the("AWS::SageMaker::Model")["Properties"]

        assert model["PrimaryContainer"] == {"ModelPackageName": prod.settings.model.package_arn}
        assert {"Key": "artifact-sha256", "Value": "5c" * 32} in model["Tags"]
        assert "/model-package" not in json.dumps(prod.templates["serving"]["Parameters"])

    def test_waits_for_its_roles_permissions_and_its_log_group(self, dev: Assembly) -> None:
        model = dev.the("AWS::SageMaker::Model")
        assert any("EndpointRoleDefaultPolicy" in name for name in model["DependsOn"])
        group = dev.the("AWS::Logs::LogGroup", "EndpointLogs")
        assert group["Properties"]["LogGroupName"] == "/aws/sagemaker/Endpoints/movie-recommender-dev"
        assert any("EndpointLogs" in name for name in dev.the("AWS::SageMaker::Endpoint")["DependsOn"])

    def test_has_one_variant_with_encrypted_volumes(self, dev: Assembly) -> None:
        configuration = dev.the("AWS::SageMaker::EndpointConfig")["Properties"]

        (variant,) = configuration["ProductionVariants"]
        assert variant["VariantName"] == "AllTraffic"
        assert variant["InstanceType"] == "ml.t2.medium"
        assert configuration["KmsKeyId"]


class TestFunctions:
    """The bundled functions."""

    @staticmethod
    def _function(assembly: Assembly, handler: str) -> Resource:
        (function,) = [
            function["Properties"]
            for _, function in assembly.resources("AWS::Lambda::Function")
            if function["Properties"]["Handler"] == handler
        ]
        return function

    @pytest.mark.parametrize(
        "handler",
        [
            "prepare_data.handler.handler",
            "evaluate_model.handler.handler",
            "first_model.handler.on_event",
            "first_model.handler.is_complete",
            "release_model.handler.begin",
            "release_model.handler.check",
            "recommend.handler.handler",
            "verify_model.handler.check",
            "verify_model.handler.smoke_test",
        ],
    )
    def test_run_on_lambdas_python(self, dev: Assembly, handler: str) -> None:
        function = self._function(dev, handler)

        assert function["Runtime"] == "python3.13"
        assert function["Architectures"] == ["arm64"]
        variables = function["Environment"]["Variables"]
        assert variables["POWERTOOLS_SERVICE_NAME"].startswith("movie-recommender-dev-")
        assert variables["LOG_LEVEL"] == "INFO"

    def test_prepare_data_reads_its_settings(self, dev: Assembly, monkeypatch: pytest.MonkeyPatch) -> None:
        self._set_variables(dev, "prepare_data.handler.handler", monkeypatch)
        settings = prepare_settings.Settings.from_environment()

        assert settings.name_prefix == "movie-recommender-dev"
        assert dev.settings.training is not None
        configured = dev.settings.training.data.model_dump()
        assert settings.preparation.model_dump(include=set(configured)) == configured

    def test_evaluate_model_reads_its_settings(self, dev: Assembly, monkeypatch: pytest.MonkeyPatch) -> None:
        self._set_variables(dev, "evaluate_model.handler.handler", monkeypatch)
        settings = evaluate_settings.Settings.from_environment()

        assert dev.settings.training is not None
        gate = dev.settings.training.gate
        assert settings.min_accuracy == gate.min_accuracy
        assert settings.min_auc == gate.min_auc
        assert settings.max_cross_entropy == gate.max_cross_entropy

    @pytest.mark.parametrize("step", ["begin", "check"])
    def test_release_model_reads_its_settings(
        self, dev: Assembly, monkeypatch: pytest.MonkeyPatch, step: str
    ) -> None:
        self._set_variables(dev, f"release_model.handler.{step}", monkeypatch)
        settings = release_settings.Settings.from_environment()

        assert settings.parameter_name == PARAMETER
        assert settings.model_package_group == dev.settings.model_package_group
        assert f"{settings.serving_stack}.template.json" in {path.name for path in dev.folder.iterdir()}

    def test_recommend_reads_its_settings(self, dev: Assembly, monkeypatch: pytest.MonkeyPatch) -> None:
        self._set_variables(dev, "recommend.handler.handler", monkeypatch)
        # What CloudFormation puts in the place of the parameter.
        arn = "arn:aws:sagemaker:us-east-1:111111111111:model-package/movie-recommender-dev/1"
        monkeypatch.setenv("MODEL_PACKAGE_ARN", arn)

        assert recommend_settings.Settings.from_environment().endpoint_name == "movie-recommender-dev"

    def _set_variables(self, assembly: Assembly, handler: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """Make the function's environment this process's; references of the template become some text."""
        for name, value in self._function(assembly, handler)["Environment"]["Variables"].items():
            monkeypatch.setenv(name, value if isinstance(value, str) else "resolved")


class TestFirstModel:
    """The custom resource that trains the first model."""

    def test_is_told_what_its_function_reads(self, dev: Assembly) -> None:
        properties = dev.the("Custom::FirstModel")["Properties"]

        assert {field.alias for field in Properties.model_fields.values()} <= properties.keys()
        assert properties["RatingsKey"] == "ratings/ml-100k.zip"
        assert properties["ModelPackageGroup"] == "movie-recommender-dev"
        assert properties["ParameterName"] == PARAMETER

    def test_starts_when_the_workflow_may_do_its_work(self, dev: Assembly) -> None:
        after = " ".join(dev.the("Custom::FirstModel")["DependsOn"])

        assert "WorkflowJobRoleDefaultPolicy" in after
        assert "WorkflowRoleDefaultPolicy" in after
        assert "WorkflowStateMachine" in after

    def test_finds_the_release_at_work(self, dev: Assembly) -> None:
        after = " ".join(dev.the("Custom::FirstModel")["DependsOn"])

        for part in ("ReleaseOnApproval", "ReleaseStateMachine", "ReleaseRoleDefaultPolicy"):
            assert part in after
        for step in ("Begin", "Check"):
            assert f"Release{step}FunctionRoleDefaultPolicy" in after

    def test_gives_up_before_cloudformation_does(self, dev: Assembly) -> None:
        waiter = dev.the("AWS::StepFunctions::StateMachine", "waiter")
        text = "".join(map(str, waiter["Properties"]["DefinitionString"]["Fn::Join"][1]))
        interval = re.search(r'"IntervalSeconds":(\d+)', text)
        attempts = re.search(r'"MaxAttempts":(\d+)', text)

        assert interval is not None
        assert attempts is not None
        assert int(interval[1]) == 5
        assert int(interval[1]) * int(attempts[1]) < 3600

    def test_says_why_before_the_framework_gives_up_without_a_reason(self, dev: Assembly) -> None:
        minutes = int(dev.the("Custom::FirstModel")["Properties"]["WaitMinutes"])

        assert minutes * 60 < LONGEST_WAIT.to_seconds()


class TestTriggers:
    """What starts the training."""

    def test_new_ratings(self, dev: Assembly) -> None:
        rule = dev.the("AWS::Events::Rule", "/Triggers")

        pattern = rule["Properties"]["EventPattern"]
        assert pattern["source"] == ["aws.s3"]
        assert pattern["detail-type"] == ["Object Created"]
        assert pattern["detail"]["object"] == {
            "key": [{"prefix": "ratings/"}],
            "size": [{"numeric": [">", 0]}],
        }
        (target,) = rule["Properties"]["Targets"]
        template = re.sub("(<.*?>)", r'"\1"', target["InputTransformer"]["InputTemplate"])
        assert json.loads(template) == {
            "ratings": {"bucket": "<detail-bucket-name>", "key": "<detail-object-key>"}
        }

    def test_upload_of_the_first_ratings_starts_nothing(self, dev: Assembly) -> None:
        rule = dev.the("AWS::Events::Rule", "/Triggers")

        assert any("FirstModel" in name for name in rule["DependsOn"])

    def test_schedule(self, assemblies: Callable[[str], Assembly]) -> None:
        scheduled = assemblies("dev that keeps its data, trains by schedule and waits for approval")

        schedule = scheduled.the("AWS::Scheduler::Schedule")["Properties"]
        assert schedule["ScheduleExpression"] == "cron(0 3 ? * MON *)"
        assert schedule["Target"]["Input"] == "{}"
        assert not [name for name, _ in scheduled.resources("AWS::Events::Rule") if "/Triggers" in name]


class TestMissingFiles:
    """What synthesis needs and does not find is told in a line that says how to get it."""

    def test_bundle(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigurationError, match=r"build/functions/prepare_data.*recommender build"):
            define(load_environment("dev"), project=tmp_path, folder=tmp_path / "out")

    def test_ratings(self, tmp_path: Path) -> None:
        project = make_project(tmp_path)

        with pytest.raises(ConfigurationError, match=r"training\.ratings.*gone\.zip.*recommender data"):
            define(changed("dev", training={"ratings": "gone.zip"}), project=project, folder=tmp_path / "out")
