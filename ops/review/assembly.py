"""Read a CDK cloud assembly: every stack of it, with those of stages and nested stacks."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from ops.errors import OperationError
from ops.review.model import Assembly, Resource, Stack, StackMessage

NEWEST_SCHEMA = 55
"""The newest major version of the cloud assembly's schema that this reader knows (aws-cdk-lib 2.275)."""

_NESTED_STACK = "AWS::CloudFormation::Stack"
_MESSAGES: Mapping[str, Literal["info", "warning", "error"]] = {
    "aws:cdk:info": "info",
    "aws:cdk:warning": "warning",
    "aws:cdk:error": "error",
}


def read_assembly(directory: Path) -> Assembly:
    """Read the cloud assembly in `directory`.

    Raises:
        OperationError: it is no cloud assembly, a newer CDK made it, or a file of it is broken or missing.
    """
    if not directory.is_dir():
        raise OperationError(f"{directory}: no such directory; `cdk synth -o {directory}` makes one")
    if not (directory / "manifest.json").is_file():
        raise OperationError(
            f"{directory}: not a CDK cloud assembly (it has no manifest.json); "
            "name the directory that `cdk synth` wrote, by default cdk.out"
        )
    stacks = {stack.id: stack for stack in _assembly_stacks(directory, "")}
    report = directory / "validation-report.json"
    return Assembly(
        directory=directory,
        stacks=dict(sorted(stacks.items())),
        validation_report=_load(report) if report.is_file() else None,
    )


def _assembly_stacks(directory: Path, prefix: str) -> Iterator[Stack]:
    manifest = _load(directory / "manifest.json")
    _check_schema(manifest, directory / "manifest.json")
    for name, artifact in sorted(_table(manifest, "artifacts").items()):
        properties = _table(artifact, "properties")
        if artifact.get("type") == "aws:cloudformation:stack":
            identity = _path_of(artifact) or f"{prefix}{name}"
            yield from _artifact_stacks(directory, name, identity, artifact)
        elif artifact.get("type") == "cdk:cloud-assembly":
            folder = directory / str(properties.get("directoryName", name))
            if not (folder / "manifest.json").is_file():
                raise OperationError(f"{folder}: the stage's assembly is missing; synthesize again")
            stage = str(artifact.get("displayName") or properties.get("displayName") or name)
            yield from _assembly_stacks(folder, f"{stage}/")


def _check_schema(manifest: Mapping[str, Any], file: Path) -> None:
    version = str(manifest.get("version", ""))
    major = version.split(".", maxsplit=1)[0]
    if not major.isdigit():
        raise OperationError(f"{file}: not a CDK cloud assembly (no schema version)")
    if int(major) > NEWEST_SCHEMA:
        raise OperationError(
            f"{file}: schema version {version} is newer than {NEWEST_SCHEMA}, the newest that is understood; "
            "synthesize with the aws-cdk-lib that this project locks, or update this tool"
        )


def _path_of(artifact: Mapping[str, Any]) -> str:
    """The construct path in a stack's display name, `Stage/Stack (StackName)`."""
    return str(artifact.get("displayName") or "").partition(" (")[0]


def _artifact_stacks(
    directory: Path, artifact_id: str, identity: str, artifact: Mapping[str, Any]
) -> Iterator[Stack]:
    properties = _table(artifact, "properties")
    template = _template(directory, str(properties.get("templateFile", "")), identity)
    metadata = {**_table(artifact, "metadata"), **_additional_metadata(directory, artifact)}
    account, region = _account_and_region(str(artifact.get("environment", "")))
    paths = {
        path: str(entry.get("data"))
        for path, entries in metadata.items()
        for entry in entries
        if entry.get("type") == "aws:cdk:logicalId"
    }
    stack = Stack(
        id=identity,
        name=str(properties.get("stackName") or artifact_id),
        account=account,
        region=region,
        template=template,
        resources=_resources(template, identity, paths),
        messages=tuple(_messages(metadata)),
        termination_protection=bool(properties.get("terminationProtection", False)),
    )
    yield stack
    yield from _nested_stacks(directory, stack, _template_assets(directory, artifact_id, artifact), paths)


def _nested_stacks(
    directory: Path, parent: Stack, assets: Mapping[str, str], paths: Mapping[str, str]
) -> Iterator[Stack]:
    for resource in parent.resources.values():
        file = _nested_template_file(resource, assets) if resource.type == _NESTED_STACK else None
        if file is None:
            continue
        identity = f"{parent.id}/{_nested_name(resource)}"
        template = _template(directory, file, identity)
        stack = Stack(
            id=identity,
            name=f"{parent.name}/{_nested_name(resource)}",
            account=parent.account,
            region=parent.region,
            template=template,
            resources=_resources(template, identity, paths),
            nested_in=parent.id,
            nested_as=resource.logical_id,
        )
        yield stack
        yield from _nested_stacks(directory, stack, assets, paths)


