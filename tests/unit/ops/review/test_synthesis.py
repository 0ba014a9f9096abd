import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ops.errors import OperationError
from ops.review import network
from ops.review.checkout import checkout
from ops.review.synthesis import Synthesis, chosen_environments, synthesized

pytestmark = pytest.mark.slow

APP = """
import json, os, pathlib, socket, sys
out = pathlib.Path(os.environ["CDK_OUTDIR"])
context = json.loads(os.environ["CDK_CONTEXT_JSON"])
name = context.get("env", "none")
if name == "broken" or pathlib.Path("broken").exists():
    sys.exit("config/%s.toml: region = 5: must be text" % name)
if pathlib.Path("online").exists():
    socket.create_connection(("192.0.2.1", 9), timeout=5)
out.mkdir(parents=True)
resource = {"Type": "AWS::SQS::Queue", "Properties": {
    "QueueName": name + pathlib.Path("size").read_text(),
    "Credentials": os.environ.get("AWS_ACCESS_KEY_ID", "none"),
    "Flag": context.get("flag"),
    "Built": pathlib.Path("built").exists(),
}}
stack = {"type": "aws:cloudformation:stack", "properties": {"templateFile": "s.json"}}
(out / "manifest.json").write_text(json.dumps({"version": "48.0.0", "artifacts": {"s": stack}}))
(out / "s.json").write_text(json.dumps({"Resources": {"Q": resource}}))
"""
"""Synthesizes as a CDK app does, in no time."""


def git(root: Path, *arguments: str) -> str:
    names = ("-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "commit.gpgsign=false")
    return subprocess.run(
        ["git", *names, *arguments], cwd=root, check=True, capture_output=True, text=True
    ).stdout


def commit(root: Path, **files: str) -> None:
    """Write files (`__` stands for `/`, `_dot_` for `.`) and commit them."""
    for name, content in files.items():
        file = root / name.replace("__", "/").replace("_dot_", ".")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--message", "x")


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An app with two environments and two commits, the last of which changes a queue."""
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "secret")
    root = tmp_path / "app"
    root.mkdir()
    git(root, "init", "--quiet", "--initial-branch", "main")
    settings = {"app": f"{sys.executable} app.py", "context": {"flag": 1}, "build": "touch built"}
    commit(
        root,
        app_dot_py=APP,
        cdk_dot_json=json.dumps(settings),
        config__dev_dot_toml="",
        config__prod_dot_toml="",
        size="1",
        _dot_gitignore="built\n",
    )
    commit(root, size="2")
    return root


def run(root: Path, base: str | None = None, *environments: str) -> Synthesis:
    with synthesized(checkout(root), base=base, environments=environments, progress=lambda _: None) as found:
        return found


def names(synthesis: Synthesis) -> dict[str, tuple[str | None, str]]:
    """Environment to the queue's name before and after."""
    return {
        each.name: (
            None if each.before is None else each.before.resources()[0].properties["QueueName"],
            each.after.resources()[0].properties["QueueName"],
        )
        for each in synthesis.environments
    }


def test_every_environment_of_the_last_commit_and_the_one_before(root: Path) -> None:
    synthesis = run(root)
    assert names(synthesis) == {"dev": ("dev1", "dev2"), "prod": ("prod1", "prod2")}
    assert synthesis.base.startswith("HEAD~1 (")
    assert synthesis.head == git(root, "rev-parse", "--short", "HEAD").strip()


def test_a_working_tree_with_changes_is_compared_with_its_commit(root: Path) -> None:
    (root / "size").write_text("3")
    synthesis = run(root)
    assert names(synthesis)["dev"] == ("dev2", "dev3")
    assert synthesis.base.startswith("HEAD (")
    assert synthesis.head.startswith("the working tree on ")


def test_a_named_base_and_environment(root: Path) -> None:
    git(root, "tag", "first", "HEAD~1")
    assert names(run(root, "first", "prod")) == {"prod": ("prod1", "prod2")}


def test_apps_run_built_with_their_context_and_without_credentials(root: Path) -> None:
    (environment, _) = run(root).environments
    assert environment.before is not None
    for assembly in (environment.before, environment.after):
        properties = assembly.resources()[0].properties
        assert (properties["Credentials"], properties["Flag"], properties["Built"]) == ("none", 1, True)


def test_nothing_is_left_behind(root: Path) -> None:
    run(root)
    (root / "size").write_text("3")
    (root / "broken").touch()
    with pytest.raises(OperationError):
        run(root)
    assert git(root, "worktree", "list").count("\n") == 1
    assert sorted(path.name for path in root.iterdir()) == [
        ".git",
        ".gitignore",
        "app.py",
        "broken",
        "built",
        "cdk.json",
        "config",
        "size",
    ]


def test_a_base_that_does_not_synthesize_is_a_note(root: Path) -> None:
    commit(root, broken="")
    (root / "broken").unlink()
    synthesis = run(root)
    assert names(synthesis) == {"dev": (None, "dev2"), "prod": (None, "prod2")}
    (note,) = synthesis.environments[0].notes
    assert note.startswith("dev does not synthesize in HEAD (")
    assert note.endswith("config/dev.toml: region = 5: must be text")


def test_a_working_tree_that_does_not_synthesize_is_an_error(root: Path) -> None:
    (root / "broken").touch()
    with pytest.raises(OperationError, match=r"^dev does not synthesize: config/dev.toml: region = 5"):
        run(root)


def test_a_new_environment_is_a_note(root: Path) -> None:
    commit(root, config__test_dot_toml="")
    synthesis = run(root)
    assert names(synthesis)["test"] == (None, "test2")
    assert synthesis.environments[1].notes[0].startswith("test does not exist in HEAD~1 (")


def test_a_build_that_fails_is_a_note(root: Path) -> None:
    commit(
        root, cdk_dot_json=json.dumps({"app": f"{sys.executable} app.py", "build": "echo no wheels; exit 1"})
    )
    synthesis = run(root)
    (note,) = [note for note in synthesis.notes if "Packaging" in note]
    assert note.startswith("Packaging the functions of the working tree failed")
    assert note.endswith("no wheels")


def test_a_base_that_locks_other_packages_is_a_note(root: Path) -> None:
    commit(root, uv_dot_lock="1")
    assert not [note for note in run(root).notes if "locks" in note]
    (root / "uv.lock").write_text("2")
    assert any(note.startswith("HEAD (") and "locks other packages" in note for note in run(root).notes)


def test_an_app_without_environments(root: Path) -> None:
    git(root, "rm", "-r", "--quiet", "config")
    git(root, "commit", "--quiet", "--message", "x")
    assert names(run(root)) == {"the app": ("none2", "none2")}


def test_environments_come_in_the_order_in_which_changes_reach_them(tmp_path: Path) -> None:
    (tmp_path / "config").mkdir()
    for name in ("prod", "another", "dev", "staging"):
        (tmp_path / "config" / f"{name}.toml").touch()
    assert chosen_environments(tmp_path, ()) == ["dev", "staging", "prod", "another"]
    assert chosen_environments(tmp_path, ["prod", "dev"]) == ["dev", "prod"]


@pytest.mark.parametrize(
    ("base", "environments", "message"),
    [
        ("no-such-ref", (), "--base no-such-ref: there is no such commit, branch or tag"),
        ("--help", (), "--base --help: there is no such commit"),
        (None, ("qa",), "--env qa: there is no config/qa.toml; there are dev, prod"),
    ],
)
def test_what_does_not_exist_is_told(
    root: Path, base: str | None, environments: tuple[str, ...], message: str
) -> None:
    with pytest.raises(OperationError) as error:
        run(root, base, *environments)
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)


