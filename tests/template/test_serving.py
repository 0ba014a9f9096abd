"""How a deployment of the serving stack goes: check, canary with alarms, smoke test."""

import json
from typing import Any

import botocore.session
import pytest
from botocore.validate import ParamValidator

from infra.endpoint import VARIANT
from tests.template.assembly import Assembly, Resource, before, changed, define, references
from verify_model.events import CheckProperties, SmokeTestProperties
from verify_model.settings import CheckSettings, SmokeTestSettings


@pytest.fixture(params=["dev", "prod"])
def serving(request: pytest.FixtureRequest) -> Assembly:
    """Each kind of environment that serves."""
    assembly: Assembly = request.getfixturevalue(request.param)
    return assembly


def _resources(assembly: Assembly) -> dict[str, Resource]:
    resources: dict[str, Resource] = assembly.templates["serving"]["Resources"]
    return resources


def _the(resources: dict[str, Resource], kind: str) -> str:
    (found,) = [logical_id for logical_id, resource in resources.items() if resource["Type"] == kind]
    return found


class TestOrder:
    """What comes before what."""

    def test_nothing_of_the_model_before_its_check(self, serving: Assembly) -> None:
        resources = _resources(serving)
        check = _the(resources, "Custom::CheckModel")

        for kind in ("Model", "EndpointConfig", "Endpoint"):
            assert check in before(resources, _the(resources, f"AWS::SageMaker::{kind}")), kind

    def test_smoke_test_after_endpoint_and_api(self, serving: Assembly) -> None:
        resources = _resources(serving)
        earlier = {
            resources[name]["Type"] for name in before(resources, _the(resources, "Custom::SmokeTest"))
        }

        assert {
            "AWS::SageMaker::Endpoint",
            "AWS::ApiGateway::Stage",
            "AWS::ApiGateway::Method",
            "Custom::CheckModel",
        } <= earlier
        assert any(
            resource["Properties"].get("Handler") == "recommend.handler.handler"
            for name, resource in resources.items()
            if name in before(resources, _the(resources, "Custom::SmokeTest"))
        )

    @pytest.mark.parametrize("kind", ["Custom::CheckModel", "Custom::SmokeTest"])
    def test_each_may_do_its_work_before_it_is_asked_to(self, serving: Assembly, kind: str) -> None:
        resources = _resources(serving)
        earlier = before(resources, _the(resources, kind))

        name = kind.removeprefix("Custom::")
        assert any(f"{name}FunctionRoleDefaultPolicy" in found for found in earlier)
        assert any(f"{name}ProviderOnEventRoleDefaultPolicy" in found for found in earlier)

    def test_alarms_before_the_endpoint_that_names_them(self, serving: Assembly) -> None:
        resources = _resources(serving)
        earlier = before(resources, _the(resources, "AWS::SageMaker::Endpoint"))

        assert sum(resources[name]["Type"] == "AWS::CloudWatch::Alarm" for name in earlier) == 2


