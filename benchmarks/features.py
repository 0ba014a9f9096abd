"""What feature groups and objectives bring: MovieLens 100k prepared, trained and measured, model by model.

    python benchmarks/features.py [--models NAME ...] [--seeds N] [--data PATH] [--folder PATH]

Every model is prepared by `data_prep` with its settings, trained by the local Factorization Machines trainer
and measured by `evaluation`: on the `ua` split's test ratings (accuracy, F1, cross-entropy, AUC) and by the
ten unseen movies that it would recommend first (NDCG@10, precision, coverage), over all users who like one
of their test ratings. Medians over the seeds, each of which sets both the data's order and the trainer's
initial values; in brackets, half of what lies between the lowest and the highest.

Nothing is chosen by the test ratings. The ratings that train are themselves split, five of each user held
out; on those are chosen the number of epochs, by cross-entropy or by NDCG, and the two numbers of Platt's
calibration, probability = sigmoid(a score + b), without which a regressor's stars are no probabilities. The
other hyperparameters were found on the same held-out ratings, by hand.

Rows with histories are some hundred columns wide: for all pairs to rank they would take gigabytes, so that
these models are only judged on ratings.
"""

import argparse
import statistics
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from data_prep.catalog import Catalog, GroupName  # noqa: E402 - the checkout, not an installed version
from data_prep.manifest import Manifest, PrepareSettings  # noqa: E402
from data_prep.prepare import prepare  # noqa: E402
from data_prep.recordio import SparseRecords, decode_sparse  # noqa: E402
from evaluation.classification import ClassificationMetrics, classification_metrics  # noqa: E402
from evaluation.ranking import (  # noqa: E402
    Candidates,
    RankingMetrics,
    popularity_scores,
    ranking_metrics,
)
from local_cloud.factorization_machines import kernel, records  # noqa: E402
from local_cloud.factorization_machines.dataset import Dataset  # noqa: E402
from local_cloud.factorization_machines.hyperparameters import Hyperparameters  # noqa: E402
from local_cloud.factorization_machines.model import Model, Scorer  # noqa: E402
from local_cloud.factorization_machines.optimizer import Optimizer  # noqa: E402
from ops.datasets import fetch_movielens_100k  # noqa: E402

Floats = NDArray[np.float64]

IDS: tuple[GroupName, ...] = ("user", "movie")
SIDE: tuple[GroupName, ...] = ("genres", "year", "age", "gender", "occupation")
HISTORIES: tuple[GroupName, ...] = ("user_history", "movie_history")
HELD_OUT = 5
ALL_USERS, NO_USERS = 1000, 1


@dataclass(frozen=True)
class Recipe:
    """How a model is made. `epochs` are tried on the held-out ratings; `rows` is about one mini-batch."""

    prepare: dict[str, object]
    train: dict[str, float]
    epochs: tuple[int, ...]
    rows: int = 500
    ranks: bool = True

    @property
    def regressor(self) -> bool:
        return self.prepare.get("labels") == "stars"


# Learning rates and decays are of (bias, linear, factors).
def hyperparameters(
    factors: int, sigma: float, rates: tuple[float, float, float], decays: tuple[float, float, float]
) -> dict[str, float]:
    names = ("bias", "linear", "factors")
    return {
        "num_factors": factors,
        "factors_init_sigma": sigma,
        **{f"{name}_lr": rate for name, rate in zip(names, rates, strict=True)},
        **{f"{name}_wd": decay for name, decay in zip(names, decays, strict=True)},
    }


_IDS = hyperparameters(64, 0.025, (0.01, 0.0018, 0.0004), (0.0, 2e-5, 1.2e-4))
_LIKED = hyperparameters(16, 0.01, (0.01, 0.0013, 0.0008), (0.0, 1.3e-5, 1e-4))
_STARS = hyperparameters(16, 0.01, (0.05, 0.00132, 0.00063), (0.0, 1.3e-5, 7.5e-6))
_RANKING = hyperparameters(64, 0.01, (0.01, 0.00041, 0.00072), (0.0, 1e-7, 6.3e-6))

RECIPES: dict[str, Recipe] = {
    "liked: ids": Recipe({"features": IDS}, _IDS, (26, 35, 44, 52)),
    "liked: ids, side": Recipe({"features": (*IDS, *SIDE)}, _IDS, (26, 35, 44, 52)),
    "liked: ids, side, histories": Recipe(
        {"features": (*IDS, *SIDE, *HISTORIES)}, _LIKED, (15, 20, 25, 30), ranks=False
    ),
    "stars: ids, side, histories": Recipe(
        {"features": (*IDS, *SIDE, *HISTORIES), "labels": "stars"}, _STARS, (15, 20, 25, 30), ranks=False
    ),
    "ranking: ids": Recipe(
        {"objective": "ranking", "features": IDS, "negatives": 48, "popularity_exponent": 0.25},
        _RANKING,
        (8, 10, 12, 14),
    ),
}


