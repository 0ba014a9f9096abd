"""The three steps of a preparation, each of which another process on another machine can do.

    plan     reads and splits the ratings, writes all but the train records, and shares the train rows out to
             buckets, each a range of the shuffle's keys (data_prep.shuffle)
    encode   sorts and encodes the buckets of one shard; all shards can be encoded at once
    finish   writes the manifest, which makes the data set complete, and removes what only the steps needed

Between the steps, everything is in the store, under `parts/`. A step that is done already is not done again,
and doing it twice, even at once, writes the same bytes.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from data_prep import catalog, histories, manifest
from data_prep.arrays import Integers
from data_prep.catalog import Catalog
from data_prep.channels import WrittenRecords, write_file, write_records
from data_prep.dataset import Dataset, read_dataset
from data_prep.errors import DataError
from data_prep.features import FeatureEncoder, describe
from data_prep.formats.input_data import InputData
from data_prep.histories import MappedHistories
from data_prep.manifest import (
    ChannelFacts,
    FileFacts,
    LeftOut,
    Manifest,
    PrepareSettings,
    SourceFacts,
    TrainFacts,
    dataset_digest,
)
from data_prep.objectives import Objective, RankingObjective, RatingObjective, TrainRatings
from data_prep.ranking import LikedTest, find_liked, unseen_pairs
from data_prep.recordio import SparseRecords
from data_prep.shuffle import Buckets, ascending
from data_prep.spool import BLOCK_ROWS, Rows, Spool, read_rows, scatter
from data_prep.store import Store

Progress = Callable[[str, float], None]
_Content = TypeVar("_Content", bound=BaseModel)

_PARTS = "parts/"
_PLAN = f"{_PARTS}plan.json"
_TEST, _RANKING = "test/test.protobuf", "ranking/ranking.protobuf"
_BAD_ROWS_KEPT = 100


def bucket_row(settings: PrepareSettings) -> np.dtype[Any]:
    """The type of a row to train on, by index; `own`, the movie of the rating that it comes from, and `time`
    are there where they are needed.
    """
    fields = [("key", "<u8"), ("user", "<u4"), ("movie", "<u4"), ("label", "<f4")]
    if "time" in settings.features:
        fields.append(("time", "<i8"))
    if settings.objective == "ranking" and {"user_history", "movie_history"} & set(settings.features):
        fields.append(("own", "<u4"))
    return np.dtype(fields)


class Plan(BaseModel):
    """What the first step leaves to the others: the manifest, less the train records, and their buckets."""

    model_config = ConfigDict(frozen=True)

    digest: str
    source: SourceFacts
    settings: PrepareSettings
    feature_dim: int
    users: int
    movies: int
    left_out: LeftOut
    test: ChannelFacts
    ranking: ChannelFacts
    files: dict[str, FileFacts]
    buckets_per_shard: int
    bucket_rows: tuple[int, ...]


class _Shard(BaseModel):
    """What encoding a shard leaves to the last step."""

    model_config = ConfigDict(frozen=True)

    facts: ChannelFacts
    elements: int


def digest_of(data: InputData, settings: PrepareSettings) -> str:
    """The name that the prepared data set has."""
    return dataset_digest(name=data.name, sha256=data.sha256, settings=settings)


def read_manifest(store: Store) -> Manifest | None:
    """The manifest of the prepared data set in `store`, None where it is missing or incomplete."""
    content = store.read(manifest.FILE_NAME)
    if content is None:
        return None
    try:
        found = Manifest.loads(content, name=f"{store.uri}/{manifest.FILE_NAME}")
    except DataError:
        return None
    sizes = store.sizes()
    return found if all(sizes.get(name) == size for name, size in found.sizes().items()) else None


def plan(
    data: InputData, store: Store, *, settings: PrepareSettings, scratch: Path, progress: Progress
) -> Catalog:
    """Do the first step, with temporary files in `scratch`, on the file system of a local store.

    Returns the catalog. Raises DataError where the data cannot be used.
    """
    if read_manifest(store) is None and _read_plan(store) is None:
        return _Planner(data, store, settings, scratch, progress).plan()
    return Catalog.load(store.fetch(catalog.FILE_NAME, scratch))


def encode(store: Store, shard: int, *, scratch: Path, progress: Progress) -> None:
    """Do the second step for one shard, from 0. Raises DataError where nothing is planned."""
    planned = _read_plan(store)
    if planned is None:
        if read_manifest(store) is not None:
            return
        raise _unplanned(store)
    shards = planned.settings.shards
    if not 0 <= shard < shards:
        raise DataError(store.uri, f"there is no shard {shard}", remedy=f"Give one from 0 to {shards - 1}")
    if _read_shard(store, shard, store.sizes()) is None:
        described = Catalog.load(store.fetch(catalog.FILE_NAME, scratch))
        encoder = _encoder(described, lambda: store.fetch(histories.FILE_NAME, scratch))
        _encode(store, planned, shard, encoder, scratch=scratch, progress=progress)


def encode_all(store: Store, described: Catalog, *, scratch: Path, progress: Progress) -> None:
    """Do the second step for all shards, by the catalog that `plan` returns.

    Raises DataError where nothing is planned.
    """
    planned = _read_plan(store)
    if planned is None:
        raise _unplanned(store)
    encoder = _encoder(described, lambda: store.fetch(histories.FILE_NAME, scratch))
    shards = planned.settings.shards
    for shard in range(shards):
        _encode(
            store,
            planned,
            shard,
            encoder,
            scratch=scratch,
            progress=lambda doing, share, done=shard: progress(  # type: ignore[misc]
                doing, (done + share) / shards
            ),
        )


def _encode(
    store: Store, planned: Plan, shard: int, encoder: FeatureEncoder, *, scratch: Path, progress: Progress
) -> None:
    settings = planned.settings
    buckets = range(shard * planned.buckets_per_shard, (shard + 1) * planned.buckets_per_shard)

    def records() -> Iterator[SparseRecords]:
        for done, bucket in enumerate(buckets):
            progress("Encoding the train rows", done / len(buckets))
            path = store.fetch(_bucket_name(bucket), scratch)
            for rows in read_rows(path, bucket_row(settings)):
                for block in ascending(rows):
                    yield from _encoded(block, encoder)

    key = _shard_key(shard, settings.shards)
    path = scratch / f"shard-{shard:05}.protobuf"
    written = write_records(path, key, records())
    store.put(path, key)
    _put_json(store, _record_name(shard), _Shard(facts=written.facts, elements=written.elements), scratch)
    _clean_up(store)


def finish(store: Store, *, scratch: Path) -> Manifest:
    """Do the last step. Raises DataError where a shard is not encoded."""
    finished = read_manifest(store)
    if finished is None:
        try:
            finished = _complete(store)
        except DataError:
            # Another run may have finished meanwhile, and removed what this one looks for.
            finished = read_manifest(store)
            if finished is None:
                raise
        else:
            _put_json(store, manifest.FILE_NAME, finished, scratch)
    _remove_parts(store)
    return finished


def _complete(store: Store) -> Manifest:
    planned = _read_plan(store)
    if planned is None:
        raise _unplanned(store)
    sizes = store.sizes()
    shards = [_read_shard(store, number, sizes) for number in range(planned.settings.shards)]
    missing = [str(number) for number, shard in enumerate(shards) if shard is None]
    if missing:
        raise DataError(
            store.uri,
            f"{len(missing)} of {len(shards)} shards are not encoded: {', '.join(missing[:10])}",
            remedy="Encode them, then finish again",
        )
    encoded = [shard for shard in shards if shard is not None]
    rows = sum(shard.facts.rows for shard in encoded)
    return Manifest(
        digest=planned.digest,
        source=planned.source,
        settings=planned.settings,
        feature_dim=planned.feature_dim,
        train=TrainFacts(
            rows=rows,
            positive_share=sum(shard.facts.positive_share * shard.facts.rows for shard in encoded) / rows,
            bytes=sum(shard.facts.bytes for shard in encoded),
            shards=tuple(shard.facts for shard in encoded),
        ),
        test=planned.test,
        ranking=planned.ranking,
        users=planned.users,
        movies=planned.movies,
        sparsity=1 - sum(shard.elements for shard in encoded) / rows / planned.feature_dim,
        left_out=planned.left_out,
        files=planned.files,
    )


class _Planner:
    def __init__(
        self, data: InputData, store: Store, settings: PrepareSettings, scratch: Path, progress: Progress
    ) -> None:
        self._data = data
        self._store = store
        self._settings = settings
        self._scratch = scratch
        self._progress = progress

    def plan(self) -> Catalog:
        settings = self._settings
        self._check_threshold()
        dataset = read_dataset(
            self._data,
            settings=settings,
            scratch=self._scratch,
            report=lambda doing, share: self._progress(doing, 0.4 * share),
        )
        self._progress("Writing the catalog and the histories", 0.4)
        described = describe(
            dataset=self._data.name,
            users=dataset.users,
            movies=dataset.movies,
            ratings=dataset.train_ratings,
            likes=dataset.train_likes,
            times=dataset.times,
            groups=settings.features,
        )
        histories_path = self._scratch / histories.FILE_NAME
        histories.write_histories(
            histories_path,
            train=_Pairs(dataset.train),
            test=_Pairs(dataset.test),
            n_users=len(dataset.users),
            n_movies=len(dataset.movies),
            raters=described.group("movie_history") is not None,
        )
        mapped = MappedHistories(histories_path)
        encoder = _encoder(described, lambda: histories_path)
        objective = _objective(settings, mapped, dataset.train_ratings)
        liked = self._liked(dataset)
        per_shard, bucket_rows = self._share_out(dataset, objective)
        self._progress("Writing the test rows", 0.7)
        test = self._put_records(_TEST, _test_records(dataset.test, objective, encoder))
        self._progress("Writing the ranking rows", 0.75)
        ranking = self._put_records(_RANKING, self._ranking_records(liked, mapped, encoder))
        catalog_path = self._scratch / catalog.FILE_NAME
        files = {
            catalog.FILE_NAME: write_file(catalog_path, [described.dumps().encode()]),
            histories.FILE_NAME: _file_facts(histories_path),
        }
        self._store.put(catalog_path, catalog.FILE_NAME)
        self._store.put(histories_path, histories.FILE_NAME)
        planned = Plan(
            digest=digest_of(self._data, settings),
            source=SourceFacts(
                name=self._data.name,
                sha256=self._data.sha256,
                format=self._data.format,
                id_type=self._data.id_type,
                split=settings.split,
            ),
            settings=settings,
            feature_dim=described.feature_dim,
            users=len(dataset.users),
            movies=len(dataset.movies),
            left_out=LeftOut(
                bad_rows=len(self._data.rejected),
                duplicates=dataset.duplicates,
                unknown_test=dataset.unknown_test,
                first_bad_rows=tuple(self._data.rejected[:_BAD_ROWS_KEPT]),
            ),
            test=test.facts,
            ranking=ranking.facts,
            files=files,
            buckets_per_shard=per_shard,
            bucket_rows=bucket_rows,
        )
        _put_json(self._store, _PLAN, planned, self._scratch)
        _clean_up(self._store)
        return described

    def _check_threshold(self) -> None:
        lowest, highest, threshold = self._data.lowest, self._data.highest, self._settings.liked_threshold
        if lowest is not None and highest is not None and not lowest <= threshold <= highest:
            raise DataError(
                self._data.name,
                f"the ratings run from {lowest:g} to {highest:g}, and liked is to begin at {threshold:g}",
                remedy="Choose a liked threshold among the ratings",
            )

    def _liked(self, dataset: Dataset) -> LikedTest:
        threshold = self._settings.liked_threshold
        liked = find_liked(
            dataset.test,
            threshold=threshold,
            users=len(dataset.users),
            movies=len(dataset.movies),
            at_most=self._settings.ranking_users,
            seed=self._settings.seed,
        )
        if not len(liked.users):
            reason = f"no test rating reaches {threshold:g}, so there is nothing to rank for"
            raise DataError(self._data.name, reason, remedy="Lower the liked threshold, or give more ratings")
        return liked

    def _share_out(self, dataset: Dataset, objective: Objective) -> tuple[int, tuple[int, ...]]:
        """Write the rows to train on to buckets: (buckets of each shard, rows of each bucket)."""
        settings, train = self._settings, dataset.train
        rows = len(train)
        if settings.objective == "ranking":
            rows = int(dataset.train_likes.sum()) * (1 + settings.negatives)
            if not rows:
                reason = f"no train rating reaches {settings.liked_threshold:g}, so there is nothing to learn"
                raise DataError(self._data.name, reason, remedy="Lower the liked threshold")
        buckets = Buckets.of(rows=rows, shards=settings.shards, shuffled=settings.shuffle)
        dtype = bucket_row(settings)
        spools = [Spool(self._scratch / f"bucket-{number:05}", dtype) for number in range(len(buckets))]
        first, place = 0, 0
        for block in train.blocks(max(1, BLOCK_ROWS // objective.rows_per_rating)):
            self._progress("Sharing out the train rows", 0.5 + 0.2 * first / len(train))
            made = objective.rows(
                TrainRatings(
                    first=first,
                    users=block["user"].astype(np.int64),
                    movies=block["movie"].astype(np.int64),
                    ratings=block["rating"].copy(),
                    times=None if dataset.times is None else block["time"].copy(),
                )
            )
            shared = np.empty(len(made), dtype=dtype)
            places = np.arange(place, place + len(made), dtype=np.uint64)
            keys = made.keys if settings.shuffle else places
            shared["key"], shared["label"] = keys, made.labels
            shared["user"], shared["movie"] = made.users, made.movies
            if "time" in (dtype.names or ()):
                shared["time"] = made.times
            if "own" in (dtype.names or ()):
                shared["own"] = made.own
            scatter(shared, buckets.numbers(keys), spools)
            first += len(block)
            place += len(made)
        train.remove()
        shards = [sum(len(spools[number]) for number in buckets.of_shard(n)) for n in range(settings.shards)]
        if not all(shards):
            raise DataError(
                self._data.name,
                f"{rows} train rows leave {shards.count(0)} of {settings.shards} shards empty, and an "
                "instance that gets such a file has nothing to train with",
                remedy="Choose fewer shards",
            )
        for number, spool in enumerate(spools):
            self._store.put(spool.file(), _bucket_name(number))
        return buckets.per_shard, tuple(map(len, spools))

    def _put_records(self, key: str, batches: Iterator[SparseRecords]) -> WrittenRecords:
        path = self._scratch / key
        written = write_records(path, key, batches)
        self._store.put(path, key)
        return written

    def _ranking_records(
        self, liked: LikedTest, mapped: MappedHistories, encoder: FeatureEncoder
    ) -> Iterator[SparseRecords]:
        written, all_pairs = 0, len(liked.users) * liked.movies
        for users, movies, labels in unseen_pairs(liked, mapped):
            self._progress("Writing the ranking rows", 0.75 + 0.2 * written / all_pairs)
            yield from encoder.batches(users, movies, labels=labels)
            written += len(users)


class _Pairs:
    """The users and movies of a spool, any number of times."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool

    def __iter__(self) -> Iterator[tuple[Integers, Integers]]:
        for rows in self._spool.blocks():
            yield rows["user"].astype(np.int64), rows["movie"].astype(np.int64)


