"""What starts the training workflow besides a person."""

from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_scheduler as scheduler
from aws_cdk import aws_scheduler_targets as scheduler_targets
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from infra.storage import RATINGS_PREFIX, StorageStack


class Triggers(Construct):
    """Starts the training workflow on new ratings in the raw bucket, and on a schedule where there is one."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        storage: StorageStack,
        state_machine: sfn.IStateMachine,
        on_upload: bool,
        schedule: str | None,
    ) -> None:
        super().__init__(scope, construct_id)
        if on_upload:
            self._on_upload(storage, state_machine)
        if schedule:
            self._on_schedule(schedule, state_machine)

    def _on_upload(self, storage: StorageStack, state_machine: sfn.IStateMachine) -> None:
        events.Rule(
            self,
            "NewRatings",
            description="Train on ratings when they are uploaded",
            event_pattern=events.EventPattern(
                source=["aws.s3"],
                detail_type=["Object Created"],
                detail={
                    "bucket": {"name": [storage.raw.bucket_name]},
                    # An empty object stands for a folder.
                    "object": {"key": [{"prefix": RATINGS_PREFIX}], "size": [{"numeric": [">", 0]}]},
                },
            ),
            targets=[
                targets.SfnStateMachine(
                    state_machine,
                    input=events.RuleTargetInput.from_object(
                        {
                            "ratings": {
                                "bucket": events.EventField.from_path("$.detail.bucket.name"),
                                "key": events.EventField.from_path("$.detail.object.key"),
                            }
                        }
                    ),
                )
            ],
        )

    def _on_schedule(self, expression: str, state_machine: sfn.IStateMachine) -> None:
        scheduler.Schedule(
            self,
            "Schedule",
            description="Train on the newest ratings",
            schedule=scheduler.ScheduleExpression.expression(expression),
            target=scheduler_targets.StepFunctionsStartExecution(
                state_machine, input=scheduler.ScheduleTargetInput.from_object({})
            ),
        )
