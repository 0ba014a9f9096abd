"""The CDK app of one environment: which stacks it has, and the checks that every synthesis runs."""

from pathlib import Path

from aws_cdk import App, Tags, Validations
from cdk_nag import AwsSolutionsChecks

from infra.delivery import DeliveryStack
from infra.environment import PROJECT, Environment
from infra.serving import ServingStack
from infra.storage import StorageStack
from infra.training import TrainingStack


def build_app(app: App, settings: Environment, *, project: Path) -> None:
    """Define the stacks of `settings` in `app`.

    An environment that trains has all three; one that serves promoted models has no training, and no serving
    before its first promotion. Where GitHub Actions delivers, its roles are a stack, too.

    Args:
        app: the app, with its context.
        settings: the environment.
        project: the folder that `build/functions`, `build/images` and `training.ratings` are in.

    Raises:
        ConfigurationError: a function's bundle, an image's folder or the ratings are not there.
    """
    functions = project / "build" / "functions"
    storage = StorageStack(app, settings=settings)
    if settings.training is not None:
        training = TrainingStack(
            app,
            settings=settings,
            training=settings.training,
            storage=storage,
            functions=functions,
            images=project / "build" / "images",
            ratings=project / settings.training.ratings,
        )
        serving = ServingStack(app, settings=settings, storage=storage, functions=functions)
        # The parameter that the serving stack reads is written by the training stack's first model.
        serving.add_stack_dependency(training)
    elif settings.model.package_arn is not None:
        ServingStack(app, settings=settings, storage=storage, functions=functions)
    if settings.delivery is not None:
        DeliveryStack(app, settings=settings, delivery=settings.delivery, storage=storage)
    Tags.of(app).add("project", PROJECT)
    Tags.of(app).add("environment", settings.name)
    Validations.of(app).add_plugins(AwsSolutionsChecks(app, write_suppressions_to_cloud_formation=True))