@dataclass(frozen=True)
class Measured:
    """One trained model on one test part."""

    ratings: ClassificationMetrics
    ranking: RankingMetrics | None
    popularity: RankingMetrics | None


class Prepared:
    """A prepared data set, read."""

    def __init__(self, folder: Path) -> None:
        self.manifest = Manifest.loads((folder / "manifest.json").read_bytes(), name=str(folder))
        self.catalog = Catalog.load(folder / "catalog.json")
        self.train = self._read(folder, [shard.key for shard in self.manifest.train.shards])
        self.test = self._read(folder, [self.manifest.test.key])
        self.ranking = self._read(folder, [self.manifest.ranking.key])

    def _read(self, folder: Path, keys: list[str]) -> SparseRecords:
        return decode_sparse(b"".join((folder / key).read_bytes() for key in keys))

    @property
    def liked(self) -> NDArray[np.float32]:
        threshold = self.manifest.settings.liked_threshold
        labels = self.test.labels
        is_stars = self.manifest.settings.labels == "stars"
        return (labels >= threshold).astype(np.float32) if is_stars else labels

    def candidates(self) -> Candidates:
        pairs = self.ranking.keys[self.ranking.indptr[:-1, None] + np.arange(2)]
        return Candidates(pairs[:, 0], pairs[:, 1] - len(self.catalog.users), self.ranking.labels == 1)


def rows_of(sparse: SparseRecords) -> kernel.Rows:
    return kernel.Rows(sparse.indptr, sparse.keys.astype(np.int32), sparse.values)


