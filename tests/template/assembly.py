"""What a synthesis made of an environment, as the template tests read it."""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from aws_cdk import App
from constructs import IConstruct

from infra.application import build_app
from infra.environment import Environment, load_environment

ROOT = Path(__file__).resolve().parents[2]
FUNCTIONS = ("prepare_data", "evaluate_model", "first_model", "release_model", "recommend", "verify_model")

Template = dict[str, Any]
Resource = dict[str, Any]


@dataclass(frozen=True)
class Assembly:
    """What a synthesis made of one environment."""

    settings: Environment
    app: App
    folder: Path

    @property
    def templates(self) -> dict[str, Template]:
        """Part ("storage", "training", "serving", "delivery") to template."""
        parts = ("storage", "training", "serving", "delivery")
        paths = {part: self.folder / f"{self.settings.prefix}-{part}.template.json" for part in parts}
        return {part: json.loads(path.read_text()) for part, path in paths.items() if path.exists()}

    def resources(self, kind: str) -> Iterator[tuple[str, Resource]]:
        """`<part>/<logical id>` and definition of all resources of `kind`; `AWS::S3::` is all of S3's."""
        for part, template in self.templates.items():
            for logical_id, resource in template["Resources"].items():
                if resource["Type"] == kind or (kind.endswith("::") and resource["Type"].startswith(kind)):
                    yield f"{part}/{logical_id}", resource

    def the(self, kind: str, containing: str = "") -> Resource:
        """The one resource of `kind` with `containing` in its name."""
        (found,) = [resource for name, resource in self.resources(kind) if containing in name]
        return found

    def state_machine(self, containing: str) -> dict[str, Any]:
        """The definition of the state machine whose logical id starts so; references become words."""
        machine = self.the("AWS::StepFunctions::StateMachine", f"/{containing}")
        _, parts = machine["Properties"]["DefinitionString"]["Fn::Join"]
        text = "".join(part if isinstance(part, str) else _word(part) for part in parts)
        definition: dict[str, Any] = json.loads(text)
        return definition

    def constructs(self) -> list[IConstruct]:
        return self.app.node.find_all()


def _word(reference: dict[str, Any]) -> str:
    (value,) = reference.values()
    return {"AWS::Partition": "aws"}.get(str(value), re.sub(r"\W", "", str(value))[:60])


def references(value: Any) -> Iterator[str]:
    """The logical ids in Ref and Fn::GetAtt; there is no Fn::Sub."""
    if isinstance(value, list):
        for inner in value:
            yield from references(inner)
    elif isinstance(value, dict):
        for key, inner in value.items():
            if key == "Ref":
                yield inner
            elif key == "Fn::GetAtt":
                yield inner[0]
            else:
                yield from references(inner)


def before(resources: dict[str, Resource], logical_id: str) -> set[str]:
    """All that CloudFormation creates or updates before it."""
    found: set[str] = set()
    waiting = [logical_id]
    while waiting:
        resource = resources[waiting.pop()]
        direct = {*resource.get("DependsOn", []), *references(resource["Properties"])} & resources.keys()
        waiting += direct - found
        found |= direct
    return found


@cache
def feature_flags() -> dict[str, Any]:
    """The context of cdk.json."""
    context: dict[str, Any] = json.loads((ROOT / "cdk.json").read_text())["context"]
    return context


def make_project(folder: Path) -> Path:
    """Put a bundle for every function and a file of ratings into `folder`; they only stand there."""
    for function in FUNCTIONS:
        package = folder / "build" / "functions" / function / function
        package.mkdir(parents=True)
        (package / "handler.py").write_text(f'"""Stands for {function}."""\n')
    image = folder / "build" / "images" / "prepare_data"
    image.mkdir(parents=True)
    (image / "Dockerfile").write_text('FROM scratch\nENTRYPOINT ["python", "-m", "data_prep"]\n')
    (folder / ".data").mkdir()
    (folder / ".data" / "ml-100k.zip").write_bytes(b"stands for the ratings")
    return folder


def define(settings: Environment, *, project: Path, folder: Path) -> App:
    """Define the app of `settings`; its synthesis goes to `folder`."""
    app = App(context=feature_flags(), outdir=str(folder), analytics_reporting=False)
    build_app(app, settings, project=project)
    return app


def changed(name: str, **tables: Any) -> Environment:
    """The environment `name` with other values in some tables."""
    values = load_environment(name).model_dump(exclude_none=True)
    for key, change in tables.items():
        values[key] = values.get(key, {}) | change if isinstance(change, dict) else change
    return Environment.model_validate(values | {"name": name})


PIN = {
    "package_arn": "arn:aws:sagemaker:us-east-1:333333333333:model-package/movie-recommender-prod/7",
    "artifact_sha256": "5c" * 32,
}
DELIVERY = {"repository": "owner@12/name@34", "oidc_provider": "create"}
VARIANTS: dict[str, Callable[[], Environment]] = {
    "dev": lambda: load_environment("dev"),
    "staging": lambda: load_environment("staging"),
    "prod": lambda: load_environment("prod"),
    "prod with a promoted model": lambda: changed("prod", model=PIN),
    "dev that keeps its data, trains by schedule and waits for approval": lambda: changed(
        "dev",
        storage={"retain_data": True},
        training={"schedule": "cron(0 3 ? * MON *)", "upload_trigger": False, "approval": "manual"},
    ),
    "dev that prepares large data in AWS Batch": lambda: changed(
        "dev",
        training={
            "batch": {
                "above_mib": 100,
                "vcpus": 2,
                "memory_mib": 4096,
                "storage_gib": 50,
                "shards": 4,
                "max_runtime_minutes": 60,
            }
        },
    ),
    "dev in GovCloud": lambda: changed("dev", region="us-gov-west-1"),
    "dev that GitHub Actions delivers": lambda: changed("dev", delivery=DELIVERY),
    "prod that GitHub Actions delivers": lambda: changed(
        "prod", delivery=DELIVERY | {"oidc_provider": "existing"}
    ),
}
