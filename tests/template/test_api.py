"""The REST API: who gets in, what is checked, how errors look."""

import json
import re

from recommend.api import create_app
from recommend.openapi import describe
from recommend.schemas import PredictionRequest
from recommend.served_models import ServedModels
from tests.template.assembly import Assembly, Resource


def _routes(assembly: Assembly) -> dict[str, Resource]:
    resources = {
        name.partition("/")[2]: resource for name, resource in assembly.resources("AWS::ApiGateway::Resource")
    }

    def path(reference: dict[str, str]) -> str:
        resource = resources.get(reference.get("Ref", ""))
        if resource is None:
            return ""
        return f"{path(resource['Properties']['ParentId'])}/{resource['Properties']['PathPart']}"

    methods = [method["Properties"] for _, method in assembly.resources("AWS::ApiGateway::Method")]
    return {f"{method['HttpMethod']} {path(method['ResourceId'])}": method for method in methods}


def test_routes_are_those_that_the_function_describes(dev: Assembly) -> None:
    def no_models() -> ServedModels:
        raise NotImplementedError

    paths = describe(create_app(no_models), server_url="/")["paths"]
    described = {f"{method.upper()} {path}" for path, methods in paths.items() for method in methods}
    assert set(_routes(dev)) == described | {"GET /openapi.json"}


def test_no_route_is_open(dev: Assembly, prod: Assembly) -> None:
    for method in _routes(prod).values():
        assert method["AuthorizationType"] == "AWS_IAM"
    for method in _routes(dev).values():
        assert method["AuthorizationType"] == "NONE"
        assert method["ApiKeyRequired"] is True


def test_key_is_limited_in_rate_and_per_day(dev: Assembly) -> None:
    plan = dev.the("AWS::ApiGateway::UsagePlan")["Properties"]

    assert plan["Throttle"] == {"RateLimit": 20, "BurstLimit": 40}
    assert plan["Quota"] == {"Limit": 10_000, "Period": "DAY"}
    assert len(plan["ApiStages"]) == 1
    assert dev.the("AWS::ApiGateway::UsagePlanKey")["Properties"]["KeyType"] == "API_KEY"


def test_iam_callers_need_no_key(prod: Assembly) -> None:
    assert not list(prod.resources("AWS::ApiGateway::ApiKey"))
    assert "ApiKeyId" not in prod.templates["serving"]["Outputs"]


def test_stage_is_throttled_and_logged(any_assembly: Assembly) -> None:
    for _, stage in any_assembly.resources("AWS::ApiGateway::Stage"):
        (settings,) = stage["Properties"]["MethodSettings"]
        assert (settings["HttpMethod"], settings["ResourcePath"]) == ("*", "/*")
        assert settings["ThrottlingRateLimit"] == any_assembly.settings.api.rate_per_second
        assert settings["ThrottlingBurstLimit"] == any_assembly.settings.api.burst
        assert settings["LoggingLevel"] == "ERROR"
        assert settings["DataTraceEnabled"] is False
        line = json.loads(stage["Properties"]["AccessLogSetting"]["Format"])
        assert line["request_id"] == "$context.requestId"


def test_api_gateways_own_log_group_is_ours(dev: Assembly) -> None:
    group = dev.the("AWS::Logs::LogGroup", "ExecutionLogs")
    (_, [literal, api, stage]) = group["Properties"]["LogGroupName"]["Fn::Join"]

    assert (literal, stage) == ("API-Gateway-Execution-Logs_", "/v1")
    assert api == dev.the("AWS::ApiGateway::Stage")["Properties"]["RestApiId"]
    names = [name for name, _ in dev.resources("AWS::Logs::LogGroup") if "ExecutionLogs" in name]
    assert names[0].removeprefix("serving/") in dev.the("AWS::ApiGateway::Stage")["DependsOn"]


def test_requests_are_checked_before_the_function_runs(dev: Assembly) -> None:
    routes = _routes(dev)
    validator = dev.the("AWS::ApiGateway::RequestValidator")["Properties"]
    assert validator["ValidateRequestBody"] is True
    assert validator["ValidateRequestParameters"] is True

    recommendations = routes["GET /users/{user}/recommendations"]
    assert recommendations["RequestParameters"] == {
        "method.request.path.user": True,
        "method.request.querystring.count": False,
        "method.request.querystring.threshold": False,
    }
    assert recommendations["RequestValidatorId"] == routes["POST /predictions"]["RequestValidatorId"]


def test_schema_of_a_prediction_request_is_the_functions_own(dev: Assembly) -> None:
    def constraints(node: object, definitions: dict[str, object]) -> object:
        """The parts of a schema that decide what is accepted, with references followed."""
        if isinstance(node, list):
            return [constraints(item, definitions) for item in node]
        if not isinstance(node, dict):
            return node
        if "$ref" in node:
            return constraints(definitions[node["$ref"].rpartition("/")[2]], definitions)
        telling = {"title", "description", "$schema", "$defs"}
        decisive = {key: value for key, value in node.items() if key not in telling}
        return {
            key: {name: constraints(part, definitions) for name, part in value.items()}
            if key == "properties"
            else constraints(value, definitions)
            for key, value in decisive.items()
        }

    (_, model) = next(iter(dev.resources("AWS::ApiGateway::Model")))
    ours = PredictionRequest.model_json_schema()
    assert constraints(model["Properties"]["Schema"], {}) == constraints(ours, ours["$defs"])


def test_errors_of_api_gateway_look_like_the_functions(any_assembly: Assembly) -> None:
    responses = {
        response["Properties"]["ResponseType"]: response["Properties"]["ResponseTemplates"]
        for _, response in any_assembly.resources("AWS::ApiGateway::GatewayResponse")
    }

    if "serving" in any_assembly.templates:
        assert responses.keys() >= {"DEFAULT_4XX", "DEFAULT_5XX", "THROTTLED", "QUOTA_EXCEEDED"}
    for response_type, templates in responses.items():
        body = templates["application/json"].replace("$context.error.messageString", '"Forbidden"')
        filled = body.replace("$context.requestId", "c6af9ac6-7b61-11e6-9a41-93e8deadbeef")
        assert "$" not in filled, response_type
        error = json.loads(filled)["error"]
        assert error.keys() == {"code", "message", "request_id"}, response_type
        assert re.fullmatch("[a-z_]+", error["code"]), response_type
        assert error["message"], response_type


def test_a_path_without_a_route_is_not_found_where_keys_authorize(dev: Assembly, prod: Assembly) -> None:
    missing = dev.the("AWS::ApiGateway::GatewayResponse", "MissingAuthenticationToken")["Properties"]
    assert missing["StatusCode"] == "404"
    unsigned = prod.the("AWS::ApiGateway::GatewayResponse", "MissingAuthenticationToken")["Properties"]
    assert "StatusCode" not in unsigned
