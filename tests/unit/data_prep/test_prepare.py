import hashlib
import json
import signal
import subprocess
import sys
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from data_prep import shuffle as shuffle_module
from data_prep import stages
from data_prep.catalog import GROUP_NAMES, Catalog
from data_prep.errors import DataError
from data_prep.formats.input_data import open_input
from data_prep.histories import HistoryIndex
from data_prep.manifest import LeftOut, Manifest, PrepareSettings
from data_prep.prepare import prepare, read_finished
from data_prep.recordio import SparseRecords, decode_sparse, encode_sparse

Writer = Callable[[Mapping[str, bytes]], Path]


@pytest.fixture(scope="module")
def movielens(movielens_zip: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """MovieLens 100k, prepared."""
    out = tmp_path_factory.mktemp("prepared")
    manifest = prepare(movielens_zip, out, settings=PrepareSettings())
    return out / manifest.digest


_MADE: list[tuple[dict[str, object], str]] = [
    ({}, "585f62721059c2fa2c529e06987594db"),
    ({"split": "all-but-first-2", "shards": 2, "features": GROUP_NAMES}, "d3c6a9a08138451b5a8b0f8ae8c15a7a"),
    (
        {"split": "leave-last-2", "objective": "ranking", "features": GROUP_NAMES, "liked_threshold": 3},
        "181a9ff5841c3155adb005aaae4f06c1",
    ),
]
"""Settings, and the checksum of what is made of the small data set by them."""


def _records(folder: Path, name: str) -> SparseRecords:
    return decode_sparse((folder / name / f"{name}.protobuf").read_bytes())


def _names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def _bytes(records: SparseRecords, rows: Any) -> bytes:
    keys = records.keys.reshape(-1, 2)[rows]
    return b"".join(
        encode_sparse(
            records.labels[rows],
            np.arange(0, 2 * len(keys) + 1, 2),
            keys.ravel(),
            np.ones(2 * len(keys), "f4"),
            2625,
        )
    )


def test_movielens_has_the_published_numbers(movielens: Path) -> None:
    manifest = Manifest.loads((movielens / "manifest.json").read_bytes(), name="")
    assert (manifest.users, manifest.movies, manifest.feature_dim) == (943, 1682, 2625)
    assert (manifest.train.rows, manifest.train.bytes) == (90_570, 5_796_480)
    assert (manifest.test.rows, manifest.test.bytes) == (9_430, 603_520)
    assert manifest.train.positive_share == pytest.approx(0.5510, abs=5e-5)
    assert manifest.test.positive_share == pytest.approx(0.5800, abs=5e-5)
    assert manifest.ranking.rows == 1_481_568
    assert manifest.sparsity == pytest.approx(0.999238, abs=5e-7)
    assert manifest.digest == movielens.name
    assert (manifest.source.format, manifest.source.split) == ("movielens-100k", "ua")
    assert [shard.key for shard in manifest.train.shards] == ["train/train.protobuf"]
    assert manifest.left_out == LeftOut()


def test_movielens_without_a_shuffle_is_the_walk_throughs_file(movielens_zip: Path, tmp_path: Path) -> None:
    manifest = prepare(movielens_zip, tmp_path, settings=PrepareSettings(shuffle=False))
    content = (tmp_path / manifest.digest / "train" / "train.protobuf").read_bytes()
    assert hashlib.md5(content).hexdigest() == "38614e2563e3c345a8c7f77988243e72"


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("bucket_rows", [1 << 20, 7_000])
def test_shards_one_after_another_are_the_one_file(
    movielens_zip: Path, tmp_path: Path, shuffle: bool, bucket_rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = prepare(movielens_zip, tmp_path, settings=PrepareSettings(shuffle=shuffle, ranking_users=1))
    monkeypatch.setattr(shuffle_module, "_BUCKET_ROWS", bucket_rows)
    chosen = PrepareSettings(shuffle=shuffle, shards=4, ranking_users=1)
    four = prepare(movielens_zip, tmp_path, settings=chosen)
    shards = four.train.shards
    assert [shard.key for shard in shards] == [f"train/train-0000{n}-of-00004.protobuf" for n in range(4)]
    joined = b"".join((tmp_path / four.digest / shard.key).read_bytes() for shard in shards)
    assert joined == (tmp_path / one.digest / one.train.shards[0].key).read_bytes()
    assert (four.train.rows, four.train.bytes) == (one.train.rows, one.train.bytes)
    assert four.train.positive_share == pytest.approx(one.train.positive_share)
    assert max(shard.rows for shard in shards) < 1.03 * min(shard.rows for shard in shards)


def test_movielens_train_file_is_a_shuffle_of_the_one_in_file_order(movielens: Path) -> None:
    train = _records(movielens, "train")
    in_file_order = np.lexsort(train.keys.reshape(-1, 2).T[::-1])
    content = _bytes(train, in_file_order)
    assert hashlib.md5(content).hexdigest() == "38614e2563e3c345a8c7f77988243e72"
    assert not np.array_equal(in_file_order, np.arange(len(train)))
    users = train.keys[::2]
    # In file order some 99% of neighbours are of one user.
    assert (users[1:] == users[:-1]).mean() < 0.01


def test_movielens_test_file_is_in_file_order(movielens: Path) -> None:
    pairs = _records(movielens, "test").keys.reshape(-1, 2)
    assert np.array_equal(np.lexsort(pairs.T[::-1]), np.arange(len(pairs)))


def test_movielens_ranking_is_of_unseen_movies_in_order(movielens: Path) -> None:
    ranking, train, test = (_records(movielens, name) for name in ("ranking", "train", "test"))

    def codes(records: SparseRecords) -> Any:
        pairs = records.keys.reshape(-1, 2)
        return pairs[:, 0] * 2625 + pairs[:, 1]

    ranked, liked = codes(ranking), codes(test)[test.labels == 1]
    assert (np.diff(ranked) > 0).all()
    assert not np.isin(ranked, codes(train)).any()
    assert np.array_equal(ranked[ranking.labels == 1], np.sort(liked))
    users = np.unique(ranking.keys[::2])
    assert len(users) == 934
    assert len(ranking) == 934 * 1682 - np.isin(train.keys[::2], users).sum()


def test_movielens_catalog_and_histories(movielens: Path, movielens_zip: Path) -> None:
    with zipfile.ZipFile(movielens_zip) as archive:
        rows = [line.split("\t") for line in archive.read("ml-100k/u.data").decode().splitlines()]
        train = [line.split("\t") for line in archive.read("ml-100k/ua.base").decode().splitlines()]
    catalog = Catalog.load(movielens / "catalog.json")
    assert catalog.dataset == "ml-100k.zip"
    assert (catalog.users[0], catalog.users[-1]) == ("1", "943")
    star_wars = catalog.movies[49]
    assert (star_wars.id, star_wars.title, star_wars.year) == ("50", "Star Wars (1977)", 1977)
    assert star_wars.genres == ("Action", "Adventure", "Romance", "Sci-Fi", "War")
    assert star_wars.ratings == sum(movie == "50" for _, movie, _, _ in train)
    assert star_wars.likes == sum(movie == "50" and stars in "45" for _, movie, stars, _ in train)
    assert catalog.movies[542].title == "Misérables, Les (1995)"
    assert catalog.movies[266].year is None

    content = (movielens / "histories.bin").read_bytes()
    index = HistoryIndex(lambda offset, length: content[offset : offset + length])
    for user in ("1", "405", "943"):
        expected = sorted(catalog.movie_index(movie) for u, movie, _, _ in rows if u == user)  # type: ignore[type-var]
        assert sorted(index.movies(catalog.user_index(user))) == expected  # type: ignore[arg-type]


def test_the_manifest_tells_every_file(movielens: Path) -> None:
    content = json.loads((movielens / "manifest.json").read_bytes())
    channels = [*content["train"]["shards"], content["test"], content["ranking"]]
    facts = {channel["key"]: channel for channel in channels} | content["files"]
    found = {path.relative_to(movielens).as_posix() for path in movielens.rglob("*") if path.is_file()}
    assert found == {*facts, "manifest.json"}
    for name, fact in facts.items():
        data = (movielens / name).read_bytes()
        assert (len(data), hashlib.sha256(data).hexdigest()) == (fact["bytes"], fact["sha256"])


def test_settings_decide_what_is_written(
    small: dict[str, bytes], write_folder: Writer, tmp_path: Path
) -> None:
    source = write_folder(small)
    high = prepare(source, tmp_path, settings=PrepareSettings(liked_threshold=5, ranking_users=1))
    # User 3's movie 40 is the only 5 among the train ratings; only user 1's and 3's tests have 5s.
    assert high.train.positive_share == pytest.approx(1 / 3)
    folder = tmp_path / high.digest
    assert len(np.unique(_records(folder, "ranking").keys[::2])) == 1
    assert [movie.likes for movie in Catalog.load(folder / "catalog.json").movies] == [0] * 12 + [1]
    low = prepare(source, tmp_path, settings=PrepareSettings(liked_threshold=3))
    assert low.digest != high.digest
    assert low.train.positive_share == pytest.approx(2 / 3)


def test_the_same_input_gives_the_same_bytes(
    small: dict[str, bytes], write_folder: Writer, tmp_path: Path
) -> None:
    source = write_folder(small)
    made = [prepare(source, tmp_path / name, settings=PrepareSettings()) for name in "ab"]
    assert made[0] == made[1]
    with open_input(source) as data:
        assert made[0].digest == stages.digest_of(data, PrepareSettings())


# The second user rates the other way round, so that all that tests is trained, too.
_TWO_USERS = [(1, movie) for movie in range(1, 21)] + [(2, movie) for movie in range(20, 0, -1)]


def test_a_name_that_makes_another_format_makes_another_data_set(tmp_path: Path) -> None:
    ratings = b"".join(b"%d\t%d\t%d\t88\n" % (*pair, 1 + pair[1] % 5) for pair in _TWO_USERS)
    made = {}
    for name in ("u.data", "mine.tsv"):
        (tmp_path / name).write_bytes(ratings)
        made[name] = prepare(tmp_path / name, tmp_path / "out", settings=PrepareSettings())
    assert {name: manifest.source.format for name, manifest in made.items()} == {
        "u.data": "movielens-100k",
        "mine.tsv": "csv",
    }
    assert made["u.data"].digest != made["mine.tsv"].digest
    assert len(_names(tmp_path / "out")) == 2


@pytest.mark.parametrize(("ids", "id_type"), [(b"%d", "integer"), (b"user-%d", "text")])
def test_the_manifest_tells_what_ids_are(tmp_path: Path, ids: bytes, id_type: str) -> None:
    ratings = b"".join(ids % user + b",%d,5\n" % movie for user, movie in _TWO_USERS)
    (tmp_path / "mine.csv").write_bytes(ratings)
    assert (
        prepare(tmp_path / "mine.csv", tmp_path / "out", settings=PrepareSettings()).source.id_type == id_type
    )


@pytest.mark.parametrize("number", range(len(_MADE)))
def test_another_layout_is_another_version(
    small: dict[str, bytes], write_folder: Writer, tmp_path: Path, number: int
) -> None:
    """What is written by one version never changes, as finished work is found again by it.

    Where this fails on purpose, count Manifest.format_version up.
    """
    chosen, expected = _MADE[number]
    made = prepare(write_folder(small), tmp_path, settings=PrepareSettings.model_validate(chosen))
    whole = hashlib.sha256(made.model_dump_json(exclude={"digest", "settings"}).encode())
    for name in made.sizes():
        whole.update((tmp_path / made.digest / name).read_bytes())
    assert (made.format_version, whole.hexdigest()[:32]) == (3, expected)


def test_the_input_is_fingerprinted_once(
    small: dict[str, bytes], write_zip: Writer, tmp_path: Path, fingerprinted: list[str]
) -> None:
    prepare(write_zip(small), tmp_path / "out", settings=PrepareSettings())
    assert fingerprinted == ["ml-small.zip"]


def test_finished_work_is_not_done_again(
    small: dict[str, bytes], write_folder: Writer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = write_folder(small)
    first = prepare(source, tmp_path / "out", settings=PrepareSettings())
    monkeypatch.setattr(stages, "read_dataset", None)
    steps: list[tuple[str, float]] = []
    again = prepare(
        source,
        tmp_path / "out",
        settings=PrepareSettings(),
        progress=lambda doing, share: steps.append((doing, share)),
    )
    assert again == first
    assert steps[-1] == ("Already prepared", 1.0)


@pytest.mark.parametrize("damage", ["manifest.json", "train/train.protobuf", "cut", "not json"])
def test_incomplete_work_is_not_taken_for_finished(
    small: dict[str, bytes], write_folder: Writer, tmp_path: Path, damage: str
) -> None:
    source = write_folder(small)
    made = prepare(source, tmp_path / "out", settings=PrepareSettings())
    folder = tmp_path / "out" / made.digest
    if damage == "cut":
        (folder / "catalog.json").write_bytes(b"{}")
    elif damage == "not json":
        (folder / "manifest.json").write_bytes(b"{")
    else:
        (folder / damage).unlink()
    assert read_finished(folder) is None
    assert prepare(source, tmp_path / "out", settings=PrepareSettings()) == made
    assert read_finished(folder) == made
    assert _names(tmp_path / "out") == [made.digest]


def test_of_two_runs_at_once_the_first_is_kept(
    small: dict[str, bytes], write_folder: Writer, tmp_path: Path
) -> None:
    source, out = write_folder(small), tmp_path / "out"
    inner: list[Manifest] = []

    def other_run(doing: str, _share: float) -> None:
        if doing == "Writing the catalog and the histories" and not inner:
            inner.append(prepare(source, out, settings=PrepareSettings()))
            (out / inner[0].digest / "mark").touch()

    outer = prepare(source, out, settings=PrepareSettings(), progress=other_run)
    assert outer == inner[0]
    assert (out / outer.digest / "mark").exists()
    assert _names(out) == [outer.digest]


def test_a_failure_leaves_nothing(small: dict[str, bytes], write_folder: Writer, tmp_path: Path) -> None:
    source, out = write_folder(small), tmp_path / "out"

    def fail(doing: str, _share: float) -> None:
        if doing == "Writing the catalog and the histories":
            raise RuntimeError

    with pytest.raises(RuntimeError):
        prepare(source, out, settings=PrepareSettings(), progress=fail)
    assert _names(out) == []


def test_a_killed_run_leaves_nothing_that_can_be_read(
    small: dict[str, bytes], write_folder: Writer, tmp_path: Path
) -> None:
    source, out = write_folder(small), tmp_path / "out"
    code = (
        "import sys, time; from pathlib import Path; from data_prep.manifest import PrepareSettings\n"
        "from data_prep.prepare import prepare\n"
        "def wait(doing, share):\n"
        "    if doing == 'Writing the catalog and the histories': print('now', flush=True); time.sleep(60)\n"
        "prepare(Path(sys.argv[1]), Path(sys.argv[2]), settings=PrepareSettings(), progress=wait)\n"
    )
    run = subprocess.Popen([sys.executable, "-c", code, str(source), str(out)], stdout=subprocess.PIPE)
    assert run.stdout is not None
    assert run.stdout.readline() == b"now\n"
    run.send_signal(signal.SIGKILL)
    run.wait()
    run.stdout.close()
    assert not list(out.glob("[!.]*/manifest.json"))
    # Any run after it removes what is left, whatever it prepares itself.
    assert len(list(out.iterdir())) == 1
    digest = prepare(source, out, settings=PrepareSettings(seed=1)).digest
    assert read_finished(out / digest) is not None
    assert _names(out) == [digest]


def test_bad_input_writes_nothing(small: dict[str, bytes], write_folder: Writer, tmp_path: Path) -> None:
    source = write_folder(small | {"u.data": small["u.data"] + b"1\t40\t9\t1\n"})
    with pytest.raises(
        DataError, match=r"^ml-small/u\.data, line 26: the rating '9' is not one of 1 to 5, found"
    ):
        prepare(source, tmp_path / "out", settings=PrepareSettings())
    assert _names(tmp_path / "out") == []


def test_nothing_liked_is_refused(small: dict[str, bytes], write_folder: Writer, tmp_path: Path) -> None:
    content = b"".join(
        line.split(b"\t")[0] + b"\t" + line.split(b"\t")[1] + b"\t2\t1\n"
        for line in small["u.data"].splitlines()
    )
    source = write_folder(small | {"u.data": content})
    with pytest.raises(
        DataError, match=r"^ml-small: no test rating reaches 4, so there is nothing to rank for\. Lower"
    ):
        prepare(source, tmp_path / "out", settings=PrepareSettings())
    assert _names(tmp_path / "out") == []


def test_progress_only_grows(small: dict[str, bytes], write_folder: Writer, tmp_path: Path) -> None:
    steps: list[tuple[str, float]] = []
    prepare(
        write_folder(small),
        tmp_path / "out",
        settings=PrepareSettings(),
        progress=lambda doing, share: steps.append((doing, share)),
    )
    assert ("Splitting the ratings", 0.4) in steps
    shares = [share for _, share in steps]
    assert shares == sorted(shares)
    assert (shares[0], shares[-1]) == (0.0, 1.0)
