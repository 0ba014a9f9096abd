"""Read what an environment has deployed: stack outputs, the model package that is served, its evaluation."""

import json
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import boto3

from ops.errors import OperationError
from ops.stacks import find_stack, output_of


@dataclass(frozen=True)
class Deployment:
    """One deployed environment, seen through `session`.

    Attributes:
        name: the environment's name, such as "dev".
        session: credentials and region of its account.
    """

    name: str
    session: boto3.Session

    @property
    def prefix(self) -> str:
        """What every stack and named resource of the environment starts with."""
        return f"movie-recommender-{self.name}"

    def output(self, stack: str, key: str) -> str:
        """Return output `key` of the environment's `stack` ("storage", "training" or "serving").

        Raises:
            OperationError: the stack is not deployed, or not with that output.
        """
        name = f"{self.prefix}-{stack}"
        deploy = f"run `npx cdk deploy --all -c env={self.name}`"
        found = find_stack(self.session.client("cloudformation"), name)
        if found is None:
            raise OperationError(f"Stack {name} is not deployed: {deploy}")
        value = output_of(found, key)
        if value is None:
            raise OperationError(f"Stack {name} has no output {key}; it is {found['StackStatus']}: {deploy}")
        return value

    @cached_property
    def model_package(self) -> dict[str, Any]:
        """The description of the model package that is served (SageMaker's DescribeModelPackage)."""
        arn = self.output("serving", "ModelPackageArn")
        return dict(self.session.client("sagemaker").describe_model_package(ModelPackageName=arn))

    @cached_property
    def evaluation(self) -> dict[str, Any]:
        """What the state machine's Evaluate step wrote about the model that is served (evaluation.json)."""
        return self._json(self.model_package["ModelMetrics"]["ModelQuality"]["Statistics"]["S3Uri"])

    @cached_property
    def manifest(self) -> dict[str, Any]:
        """The manifest of the prepared data that the model that is served was trained on."""
        digest = self.model_package["CustomerMetadataProperties"]["dataset_digest"]
        return self._json(f"s3://{self.output('storage', 'PreparedBucketName')}/{digest}/manifest.json")

    def training_state(self) -> str | None:
        """Return the state that a running execution of the training workflow is in, or None if none runs."""
        client = self.session.client("stepfunctions")
        machine = self._state_machine()
        if machine is None:
            return None
        executions = client.list_executions(stateMachineArn=machine, statusFilter="RUNNING", maxResults=1)[
            "executions"
        ]
        if not executions:
            return None
        history = client.get_execution_history(
            executionArn=executions[0]["executionArn"],
            reverseOrder=True,
            maxResults=50,
            includeExecutionData=False,
        )
        entered = (
            e["stateEnteredEventDetails"]["name"]
            for e in history["events"]
            if "stateEnteredEventDetails" in e
        )
        return next(entered, None)

    def api_key(self) -> str:
        """The value of the environment's API key (environments with `authorization = "api_key"` have one)."""
        key = self.session.client("apigateway").get_api_key(
            apiKey=self.output("serving", "ApiKeyId"), includeValue=True
        )
        return key["value"]

    def _state_machine(self) -> str | None:
        # By the resource, not by an output: a stack has no outputs, and at first no resources, while it is
        # being created.
        resources = self.session.client("cloudformation").describe_stack_resources(
            StackName=f"{self.prefix}-training"
        )
        machines = (
            resource.get("PhysicalResourceId")
            for resource in resources["StackResources"]
            if resource["ResourceType"] == "AWS::StepFunctions::StateMachine"
            and resource["LogicalResourceId"].startswith("Workflow")
        )
        return next(machines, None)

    def _json(self, uri: str) -> dict[str, Any]:
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        body = self.session.client("s3").get_object(Bucket=bucket, Key=key)["Body"]
        content: dict[str, Any] = json.loads(body.read())
        return content