class TestVerification:
    """The two custom resources."""

    def test_are_told_what_their_functions_read(self, serving: Assembly) -> None:
        model = serving.the("AWS::SageMaker::Model")["Properties"]["PrimaryContainer"]
        for kind, read in (("CheckModel", CheckProperties), ("SmokeTest", SmokeTestProperties)):
            properties = serving.the(f"Custom::{kind}")["Properties"]
            required = {field.alias for field in read.model_fields.values() if field.is_required()}
            assert required <= properties.keys()
            assert properties["ModelPackageArn"] == model["ModelPackageName"]

    def test_the_pins_digest_is_checked_where_there_is_a_pin(self, dev: Assembly, prod: Assembly) -> None:
        assert "ArtifactSha256" not in dev.the("Custom::CheckModel")["Properties"]
        assert prod.the("Custom::CheckModel")["Properties"]["ArtifactSha256"] == "5c" * 32

    def test_run_whenever_what_serves_changes(self, prod: Assembly, project: Any, tmp_path: Any) -> None:
        """CloudFormation asks a custom resource only when its properties have changed."""
        model = prod.settings.model.model_dump()
        other = changed("prod", model=model, serving={"instance_type": "ml.m5.xlarge"})
        app = define(other, project=project, folder=tmp_path)
        app.synth()
        after = Assembly(settings=other, app=app, folder=tmp_path)

        assert after.the("Custom::CheckModel")["Properties"] != prod.the("Custom::CheckModel")["Properties"]
        # A new configuration has a new name, and that is a property too.
        smoke_test = prod.the("Custom::SmokeTest")["Properties"]
        configuration = _the(_resources(prod), "AWS::SageMaker::EndpointConfig")
        assert smoke_test["EndpointConfigName"] == {"Fn::GetAtt": [configuration, "EndpointConfigName"]}
        recommend = next(
            function["Properties"]["Code"]["S3Key"]
            for _, function in prod.resources("AWS::Lambda::Function")
            if function["Properties"]["Handler"] == "recommend.handler.handler"
        )
        assert smoke_test["RecommendCode"] == recommend

    def test_read_their_settings(self, serving: Assembly, monkeypatch: pytest.MonkeyPatch) -> None:
        functions = {
            function["Properties"]["Handler"]: function["Properties"]["Environment"]["Variables"]
            for _, function in serving.resources("AWS::Lambda::Function")
            if function["Properties"]["Handler"].startswith("verify_model.")
        }
        for variables in functions.values():
            for name, value in variables.items():
                monkeypatch.setenv(name, value if isinstance(value, str) else "resolved")

        settings = serving.settings
        check = CheckSettings.from_environment()
        assert check.model_package_arn_prefix == settings.model_package_arn_prefix
        smoke_test = SmokeTestSettings.from_environment()
        assert smoke_test.endpoint_name == settings.prefix
        assert smoke_test.instance_count == settings.serving.instance_count
        recommend = functions["verify_model.handler.smoke_test"]["RECOMMEND_FUNCTION"]["Ref"]
        assert _resources(serving)[recommend]["Properties"]["Handler"] == "recommend.handler.handler"

    def test_give_an_answer_before_cloudformation_stops_waiting(self, serving: Assembly) -> None:
        resources = _resources(serving)
        for kind in ("CheckModel", "SmokeTest"):
            resource = serving.the(f"Custom::{kind}")["Properties"]
            (framework,) = references(resource["ServiceToken"])
            (function,) = references(
                resources[framework]["Properties"]["Environment"]["Variables"]["USER_ON_EVENT_FUNCTION_ARN"]
            )
            own = resources[function]["Properties"]["Timeout"]
            assert (
                own < int(resource["ServiceTimeout"]) < resources[framework]["Properties"]["Timeout"] < 3600
            )


class TestDeployment:
    """The endpoint's deployment configuration."""

    @staticmethod
    def _config(assembly: Assembly) -> dict[str, Any]:
        config: dict[str, Any] = assembly.the("AWS::SageMaker::Endpoint")["Properties"]["DeploymentConfig"]
        return config

    def test_is_what_sagemaker_takes(self, serving: Assembly) -> None:
        """Against botocore's model, which knows more of it than CloudFormation's schema."""
        sagemaker = botocore.session.get_session().get_service_model("sagemaker")
        shape = sagemaker.operation_model("UpdateEndpoint").input_shape
        assert shape is not None
        config = self._config(serving)
        names = [{"AlarmName": "resolved"} for _ in config["AutoRollbackConfiguration"]["Alarms"]]

        report = ParamValidator().validate(
            {
                "EndpointName": "resolved",
                "EndpointConfigName": "resolved",
                "DeploymentConfig": config | {"AutoRollbackConfiguration": {"Alarms": names}},
            },
            shape,
        )
        assert not report.has_errors(), report.generate_report()

    def test_prod_has_a_canary(self, prod: Assembly) -> None:
        deployment = prod.settings.serving.deployment
        policy = self._config(prod)["BlueGreenUpdatePolicy"]

        assert policy["TrafficRoutingConfiguration"] == {
            "Type": "CANARY",
            "CanarySize": {"Type": "CAPACITY_PERCENT", "Value": deployment.canary_percent},
            "WaitIntervalInSeconds": deployment.canary_wait_seconds,
        }
        assert policy["TerminationWaitInSeconds"] == deployment.termination_wait_seconds

    def test_dev_changes_all_at_once(self, dev: Assembly) -> None:
        routing = self._config(dev)["BlueGreenUpdatePolicy"]["TrafficRoutingConfiguration"]

        assert routing == {"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": 0}

    def test_has_time_for_all_its_waits(self, serving: Assembly) -> None:
        policy = self._config(serving)["BlueGreenUpdatePolicy"]
        # If the canary's time were waited for once more when all traffic has moved, it would do too.
        waits = 2 * policy["TrafficRoutingConfiguration"]["WaitIntervalInSeconds"]
        waits += policy["TerminationWaitInSeconds"]

        assert waits + 1800 <= policy["MaximumExecutionTimeoutInSeconds"] <= 28_800

    def test_the_longest_waits_that_the_settings_take_fit(self, project: Any, tmp_path: Any) -> None:
        longest = {"canary_percent": 50, "canary_wait_seconds": 3600, "termination_wait_seconds": 3600}
        pin = {
            "package_arn": f"{changed('staging').model_package_arn_prefix}1",
            "artifact_sha256": "5c" * 32,
        }
        settings = changed("staging", model=pin, serving={"deployment": longest})
        app = define(settings, project=project, folder=tmp_path)
        app.synth()

        self.test_is_what_sagemaker_takes(Assembly(settings=settings, app=app, folder=tmp_path))

    def test_goes_back_for_either_alarm(self, serving: Assembly) -> None:
        named = [
            alarm["AlarmName"]["Ref"]
            for alarm in self._config(serving)["AutoRollbackConfiguration"]["Alarms"]
        ]
        alarms = {name.partition("/")[2] for name, _ in serving.resources("AWS::CloudWatch::Alarm")}

        assert set(named) == alarms
        assert len(named) == 2


