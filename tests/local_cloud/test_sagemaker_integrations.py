"""SageMaker through Step Functions and CloudFormation."""

import json
import uuid
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.local_cloud.conftest import wait_for
from tests.local_cloud.test_sagemaker_control_plane import IMAGE, World, world  # noqa: F401

pytestmark = pytest.mark.local_cloud


# -- Step Functions ----------------------------------------------------------------------------------------


def start(world: World, states: dict[str, Any], payload: dict[str, Any] | None = None) -> str:  # noqa: F811
    sfn = world.cloud.client("stepfunctions")
    name = f"machine-{uuid.uuid4().hex[:8]}"
    definition = json.dumps({"StartAt": next(iter(states)), "States": states})
    machine = sfn.create_state_machine(name=name, definition=definition, roleArn=world.role)
    execution = sfn.start_execution(
        stateMachineArn=machine["stateMachineArn"], input=json.dumps(payload or {})
    )
    return str(execution["executionArn"])


def run(world: World, states: dict[str, Any], payload: dict[str, Any] | None = None) -> dict[str, Any]:  # noqa: F811
    sfn = world.cloud.client("stepfunctions")
    arn = start(world, states, payload)

    def ended() -> Any:
        execution = sfn.describe_execution(executionArn=arn)
        return execution if execution["status"] != "RUNNING" else None

    return dict(wait_for(ended))


def task(action: str, parameters: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "Type": "Task",
        "Resource": f"arn:aws:states:::{action}",
        "Parameters": parameters,
        "End": True,
    } | more


def test_synchronous_training_answers_with_the_job(world: World) -> None:  # noqa: F811
    request = world.job(HyperParameters={"log": "#quality_metric: host=algo-1, train rmse <loss>=2.5"})
    execution = run(world, {"Train": task("sagemaker:createTrainingJob.sync", request)})
    assert execution["status"] == "SUCCEEDED", execution
    output = json.loads(execution["output"])
    assert output["TrainingJobName"] == request["TrainingJobName"]
    assert output["TrainingJobStatus"] == "Completed"
    assert output["ModelArtifacts"]["S3ModelArtifacts"].endswith("/output/model.tar.gz")
    assert isinstance(output["CreationTime"], int)


def test_synchronous_failure_carries_the_description(world: World) -> None:  # noqa: F811
    request = world.job(HyperParameters={"fail": "ClientError: the data are bad"})
    execution = run(world, {"Train": task("sagemaker:createTrainingJob.sync", request)})
    assert (execution["status"], execution["error"]) == ("FAILED", "States.TaskFailed")
    cause = json.loads(execution["cause"])
    assert cause["FailureReason"] == "ClientError: the data are bad"


def test_refused_request_is_named_as_on_aws(world: World) -> None:  # noqa: F811
    request = world.job(RoleArn="arn:aws:iam::111111111111:role/absent")
    execution = run(world, {"Train": task("sagemaker:createTrainingJob.sync", request)})
    assert execution["error"] == "SageMaker.AmazonSageMakerException"
    assert "Could not assume role" in execution["cause"]
    taken = world.train()["TrainingJobName"]
    again = run(world, {"Train": task("sagemaker:createTrainingJob", world.job(TrainingJobName=taken))})
    assert again["error"] == "SageMaker.ResourceInUseException"


def test_synchronous_tuning_answers_with_the_job(world: World) -> None:  # noqa: F811
    resource = "sagemaker:createHyperParameterTuningJob"
    request = world.tuning()
    execution = run(world, {"Tune": task(f"{resource}.sync", request)})
    assert execution["status"] == "SUCCEEDED", execution
    output = json.loads(execution["output"])
    assert output["HyperParameterTuningJobStatus"] == "Completed"
    name = request["HyperParameterTuningJobName"]
    assert output["BestTrainingJob"]["TrainingJobName"].startswith(f"{name}-00")
    again = run(world, {"Tune": task(resource, request)})
    assert again["error"] == "SageMaker.ResourceInUseException"
    request = world.tuning()
    answer = json.loads(run(world, {"Tune": task(resource, request)})["output"])
    assert answer["HyperParameterTuningJobArn"].endswith(f"/{request['HyperParameterTuningJobName']}")


def test_failed_tuning_fails_the_task(world: World) -> None:  # noqa: F811
    request = world.tuning()
    request["TrainingJobDefinition"]["StaticHyperParameters"] = {"fail": "ClientError: no"}
    execution = run(world, {"Tune": task("sagemaker:createHyperParameterTuningJob.sync", request)})
    assert (execution["status"], execution["error"]) == ("FAILED", "States.TaskFailed")
    assert json.loads(execution["cause"])["FailureReason"].startswith("All training jobs failed.")


