"""Each method of each API: who may call it, and how often."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ops.review.intrinsics import Readable, as_text
from ops.review.model import Assembly, Resource
from ops.review.policies import branches

_AUTHORIZATIONS = {
    "AWS_IAM": "IAM",
    "COGNITO_USER_POOLS": "Cognito user pool",
    "CUSTOM": "a Lambda authorizer",
    "JWT": "JWT",
}


@dataclass(frozen=True)
class Throttle:
    """A limit; None is API Gateway's own, which the account's methods share."""

    rate: float | None = None
    burst: float | None = None
    quota: float | None = None
    """Requests of one key in `period`."""
    period: str = ""

    def __str__(self) -> str:
        parts = []
        if self.rate is not None:
            parts.append(f"{self.rate:g} a second")
        if self.burst is not None:
            parts.append(f"burst {self.burst:g}")
        if self.quota is not None:
            parts.append(f"{self.quota:g} a {self.period.lower()} for each key")
        return ", ".join(parts) or "the account's limit only"


@dataclass(frozen=True)
class ApiMethod:
    """One method."""

    name: str
    """`Serving/Api: GET /users/{user}`."""
    type: str
    authorization: str
    strength: int
    """0 nobody is asked for anything, 1 for an API key only, 2 callers are authenticated."""
    throttle: Throttle
    private: bool
    """True if it can be reached only from within a VPC."""

    @property
    def open(self) -> bool:
        """Whether anyone may call it. Not so for CORS's OPTIONS, which never carry credentials."""
        return self.strength == 0 and not self.private and ": OPTIONS " not in self.name


def api_methods(assembly: Assembly) -> tuple[ApiMethod, ...]:
    """Return the methods of the REST APIs and the routes of the HTTP and WebSocket APIs in `assembly`."""
    return tuple(_Reader(assembly).read())


class _Reader:
    def __init__(self, assembly: Assembly) -> None:
        self._assembly = assembly
        self._readable = Readable(assembly)

    def read(self) -> Iterator[ApiMethod]:
        for method in self._assembly.resources("AWS::ApiGateway::Method"):
            api = self._referred(method, "RestApiId")
            path, verb = self._path(method), str(self._value(method, "HttpMethod"))
            strength, authorization = self._authorization(method)
            yield ApiMethod(
                name=f"{self._name(method, 'RestApiId')}: {verb} {path}",
                type=method.type,
                authorization=authorization,
                strength=strength,
                throttle=self._rest_throttle(method, path, verb, keyed=self._keyed(method)),
                private=api is not None and "PRIVATE" in as_text(self._value(api, "EndpointConfiguration")),
            )
        for route in self._assembly.resources("AWS::ApiGatewayV2::Route"):
            strength, authorization = self._authorization(route)
            yield ApiMethod(
                name=f"{self._name(route, 'ApiId')}: {self._value(route, 'RouteKey')}",
                type=route.type,
                authorization=authorization,
                strength=strength,
                throttle=self._route_throttle(route),
                private=False,
            )

    def _value(self, resource: Resource, name: str) -> Any:
        return self._readable.value(resource.properties.get(name), resource.stack)

    def _name(self, resource: Resource, property_name: str) -> str:
        return as_text(self._value(resource, property_name))

    def _referred(self, resource: Resource, name: str) -> Resource | None:
        reference = self._readable.reference(resource.properties.get(name), resource.stack)
        return None if reference is None else self._readable.resource(reference)

    def _path(self, method: Resource) -> str:
        parts: list[str] = []
        current = self._referred(method, "ResourceId")
        while current is not None and current.type == "AWS::ApiGateway::Resource" and len(parts) < 100:
            parts.append(str(self._value(current, "PathPart")))
            current = self._referred(current, "ParentId")
        return "/" + "/".join(reversed(parts))

    def _keyed(self, method: Resource) -> bool:
        return str(self._value(method, "ApiKeyRequired")).lower() == "true"

    def _authorization(self, method: Resource) -> tuple[int, str]:
        kind = str(self._value(method, "AuthorizationType") or "NONE")
        keyed = self._keyed(method)
        if kind != "NONE":
            return 2, _AUTHORIZATIONS.get(kind, kind) + (" and an API key" if keyed else "")
        return (1, "an API key") if keyed else (0, "none")

    def _rest_throttle(self, method: Resource, path: str, verb: str, *, keyed: bool) -> Throttle:
        api = self._name(method, "RestApiId")
        best: tuple[int, Throttle] = (-1, Throttle())
        for stage in self._assembly.resources("AWS::ApiGateway::Stage"):
            if self._name(stage, "RestApiId") != api:
                continue
            for settings in branches(self._value(stage, "MethodSettings")):
                rank = _applies(settings, path, verb)
                if rank > best[0]:
                    best = rank, _throttle(settings, "ThrottlingRateLimit", "ThrottlingBurstLimit")
        throttle = best[1]
        for plan in self._assembly.resources("AWS::ApiGateway::UsagePlan") if keyed else ():
            stages = [
                stage for stage in branches(self._value(plan, "ApiStages")) if isinstance(stage, Mapping)
            ]
            if any(stage.get("ApiId") == api for stage in stages):
                limits = _throttle(self._value(plan, "Throttle"), "RateLimit", "BurstLimit")
                quota = self._value(plan, "Quota")
                quota = quota if isinstance(quota, Mapping) else {}
                throttle = Throttle(
                    rate=_lower(throttle.rate, limits.rate),
                    burst=_lower(throttle.burst, limits.burst),
                    quota=_number(quota.get("Limit")),
                    period=str(quota.get("Period", "")),
                )
        return throttle

    def _route_throttle(self, route: Resource) -> Throttle:
        api, key = self._name(route, "ApiId"), str(self._value(route, "RouteKey"))
        for stage in self._assembly.resources("AWS::ApiGatewayV2::Stage"):
            if self._name(stage, "ApiId") == api:
                routes = self._value(stage, "RouteSettings")
                settings = routes.get(key) if isinstance(routes, Mapping) else None
                settings = settings or self._value(stage, "DefaultRouteSettings")
                return _throttle(settings, "ThrottlingRateLimit", "ThrottlingBurstLimit")
        return Throttle()


def _applies(settings: Any, path: str, verb: str) -> int:
    """How specific a stage's method settings are to a method; -1 if they are for others."""
    if not isinstance(settings, Mapping):
        return -1
    # `/~1users~1{user}` is how API Gateway writes the path /users/{user} there.
    wanted = str(settings.get("ResourcePath", "/*"))
    exact = wanted.replace("~1", "/").replace("//", "/") == path
    verbs = str(settings.get("HttpMethod", "*"))
    if not (exact or wanted == "/*") or verbs not in ("*", verb):
        return -1
    return 2 * exact + (verbs == verb)


def _throttle(settings: Any, rate: str, burst: str) -> Throttle:
    if not isinstance(settings, Mapping):
        return Throttle()
    return Throttle(_number(settings.get(rate)), _number(settings.get(burst)))


def _number(value: Any) -> float | None:
    try:
        return None if value is None else float(value)
    except (TypeError, ValueError):
        return None


def _lower(one: float | None, other: float | None) -> float | None:
    given = [limit for limit in (one, other) if limit is not None]
    return min(given, default=None)
