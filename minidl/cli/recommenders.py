"""minidl train recommender, and minidl recommend: what someone may like next."""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from minidl import __version__
from minidl.cli import runs
from minidl.data import lecturer_ratings, movielens_100k, read_interactions
from minidl.errors import ArgumentError
from minidl.io.atomic_write import atomic_write

NAME = "recommender"
DATA: dict[str, Callable[[], Any]] = {
    "movielens-100k": movielens_100k,
    "lecturers": lecturer_ratings,
}
DEFAULT = "mf"
_TEST = 0.2  # of the interactions
_FILE, _NAMES = "model.safetensors", "names.json"
_OPTIONS = {"model", "recommender", "data", "epochs", "seed"}
_OTHERS = {"run", "command", "runs", "json"}


class Kind(NamedTuple):
    """A recommender by name: its class, what it is, and what else its constructor gets."""

    class_name: str
    about: str
    settings: dict[str, Any] = {}  # noqa: RUF012  never changed


MODELS = {
    "mf": Kind("MatrixFactorization", "matrix factorisation with biases"),
    "svdpp": Kind("SVDpp", "SVD++"),
    "als": Kind("ALS", "alternating least squares"),
    "nmf": Kind("NMF", "non-negative matrix factorisation"),
    "knn": Kind("ItemKNN", "nearest items", {"similarity": "pearson_baseline"}),
    "user-knn": Kind("UserKNN", "nearest users"),
    "slope-one": Kind("SlopeOne", "slope one"),
    "co-clustering": Kind("CoClustering", "co-clustering"),
    "biases": Kind("Biases", "biases of users and items"),
    "popularity": Kind("Popularity", "what most have met"),
    "implicit-als": Kind("ImplicitALS", "least squares for implicit feedback"),
    "bpr": Kind("BPR", "Bayesian personalised ranking"),
    "warp": Kind("WARP", "weighted approximate-rank pairwise"),
    "ease": Kind("EASE", "a linear autoencoder"),
    "puresvd": Kind("PureSVD", "truncated singular value decomposition"),
    "neumf": Kind("NeuMF", "neural matrix factorisation"),
    "fm": Kind("FactorizationMachine", "a factorisation machine, with the data's features"),
    "deepfm": Kind("DeepFM", "DeepFM, with the data's features"),
    "two-tower": Kind("TwoTower", "two towers, with the data's features"),
    "sasrec": Kind("SASRec", "self-attention over what was met, in order"),
    "gru4rec": Kind("GRU4Rec", "a recurrent network over what was met, in order"),
}


def train(options: argparse.Namespace) -> int:
    """Fit a recommender to four fifths of the interactions, and test it on the rest."""
    from minidl import recommend

    started = time.perf_counter()
    settings = _settings(options)
    data = _load(settings["data"])
    interactions = recommend.Interactions.of(data)
    part, test = recommend.evaluation.random_split(interactions, _TEST, seed=settings["seed"])
    model = _new(settings, data)
    found = recommend.evaluate(model, part, test, k=10)
    run = runs.begin(
        getattr(options, "runs", Path("runs")),
        {**settings, "data": Path(settings["data"]).stem},
        lambda folder: _keep(folder, model, getattr(data, "item_features", None)),
    )
    result = {
        "rmse": found.get("rmse"),
        "ndcg_at_10": found["ndcg@10"],
        "seconds": round(time.perf_counter() - started, 3),
        "model": str(run.folder / _FILE),
        "run": str(run.folder),
    }
    run.write("result.json", result)
    rmse = "" if result["rmse"] is None else f"RMSE {result['rmse']:.4f}, "
    print(f"{model} learned {len(part)} interactions")
    print(
        f"{rmse}NDCG@10 {result['ndcg_at_10']:.4f} on {len(test)} others, {result['seconds']:.1f} s"
    )
    print(f"everything is in {run.folder}; to ask it: minidl recommend {run.folder} --user ID")
    if "json" in options:
        print(json.dumps(result))
    return 0


def _settings(options: argparse.Namespace) -> dict[str, Any]:
    """What was chosen, and the usual values of the rest; ArgumentError for what it has not."""
    given = {name: value for name, value in vars(options).items() if name not in _OTHERS}
    for name in given:
        if name not in _OPTIONS and given[name] is not None:
            raise ArgumentError(f"{NAME} has no --{name.replace('_', '-')}")
    name = given.get("recommender", DEFAULT)
    usual = {"data": next(iter(DATA)), "seed": 0, "epochs": None}
    return {"minidl": __version__, **usual, **given, "model": NAME, "recommender": name}