def test_stopped_execution_stops_the_job(world: World) -> None:  # noqa: F811
    request = world.job(HyperParameters={"sleep": "60"})
    retry = [{"ErrorEquals": ["States.ALL"], "IntervalSeconds": 1, "MaxAttempts": 2}]
    arn = start(world, {"Train": task("sagemaker:createTrainingJob.sync", request, Retry=retry)})
    name = request["TrainingJobName"]

    def training() -> bool:
        jobs = world.sagemaker.list_training_jobs(NameContains=name)["TrainingJobSummaries"]
        return bool(jobs) and jobs[0]["TrainingJobStatus"] == "InProgress"

    wait_for(training)
    sfn = world.cloud.client("stepfunctions")
    sfn.stop_execution(executionArn=arn, error="Mine", cause="enough")
    assert world.trained(name)["TrainingJobStatus"] == "Stopped"
    assert sfn.describe_execution(executionArn=arn)["status"] == "ABORTED"


def test_state_that_times_out_stops_the_job(world: World) -> None:  # noqa: F811
    request = world.job(HyperParameters={"sleep": "60"})
    execution = run(world, {"Train": task("sagemaker:createTrainingJob.sync", request, TimeoutSeconds=2)})
    assert execution["error"] == "States.Timeout"
    assert world.trained(request["TrainingJobName"])["TrainingJobStatus"] == "Stopped"


def test_score_and_register_as_the_product_does(world: World) -> None:  # noqa: F811
    group, name = f"group-{uuid.uuid4().hex[:8]}", f"model-{uuid.uuid4().hex[:8]}"
    world.sagemaker.create_model_package_group(ModelPackageGroupName=group)
    uri = world.put("sfn/in.protobuf", b"")
    world.put("sfn/in.protobuf", bytes.fromhex("0a23d7ce04000000") + b"abcd")
    transform = {
        "TransformJobName.$": "States.Format('{}-test', $.name)",
        "ModelName.$": "$.name",
        "TransformInput": {
            "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": uri}},
            "SplitType": "RecordIO",
        },
        "TransformOutput": {"S3OutputPath": f"s3://{world.bucket}/sfn-out/", "AssembleWith": "Line"},
        "TransformResources": {"InstanceType": "ml.m5.large", "InstanceCount": 1},
    }
    container = {"Image": IMAGE, "ModelDataUrl": world.model_data()}
    specification = {
        "Containers": [container],
        "SupportedContentTypes": ["application/json"],
        "SupportedResponseMIMETypes": ["application/json"],
    }
    states = {
        "Model": task(
            "sagemaker:createModel",
            {"ModelName.$": "$.name", "ExecutionRoleArn": world.role, "PrimaryContainer": container},
            ResultPath="$.model",
            Next="Score",
        ),
        "Score": task(
            "sagemaker:createTransformJob.sync", transform, ResultPath="$.transform", Next="Delete"
        ),
        "Delete": task(
            "aws-sdk:sagemaker:deleteModel", {"ModelName.$": "$.name"}, ResultPath=None, Next="Register"
        ),
        "Register": task(
            "aws-sdk:sagemaker:createModelPackage",
            {
                "ModelPackageGroupName": group,
                "InferenceSpecification": specification,
                "ModelApprovalStatus": "Approved",
                "CustomerMetadataProperties": {"training_job.$": "$.name"},
            },
            ResultPath="$.package",
            Next="Publish",
        ),
        "Publish": task(
            "aws-sdk:ssm:putParameter",
            {
                "Name": f"/{group}/package",
                "Type": "String",
                "Overwrite": True,
                "Value.$": "$.package.ModelPackageArn",
            },
            ResultPath=None,
            Next="Describe",
        ),
        "Describe": task(
            "aws-sdk:sagemaker:describeModelPackage", {"ModelPackageName.$": "$.package.ModelPackageArn"}
        ),
    }
    for state in states.values():
        if "Next" in state:
            del state["End"]
    execution = run(world, states, {"name": name})
    assert execution["status"] == "SUCCEEDED", execution.get("cause")
    package = json.loads(execution["output"])
    assert package["ModelPackageArn"].endswith(f":model-package/{group}/1")
    assert package["CustomerMetadataProperties"] == {"training_job": name}
    parameter = world.cloud.client("ssm").get_parameter(Name=f"/{group}/package")
    assert parameter["Parameter"]["Value"] == package["ModelPackageArn"]
    assert json.loads(world.read("sfn-out/in.protobuf.out"))["bytes"] == 12
    with pytest.raises(ClientError, match="Could not find model"):
        world.sagemaker.describe_model(ModelName=name)


def test_sdk_integration_names_its_errors_as_on_aws(world: World) -> None:  # noqa: F811
    execution = run(world, {"Delete": task("aws-sdk:sagemaker:deleteModel", {"ModelName": "absent"})})
    assert execution["error"] == "SageMaker.SageMakerException"
    assert "Could not find model" in execution["cause"]