def test_no_checkout_and_no_commits_are_told(tmp_path: Path, root: Path) -> None:
    with pytest.raises(OperationError, match=r"is not a git checkout.*--before and --after"):
        checkout(tmp_path)
    empty = tmp_path / "empty"
    empty.mkdir()
    git(empty, "init", "--quiet")
    with pytest.raises(OperationError, match=r"has no commit yet"):
        checkout(empty)
    git(root, "checkout", "--quiet", "HEAD~1")
    with pytest.raises(OperationError, match=r"There is no commit before this one"):
        run(root)


def test_no_cdk_app_is_told(root: Path) -> None:
    git(root, "rm", "--quiet", "cdk.json")
    with pytest.raises(OperationError, match=r"there is no cdk.json, so this is not the root of a CDK app"):
        run(root)


@pytest.mark.parametrize("namespaces", [True, False])
def test_the_network_is_out_of_reach(root: Path, monkeypatch: pytest.MonkeyPatch, namespaces: bool) -> None:
    if namespaces and not network.has_namespaces():
        pytest.skip("this system does not let a user take a command's network away")
    monkeypatch.setattr(network, "has_namespaces", lambda: namespaces)
    (root / "online").touch()
    with pytest.raises(OperationError, match=r"unreachable|out of reach"):
        run(root)
    (root / "online").unlink()
    expected = "without a network interface." if namespaces else "sockets blocked"
    assert any(expected in note for note in run(root).notes)


def test_progress_is_told(root: Path) -> None:
    told: list[str] = []
    tell: Callable[[str], None] = told.append
    with synthesized(checkout(root), base=None, environments=(), progress=tell):
        pass
    assert [message.split(" ")[0] for message in told] == ["checking", "packaging", "synthesizing"]