def _objective(settings: PrepareSettings, mapped: MappedHistories, popularity: Integers) -> Objective:
    if settings.objective == "rating":
        return RatingObjective(threshold=settings.liked_threshold, seed=settings.seed, labels=settings.labels)
    return RankingObjective(
        threshold=settings.liked_threshold,
        seed=settings.seed,
        negatives=settings.negatives,
        histories=mapped,
        popularity=popularity,
        alpha=settings.popularity_exponent,
    )


def _encoder(described: Catalog, histories_path: Callable[[], Path]) -> FeatureEncoder:
    needed = described.group("user_history") or described.group("movie_history")
    return FeatureEncoder(described, MappedHistories(histories_path()) if needed else None)


def _encoded(rows: Rows, encoder: FeatureEncoder) -> Iterator[SparseRecords]:
    names = rows.dtype.names or ()
    movies = rows["movie"].astype(np.int64)
    return encoder.batches(
        rows["user"].astype(np.int64),
        movies,
        rows["time"] if "time" in names else None,
        own=rows["own"].astype(np.int64) if "own" in names else movies,
        labels=rows["label"].copy(),
    )


def _test_records(test: Spool, objective: Objective, encoder: FeatureEncoder) -> Iterator[SparseRecords]:
    for rows in test.blocks():
        yield from encoder.batches(
            rows["user"].astype(np.int64),
            rows["movie"].astype(np.int64),
            rows["time"],
            labels=objective.labels(rows["rating"]),
        )