# -- CloudFormation ----------------------------------------------------------------------------------------


def template(world: World, group: str) -> dict[str, Any]:  # noqa: F811
    variant = {
        "VariantName": "AllTraffic",
        "ModelName": {"Fn::GetAtt": ["StackModel", "ModelName"]},
        "InitialInstanceCount": "1",
        "InstanceType": "ml.m5.large",
        "InitialVariantWeight": 1,
    }
    return {
        "Parameters": {
            "Package": {"Type": "AWS::SSM::Parameter::Value<String>", "Default": f"/{group}/package"},
        },
        "Resources": {
            "Group": {
                "Type": "AWS::SageMaker::ModelPackageGroup",
                "Properties": {"ModelPackageGroupName": f"{group}-owned"},
            },
            "StackModel": {
                "Type": "AWS::SageMaker::Model",
                "Properties": {
                    "ExecutionRoleArn": world.role,
                    "PrimaryContainer": {"ModelPackageName": {"Ref": "Package"}},
                    "Tags": [{"Key": "own", "Value": "tag"}],
                },
            },
            "StackConfig": {
                "Type": "AWS::SageMaker::EndpointConfig",
                "Properties": {"ProductionVariants": [variant]},
            },
            "Endpoint": {
                "Type": "AWS::SageMaker::Endpoint",
                "Properties": {
                    "EndpointName": f"{group}-endpoint",
                    "EndpointConfigName": {"Fn::GetAtt": ["StackConfig", "EndpointConfigName"]},
                    "RetainAllVariantProperties": True,
                },
            },
        },
        "Outputs": {
            "ModelRef": {"Value": {"Ref": "StackModel"}},
            "ConfigRef": {"Value": {"Ref": "StackConfig"}},
            "EndpointRef": {"Value": {"Ref": "Endpoint"}},
            "EndpointName": {"Value": {"Fn::GetAtt": ["Endpoint", "EndpointName"]}},
            "GroupArn": {"Value": {"Fn::GetAtt": ["Group", "ModelPackageGroupArn"]}},
        },
    }


def publish(world: World, group: str, **environment: str) -> str:  # noqa: F811
    container = {"Image": IMAGE, "ModelDataUrl": world.model_data(), "Environment": environment}
    arn = world.sagemaker.create_model_package(
        ModelPackageGroupName=group,
        ModelApprovalStatus="Approved",
        InferenceSpecification={
            "Containers": [container],
            "SupportedContentTypes": ["application/json"],
            "SupportedResponseMIMETypes": ["application/json"],
        },
    )["ModelPackageArn"]
    world.cloud.client("ssm").put_parameter(
        Name=f"/{group}/package", Type="String", Value=arn, Overwrite=True
    )
    return str(arn)


def outputs(stack: dict[str, Any]) -> dict[str, str]:
    return {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}


def settled(world: World, name: str) -> dict[str, Any]:  # noqa: F811
    cloudformation = world.cloud.client("cloudformation")

    def done() -> Any:
        (stack,) = cloudformation.describe_stacks(StackName=name)["Stacks"]
        return stack if not stack["StackStatus"].endswith("IN_PROGRESS") else None

    return dict(wait_for(done))


def ask(world: World, endpoint: str) -> dict[str, Any]:  # noqa: F811
    runtime = world.cloud.client("sagemaker-runtime")
    return dict(json.loads(runtime.invoke_endpoint(EndpointName=endpoint, Body=b"x")["Body"].read()))


