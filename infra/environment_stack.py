"""What every stack of an environment has in common."""

from aws_cdk import Environment as CdkEnvironment
from aws_cdk import Stack
from constructs import Construct

from infra.environment import Environment


class EnvironmentStack(Stack):
    """A stack in the environment's account and region, with its protection from deletion."""

    def __init__(self, scope: Construct, part: str, *, settings: Environment, description: str) -> None:
        """Define the stack `movie-recommender-<environment>-<part>`."""
        super().__init__(
            scope,
            settings.stack_name(part),
            env=CdkEnvironment(account=settings.account, region=settings.region),
            description=description,
            termination_protection=settings.termination_protection,
        )
