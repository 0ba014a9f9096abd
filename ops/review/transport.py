"""Which buckets, queues and topics refuse requests that are not encrypted on their way."""

from collections.abc import Mapping

from ops.review.model import Assembly
from ops.review.policies import Statement, statements
from ops.review.wildcards import Reach

_ENOUGH = frozenset({"*", "s3:*", "sqs:*", "sns:*", "sns:publish"})
"""Actions whose denial protects the data: all, and for a topic what AWS's own rule asks for."""


def insecure_transport_denied(assembly: Assembly) -> Mapping[str, float]:
    """Return, by path, what denies requests without TLS, with the oldest TLS version it accepts (0: any)."""
    denials = [statement for statement in statements(assembly) if _denies_everyone(statement)]
    secure = {statement.owner for statement in denials if _tests(statement, "aws:securetransport", "false")}
    return {owner: _oldest_version(owner, denials) for owner in sorted(secure)}


def _denies_everyone(statement: Statement) -> bool:
    return (
        statement.kind == "resource"
        and statement.effect == "Deny"
        and statement.principal.label == "anyone"
        and len(statement.conditions) == 1
        and not statement.actions.inverted
        and any(action.lower() in _ENOUGH for action in statement.actions.patterns)
        and (
            statement.owner_type != "AWS::S3::BucketPolicy"
            or statement.resources.covers(Reach((f"${{{statement.owner}.Arn}}/*",)))
        )
    )


def _tests(statement: Statement, key: str, value: str) -> bool:
    condition = statement.conditions[0]
    return condition.key.lower() == key and tuple(text.lower() for text in condition.values) == (value,)


def _oldest_version(owner: str, denials: list[Statement]) -> float:
    versions = [
        float(value)
        for statement in denials
        if statement.owner == owner
        for condition in statement.conditions
        if condition.key.lower() == "s3:tlsversion" and condition.operator.lower() == "numericlessthan"
        for value in condition.values
        if value.replace(".", "", 1).isdigit()
    ]
    return max(versions, default=0.0)