def batch_size(rows: int, about: int) -> int:
    """The size near `about` that leaves the last batch fullest: what is missing counts as rows of label 0."""
    return min(range(about - about // 20, about + about // 20 + 1), key=lambda size: (-rows % size, size))


def train(
    recipe: Recipe, data: Prepared, seed: int, epochs: int
) -> Iterator[tuple[int, Callable[[SparseRecords], Floats]]]:
    """Yield the model after each epoch: (epochs so far, scores by rows, before any calibration)."""
    settings = {
        **recipe.train,
        "feature_dim": data.catalog.feature_dim,
        "mini_batch_size": batch_size(len(data.train), recipe.rows),
        "predictor_type": "regressor" if recipe.regressor else "binary_classifier",
    }
    parsed = Hyperparameters.parse({name: format(value) for name, value in settings.items()})
    model = Model.initial(parsed, seed)
    optimizer = Optimizer(model, parsed)
    dataset = Dataset(rows_of(data.train), data.train.labels)
    for epoch in range(1, epochs + 1):
        optimizer.run(dataset, 0, -(-len(dataset) // parsed.mini_batch_size))

        def scores(sparse: SparseRecords) -> Floats:
            found = Scorer(model)(rows_of(sparse)).astype(np.float64)
            if recipe.regressor:
                return found
            found = np.clip(found, 1e-6, 1 - 1e-6)
            return np.log(found / (1 - found))

        yield epoch, scores


def platt(scores: Floats, liked: NDArray[np.float32]) -> tuple[float, float]:
    """The a and b for which sigmoid(a score + b) has the least cross-entropy, by Newton's method."""
    design = np.stack([(scores - scores.mean()) / scores.std(), np.ones_like(scores)])
    weights = np.array([1.0, 0.0])
    for _ in range(25):
        chances = 1 / (1 + np.exp(-weights @ design))
        hessian = (design * (chances * (1 - chances))) @ design.T
        weights -= np.linalg.solve(hessian, design @ (chances - liked))
    a = weights[0] / scores.std()
    return float(a), float(weights[1] - a * scores.mean())


def measure(
    recipe: Recipe, data: Prepared, scores: Callable[[SparseRecords], Floats], a: float, b: float
) -> Measured:
    chances = 1 / (1 + np.exp(-(a * scores(data.test) + b)))
    ratings = classification_metrics(data.liked, chances)
    if not recipe.ranks:
        return Measured(ratings, None, None)
    candidates, size = data.candidates(), len(data.catalog.movies)
    counts = np.array([movie.ratings for movie in data.catalog.movies])
    return Measured(
        ratings,
        ranking_metrics(candidates, scores(data.ranking), catalogue_size=size),
        ranking_metrics(candidates, popularity_scores(candidates, counts), catalogue_size=size),
    )


def choose(recipe: Recipe, data: Prepared) -> tuple[int, float, float]:
    """The epochs and the calibration that serve the held-out ratings best."""
    found = []
    for epoch, scores in train(recipe, data, 0, recipe.epochs[-1]):
        if epoch in recipe.epochs:
            a, b = platt(scores(data.test), data.liked)
            measured = measure(recipe, data, scores, a, b)
            by_rank = recipe.prepare.get("objective") == "ranking" and measured.ranking
            loss = -by_rank.ndcg if by_rank else measured.ratings.cross_entropy
            found.append((loss, epoch, a, b))
    return min(found)[1:]


def hold_out(archive: Path, folder: Path) -> Path:
    """Write a data set whose test ratings are five of each user's that train in `archive`'s ua split."""
    with zipfile.ZipFile(archive) as files:
        names = {Path(name).name: name for name in files.namelist()}
        for name in ("u.item", "u.user"):
            (folder / name).write_bytes(files.read(names[name]))
        lines = files.read(names["ua.base"]).splitlines(keepends=True)
    users = np.array([int(line.split(b"\t")[0]) for line in lines])
    order = np.lexsort((np.random.PCG64(0).random_raw(len(lines)), users))
    first = np.flatnonzero(np.diff(users[order], prepend=0))
    place = np.arange(len(lines)) - np.repeat(first, np.diff(first, append=len(lines)))
    held_out = np.zeros(len(lines), dtype=np.bool_)
    held_out[order] = place < HELD_OUT
    for name, chosen in (("ua.base", ~held_out), ("ua.test", held_out)):
        (folder / name).write_bytes(b"".join(lines[number] for number in np.flatnonzero(chosen)))
    return folder


def prepared(recipe: Recipe, source: Path, folder: Path, seed: int) -> Prepared:
    users = ALL_USERS if recipe.ranks else NO_USERS
    settings = PrepareSettings.model_validate({**recipe.prepare, "seed": seed, "ranking_users": users})
    return Prepared(folder / prepare(source, folder, settings=settings).digest)


def middle(values: list[float]) -> str:
    return f"{statistics.median(values):.4f} ({(max(values) - min(values)) / 2:.4f})"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", nargs="+", choices=RECIPES, default=[*RECIPES])
    parser.add_argument("--seeds", type=int, default=3, help="models of each kind (default 3)")
    parser.add_argument("--data", type=Path, default=ROOT / ".data" / "ml-100k.zip")
    parser.add_argument("--folder", help="where the prepared data go for the run, some hundred MB")
    options = parser.parse_args()
    archive = fetch_movielens_100k(options.data)
    kernel.load((*kernel.TRAINING, *records.READING))
    head = ("model", "epochs", "accuracy", "F1", "cross-entropy", "AUC", "NDCG@10", "precision", "coverage")
    print(f"| {' | '.join((*head, 's'))} |\n|{'---|' * (len(head) + 1)}", flush=True)
    popularity: list[RankingMetrics] = []
    for name in options.models:
        recipe, found, seconds = RECIPES[name], [], []
        with tempfile.TemporaryDirectory(dir=options.folder) as scratch:
            folder = Path(scratch)
            (folder / "held-out").mkdir()
            held_out = prepared(recipe, hold_out(archive, folder / "held-out"), folder, 0)
            epochs, a, b = choose(recipe, held_out)
            del held_out
            for seed in range(options.seeds):
                data = prepared(recipe, archive, folder, seed)
                start = time.perf_counter()
                *_, (_, scores) = train(recipe, data, seed, epochs)
                seconds.append(time.perf_counter() - start)
                found.append(measure(recipe, data, scores, a, b))
        ranked = [measured.ranking for measured in found if measured.ranking]
        popularity += [measured.popularity for measured in found if measured.popularity]
        columns = [
            middle([measured.ratings.accuracy for measured in found]),
            middle([measured.ratings.f1 for measured in found]),
            middle([measured.ratings.cross_entropy for measured in found]),
            middle([measured.ratings.auc for measured in found]),
            middle([ranking.ndcg for ranking in ranked]) if ranked else "",
            middle([ranking.precision for ranking in ranked]) if ranked else "",
            middle([ranking.coverage for ranking in ranked]) if ranked else "",
        ]
        print(f"| {name} | {epochs} | {' | '.join(columns)} | {statistics.median(seconds):.0f} |", flush=True)
    if popularity:
        best = popularity[0]
        print(f"| popularity | | | | | | {best.ndcg:.4f} | {best.precision:.4f} | {best.coverage:.4f} | |")


if __name__ == "__main__":
    main()
