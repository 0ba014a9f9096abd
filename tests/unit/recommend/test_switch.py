"""The function while the endpoint switches from one model package to another."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import chain, repeat
from typing import Any

import pytest

from tests.unit.recommend.conftest import Answer, Api, Model, answer, asked, aws_error

USER = "/users/1/recommendations"
PAIRS = {"pairs": [{"user": "1", "movie": "5"}, {"user": "2", "movie": "50"}]}
NEW_MOVIE = {"id": "300", "title": "Air Force One (1997)", "genres": ["Action"], "year": 1997}

NEWER_MOVIE = {"id": "301", "title": "In & Out (1997)", "genres": ["Comedy"], "year": 1997}


@dataclass(frozen=True)
class Broken:
    """A model that gives nothing but errors."""

    status: int

    def answer(self, _: Any) -> Answer:
        return aws_error(424, "ModelError", "no", OriginalStatusCode=self.status)


@dataclass
class Switch:
    """An endpoint whose requests get to the one model or the other, as told, and what is deployed to it."""

    api: Api
    models: dict[str, Model]
    """By the version of the package."""
    old: Model
    new: Model
    configurations: list[Model] = field(init=False)
    """What is deployed, then what is being deployed."""
    route: Callable[[], Model | Broken] = field(init=False)

    def __post_init__(self) -> None:
        self.configurations = [self.old]
        self.all_to(self.old)
        cloud = self.api.cloud
        for model in self.models.values():
            cloud.objects |= model.objects
        cloud.invoke = lambda request: self.route().answer(request)
        cloud.answers = {
            "DescribeEndpoint": self._describe_endpoint,
            "DescribeEndpointConfig": self._describe_configuration,
            "DescribeModel": self._describe_model,
            "DescribeModelPackage": self._describe_package,
        }

    def all_to(self, model: Model | Broken) -> None:
        self.route = lambda: model

    def in_turn(self, *models: Model | Broken, then: Model) -> None:
        """Route the next requests to these models, the rest to another."""
        turns = chain(models, repeat(then))
        self.route = lambda: next(turns)

    def ask(self) -> str:
        """Ask for recommendations; return the version of the package that gave them, having checked them."""
        return self._checked(self.api.get(USER), "recommendations")

    def predict(self) -> str:
        return self._checked(self.api.call("POST", "/predictions", content=PAIRS), "predictions")

    def _checked(self, reply: Any, kind: str) -> str:
        assert reply.status == 200, reply
        model = self.models[reply.body["model_package"].rpartition("/")[2]]
        movies = [movie["id"] for movie in model.movies]
        for item in reply.body[kind]:
            user = model.users.index(item.get("user", "1"))
            columns = [user, len(model.users) + movies.index(item["movie"])]
            assert item["score"] == model.score(columns), (model, item)
        return str(model.version)

    def count(self, operation: str) -> int:
        return int(self.api.cloud.operations.count(operation))

    def _describe_package(self, request: Any) -> Answer:
        version = asked(request)["ModelPackageName"].rpartition("/")[2]
        return answer(CustomerMetadataProperties=self.models[version].metadata)

    def _describe_endpoint(self, _: Any) -> Answer:
        names = [f"Configuration-{model.version}" for model in self.configurations]
        if len(names) == 1:
            return answer(EndpointConfigName=names[0])
        return answer(EndpointConfigName=names[0], PendingDeploymentSummary={"EndpointConfigName": names[1]})

    def _describe_configuration(self, request: Any) -> Answer:
        _, _, version = asked(request)["EndpointConfigName"].partition("-")
        variant = {"VariantName": "AllTraffic", "ModelName": f"Model-{version}"}
        return answer(ProductionVariants=[variant])

    def _describe_model(self, request: Any) -> Answer:
        _, _, version = asked(request)["ModelName"].partition("-")
        return answer(PrimaryContainer={"ModelPackageName": self.models[version].package})


@pytest.fixture(params=["other columns", "as many columns"])
def switch(request: pytest.FixtureRequest, api: Api) -> Switch:
    """A switch to a model with another user and movie, or with other ones in the place of the old ones."""
    old = Model()
    if request.param == "other columns":
        users, movies = ["1", "2", "7", "10"], [*old.movies[:3], NEW_MOVIE, *old.movies[3:]]
    else:
        users, movies = ["1", "2", "7"], [*old.movies[1:], NEW_MOVIE]
    new = Model(2, users, movies, lambda keys: 0.05 * (keys[-1] - keys[0]))
    third = Model(3, users, [*movies, NEWER_MOVIE], lambda keys: 0.03 * (keys[-1] + keys[0]))
    return Switch(api, {str(each.version): each for each in (old, new, third)}, old, new)


def test_nothing_is_described_while_nothing_changes(switch: Switch) -> None:
    assert {switch.ask() for _ in range(3)} == {"1"}
    assert switch.predict() == "1"
    assert switch.count("DescribeEndpoint") == 0
    assert switch.count("InvokeEndpoint") == 4


def test_the_new_model_answers_before_the_function_is_told(switch: Switch) -> None:
    assert switch.ask() == "1"
    switch.configurations = [switch.old, switch.new]
    switch.all_to(switch.new)

    assert switch.ask() == "2"
    assert switch.count("InvokeEndpoint") == 3
    assert [switch.ask(), switch.predict()] == ["2", "2"]
    # The model that has answered last is asked first.
    assert switch.count("InvokeEndpoint") == 5
    assert switch.count("DescribeEndpoint") == 1


def test_a_deployment_that_is_over_needs_no_summary(switch: Switch) -> None:
    switch.configurations = [switch.new]
    switch.all_to(switch.new)

    assert [switch.ask(), switch.predict()] == ["2", "2"]


@pytest.mark.parametrize("path", ["ask", "predict"])
def test_a_canary_is_asked_until_a_request_gets_where_it_belongs(switch: Switch, path: str) -> None:
    old, new = switch.old, switch.new
    switch.configurations = [old, new]
    # The old one is asked first, then each in turn: every request but the last goes astray.
    switch.in_turn(new, old, new, old, new, then=new)

    assert getattr(switch, path)() == "2"
    assert switch.count("InvokeEndpoint") == 6


def test_every_request_of_a_canary_is_answered_by_the_model_that_it_names(switch: Switch) -> None:
    switch.configurations = [switch.old, switch.new]
    # Like rolling dice, but the same each time.
    routes = [switch.new if (7 * n * n + 3 * n) % 11 < 5 else switch.old for n in range(400)]
    switch.in_turn(*routes, then=switch.new)

    assert {switch.ask() for _ in range(60)} == {"1", "2"}
    assert {switch.predict() for _ in range(60)} == {"1", "2"}
    # What a configuration is made of is found out once.
    assert switch.count("DescribeEndpointConfig") == 2
    assert switch.count("DescribeModelPackage") == 2


def test_a_rollback_gets_back_to_the_old_model(switch: Switch) -> None:
    switch.configurations = [switch.old, switch.new]
    switch.all_to(switch.new)
    assert switch.ask() == "2"

    switch.all_to(switch.old)
    assert switch.ask() == "1"
    switch.configurations = [switch.old]
    assert switch.ask() == "1"


def test_the_function_of_a_release_that_is_rolled_back_finds_the_old_model(
    switch: Switch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODEL_PACKAGE_ARN", switch.new.package)

    assert [switch.ask(), switch.ask(), switch.predict()] == ["1", "1", "1"]
    assert switch.count("InvokeEndpoint") == 4


def test_the_next_switch_is_seen_and_two_models_are_kept(switch: Switch) -> None:
    switch.configurations = [switch.old, switch.new]
    switch.all_to(switch.new)
    assert switch.ask() == "2"
    third = switch.models["3"]
    switch.configurations = [switch.new, third]
    switch.in_turn(third, third, then=third)
    assert switch.ask() == "3"
    switch.all_to(switch.new)
    assert switch.ask() == "2"
    read = switch.count("DescribeModelPackage")

    # The first one has been let go of.
    switch.configurations = [switch.old]
    switch.all_to(switch.old)
    assert switch.ask() == "1"
    assert switch.count("DescribeModelPackage") == read + 1


def test_health_names_the_model_that_answers(switch: Switch) -> None:
    switch.configurations = [switch.old, switch.new]
    switch.all_to(switch.new)
    reply = switch.api.get("/health")

    assert (reply.status, reply.body["model_package"]) == (200, switch.new.package)


def test_a_model_that_cannot_be_loaded_leaves_the_other_one(switch: Switch) -> None:
    for name in ("catalog.json", "reference.json"):
        del switch.api.cloud.objects[f"models/models/job-2/{name}"]
    switch.configurations = [switch.old, switch.new]
    switch.in_turn(switch.new, switch.new, switch.new, then=switch.old)

    assert switch.ask() == "1"


@pytest.mark.parametrize("spoilt", [{}, {"catalog_uri": "s3://models/models/job-1/reference.json"}])
def test_a_spoilt_package_leaves_the_other_one(switch: Switch, spoilt: dict[str, str]) -> None:
    answers = switch.api.cloud.answers
    package = answers["DescribeModelPackage"]
    metadata = switch.new.metadata | spoilt if spoilt else {}

    def describe(request: Any) -> Answer:
        of_old = asked(request)["ModelPackageName"] == switch.old.package
        return package(request) if of_old else answer(CustomerMetadataProperties=metadata)

    answers["DescribeModelPackage"] = describe
    switch.configurations = [switch.old, switch.new]
    switch.in_turn(switch.new, switch.new, then=switch.old)

    assert switch.ask() == "1"


@pytest.mark.parametrize("operation", ["DescribeEndpoint", "DescribeEndpointConfig", "DescribeModel"])
def test_known_models_have_to_do_where_nothing_can_be_described(switch: Switch, operation: str) -> None:
    switch.api.cloud.answers[operation] = lambda _: aws_error(400, "ThrottlingException")
    switch.in_turn(*[switch.new] * 20, then=switch.old)

    assert switch.ask() == "1"


def test_a_new_model_that_gives_errors_leaves_the_old_one_to_answer(switch: Switch) -> None:
    broken = Broken(500)
    switch.configurations = [switch.old, switch.new]
    switch.in_turn(*[broken] * 18, then=switch.old)

    assert switch.ask() == "1"


@pytest.mark.parametrize(("deployed", "invocations"), [(1, 3), (2, 41)])
@pytest.mark.parametrize("status", [400, 500])
def test_a_request_that_every_model_refuses_is_given_up(
    switch: Switch, deployed: int, invocations: int, status: int
) -> None:
    switch.configurations = [switch.old, switch.new][:deployed]
    switch.all_to(Broken(status))
    error = switch.api.error(502, "GET", USER)

    assert error["message"] == f"The model answered with an error (its status code: {status})."
    assert switch.count("InvokeEndpoint") == invocations
    assert switch.count("DescribeEndpoint") == 1


@pytest.mark.parametrize("before", [[], ["old"]])
def test_wrong_reference_scores_fail_no_request(
    switch: Switch, monkeypatch: pytest.MonkeyPatch, before: list[str]
) -> None:
    """They fail the smoke test, and until the rollback is over this model serves."""
    key = "models/models/job-2/reference.json"
    reference = json.loads(switch.api.cloud.objects[key])
    reference["rows"][0]["score"] += 1e-4
    switch.api.cloud.objects[key] = json.dumps(reference).encode()
    if not before:
        monkeypatch.setenv("MODEL_PACKAGE_ARN", switch.new.package)
    switch.configurations = [*[switch.old for _ in before], switch.new]
    switch.all_to(switch.new)

    assert [switch.ask(), switch.predict()] == ["2", "2"]


def test_a_model_that_was_not_made_from_a_package_is_refused(switch: Switch) -> None:
    switch.api.cloud.answers["DescribeModel"] = lambda _: answer(PrimaryContainer={})
    switch.all_to(switch.new)
    error = switch.api.error(502, "GET", USER)

    assert error["code"] == "model_error"


def test_a_movie_that_one_of_the_models_knows_is_predicted_by_that_one(switch: Switch) -> None:
    content = {"pairs": [{"user": "1", "movie": NEW_MOVIE["id"]}]}
    assert switch.api.call("POST", "/predictions", content=content).status == 404

    switch.configurations = [switch.old, switch.new]
    switch.all_to(switch.new)
    assert switch.ask() == "2"
    assert switch.api.call("POST", "/predictions", content=content).status == 200
