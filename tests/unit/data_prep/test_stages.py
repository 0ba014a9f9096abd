"""The steps by themselves: what each leaves, doing it again, doing it at once, being killed."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from data_prep import shuffle as shuffle_module
from data_prep import stages
from data_prep.errors import DataError
from data_prep.formats.input_data import open_input
from data_prep.manifest import PrepareSettings
from data_prep.prepare import prepare, read_finished
from data_prep.recordio import decode_sparse
from data_prep.storage import Prefix
from data_prep.store import Folder, Store

Writer = Callable[[Mapping[str, bytes]], Path]
SHARDS = 3
# Of the small data set, 19 ratings train: enough for each shard.
SPLIT = "all-but-first-2"


def _chosen(**others: object) -> PrepareSettings:
    return PrepareSettings.model_validate({"shards": SHARDS, "split": SPLIT, **others})


def _silent(_doing: str, _share: float) -> None:
    pass


def _plan(source: Path, store: Store, scratch: Path, chosen: PrepareSettings) -> None:
    with open_input(source) as data:
        stages.plan(data, store, settings=chosen, scratch=scratch, progress=_silent)


def _contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    folder = tmp_path / "scratch"
    folder.mkdir()
    return folder


@pytest.fixture
def whole(small: dict[str, bytes], write_folder: Writer, tmp_path: Path) -> tuple[Path, dict[str, bytes]]:
    """The small data set's folder, and what one process makes of it in three shards."""
    source = write_folder(small)
    prepared = prepare(source, tmp_path / "whole", settings=_chosen())
    return source, _contents(tmp_path / "whole" / prepared.digest)


