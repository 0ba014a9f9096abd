"""What an environment has deployed, also while it is only half there."""

from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from ops.deployment import Deployment
from ops.errors import OperationError

MACHINE = "arn:aws:states:us-east-1:111111111111:stateMachine:workflow"
EXECUTION = "arn:aws:states:us-east-1:111111111111:execution:workflow:1"


class Session:
    """A session whose clients answer what they are told, checked against the services' models."""

    def __init__(self) -> None:
        self.clients: dict[str, Any] = {}
        self.stubs: dict[str, Stubber] = {}

    def client(self, service: str) -> Any:
        if service not in self.clients:
            self.clients[service] = boto3.client(
                service, region_name="us-east-1", aws_access_key_id="1", aws_secret_access_key="1"
            )
            self.stubs[service] = Stubber(self.clients[service])
            self.stubs[service].activate()
        return self.clients[service]

    def answer(self, service: str, operation: str, response: dict[str, Any]) -> None:
        self.client(service)
        self.stubs[service].add_response(operation, response)


@pytest.fixture
def session() -> Session:
    return Session()


@pytest.fixture
def deployment(session: Session) -> Deployment:
    return Deployment(name="dev", session=session)  # type: ignore[arg-type]


def resource(logical_id: str, **more: Any) -> dict[str, Any]:
    return {
        "LogicalResourceId": logical_id,
        "ResourceType": "AWS::StepFunctions::StateMachine",
        "Timestamp": "2026-01-01T00:00:00Z",
        "ResourceStatus": "CREATE_COMPLETE",
    } | more


@pytest.mark.parametrize(
    "resources",
    [[], [resource("FirstModelProviderwaiter", PhysicalResourceId="x")], [resource("WorkflowStateMachine1")]],
)
def test_a_stack_that_has_no_workflow_yet_is_not_training(
    session: Session, deployment: Deployment, resources: list[dict[str, Any]]
) -> None:
    session.answer("cloudformation", "describe_stack_resources", {"StackResources": resources})
    assert deployment.training_state() is None


def test_the_state_last_entered_is_what_training_is_at(session: Session, deployment: Deployment) -> None:
    workflow = resource("WorkflowStateMachine1", PhysicalResourceId=MACHINE)
    session.answer("cloudformation", "describe_stack_resources", {"StackResources": [workflow]})
    running = {
        "executionArn": EXECUTION,
        "stateMachineArn": MACHINE,
        "name": "1",
        "status": "RUNNING",
        "startDate": "2026-01-01T00:00:00Z",
    }
    session.answer("stepfunctions", "list_executions", {"executions": [running]})
    entered = {"type": "TaskStateEntered", "stateEnteredEventDetails": {"name": "Train"}}
    events = [{"type": "TaskSubmitted"}, entered, {"type": "PassStateEntered"}]
    history = [
        {"timestamp": "2026-01-01T00:00:00Z", "id": number, **event} for number, event in enumerate(events, 1)
    ]
    session.answer("stepfunctions", "get_execution_history", {"events": history})
    assert deployment.training_state() == "Train"


def test_a_missing_stack_says_how_to_deploy_it(session: Session, deployment: Deployment) -> None:
    client = session.client("cloudformation")
    session.stubs["cloudformation"].add_client_error("describe_stacks", "ValidationError", "does not exist")
    assert client is session.client("cloudformation")
    with pytest.raises(OperationError, match=r"movie-recommender-dev-serving is not deployed: .*-c env=dev"):
        deployment.output("serving", "ApiUrl")


def test_a_missing_output_says_what_state_the_stack_is_in(session: Session, deployment: Deployment) -> None:
    stack = SimpleNamespace(
        StackName="movie-recommender-dev-serving",
        CreationTime="2026-01-01T00:00:00Z",
        StackStatus="ROLLBACK_COMPLETE",
    )
    session.answer("cloudformation", "describe_stacks", {"Stacks": [vars(stack)]})
    with pytest.raises(OperationError, match="has no output ApiUrl; it is ROLLBACK_COMPLETE"):
        deployment.output("serving", "ApiUrl")