class TestAlarms:
    """What stops a deployment."""

    @staticmethod
    def _alarms(assembly: Assembly) -> dict[str, dict[str, Any]]:
        return {
            alarm["Properties"]["MetricName"]: alarm["Properties"]
            for _, alarm in assembly.resources("AWS::CloudWatch::Alarm")
        }

    def test_watch_errors_and_latency(self, serving: Assembly) -> None:
        limits = serving.settings.serving.alarms
        errors, latency = (self._alarms(serving)[name] for name in ("Invocation5XXErrors", "ModelLatency"))

        assert (errors["Statistic"], errors["Threshold"]) == ("Sum", limits.max_server_errors)
        # In microseconds.
        assert (latency["ExtendedStatistic"], latency["Threshold"]) == ("p99", limits.max_latency_ms * 1000)
        for alarm in (errors, latency):
            assert alarm["Namespace"] == "AWS/SageMaker"
            assert alarm["ComparisonOperator"] == "GreaterThanThreshold"
            assert (alarm["Period"], alarm["EvaluationPeriods"]) == (60, limits.evaluation_minutes)
            assert alarm["TreatMissingData"] == "notBreaching"

    def test_watch_the_fleet_that_is_deployed_and_no_other(self, serving: Assembly) -> None:
        (variant,) = serving.the("AWS::SageMaker::EndpointConfig")["Properties"]["ProductionVariants"]
        assert variant["VariantName"] == VARIANT

        # The endpoint changes to this configuration after the alarms have.
        configuration = serving.the("AWS::SageMaker::Endpoint")["Properties"]["EndpointConfigName"]
        assert configuration["Fn::GetAtt"][1] == "EndpointConfigName"
        for alarm in self._alarms(serving).values():
            dimensions = {each["Name"]: each["Value"] for each in alarm["Dimensions"]}
            assert dimensions == {
                "EndpointName": serving.settings.endpoint_name,
                "VariantName": VARIANT,
                "EndpointConfigName": configuration,
            }

    def test_have_names_that_stay(self, serving: Assembly) -> None:
        prefix = serving.settings.prefix

        assert {name: alarm["AlarmName"] for name, alarm in self._alarms(serving).items()} == {
            "Invocation5XXErrors": f"{prefix}-endpoint-errors",
            "ModelLatency": f"{prefix}-endpoint-latency",
        }


def test_an_environment_of_promoted_models_has_nothing_that_trains(prod: Assembly) -> None:
    assert set(prod.templates) == {"storage", "serving"}
    kinds = {
        resource["Type"] for name in prod.templates for resource in prod.templates[name]["Resources"].values()
    }
    assert not {
        kind
        for kind in kinds
        if kind.startswith(("AWS::StepFunctions::", "AWS::Events::", "AWS::Scheduler::"))
    }
    handlers = {
        function["Properties"]["Handler"].partition(".")[0]
        for _, function in prod.resources("AWS::Lambda::Function")
    }
    assert handlers == {"recommend", "verify_model", "framework"}
    assert "CreateTrainingJob" not in json.dumps(prod.templates)


def test_nothing_of_prod_names_another_environment(prod: Assembly) -> None:
    templates = json.dumps(prod.templates)

    for other in (changed("dev"), changed("staging")):
        assert other.account not in templates
        assert other.prefix not in templates
    assert prod.settings.prefix in templates