def test_stack_creates_releases_rolls_back_and_deletes(world: World) -> None:  # noqa: F811
    cloudformation, sagemaker = world.cloud.client("cloudformation"), world.sagemaker
    group = f"group-{uuid.uuid4().hex[:8]}"
    sagemaker.create_model_package_group(ModelPackageGroupName=group)
    first = publish(world, group, STAND_IN_TAG="one")
    stack_name = f"stack-{group}"
    cloudformation.create_stack(
        StackName=stack_name,
        TemplateBody=json.dumps(template(world, group)),
        Tags=[{"Key": "stack", "Value": "tag"}],
    )
    stack = settled(world, stack_name)
    assert stack["StackStatus"] == "CREATE_COMPLETE", stack
    values = outputs(stack)
    prefix = "arn:aws:sagemaker:us-east-1:111111111111"
    endpoint = f"{group}-endpoint"
    assert values["EndpointRef"] == f"{prefix}:endpoint/{endpoint}"
    assert values["EndpointName"] == endpoint
    assert values["ModelRef"].startswith(f"{prefix}:model/StackModel-")
    assert values["ConfigRef"].startswith(f"{prefix}:endpoint-config/StackConfig-")
    assert values["GroupArn"] == f"{prefix}:model-package-group/{group}-owned"
    tags = {tag["Key"]: tag["Value"] for tag in sagemaker.list_tags(ResourceArn=values["ModelRef"])["Tags"]}
    assert (tags["own"], tags["stack"]) == ("tag", "tag")
    model = sagemaker.describe_model(ModelName=values["ModelRef"].rpartition("/")[2])
    assert model["PrimaryContainer"]["ModelPackageName"] == first
    assert ask(world, endpoint)["tag"] == "one"

    # A release: a new package in the parameter, and the stack's previous template.
    publish(world, group, STAND_IN_TAG="two")
    release = {
        "StackName": stack_name,
        "UsePreviousTemplate": True,
        "Parameters": [{"ParameterKey": "Package", "UsePreviousValue": True}],
    }
    cloudformation.update_stack(**release)
    stack = settled(world, stack_name)
    assert stack["StackStatus"] == "UPDATE_COMPLETE", stack
    released = outputs(stack)
    assert released["EndpointRef"] == values["EndpointRef"]
    assert released["ModelRef"] != values["ModelRef"]
    assert released["ConfigRef"] != values["ConfigRef"]
    assert ask(world, endpoint)["tag"] == "two"
    assert [each["ModelArn"] for each in sagemaker.list_models(NameContains="StackModel-")["Models"]] == [
        released["ModelRef"]
    ]

    with pytest.raises(ClientError, match="No updates are to be performed"):
        cloudformation.update_stack(**release)

    # A package that cannot serve: the old model keeps serving, and the stack says why.
    publish(world, group, STAND_IN_EXIT="1")
    cloudformation.update_stack(**release)
    stack = settled(world, stack_name)
    assert stack["StackStatus"] == "UPDATE_ROLLBACK_COMPLETE"
    reasons = reasons_of(world, stack_name, "UPDATE_FAILED")
    assert "did not pass the ping health check" in reasons["Endpoint"]
    assert ask(world, endpoint)["tag"] == "two"
    assert outputs(stack) == released
    assert len(sagemaker.list_endpoint_configs(NameContains="StackConfig-")["EndpointConfigs"]) == 1

    pid = ask(world, endpoint)["pid"]
    cloudformation.delete_stack(StackName=stack_name)
    wait_for(lambda: gone(world, stack["StackId"]))
    with pytest.raises(ClientError, match="Could not find endpoint"):
        sagemaker.describe_endpoint(EndpointName=endpoint)
    assert sagemaker.list_models(NameContains="StackModel-")["Models"] == []
    assert sagemaker.list_endpoint_configs(NameContains="StackConfig-")["EndpointConfigs"] == []
    assert pid > 0


def gone(world: World, stack_id: str) -> bool:  # noqa: F811
    (stack,) = world.cloud.client("cloudformation").describe_stacks(StackName=stack_id)["Stacks"]
    return bool(stack["StackStatus"] == "DELETE_COMPLETE")


def reasons_of(world: World, stack: str, status: str) -> dict[str, str]:  # noqa: F811
    events = world.cloud.client("cloudformation").describe_stack_events(StackName=stack)["StackEvents"]
    return {
        event["LogicalResourceId"]: event.get("ResourceStatusReason", "")
        for event in events
        if event["ResourceStatus"] == status
    }


def test_failed_creation_gives_the_reason_and_leaves_nothing(world: World) -> None:  # noqa: F811
    group = f"group-{uuid.uuid4().hex[:8]}"
    world.sagemaker.create_model_package_group(ModelPackageGroupName=group)
    publish(world, group, STAND_IN_EXIT="1")
    stack_name = f"stack-{group}"
    world.cloud.client("cloudformation").create_stack(
        StackName=stack_name, TemplateBody=json.dumps(template(world, group))
    )
    assert settled(world, stack_name)["StackStatus"] == "ROLLBACK_COMPLETE"
    reason = reasons_of(world, stack_name, "CREATE_FAILED")["Endpoint"]
    assert "did not stabilize (status Failed)" in reason
    assert "did not pass the ping health check" in reason
    assert world.sagemaker.list_endpoints(NameContains=group)["Endpoints"] == []
    assert world.sagemaker.list_models(NameContains="StackModel-")["Models"] == []


def test_unknown_property_is_refused(world: World) -> None:  # noqa: F811
    body = template(world, "x")
    del body["Parameters"], body["Outputs"]
    body["Resources"] = {
        "StackModel": {
            "Type": "AWS::SageMaker::Model",
            "Properties": {"ExecutionRoleArn": world.role, "Imag": "x"},
        }
    }
    stack_name = f"stack-{uuid.uuid4().hex[:8]}"
    world.cloud.client("cloudformation").create_stack(StackName=stack_name, TemplateBody=json.dumps(body))
    settled(world, stack_name)
    assert (
        'Unknown parameter in input: "Imag"' in reasons_of(world, stack_name, "CREATE_FAILED")["StackModel"]
    )
