"""Ratings in, a prepared data set out: tensors to train, test and rank with, and what is needed to read them.

A prepared data set is a folder named by its digest:

    train/train.protobuf        the train ratings, in a random order
    test/test.protobuf          the test ratings, in the split's order
    ranking/ranking.protobuf    sampled users against every movie that they have not rated in the train part
    catalog.json                columns, titles, genres (data_prep.catalog)
    histories.bin               what each user has rated in either part (data_prep.histories)
    manifest.json               counts, sizes, checksums, settings (data_prep.manifest)
"""

import hashlib
import shutil
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import numpy as np

from data_prep import catalog, histories, manifest
from data_prep.catalog import Catalog, CatalogMovie, Group
from data_prep.dataset import Dataset, Interactions, read_ua_split
from data_prep.errors import DataError
from data_prep.features import one_hot, ranking_rows, ranking_users, shuffled
from data_prep.manifest import ChannelFacts, FileFacts, Manifest, PrepareSettings, SourceFacts, dataset_digest
from data_prep.movielens import ITEMS_FILE, RATINGS_FILE, TEST_FILE, TRAIN_FILE
from data_prep.recordio import SparseRecords, encode_sparse
from data_prep.source import opened

_DATASET = "ml-100k"
_FORMAT: Final = "movielens-100k"
_LAYOUT = (
    "a folder or zip archive of MovieLens-100k: "
    f"{ITEMS_FILE} beside {RATINGS_FILE}, or beside {TRAIN_FILE} and {TEST_FILE}"
)

Progress = Callable[[str, float], None]


def prepare(
    source: Path, destination: Path, *, settings: PrepareSettings, progress: Progress | None = None
) -> Manifest:
    """Prepare the data set in the folder or zip archive `source` as `destination`/<digest>.

    What is there already and complete is left as it is. Otherwise everything is written beside it and put in
    place by one rename: a run that fails or is killed leaves no <digest> folder. `progress` gets (what is
    being done, share done from 0 to 1). Raises DataError.
    """
    report = progress or _silent
    report("Reading the ratings", 0.0)
    with opened(source, marker=ITEMS_FILE, layout=_LAYOUT) as files:
        source_sha256 = files.sha256()
        digest = dataset_digest(source_sha256, settings)
        folder = destination / digest
        if (finished := read_finished(folder)) is not None:
            report("Already prepared", 1.0)
            return finished
        dataset = read_ua_split(files)
    facts = SourceFacts(name=files.name, sha256=source_sha256, format=_FORMAT, split=settings.split)
    with _put_in_place(folder) as unfinished:
        return _write(dataset, unfinished, digest=digest, source=facts, settings=settings, report=report)


def digest_of(source: Path, settings: PrepareSettings) -> str:
    """The name that the prepared data set would have. Raises DataError where `source` is no data set."""
    with opened(source, marker=ITEMS_FILE, layout=_LAYOUT) as files:
        return dataset_digest(files.sha256(), settings)


def read_finished(folder: Path) -> Manifest | None:
    """The manifest of the prepared data set in `folder`, or None where it is missing or incomplete."""
    path = folder / manifest.FILE_NAME
    if not path.is_file():
        return None
    try:
        found = Manifest.loads(path.read_bytes(), name=str(path))
    except DataError:
        return None
    complete = all(
        (folder / name).is_file() and (folder / name).stat().st_size == size
        for name, size in found.sizes().items()
    )
    return found if complete else None