def _load(data: str) -> Any:
    """The interactions of this name, or in this file."""
    if data in DATA:
        return DATA[data]()
    if not Path(data).exists():
        raise ArgumentError(f"{NAME} learns from {', '.join(DATA)}, or a file; there is no {data}")
    return read_interactions(data)


def _new(settings: dict[str, Any], data: Any) -> Any:
    """A recommender that is not fitted; it knows the features of the data if it can use them."""
    from inspect import signature

    from minidl import recommend

    kind = MODELS[settings["recommender"]]
    constructor = getattr(recommend, kind.class_name)
    features = {n: getattr(data, n, None) for n in ("user_features", "item_features")}
    chosen = {**kind.settings, **features, **{name: settings[name] for name in ("seed", "epochs")}}
    known = signature(constructor).parameters
    if settings["epochs"] is not None and "epochs" not in known:
        raise ArgumentError(f"{settings['recommender']} has no --epochs")
    return constructor(**{n: v for n, v in chosen.items() if n in known and v is not None})


def _keep(folder: Path, model: Any, features: Any) -> None:
    """Keep a model, and the titles of its items if they have some, in the folder of a run."""
    model.save(folder / _FILE)
    if features is not None and "title" in features:
        titles = [
            [id, str(title)]
            for id, title in zip(_plain(features.ids), features["title"], strict=True)
        ]
        with atomic_write(folder / _NAMES) as new:
            new.write_text(json.dumps(titles), encoding="utf-8")


def _plain(ids: Any) -> list[Any]:
    """Ids as Python has them."""
    return list(ids.tolist() if hasattr(ids, "tolist") else ids)


def add_to(commands: Any) -> None:
    """Add the command and its arguments."""
    parser = commands.add_parser(
        "recommend",
        help="ask a trained recommender what someone may like",
        description="Ask a recommender that `minidl train recommender` has trained, or that "
        "`model.save` has saved: for the best items that a user has not met, or for items like "
        "one.",
    )
    add = parser.add_argument
    add("run_or_model", type=Path, metavar="RUN", help="the folder of a run, or a saved model")
    add("--user", metavar="ID", help="recommend for this user")
    add("--item", metavar="ID", help="find the items that are most similar to this one")
    add("--count", type=int, default=10, metavar="N", help="how many items (10)")
    add("--seen", action="store_true", help="also recommend what the user has met")
    add("--json", action="store_true", help="print one line of JSON")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print the items, each on a line, with why where the model knows."""
    from minidl import recommend

    if (options.user is None) == (options.item is None):
        raise ArgumentError("recommend: needs --user or --item, one of the two")
    folder = options.run_or_model
    path = folder / _FILE if folder.is_dir() else folder
    if not path.exists():
        raise ArgumentError(f"{folder} has no {_FILE}: minidl train {NAME} makes such a folder")
    model = recommend.load(path)
    titles = _titles(path.parent / _NAMES)
    if options.item is not None:
        item = _id(model.items, options.item)
        found, reasons = model.similar_items(item, options.count), {}
    else:
        user = _id(model.users, options.user)
        found = model.recommend(user, options.count, exclude_seen=not options.seen)
        reasons = _reasons(model, user, found, titles)
    if options.json:
        print(json.dumps([{"item": s.id, "score": round(s.score, 6)} for s in found], default=str))
        return 0
    for scored in found:
        because = f"   {reasons[scored.id]}" if scored.id in reasons else ""
        print(f"{scored.score:8.3f}   {_named(titles, scored.id)}{because}")
    return 0


def _reasons(model: Any, user: Any, found: Any, titles: dict[Any, str]) -> dict[Any, str]:
    """Why each item is recommended, if the model can say so."""
    from minidl.recommend import Explanation, Recommender, Scored

    if type(model)._explain is Recommender._explain:
        return {}
    said = {}
    for scored in found:
        why = model.explain(user, scored.id, 2)
        named = [Scored(_named(titles, id), score) for id, score in why]
        said[scored.id] = str(Explanation(why.because, named if why.because == "liked" else why))
    return said


def _id(ids: Any, text: str) -> Any:
    """The id that was meant: the text, or the number that it is."""
    if text in ids:
        return text
    for kind in (int, float):
        try:
            if kind(text) in ids:
                return kind(text)
        except ValueError:
            continue
    return text


def _titles(path: Path) -> dict[Any, str]:
    """The titles of items, if they were kept."""
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else {}


def _named(titles: dict[Any, str], id: Any) -> str:
    return f"{id} {titles[id]}" if id in titles else str(id)
