"""The conditions of a policy statement: what they ask for, and whether one asks for no more than another.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html
"""

import ipaddress
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ops.review.wildcards import covers

_SPELLINGS = {"arnequals": "arnlike", "arnnotequals": "arnnotlike"}
"""One test under two names each."""
_WILDCARD_FORM = {"stringequals": "stringlike", "stringnotequals": "stringnotlike"}


@dataclass(frozen=True, order=True)
class Condition:
    """One key of a `Condition` block: any one of `values` satisfies it (for negated operators, none may)."""

    operator: str
    key: str
    values: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.operator} {self.key}: {' or '.join(self.values)}"

    @property
    def identity(self) -> tuple[str, str, frozenset[str]]:
        """The same for conditions that differ in spelling only."""
        operator = self.operator.lower()
        return _SPELLINGS.get(operator, operator), self.key.lower(), frozenset(self.values)

    @property
    def negated(self) -> bool:
        """Whether it excludes its values."""
        return "not" in self._base

    @property
    def optional(self) -> bool:
        """Whether a request without the key satisfies it."""
        name = self.operator.lower()
        return name.endswith("ifexists") or name.startswith("forallvalues:") or self.negated

    @property
    def _base(self) -> str:
        name = self.operator.lower().rpartition(":")[2].removesuffix("ifexists")
        return _SPELLINGS.get(name, name)

    @property
    def _set_operator(self) -> str:
        return self.operator.lower().rpartition(":")[0]

    def allows_all_of(self, stricter: "Condition") -> bool:
        """Return whether every request that satisfies `stricter` satisfies this (False where undecidable)."""
        if self.identity == stricter.identity:
            return True
        if self.key.lower() != stricter.key.lower() or self._set_operator != stricter._set_operator:
            return False
        if stricter.operator.lower().endswith("ifexists") and not self.operator.lower().endswith("ifexists"):
            return False
        mine, theirs = self._base, stricter._base
        if self.negated:
            # It may exclude no more than `stricter` does.
            return theirs in (mine, _WILDCARD_FORM.get(mine)) and all(
                any(_within(theirs, narrow, wide) for wide in stricter.values) for narrow in self.values
            )
        return mine in (theirs, _WILDCARD_FORM.get(theirs)) and all(
            any(_within(mine, narrow, wide) for wide in self.values) for narrow in stricter.values
        )


def allows_all_of(loose: frozenset[Condition], strict: frozenset[Condition]) -> bool:
    """Return whether every request that satisfies all of `strict` satisfies all of `loose`."""
    return all(any(mine.allows_all_of(theirs) for theirs in strict) for mine in loose)


def _within(test: str, narrow: str, wide: str) -> bool:
    """Return whether the value `wide` of the operator `test` takes in everything that `narrow` does."""
    if test in _TESTS:
        return _TESTS[test](narrow, wide)
    return narrow.lower() == wide.lower() if "ignorecase" in test else narrow == wide


def _network_within(narrow: str, wide: str) -> bool:
    try:
        inner, outer = ipaddress.ip_network(narrow, strict=False), ipaddress.ip_network(wide, strict=False)
    except ValueError:
        return narrow == wide
    if isinstance(inner, ipaddress.IPv4Network):
        return isinstance(outer, ipaddress.IPv4Network) and inner.subnet_of(outer)
    return isinstance(outer, ipaddress.IPv6Network) and inner.subnet_of(outer)


def _number_at_most(narrow: str, wide: str) -> bool:
    try:
        return float(narrow) <= float(wide)
    except ValueError:
        return narrow == wide


def _like(narrow: str, wide: str) -> bool:
    return covers(wide, narrow)


def _number_at_least(narrow: str, wide: str) -> bool:
    return _number_at_most(wide, narrow)


_TESTS: Mapping[str, Callable[[str, str], bool]] = {
    "stringlike": _like,
    "stringnotlike": _like,
    "arnlike": _like,
    "arnnotlike": _like,
    "ipaddress": _network_within,
    "notipaddress": _network_within,
    "numericlessthan": _number_at_most,
    "numericlessthanequals": _number_at_most,
    "numericgreaterthan": _number_at_least,
    "numericgreaterthanequals": _number_at_least,
}
