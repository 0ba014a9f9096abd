"""Who calls what, and how often: the use of each function and workflow that the templates tell."""

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from typing import Any, Final

from ops.review.cost.prices import UnpricedError
from ops.review.cost.schedule import runs_per_month
from ops.review.cost.traffic import Traffic, readable
from ops.review.cost.workflow import Workflow, read_workflow
from ops.review.intrinsics import Readable
from ops.review.model import Assembly, Resource

_Node = tuple[str, str]
"""Stack id and logical id of a resource."""

_PLACEHOLDER: Final = re.compile(r"\$\{([^}]*)\}")
_FUNCTION: Final = "AWS::Lambda::Function"
_STATE_MACHINE: Final = "AWS::StepFunctions::StateMachine"


@dataclass(frozen=True)
class Calls:
    """How often something runs in a month, and why that is assumed.

    Attributes:
        seconds: that one of them takes; None for workflows.
    """

    number: Decimal
    driver: str
    seconds: Decimal | None = None


class Usage:
    """The use of one assembly's resources under `traffic`."""

    def __init__(self, assembly: Assembly, readable_values: Readable, traffic: Traffic) -> None:
        self._assembly = assembly
        self._readable = readable_values
        self._traffic = traffic

    def _resources(self, *types: str) -> list[Resource]:
        """Of these types, in an order that does not depend on the templates'."""
        return sorted(self._assembly.resources(*types), key=_node)

    def workflow(self, machine: Resource) -> Workflow:
        """Return what an execution of `machine` does; raise UnpricedError if the template does not tell."""
        definition = machine.properties.get("Definition")
        if definition is None:
            text = self._readable.text(machine.properties.get("DefinitionString"), machine.stack)
        else:
            text = json.dumps(self._readable.value(definition, machine.stack))
        try:
            parsed = json.loads(text)
        except json.JSONDecodeError:
            parsed = None
        if not isinstance(parsed, Mapping) or "States" not in parsed:
            raise UnpricedError("its definition is not in the template")
        return read_workflow(parsed)

    def runs(self, machine: Resource) -> Calls:
        """Return how often `machine` runs; raise UnpricedError if its schedule cannot be read."""
        traffic = self._traffic
        triggered = list(self._triggers(machine))
        if triggered:
            number = sum((calls.number for calls in triggered), Decimal(0))
            return Calls(number, " + ".join(calls.driver for calls in triggered))
        if self._serves_deployments(machine):
            return Calls(
                traffic.deployments_per_month, f"{readable(traffic.deployments_per_month)} deployments"
            )
        return Calls(traffic.manual_runs_per_month, f"{readable(traffic.manual_runs_per_month)} runs by hand")

    def invocations(self, function: Resource) -> tuple[Calls, ...]:
        """Return how often `function` runs, by kind of caller."""
        traffic = self._traffic
        found = [*self._from_apis(function), *self._from_workflows(function)]
        found += [
            Calls(calls.number, calls.driver, traffic.invocation_seconds)
            for calls in self._triggers(function)
        ]
        if not found and self._serves_deployments(function):
            number = traffic.deployments_per_month
            found.append(Calls(number, f"{readable(number)} deployments", traffic.deployment_seconds))
        if not found and self._only_after_failures(function):
            found.append(Calls(Decimal(0), "only after a failure", traffic.task_seconds))
        if not found:
            number = traffic.invocations_per_month
            found.append(
                Calls(number, f"{readable(number)} invocations by others", traffic.invocation_seconds)
            )
        return tuple(found)

    def _triggers(self, target: Resource) -> Iterator[Calls]:
        for schedule in self._resources("AWS::Scheduler::Schedule"):
            arn = _mapping(schedule.properties.get("Target")).get("Arn")
            if self._refers_to(arn, schedule, target):
                yield self._scheduled(schedule)
        for rule in self._resources("AWS::Events::Rule"):
            targets = rule.properties.get("Targets")
            arns = [_mapping(each).get("Arn") for each in targets] if isinstance(targets, list) else []
            if self._refers_to(arns, rule, target):
                if "ScheduleExpression" in rule.properties:
                    yield self._scheduled(rule)
                else:
                    number = Decimal(0) if _disabled(rule) else self._traffic.uploads_per_month
                    yield Calls(number, f"{readable(number)} events")

    def _scheduled(self, resource: Resource) -> Calls:
        expression = self._readable.text(resource.properties.get("ScheduleExpression"), resource.stack)
        if _disabled(resource):
            return Calls(Decimal(0), f"{expression}, disabled")
        try:
            number = runs_per_month(expression)
        except ValueError as error:
            raise UnpricedError(f"its schedule {expression} cannot be read") from error
        return Calls(number, f"{expression} = {readable(round(number, 2))} runs")

    def _from_apis(self, function: Resource) -> Iterator[Calls]:
        for methods in self._methods_by_api.values():
            ours = sum(
                1
                for method in methods
                if self._refers_to(
                    _mapping(method.properties.get("Integration")).get("Uri"), method, function
                )
            )
            if ours:
                number = self._traffic.requests_per_month * ours / len(methods)
                driver = f"{readable(round(number, 2))} API requests"
                yield Calls(number, driver, self._traffic.request_seconds)

    @cached_property
    def _methods_by_api(self) -> Mapping[_Node, list[Resource]]:
        methods: dict[_Node, list[Resource]] = {}
        for method in self._resources("AWS::ApiGateway::Method"):
            api = self._readable.reference(method.properties.get("RestApiId"), method.stack)
            if api is not None and method.properties.get("HttpMethod") != "OPTIONS":
                methods.setdefault((api.stack, api.logical_id), []).append(method)
        return methods

    def methods(self, api: Resource) -> list[Resource]:
        """Return the methods of a REST API, without those that answer browsers' preflight requests."""
        return self._methods_by_api.get(_node(api), [])

    def _from_workflows(self, function: Resource) -> Iterator[Calls]:
        paths = {
            self._assembly.stacks[stack].resources[logical_id].path
            for stack, logical_id in self._aliases(function)
        }
        for machine, tasks in self._functions_by_workflow:
            times = sum(count for text, count in tasks.items() if paths & _paths_in(text))
            if times:
                runs = self.runs(machine)
                number = runs.number * times
                driver = f"{readable(round(number, 2))} steps of workflows"
                yield Calls(number, driver, self._traffic.task_seconds)

    @cached_property
    def _functions_by_workflow(self) -> tuple[tuple[Resource, Counter[str]], ...]:
        found = []
        for machine in self._resources(_STATE_MACHINE):
            try:
                found.append((machine, Counter(self.workflow(machine).functions)))
            except UnpricedError:
                continue
        return tuple(found)

    @cached_property
    def _deployment_nodes(self) -> frozenset[_Node]:
        """What custom resources call, and what those functions' environment variables name."""
        functions = {_node(function): function for function in self._resources(_FUNCTION)}
        waiting = [
            node
            for custom in self._resources()
            if custom.type.startswith("Custom::") or custom.type == "AWS::CloudFormation::CustomResource"
            for node in self._nodes_in(custom.properties.get("ServiceToken"), custom)
        ]
        found: set[_Node] = set()
        while waiting:
            node = waiting.pop()
            if node not in found and node in functions:
                function = functions[node]
                waiting.extend(self._nodes_in(function.properties.get("Environment"), function))
            found.add(node)
        return frozenset(found)

    def _serves_deployments(self, resource: Resource) -> bool:
        return bool(self._aliases(resource) & self._deployment_nodes)

    def _only_after_failures(self, function: Resource) -> bool:
        return any(
            self._refers_to(machine.properties.get(key), machine, function)
            for machine in self._resources(_STATE_MACHINE)
            for key in ("DefinitionString", "Definition", "DefinitionSubstitutions")
        )

    def _refers_to(self, value: Any, owner: Resource, target: Resource) -> bool:
        return bool(self._nodes_in(value, owner) & self._aliases(target))

    def _nodes_in(self, value: Any, owner: Resource) -> frozenset[_Node]:
        """The resources that `value` leads to."""
        return frozenset(
            (found.stack, found.logical_id) for found in self._readable.references(value, owner.stack)
        )

    def _aliases(self, target: Resource) -> frozenset[_Node]:
        """`target` and, of a function, its versions and aliases."""
        return self._aliases_of_functions.get(_node(target), frozenset()) | {_node(target)}

    @cached_property
    def _aliases_of_functions(self) -> Mapping[_Node, frozenset[_Node]]:
        found: dict[_Node, frozenset[_Node]] = {}
        for alias in self._resources("AWS::Lambda::Version", "AWS::Lambda::Alias"):
            for function in self._nodes_in(alias.properties.get("FunctionName"), alias):
                found[function] = found.get(function, frozenset()) | {_node(alias)}
        return found


def _paths_in(text: str) -> set[str]:
    """The paths of resources that readable text names as `${path.Arn}` or, being nothing else, `path.Arn`."""
    names = {*_PLACEHOLDER.findall(text), text}
    return names | {name.rsplit(".", 1)[0] for name in names}


def _disabled(resource: Resource) -> bool:
    return resource.properties.get("State") == "DISABLED"


def _node(resource: Resource) -> _Node:
    return (resource.stack, resource.logical_id)


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