def _file_facts(path: Path) -> FileFacts:
    with path.open("rb") as file:
        return FileFacts(bytes=path.stat().st_size, sha256=hashlib.file_digest(file, "sha256").hexdigest())


# -- names and records ---------------------------------------------------------------------------------------


def _shard_key(shard: int, shards: int) -> str:
    return "train/train.protobuf" if shards == 1 else f"train/train-{shard:05}-of-{shards:05}.protobuf"


def _bucket_name(number: int) -> str:
    return f"{_PARTS}rows-{number:05}.bin"


def _record_name(shard: int) -> str:
    return f"{_PARTS}train-{shard:05}.json"


def _put_json(store: Store, name: str, content: BaseModel, scratch: Path) -> None:
    path = scratch / Path(name).name
    path.write_text(content.model_dump_json(indent=2) + "\n", encoding="utf-8")
    store.put(path, name)


def _clean_up(store: Store) -> None:
    """Remove what a step has left that another run was quicker than: the last step has been done already."""
    if read_manifest(store) is not None:
        _remove_parts(store)


def _remove_parts(store: Store) -> None:
    store.remove([name for name in store.sizes() if name.startswith(_PARTS)])


def _read_plan(store: Store) -> Plan | None:
    """The plan, None where there is none or not all that it consists of."""
    planned = _read_json(store, _PLAN, Plan)
    if planned is None:
        return None
    expected = {
        _bucket_name(n): rows * bucket_row(planned.settings).itemsize
        for n, rows in enumerate(planned.bucket_rows)
    }
    expected |= {channel.key: channel.bytes for channel in (planned.test, planned.ranking)}
    expected |= {name: facts.bytes for name, facts in planned.files.items()}
    sizes = store.sizes()
    return planned if all(sizes.get(name) == size for name, size in expected.items()) else None


def _read_shard(store: Store, shard: int, sizes: Mapping[str, int]) -> _Shard | None:
    """A shard's record, None where the shard is not encoded; `sizes` are those of the store."""
    name = _record_name(shard)
    found = _read_json(store, name, _Shard) if name in sizes else None
    return found if found and sizes.get(found.facts.key) == found.facts.bytes else None


def _read_json(store: Store, name: str, kind: type[_Content]) -> _Content | None:
    content = store.read(name)
    try:
        return None if content is None else kind.model_validate_json(content)
    except ValidationError:
        return None


def _unplanned(store: Store) -> DataError:
    if _PLAN in store.sizes():
        reason = "the plan here is not whole: it, or a file that belongs to it, is missing or damaged"
        return DataError(store.uri, reason, remedy="Run the plan step again")
    return DataError(store.uri, "nothing is planned here", remedy="Run the plan step first")