@pytest.fixture(params=["folder", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path, memory_s3: Any) -> tuple[Store, Callable[[], Any]]:
    """A store, and what is in it by name."""
    if request.param == "folder":
        (tmp_path / "store").mkdir()
        return Folder(tmp_path / "store"), lambda: _contents(tmp_path / "store")
    return Prefix(memory_s3.client, "bucket", "sets/one"), lambda: {
        key.removeprefix("sets/one/"): content for (_, key), content in memory_s3.objects.items()
    }


def test_the_steps_make_what_one_process_makes(
    whole: tuple[Path, dict[str, bytes]], place: tuple[Store, Callable[[], Any]], scratch: Path
) -> None:
    source, expected = whole
    store, contents = place
    _plan(source, store, scratch, _chosen())
    assert stages.read_manifest(store) is None
    for shard in (2, 0, 1):
        with pytest.raises(DataError, match=r"shards are not encoded: .*Encode them, then finish again"):
            stages.finish(store, scratch=scratch)
        stages.encode(store, shard, scratch=scratch, progress=_silent)
    finished = stages.finish(store, scratch=scratch)
    assert stages.read_manifest(store) == finished
    assert contents() == expected

    # All of it is done: doing it again changes nothing and needs no parts.
    _plan(source, store, scratch, _chosen())
    stages.encode(store, 1, scratch=scratch, progress=_silent)
    assert stages.finish(store, scratch=scratch) == finished
    assert contents() == expected


def test_a_retry_writes_its_own_shard_only(
    whole: tuple[Path, dict[str, bytes]],
    place: tuple[Store, Callable[[], Any]],
    scratch: Path,
    tmp_path: Path,
) -> None:
    source, expected = whole
    store, contents = place
    _plan(source, store, scratch, _chosen())
    for shard in range(SHARDS):
        stages.encode(store, shard, scratch=scratch, progress=_silent)
    key = f"train/train-00001-of-0000{SHARDS}.protobuf"
    # The attempt before was cut off: what it has written is short.
    cut = tmp_path / "cut"
    cut.write_bytes(expected[key][:-4])
    store.put(cut, key)
    before = contents()
    with pytest.raises(DataError, match=r"1 of 3 shards are not encoded: 1\."):
        stages.finish(store, scratch=scratch)
    stages.encode(store, 1, scratch=scratch, progress=_silent)
    after = contents()
    assert {name for name in after if after[name] != before.get(name)} == {key}
    stages.finish(store, scratch=scratch)
    assert contents() == expected


def test_without_a_plan_nothing_is_encoded(tmp_path: Path, scratch: Path) -> None:
    for act in (
        lambda: stages.encode(Folder(tmp_path / "none"), 0, scratch=scratch, progress=_silent),
        lambda: stages.finish(Folder(tmp_path / "none"), scratch=scratch),
    ):
        with pytest.raises(DataError, match=r"none: nothing is planned here\. Run the plan step first"):
            act()


def test_a_shard_that_there_is_not_is_refused(
    whole: tuple[Path, dict[str, bytes]], tmp_path: Path, scratch: Path
) -> None:
    store = Folder(tmp_path / "store")
    _plan(whole[0], store, scratch, _chosen())
    with pytest.raises(DataError, match=r"there is no shard 3\. Give one from 0 to 2"):
        stages.encode(store, 3, scratch=scratch, progress=_silent)


@pytest.mark.parametrize("shuffle", [True, False])
def test_a_shard_without_rows_is_refused(
    whole: tuple[Path, dict[str, bytes]], tmp_path: Path, scratch: Path, shuffle: bool
) -> None:
    message = r"^ml-small: 19 train rows leave \d+ of 40 shards empty, .* Choose fewer shards$"
    with pytest.raises(DataError, match=message):
        _plan(whole[0], Folder(tmp_path / "store"), scratch, _chosen(shards=40, shuffle=shuffle))
    assert not (tmp_path / "store").exists()


def test_no_row_is_in_a_shard_by_chance(
    whole: tuple[Path, dict[str, bytes]], tmp_path: Path, scratch: Path
) -> None:
    """As many shards as rows would do without a shuffle; random keys leave some of them empty."""
    with pytest.raises(DataError, match=r"19 train rows leave \d+ of 19 shards empty"):
        _plan(whole[0], Folder(tmp_path / "store"), scratch, _chosen(shards=19))
    prepared = prepare(whole[0], tmp_path / "out", settings=_chosen(shards=19, shuffle=False))
    assert [shard.rows for shard in prepared.train.shards] == [1] * 19


@pytest.mark.parametrize("late", ["parts/plan.json", "parts/train-00000.json"])
def test_a_step_that_ends_after_the_last_one_leaves_nothing(
    whole: tuple[Path, dict[str, bytes]],
    place: tuple[Store, Callable[[], Any]],
    scratch: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    late: str,
) -> None:
    """Another run does everything while this one is about to write its record."""
    source, expected = whole
    store, contents = place
    put, others = store.put, tmp_path / "others"
    others.mkdir()

    def run(folder: Path) -> None:
        _plan(source, store, folder, _chosen())
        for shard in range(SHARDS):
            stages.encode(store, shard, scratch=folder, progress=_silent)

    def put_late(path: Path, name: str) -> None:
        if name == late:
            monkeypatch.setattr(store, "put", put)
            run(others)
            stages.finish(store, scratch=others)
        put(path, name)

    monkeypatch.setattr(store, "put", put_late)
    run(scratch)
    assert contents() == expected


@pytest.mark.parametrize("name", ["parts/plan.json", "parts/rows-00001.bin", "test/test.protobuf"])
def test_a_plan_that_is_not_whole_is_made_again(
    whole: tuple[Path, dict[str, bytes]], tmp_path: Path, scratch: Path, name: str
) -> None:
    source, expected = whole
    store = Folder(tmp_path / "store")
    _plan(source, store, scratch, _chosen())
    (tmp_path / "store" / name).write_bytes(b"{")
    with pytest.raises(DataError, match=r"the plan here is not whole: .* Run the plan step again"):
        stages.encode(store, 0, scratch=scratch, progress=_silent)
    _plan(source, store, scratch, _chosen())
    for shard in range(SHARDS):
        stages.encode(store, shard, scratch=scratch, progress=_silent)
    stages.finish(store, scratch=scratch)
    assert _contents(tmp_path / "store") == expected


@pytest.mark.parametrize("objective", ["rating", "ranking"])
@pytest.mark.parametrize("features", ["user,movie", "user,movie,time,user_history,movie_history"])
@pytest.mark.parametrize("shuffle", [True, False])
def test_shards_and_buckets_do_not_change_the_rows(
    small: dict[str, bytes],
    write_folder: Writer,
    tmp_path: Path,
    objective: str,
    features: str,
    shuffle: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    source = write_folder(small)
    chosen = {"objective": objective, "features": features, "shuffle": shuffle}

    def rows(shards: int) -> bytes:
        prepared = prepare(source, tmp_path / "out", settings=_chosen(shards=shards, **chosen))
        folder = tmp_path / "out" / prepared.digest
        joined = b"".join((folder / shard.key).read_bytes() for shard in prepared.train.shards)
        assert len(decode_sparse(joined)) == prepared.train.rows
        return joined

    one = rows(1)
    monkeypatch.setattr(shuffle_module, "_BUCKET_ROWS", 3)
    assert rows(3) == rows(2) == one


# -- processes -----------------------------------------------------------------------------------------------

# As long as a sleep, so that a kill strikes anywhere.
_SLOW = (
    "import sys, time; from pathlib import Path\n"
    "from data_prep import store; from data_prep.manifest import PrepareSettings\n"
    "from data_prep.prepare import prepare\n"
    "put = store.Folder.put\n"
    "def slow_put(self, path, name):\n"
    "    time.sleep(0.02); put(self, path, name); time.sleep(0.02)\n"
    "store.Folder.put = slow_put\n"
    f"settings = PrepareSettings(shards={SHARDS}, split={SPLIT!r})\n"
    "print('ready', flush=True)\n"
    "print(prepare(Path(sys.argv[1]), Path(sys.argv[2]), settings=settings).digest, flush=True)\n"
)


def _start(source: Path, out: Path) -> "subprocess.Popen[str]":
    run = subprocess.Popen(
        [sys.executable, "-c", _SLOW, str(source), str(out)], stdout=subprocess.PIPE, text=True
    )
    assert run.stdout is not None
    assert run.stdout.readline() == "ready\n"
    return run


@pytest.mark.slow
def test_runs_killed_at_any_moment_leave_nothing_readable_and_nothing_behind(
    whole: tuple[Path, dict[str, bytes]], tmp_path: Path
) -> None:
    source, expected = whole
    out = tmp_path / "out"
    digest = json.loads(expected["manifest.json"])["digest"]
    chance = random.Random(0)
    struck = 0
    for _ in range(10):
        run = _start(source, out)
        time.sleep(chance.uniform(0, 0.8))
        run.send_signal(signal.SIGKILL)
        run.wait()
        assert run.stdout is not None
        run.stdout.close()
        if (out / digest).exists():
            # The rename was quicker: it is complete.
            assert _contents(out / digest) == expected
            shutil.rmtree(out / digest)
        else:
            struck += 1
            assert not list(out.glob("[!.]*/manifest.json"))
        assert len(list(out.glob(".*"))) <= 1
    assert struck
    assert prepare(source, out, settings=_chosen()).digest == digest
    assert _contents(out / digest) == expected
    # What the killed runs have left is gone.
    assert [path.name for path in out.iterdir()] == [digest]


@pytest.mark.slow
def test_runs_at_once_do_not_harm_each_other(whole: tuple[Path, dict[str, bytes]], tmp_path: Path) -> None:
    source, expected = whole
    out = tmp_path / "out"
    runs = [_start(source, out) for _ in range(3)]
    digests = {run.communicate()[0].strip() for run in runs}
    assert [run.returncode for run in runs] == [0, 0, 0]
    assert len(digests) == 1
    assert _contents(out / digests.pop()) == expected
    assert len(list(out.iterdir())) == 1


@pytest.mark.slow
def test_steps_at_once_and_killed_ones_end_in_the_same(
    whole: tuple[Path, dict[str, bytes]], tmp_path: Path
) -> None:
    """As AWS Batch would run the commands: two plans at once, a killed child, a retry, two finishes."""
    source, expected = whole
    out = tmp_path / "out"

    def start(*arguments: object, **variables: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, "-m", "data_prep", *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | variables,
        )

    plans = [start("plan", source, "--out", out, "--shards", SHARDS, "--split", SPLIT) for _ in range(2)]
    places = {run.communicate()[0].strip() for run in plans}
    assert [run.returncode for run in plans] == [0, 0]
    place = places.pop()
    assert not places
    killed = start("encode", place, AWS_BATCH_JOB_ARRAY_INDEX="0")
    assert killed.stderr is not None
    assert any("Encoding" in line for line in iter(killed.stderr.readline, ""))
    killed.kill()
    killed.communicate()
    assert read_finished(Path(place)) is None
    children = [start("encode", place, AWS_BATCH_JOB_ARRAY_INDEX=str(shard)) for shard in (0, 0, 1, 2)]
    for child in children:
        child.communicate()
    assert [child.returncode for child in children] == [0] * 4
    finishes = [start("finish", place) for _ in range(2)]
    for run in finishes:
        run.communicate()
    assert [run.returncode for run in finishes] == [0, 0]
    assert _contents(Path(place)) == expected
    assert [path.name for path in out.iterdir()] == [Path(place).name]


def test_the_keys_of_a_bucket_are_below_those_of_the_next() -> None:
    keys = np.random.PCG64(1).random_raw(10_000)
    buckets = shuffle_module.Buckets(bound=1 << 64, shards=3, per_shard=5)
    numbers = buckets.numbers(keys)
    order = np.argsort(keys)
    assert (np.diff(numbers[order]) >= 0).all()
    assert set(numbers.tolist()) == set(range(15))
    extremes = np.array([0, (1 << 64) - 1], dtype=np.uint64)
    assert buckets.numbers(extremes).tolist() == [0, 14]
    places = shuffle_module.Buckets.of(rows=10, shards=3, shuffled=False)
    assert places.numbers(np.arange(10, dtype=np.uint64)).tolist() == [0, 0, 0, 0, 1, 1, 1, 2, 2, 2]
