"""Put the sections of a review together."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ops.errors import OperationError
from ops.review.changes import compare
from ops.review.cost import Traffic, review_cost
from ops.review.exports import refused_exports
from ops.review.findings import review_findings
from ops.review.model import Assembly, EnvironmentReview, Grade, Review
from ops.review.parity import read_settings, review_parity
from ops.review.permissions import review_permissions
from ops.review.protection import review_protection
from ops.review.stacks import stack_notes
from ops.review.verdict import judge


def review_environment(
    name: str, before: Assembly | None, after: Assembly, *, traffic: Traffic, notes: Sequence[str] = ()
) -> EnvironmentReview:
    """Review one environment; without `before`, everything is shown as it is."""
    changes = () if before is None else compare(before, after)
    replaced = {(change.stack, change.logical_id) for change in changes if Grade.REPLACED in change.grades}
    return EnvironmentReview(
        name=name,
        before=before,
        after=after,
        changes=changes,
        permissions=review_permissions(before, after),
        protection=review_protection(before, after),
        cost=review_cost(before, after, traffic=traffic),
        findings=review_findings(before, after),
        refusals=() if before is None else refused_exports(before, after, replaced),
        notes=(*notes, *(() if before is None else stack_notes(before, after))),
    )


def compose(
    base: str,
    head: str,
    environments: Sequence[EnvironmentReview],
    *,
    config: Path | None = None,
    notes: Sequence[str] = (),
) -> Review:
    """Return the review of `environments`; `config` is the folder of their settings, if there is one."""
    settings, problems = _settings(config)
    return Review(
        base=base,
        head=head,
        environments=tuple(environments),
        parity=review_parity({each.name: each.after for each in environments}, settings),
        verdict=judge(environments),
        notes=(*notes, *problems),
    )


def _settings(config: Path | None) -> tuple[Mapping[str, Mapping[str, Any]] | None, tuple[str, ...]]:
    if config is None or not config.is_dir():
        return None, ()
    try:
        return read_settings(config), ()
    except OperationError as error:
        return None, (f"The settings do not explain the differences between environments: {error}",)
