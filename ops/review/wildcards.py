"""What IAM's wildcards reach: whether one pattern covers another, and whether two have anything in common.

IAM's patterns know `*` (any characters, also none) and `?` (exactly one), across colons and slashes:
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_resource.html
"""

import re
from dataclasses import dataclass
from functools import lru_cache

_WILDCARDS = re.compile(r"[*?]+")


def normalized(pattern: str) -> str:
    """Return the spelling that all equal patterns have: in a run of wildcards each `?`, then one `*`."""
    return _WILDCARDS.sub(
        lambda run: "?" * run.group().count("?") + ("*" if "*" in run.group() else ""), pattern
    )


@lru_cache(maxsize=65536)
def covers(wide: str, narrow: str) -> bool:
    """Return whether `wide` matches everything that `narrow` matches."""
    # A wildcard within `narrow` can stand for any character, so only a wildcard of `wide` can take it: a `*`
    # takes all, a `?` only a `?`.
    parts = (
        ".*" if character == "*" else "[^*]" if character == "?" else re.escape(character)
        for character in normalized(wide)
    )
    return re.fullmatch("".join(parts), normalized(narrow), re.DOTALL) is not None


@lru_cache(maxsize=65536)
def overlap(one: str, other: str) -> bool:
    """Return whether there is a text that both patterns match."""
    # reachable[j]: the part of `one` so far and the first j characters of `other` can match the same text.
    reachable = [True, *([False] * len(other))]
    for index, character in enumerate(other):
        reachable[index + 1] = reachable[index] and character == "*"
    for mine in one:
        row = [reachable[0] and mine == "*"]
        for index, theirs in enumerate(other):
            both = reachable[index] and (mine == theirs or mine in "*?" or theirs in "*?")
            starred = (mine == "*" and row[index]) or (theirs == "*" and reachable[index + 1])
            skipped = (mine == "*" and reachable[index + 1]) or (theirs == "*" and row[index])
            row.append(both or starred or skipped)
        reachable = row
    return reachable[-1]


@dataclass(frozen=True, order=True)
class Reach:
    """What an element of a statement reaches: one pattern, or everything but some patterns (`NotAction`)."""

    patterns: tuple[str, ...]
    inverted: bool = False

    def covers(self, other: "Reach") -> bool:
        """Return whether this reaches everything that `other` reaches."""
        if not self.inverted:
            # Everything but something is covered by everything only: the patterns are finitely many.
            wanted = ("*",) if other.inverted else other.patterns
            return all(any(covers(mine, theirs) for mine in self.patterns) for theirs in wanted)
        if other.inverted:
            return all(any(covers(theirs, mine) for theirs in other.patterns) for mine in self.patterns)
        return not any(overlap(mine, theirs) for mine in self.patterns for theirs in other.patterns)

    def touches(self, other: "Reach") -> bool:
        """Return whether one of the two covers the other."""
        return self.covers(other) or other.covers(self)