def _nested_template_file(resource: Resource, assets: Mapping[str, str]) -> str | None:
    """The file of a nested stack's template; None if it is not part of the assembly."""
    if resource.metadata.get("aws:asset:property") == "TemplateURL":
        return str(resource.metadata["aws:asset:path"])
    url = json.dumps(resource.properties.get("TemplateURL"))
    return next((file for asset, file in assets.items() if asset in url), None)


def _nested_name(resource: Resource) -> str:
    """`Network` for CDK's `Network.NestedStack/Network.NestedStackResource`."""
    last = resource.path.rsplit("/", 1)[-1]
    return last.removesuffix(".NestedStackResource")


def _template_assets(directory: Path, artifact_id: str, artifact: Mapping[str, Any]) -> Mapping[str, str]:
    """Asset hash to template file, from the asset manifest that belongs to the stack."""
    dependencies = [str(name) for name in artifact.get("dependencies", ())]
    names = [f"{artifact_id}.assets.json", *(f"{name}.json" for name in dependencies)]
    files: dict[str, str] = {}
    for name in names:
        if (directory / name).is_file():
            for asset, entry in _table(_load(directory / name), "files").items():
                source = _table(entry, "source")
                if str(source.get("path", "")).endswith(".template.json"):
                    files[asset] = str(source["path"])
    return files


def _resources(template: Mapping[str, Any], stack: str, paths: Mapping[str, str]) -> dict[str, Resource]:
    """Read the resources of the stack whose construct is at `stack`; `paths` leads to logical ids."""
    within = sorted((path for path in paths if path.startswith(f"/{stack}/")), key=len, reverse=True)
    # A nested stack may use a logical id of its parent's, whose path is shorter.
    known = {paths[path]: path for path in within}
    return {
        logical_id: _resource(definition, logical_id, stack, known)
        for logical_id, definition in _table(template, "Resources").items()
        if isinstance(definition, Mapping)
    }


def _resource(
    definition: Mapping[str, Any], logical_id: str, stack: str, paths: Mapping[str, str]
) -> Resource:
    metadata = _table(definition, "Metadata")
    path = str(metadata.get("aws:cdk:path") or paths.get(logical_id) or f"{stack}/{logical_id}")
    depends_on = definition.get("DependsOn") or ()
    return Resource(
        stack=stack,
        logical_id=logical_id,
        path=readable_path(path),
        type=str(definition.get("Type", "unknown")),
        properties=_table(definition, "Properties"),
        deletion_policy=_optional(definition.get("DeletionPolicy")),
        update_replace_policy=_optional(definition.get("UpdateReplacePolicy")),
        metadata=metadata,
        condition=_optional(definition.get("Condition")),
        depends_on=(depends_on,) if isinstance(depends_on, str) else tuple(depends_on),
        definition=definition,
    )


def readable_path(path: str) -> str:
    """Return a construct's path without what only tells the CDK's levels apart."""
    parts = PurePosixPath(path.lstrip("/")).parts
    while len(parts) > 1 and parts[-1] in ("Resource", "Default"):
        parts = parts[:-1]
    return "/".join(parts)


def _messages(metadata: Mapping[str, Any]) -> Iterator[StackMessage]:
    for path, entries in sorted(metadata.items()):
        for entry in entries:
            level = _MESSAGES.get(str(entry.get("type")))
            if level is not None:
                yield StackMessage(level=level, path=readable_path(path), text=str(entry.get("data", "")))


def _additional_metadata(directory: Path, artifact: Mapping[str, Any]) -> Mapping[str, Any]:
    file = artifact.get("additionalMetadataFile")
    if not file or not (directory / str(file)).is_file():
        return {}
    return _load(directory / str(file))


def _account_and_region(environment: str) -> tuple[str, str]:
    account, _, region = environment.removeprefix("aws://").partition("/")
    return account or "unknown-account", region or "unknown-region"


def _template(directory: Path, file: str, stack: str) -> Mapping[str, Any]:
    path = directory / file
    if not file or not path.is_file():
        raise OperationError(f"{path}: the template of stack {stack} is missing; synthesize again")
    return _load(path)


def _load(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise OperationError(f"{file}:{error.lineno}: not JSON: {error.msg}; synthesize again") from error
    except (OSError, UnicodeDecodeError) as error:
        raise OperationError(f"{file}: cannot be read: {error}") from error
    if not isinstance(content, dict):
        raise OperationError(f"{file}: not a JSON object; synthesize again")
    return content


def _table(value: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = value.get(key)
    return found if isinstance(found, Mapping) else {}


def _optional(value: Any) -> str | None:
    return None if value is None else str(value)
