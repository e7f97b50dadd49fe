"""Recommenders from implicit feedback beside the package `implicit`: NDCG@10 and training time.

    python -m bench.ranking                        1 M interactions of 20,000 users with 8,000 items
    python -m bench.ranking --scale                10 M of 150,000 with 30,000, each in a process of
                                                   its own with 8 GiB of memory
    python -m bench.ranking --threads 1 --only als,bpr

Both sides learn the same nine tenths, with the same factors, solver, regularisation, epochs and
threads, and are asked for the other tenth by a full ranking.  The interactions are made up
(`minidl.data.synthetic_interactions`).  Times are medians of `--rounds` taking turns.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np

import minidl
from minidl import recommend
from minidl.recommend import Interactions, Recommender, evaluation

_SMALL, _LARGE = (1_000_000, 20_000, 8_000), (10_000_000, 150_000, 30_000)
_FACTORS, _EPOCHS = 64, 15
_MEMORY = 8 << 30
_CASES = "als-cg", "als-cholesky", "bpr", "bpr-lock-free", "warp", "item-knn"


class Theirs(Recommender):
    """A model of `implicit`, asked through the interface of minidl."""

    RATES = False

    def __init__(self, model: Any) -> None:
        self.model = model

    def _fit(self, data: Interactions) -> None:
        from scipy.sparse import csr_matrix

        self.model.fit(csr_matrix(data.matrix), show_progress=False)

    def _scores(self, users: np.ndarray) -> np.ndarray:
        model = self.model
        if hasattr(model, "user_factors"):
            return np.asarray(model.user_factors[users] @ model.item_factors.T, np.float32)
        return np.asarray((self.data.matrix[users] @ model.similarity).todense(), np.float32)


@dataclass(frozen=True)
class Case:
    """Two models that compute the same, and what they are called."""

    ours: Callable[[], Recommender]
    theirs: Callable[[], Recommender] | None


def cases(threads: int) -> dict[str, Case]:
    """What is compared, by name."""
    from implicit.als import AlternatingLeastSquares
    from implicit.bpr import BayesianPersonalizedRanking
    from implicit.nearest_neighbours import CosineRecommender

    def als(solver: str) -> Case:
        theirs = {"factors": _FACTORS, "regularization": 0.01, "iterations": _EPOCHS}
        theirs |= {"use_cg": solver == "cg", "num_threads": threads, "random_state": 0}
        return Case(
            lambda: recommend.ImplicitALS(_FACTORS, 1.0, 0.01, _EPOCHS, solver),
            lambda: Theirs(AlternatingLeastSquares(**theirs)),
        )

    settings = {"factors": _FACTORS, "learning_rate": 0.05, "regularization": 0.01}
    theirs = {**settings, "iterations": _EPOCHS, "num_threads": threads, "random_state": 0}
    bpr = lambda: Theirs(BayesianPersonalizedRanking(**theirs))
    return {
        "als-cg": als("cg"),
        "als-cholesky": als("cholesky"),
        "bpr": Case(lambda: recommend.BPR(**settings, epochs=_EPOCHS), bpr),
        "bpr-lock-free": Case(
            lambda: recommend.BPR(**settings, epochs=_EPOCHS, lock_free=True), bpr
        ),
        "warp": Case(lambda: recommend.WARP(_FACTORS, epochs=_EPOCHS), None),
        "item-knn": Case(
            lambda: recommend.ItemKNN(k=50, similarity="cosine", kept=50),
            lambda: Theirs(CosineRecommender(K=50, num_threads=threads)),
        ),
    }


def interactions(size: tuple[int, int, int]) -> Interactions:
    """Made-up interactions, each a meeting, without ratings."""
    users, items, *_ = minidl.data.synthetic_interactions(*size, seed=0)
    return Interactions(users, items)


def timed(make: Callable[[], Recommender], data: Interactions) -> tuple[Recommender, float]:
    """A fitted model, and the seconds that it took."""
    model, begin = make(), time.perf_counter()
    model.fit(data)
    return model, time.perf_counter() - begin


def compare(name: str, case: Case, train: Any, test: Any, rounds: int) -> dict[str, Any]:
    """Medians of the training times, and NDCG@10, of both sides."""
    sides = [("minidl", case.ours), *([("implicit", case.theirs)] if case.theirs else [])]
    seconds: dict[str, list[float]] = {side: [] for side, _ in sides}
    models = {}
    for number in range(rounds + 1):  # the first round loads kernels, and is not counted
        for side, make in sides:
            models[side], took = timed(make, train)
            if number:
                seconds[side].append(took)
    row: dict[str, Any] = {"case": name}
    for side, model in models.items():
        found = evaluation.evaluate(model, train, test, k=10, metrics=["ndcg"])
        row[side] = {"seconds": median(seconds[side]), "ndcg_at_10": found["ndcg@10"]}
    return row


def scale(name: str, side: str, threads: int) -> dict[str, Any]:
    """One model on the large data: seconds to fit, users a second to recommend for, peak memory."""
    data = interactions(_LARGE)
    data.matrix  # noqa: B018, so that its making is not counted
    case = cases(threads)[name]
    make = case.ours if side == "minidl" else case.theirs
    assert make is not None
    resource.setrlimit(resource.RLIMIT_DATA, (_MEMORY, _MEMORY))
    model, seconds = timed(make, data)
    begin = time.perf_counter()
    users = list(data.users)[:20_000] if side == "implicit" else None
    found = model.recommend(users, 10)
    rate = len(found) / (time.perf_counter() - begin)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10
    return {"seconds": seconds, "users_per_second": rate, "peak_gib": peak / 2**30}


def rows(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """A row of the table for each case."""
    chosen = options.only.split(",")
    names = [name for name in _CASES if any(name.startswith(part) for part in chosen)]
    if options.scale:
        for name in names:
            sides = ["minidl", *(["implicit"] if cases(1)[name].theirs else [])]
            yield {"case": name, **{side: _in_process(name, side, options) for side in sides}}
        return
    data = interactions(_SMALL)
    train, test = evaluation.random_split(data, 0.1, seed=0)
    for name in names:
        yield compare(name, cases(options.threads)[name], train, test, options.rounds)


def _in_process(name: str, side: str, options: argparse.Namespace) -> dict[str, Any]:
    command = [sys.executable, "-m", "bench.ranking", "--one", f"{name}:{side}"]
    command += ["--threads", str(options.threads)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        return {"failed": done.stderr.strip().splitlines()[-1:]}
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def main(given: list[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.ranking",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default=",".join(_CASES), help="names, or how they begin")
    parser.add_argument("--scale", action="store_true", help="10 M interactions")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    options = parser.parse_args(given)
    minidl.set_num_threads(options.threads)
    if options.one:
        print(json.dumps(scale(*options.one.split(":"), options.threads)))
        return
    for row in rows(options):
        _show(row)


def _show(row: dict[str, Any]) -> None:
    for side in ("minidl", "implicit"):
        if side in row:
            numbers = "  ".join(
                f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}"
                for name, value in row[side].items()
            )
            print(f"{row['case']:14} {side:9} {numbers}", flush=True)


if __name__ == "__main__":
    main()
