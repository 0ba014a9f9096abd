"""Synthesizes each variant of the environments once per session."""

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from tests.template.assembly import VARIANTS, Assembly, define, make_project


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_project(tmp_path_factory.mktemp("project"))


@pytest.fixture(scope="session")
def assemblies(project: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Assembly]:
    """Each variant, synthesized when it is first asked for; raises if a check finds something."""

    @cache
    def assembly(variant: str) -> Assembly:
        settings = VARIANTS[variant]()
        folder = tmp_path_factory.mktemp("cdk.out")
        app = define(settings, project=project, folder=folder)
        app.synth()
        return Assembly(settings=settings, app=app, folder=folder)

    return assembly


@pytest.fixture(params=list(VARIANTS))
def any_assembly(request: pytest.FixtureRequest, assemblies: Callable[[str], Assembly]) -> Assembly:
    return assemblies(request.param)


@pytest.fixture
def dev(assemblies: Callable[[str], Assembly]) -> Assembly:
    return assemblies("dev")


@pytest.fixture
def staging(assemblies: Callable[[str], Assembly]) -> Assembly:
    return assemblies("staging")


@pytest.fixture
def prod(assemblies: Callable[[str], Assembly]) -> Assembly:
    """Prod after its first promotion."""
    return assemblies("prod with a promoted model")
