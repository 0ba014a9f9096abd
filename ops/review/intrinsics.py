"""Resolve CloudFormation's intrinsic functions to text that a person reads.

A reference to a resource shows as the path of its construct, whatever stack that is in: `Storage/Raw` where
it is the whole value, `arn:aws:s3:::${Storage/Raw}/ratings/*` within text. Exports, nested stacks' parameters
and outputs are followed to the resource at their end. What cannot be resolved is shown as it stands in the
template (`{Fn::Cidr: [...]}`), never dropped.

Functions: https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/intrinsic-function-reference.html
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ops.review.model import Assembly, Resource, Stack

_DEEPEST = 60
"""Values nested or referring to one another more deeply than this are a circle."""
_PLACEHOLDER = re.compile(r"\$\{(!?)([^}]*)\}")
_UNKNOWN_REGION = "unknown-region"
_UNKNOWN_ACCOUNT = "unknown-account"


@dataclass(frozen=True)
class Reference:
    """What a `Ref` (no attribute) or an `Fn::GetAtt` leads to."""

    stack: str
    logical_id: str
    path: str
    attribute: str | None = None

    @property
    def name(self) -> str:
        """`Storage/Raw` or `Storage/Raw.Arn`."""
        return self.path if self.attribute is None else f"{self.path}.{self.attribute}"


@dataclass(frozen=True)
class _Named:
    """A value that only the deployment knows, by its name."""

    name: str


@dataclass(frozen=True)
class _Text:
    """Text with references within."""

    parts: tuple[Any, ...]


@dataclass(frozen=True)
class _Choice:
    condition: str
    then: Any
    otherwise: Any


@dataclass(frozen=True)
class _Unresolved:
    function: str
    argument: Any


class _Absent:
    """`AWS::NoValue`."""


_ABSENT = _Absent()


class Readable:
    """Resolves values of one assembly's templates.

    With `identities`, a resource shows as `<stack name>:<logical id>`, which is what CloudFormation knows it
    by: good for comparing, not for reading.
    """

    def __init__(self, assembly: Assembly, *, identities: bool = False) -> None:
        self._assembly = assembly
        self._identities = identities
        self._nested = {(stack.nested_in, stack.nested_as): stack for stack in assembly.stacks.values()}
        self._functions: Mapping[str, Callable[[Any, Stack, int], Any]] = {
            "Ref": self._ref,
            "Fn::GetAtt": self._get_att,
            "Fn::Join": self._join,
            "Fn::Sub": self._sub,
            "Fn::ImportValue": self._import_value,
            "Fn::GetStackOutput": self._get_stack_output,
            "Fn::If": self._if,
            "Fn::Select": self._select,
            "Fn::Split": self._split,
            "Fn::FindInMap": self._find_in_map,
        }

    def value(self, value: Any, stack: Stack | str) -> Any:
        """Return `value` of a template of `stack` as plain JSON with readable text for every function."""
        return _plain(self._resolve(value, self._stack(stack), 0))

    def text(self, value: Any, stack: Stack | str) -> str:
        """Return `value` as one line of readable text; tables and lists as compact JSON."""
        return as_text(self.value(value, stack))

    def reference(self, value: Any, stack: Stack | str) -> Reference | None:
        """Return what `value` leads to if it is a reference to a resource and nothing else."""
        found = self._resolve(value, self._stack(stack), 0)
        return found if isinstance(found, Reference) else None

    def references(self, value: Any, stack: Stack | str) -> tuple[Reference, ...]:
        """Return every resource that `value` refers to anywhere within it, in order, each once."""
        return tuple(dict.fromkeys(_references(self._resolve(value, self._stack(stack), 0))))

    def resource(self, reference: Reference) -> Resource:
        """Return the resource that `reference` leads to."""
        return self._assembly.stacks[reference.stack].resources[reference.logical_id]

    def _stack(self, stack: Stack | str) -> Stack:
        return self._assembly.stacks[stack] if isinstance(stack, str) else stack

    @cached_property
    def _exports(self) -> Mapping[str, tuple[Any, Stack]]:
        found: dict[str, tuple[Any, Stack]] = {}
        for stack in self._assembly.stacks.values():
            for output in _mapping(stack.template.get("Outputs")).values():
                name = _mapping(_mapping(output).get("Export")).get("Name")
                if name is not None:
                    found[self.text(name, stack)] = (output.get("Value"), stack)
        return found

    @cached_property
    def _exports_to_regions(self) -> Mapping[str, tuple[Any, Stack]]:
        """Values that CDK passes to stacks in other regions through SSM parameters, by parameter name."""
        found: dict[str, tuple[Any, Stack]] = {}
        for writer in self._assembly.resources("Custom::CrossRegionExportWriter"):
            exports = _mapping(_mapping(writer.properties.get("WriterProps")).get("exports"))
            found.update({name: (value, self._stack(writer.stack)) for name, value in exports.items()})
        return found

    def _resolve(self, value: Any, stack: Stack, depth: int) -> Any:
        if depth > _DEEPEST:
            return _Unresolved("circular reference", value)
        if isinstance(value, list):
            items = (self._resolve(item, stack, depth + 1) for item in value)
            return [item for item in items if item is not _ABSENT]
        if not isinstance(value, Mapping):
            return value
        if len(value) == 1:
            ((name, argument),) = value.items()
            if name in self._functions:
                return self._functions[name](argument, stack, depth + 1)
            if name.startswith("Fn::"):
                return _Unresolved(name, self._resolve(argument, stack, depth + 1))
        entries = ((key, self._resolve(item, stack, depth + 1)) for key, item in value.items())
        return {key: item for key, item in entries if item is not _ABSENT}

    def _ref(self, name: Any, stack: Stack, depth: int) -> Any:
        name = str(name)
        if name in stack.resources:
            return self._reference(stack.resources[name], None)
        if name.startswith("AWS::"):
            return self._pseudo_parameter(name, stack)
        parameter = _mapping(stack.template.get("Parameters")).get(name)
        if parameter is None:
            return _Unresolved("Ref", name)
        arguments = self._nested_arguments(stack)
        if arguments is not None and name in arguments[0]:
            return self._resolve(arguments[0][name], arguments[1], depth)
        return _parameter(name, _mapping(parameter))

    def _reference(self, resource: Resource, attribute: str | None) -> Reference:
        name = f"{self._assembly.stacks[resource.stack].name}:{resource.logical_id}"
        path = name if self._identities else resource.path
        return Reference(resource.stack, resource.logical_id, path, attribute)

    def _nested_arguments(self, stack: Stack) -> tuple[Mapping[str, Any], Stack] | None:
        if stack.nested_in is None or stack.nested_as is None:
            return None
        parent = self._assembly.stacks[stack.nested_in]
        return _mapping(parent.resources[stack.nested_as].properties.get("Parameters")), parent

    @staticmethod
    def _pseudo_parameter(name: str, stack: Stack) -> Any:
        if name == "AWS::NoValue":
            return _ABSENT
        known = {"AWS::StackName": stack.name}
        if stack.region != _UNKNOWN_REGION:
            china = partition(stack.region) == "aws-cn"
            known["AWS::Region"] = stack.region
            known["AWS::Partition"] = partition(stack.region)
            known["AWS::URLSuffix"] = "amazonaws.com.cn" if china else "amazonaws.com"
        if stack.account != _UNKNOWN_ACCOUNT:
            known["AWS::AccountId"] = stack.account
        return known.get(name, _Named(name))

    def _get_att(self, argument: Any, stack: Stack, depth: int) -> Any:
        parts = argument.split(".", 1) if isinstance(argument, str) else argument
        if not isinstance(parts, list) or len(parts) != 2 or not isinstance(parts[0], str):
            return _Unresolved("Fn::GetAtt", self._resolve(argument, stack, depth))
        logical_id, attribute = parts[0], _plain(self._resolve(parts[1], stack, depth))
        resource = stack.resources.get(logical_id)
        if resource is None:
            return _Unresolved("Fn::GetAtt", f"{logical_id}.{attribute}")
        nested = self._nested.get((stack.id, logical_id))
        if nested is not None and str(attribute).startswith("Outputs."):
            output = _mapping(nested.template.get("Outputs")).get(str(attribute).removeprefix("Outputs."))
            if output is not None:
                return self._resolve(_mapping(output).get("Value"), nested, depth)
        if resource.type == "Custom::CrossRegionExportReader" and attribute in self._exports_to_regions:
            value, producer = self._exports_to_regions[attribute]
            return self._resolve(value, producer, depth)
        return self._reference(resource, str(attribute))

    def _import_value(self, argument: Any, stack: Stack, depth: int) -> Any:
        name = self._resolve(argument, stack, depth)
        export = self._exports.get(as_text(_plain(name)))
        return _Unresolved("Fn::ImportValue", name) if export is None else self._resolve(*export, depth)

    def _get_stack_output(self, argument: Any, stack: Stack, depth: int) -> Any:
        wanted = _plain(self._resolve(argument, stack, depth))
        if isinstance(wanted, dict):
            for producer in self._assembly.stacks.values():
                outputs = _mapping(producer.template.get("Outputs"))
                if producer.name == wanted.get("StackName") and wanted.get("OutputName") in outputs:
                    return self._resolve(
                        _mapping(outputs[wanted["OutputName"]]).get("Value"), producer, depth
                    )
        return _Unresolved("Fn::GetStackOutput", wanted)

    def _join(self, argument: Any, stack: Stack, depth: int) -> Any:
        resolved = self._resolve(argument, stack, depth)
        if not isinstance(resolved, list) or len(resolved) != 2 or not isinstance(resolved[1], list):
            return _Unresolved("Fn::Join", resolved)
        parts: list[Any] = []
        for index, part in enumerate(resolved[1]):
            parts.extend([resolved[0], part] if index else [part])
        return _text(parts)

    def _sub(self, argument: Any, stack: Stack, depth: int) -> Any:
        template, variables = (
            argument if isinstance(argument, list) and len(argument) == 2 else (argument, {})
        )
        if not isinstance(template, str) or not isinstance(variables, Mapping):
            return _Unresolved("Fn::Sub", self._resolve(argument, stack, depth))
        parts: list[Any] = []
        position = 0
        for match in _PLACEHOLDER.finditer(template):
            literal, name = match.groups()
            parts.append(template[position : match.start()])
            position = match.end()
            if literal:
                parts.append(f"${{{name}}}")
            elif name in variables:
                parts.append(self._resolve(variables[name], stack, depth))
            elif "." in name:
                parts.append(self._get_att(name, stack, depth))
            else:
                parts.append(self._ref(name, stack, depth))
        return _text([*parts, template[position:]])

    def _if(self, argument: Any, stack: Stack, depth: int) -> Any:
        if not isinstance(argument, list) or len(argument) != 3:
            return _Unresolved("Fn::If", self._resolve(argument, stack, depth))
        condition, then, otherwise = (self._resolve(part, stack, depth) for part in argument)
        return _Choice(str(condition), then, otherwise)

    def _select(self, argument: Any, stack: Stack, depth: int) -> Any:
        resolved = self._resolve(argument, stack, depth)
        if isinstance(resolved, list) and len(resolved) == 2 and isinstance(resolved[1], list):
            index = str(resolved[0])
            if index.isdigit() and int(index) < len(resolved[1]):
                return resolved[1][int(index)]
        return _Unresolved("Fn::Select", resolved)

    def _split(self, argument: Any, stack: Stack, depth: int) -> Any:
        resolved = self._resolve(argument, stack, depth)
        if (
            isinstance(resolved, list)
            and len(resolved) == 2
            and all(isinstance(part, str) for part in resolved)
        ):
            return resolved[1].split(resolved[0]) if resolved[0] else [resolved[1]]
        return _Unresolved("Fn::Split", resolved)

    def _find_in_map(self, argument: Any, stack: Stack, depth: int) -> Any:
        resolved = self._resolve(argument, stack, depth)
        found: Any = stack.template.get("Mappings")
        for key in resolved[:3] if isinstance(resolved, list) else [None]:
            found = found.get(key) if isinstance(found, Mapping) and isinstance(key, str) else None
        return _Unresolved("Fn::FindInMap", resolved) if found is None else found


def partition(region: str) -> str:
    """Return the partition that `region` is in."""
    prefixes = {"cn-": "aws-cn", "us-gov-": "aws-us-gov"}
    return next((name for prefix, name in prefixes.items() if region.startswith(prefix)), "aws")


def as_text(value: Any) -> str:
    """Return plain JSON as one line: text as it is, anything else as compact JSON with sorted keys."""
    return (
        value
        if isinstance(value, str)
        else json.dumps(value, ensure_ascii=False, sort_keys=True, default=str)
    )


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _parameter(name: str, parameter: Mapping[str, Any]) -> _Named:
    default = parameter.get("Default")
    if str(parameter.get("Type", "")).startswith("AWS::SSM::Parameter::") and default is not None:
        return _Named(f"ssm:{default}")
    return _Named(name if default is None or parameter.get("NoEcho") else f"{name}, by default {default}")


def _text(parts: list[Any]) -> Any:
    """Concatenate: to a string where all parts are known, else to text with references within."""
    flat: list[Any] = []
    for part in parts:
        for piece in part.parts if isinstance(part, _Text) else (part,):
            known = isinstance(piece, str | int | float)
            piece = as_text(piece) if known else piece  # noqa: PLW2901
            if known and flat and isinstance(flat[-1], str):
                flat[-1] += piece
            elif piece != "":
                flat.append(piece)
    if not flat:
        return ""
    return flat[0] if len(flat) == 1 else _Text(tuple(flat))


def _plain(resolved: Any) -> Any:
    if isinstance(resolved, list):
        return [_plain(item) for item in resolved]
    if isinstance(resolved, Mapping):
        return {key: _plain(item) for key, item in resolved.items()}
    if isinstance(resolved, Reference | _Named):
        return resolved.name
    if isinstance(resolved, _Text):
        return "".join(_within_text(part) for part in resolved.parts)
    if isinstance(resolved, _Unresolved):
        return f"{{{resolved.function}: {as_text(_plain(resolved.argument))}}}"
    return _plain_choice(resolved) if isinstance(resolved, _Choice) else _plain_scalar(resolved)


def _plain_scalar(resolved: Any) -> Any:
    return None if resolved is _ABSENT else resolved


def _within_text(part: Any) -> str:
    return f"${{{part.name}}}" if isinstance(part, Reference | _Named) else as_text(_plain(part))


def _plain_choice(choice: _Choice) -> Any:
    then, otherwise = _plain(choice.then), _plain(choice.otherwise)
    if isinstance(then, dict | list) or isinstance(otherwise, dict | list):
        return {f"if {choice.condition}": then, "else": otherwise}
    branches = ("nothing" if branch is None else as_text(branch) for branch in (then, otherwise))
    return f"{{if {choice.condition}: {next(branches)}, else: {next(branches)}}}"


def _references(resolved: Any) -> Iterator[Reference]:
    if isinstance(resolved, Reference):
        yield resolved
    elif isinstance(resolved, _Text):
        yield from _references(list(resolved.parts))
    elif isinstance(resolved, _Choice):
        yield from _references([resolved.then, resolved.otherwise])
    elif isinstance(resolved, _Unresolved):
        yield from _references(resolved.argument)
    elif isinstance(resolved, list):
        for item in resolved:
            yield from _references(item)
    elif isinstance(resolved, Mapping):
        for item in resolved.values():
            yield from _references(item)