@contextmanager
def _put_in_place(folder: Path) -> Iterator[Path]:
    """A new folder beside `folder`, which takes its place when all has gone well and is removed otherwise."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    unfinished = folder.with_name(f".{folder.name}-{uuid.uuid4().hex}")
    unfinished.mkdir()
    try:
        yield unfinished
        try:
            unfinished.rename(folder)
        except OSError:
            if not folder.exists():
                raise
            # Another run was quicker, or something incomplete stands in the way.
            if read_finished(folder) is None:
                shutil.rmtree(folder)
                unfinished.rename(folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _write(
    dataset: Dataset,
    folder: Path,
    *,
    digest: str,
    source: SourceFacts,
    settings: PrepareSettings,
    report: Progress,
) -> Manifest:
    def rows(ratings: Interactions) -> SparseRecords:
        liked = ratings.stars >= settings.liked_threshold
        return one_hot(ratings.users, ratings.movies, liked, dataset)

    liked_test = dataset.test.take(np.flatnonzero(dataset.test.stars >= settings.liked_threshold))
    ranked = ranking_users(liked_test, at_most=settings.ranking_users, seed=settings.seed)
    if not len(ranked):
        reason = f"no test rating reaches {settings.liked_threshold:g}, so there is nothing to rank for"
        raise DataError(source.name, reason, remedy="Lower the liked threshold, or give more ratings")

    train = dataset.train.take(shuffled(len(dataset.train), seed=settings.seed))
    report("Writing the train rows", 0.05)
    train_facts = _write_channel(folder, "train", [rows(train)])
    report("Writing the test rows", 0.1)
    test_facts = _write_channel(folder, "test", [rows(dataset.test)])

    def ranking() -> Iterator[SparseRecords]:
        written, all_pairs = 0, len(ranked) * len(dataset.movies)
        for records in ranking_rows(dataset, ranked, liked_test):
            report("Writing the ranking rows", 0.15 + 0.8 * written / all_pairs)
            yield records
            written += len(records)

    ranking_facts = _write_channel(folder, "ranking", ranking())
    report("Writing the catalog", 0.95)
    described = _describe(dataset, settings)
    files = {
        catalog.FILE_NAME: _write_file(folder / catalog.FILE_NAME, [described.dumps().encode()]),
        histories.FILE_NAME: _write_file(folder / histories.FILE_NAME, [_histories(dataset)]),
    }
    written = Manifest(
        digest=digest,
        source=source,
        settings=settings,
        feature_dim=described.feature_dim,
        train=train_facts,
        test=test_facts,
        ranking=ranking_facts,
        users=len(dataset.users),
        movies=len(dataset.movies),
        # Each row has two elements.
        sparsity=1 - 2 / described.feature_dim,
        files=files,
    )
    (folder / manifest.FILE_NAME).write_text(written.dumps(), encoding="utf-8")
    report("Prepared", 1.0)
    return written


def _write_channel(folder: Path, name: str, batches: Iterable[SparseRecords]) -> ChannelFacts:
    rows, likes = 0, 0.0

    def encoded() -> Iterator[memoryview]:
        nonlocal rows, likes
        for batch in batches:
            yield from encode_sparse(batch.labels, batch.indptr, batch.keys, batch.values, batch.shape)
            rows += len(batch)
            likes += float(batch.labels.sum(dtype=np.float64))

    key = f"{name}/{name}.protobuf"
    (folder / name).mkdir()
    facts = _write_file(folder / key, encoded())
    return ChannelFacts(
        key=key, rows=rows, positive_share=likes / rows, bytes=facts.bytes, sha256=facts.sha256
    )


def _write_file(path: Path, chunks: Iterable[bytes | memoryview]) -> FileFacts:
    checksum, size = hashlib.sha256(), 0
    with path.open("wb") as file:
        for chunk in chunks:
            file.write(chunk)
            checksum.update(chunk)
            size += len(chunk)
    return FileFacts(bytes=size, sha256=checksum.hexdigest())


def _describe(dataset: Dataset, settings: PrepareSettings) -> Catalog:
    train, n_users, n_movies = dataset.train, len(dataset.users), len(dataset.movies)
    ratings = np.bincount(train.movies, minlength=n_movies)
    likes = np.bincount(train.movies[train.stars >= settings.liked_threshold], minlength=n_movies)
    return Catalog(
        dataset=_DATASET,
        feature_dim=n_users + n_movies,
        groups=(
            Group(name="user", offset=0, size=n_users),
            Group(name="movie", offset=n_users, size=n_movies),
        ),
        users=tuple(map(str, dataset.users.tolist())),
        movies=tuple(
            CatalogMovie(
                id=str(movie.id),
                title=movie.title,
                genres=movie.genres,
                year=movie.year,
                ratings=int(ratings[index]),
                likes=int(likes[index]),
            )
            for index, movie in enumerate(dataset.movies)
        ),
    )


def _histories(dataset: Dataset) -> bytes:
    users = np.concatenate([dataset.train.users, dataset.test.users])
    movies = np.concatenate([dataset.train.movies, dataset.test.movies])
    order = np.lexsort((movies, users))
    boundaries = np.searchsorted(users[order], np.arange(len(dataset.users) + 1))
    return histories.encode_histories(boundaries, movies[order])


def _silent(_doing: str, _share: float) -> None:
    pass
