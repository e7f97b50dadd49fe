"""Recommenders as files: safetensors, in which nothing is ever executed."""

import os
from collections.abc import Callable, Hashable, Mapping
from typing import Any

import numpy as np
from scipy import sparse

from minidl import io, nn
from minidl.data import Features
from minidl.errors import DTypeError
from minidl.io import CheckpointError
from minidl.recommend.ids import Ids
from minidl.recommend.interactions import Interactions

_FORMAT = "minidl recommender"
Kinds = Mapping[str, Callable[..., Any]]  # recommenders by name


def write(path: str | os.PathLike[str], model: Any) -> None:
    """Write a fitted model."""
    io.save(path, {"format": _FORMAT, **packed(model)})


def read(path: str | os.PathLike[str], kinds: Kinds) -> Any:
    """The recommender in a file, of one of these kinds; CheckpointError if it holds none."""
    state = io.load(path)
    if not isinstance(state, dict) or state.get("format") != _FORMAT:
        raise CheckpointError(f"{os.fspath(path)}: holds no recommender")
    try:
        return _Reader(kinds).recommender(state)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise CheckpointError(f"{os.fspath(path)}: is damaged ({error})") from None


def packed(model: Any) -> dict[str, Any]:
    """A model as a tree that can be saved."""
    fitted = {name: _pack(getattr(model, name)) for name in model.FITTED}
    settings = {name: _pack(value) for name, value in model.settings().items()}
    kind = type(model).__name__
    return {"kind": kind, "settings": settings, "data": _pack(model.data), "fitted": fitted}


def _pack(value: Any) -> Any:
    """A value as a tree: what a checkpoint lacks is a dict with one name that begins with $."""
    if isinstance(value, Interactions):
        names = "user_codes", "item_codes", "ratings", "times"
        ids = {"users": _pack_ids(value.users), "items": _pack_ids(value.items)}
        return {"interactions": {**{n: getattr(value, n) for n in names}, **ids}}
    if sparse.issparse(value):
        parts = {name: getattr(value, name) for name in ("data", "indices", "indptr")}
        return {"csr": {**parts, "shape": tuple(map(int, value.shape))}}
    if isinstance(value, Ids):
        return {"ids": _pack_ids(value)}
    if isinstance(value, Features):
        columns = {name: _column(value[name]) for name in value}
        return {"features": {"ids": _pack_ids(Ids(value.ids, "item")), "columns": columns}}
    if isinstance(value, nn.Module):
        return {"module": value.state_dict()}
    if hasattr(value, "FITTED"):
        return {"recommender": packed(value)}
    if isinstance(value, list | tuple):
        return {"tuple" if isinstance(value, tuple) else "list": [_pack(item) for item in value]}
    if isinstance(value, dict):
        return {"dict": [[_pack(key), _pack(item)] for key, item in value.items()]}
    return {"value": value}


def _column(values: Any) -> Any:
    """A column of features; texts one by one."""
    is_text = isinstance(values, np.ndarray) and values.dtype.kind not in "biuf"
    return values.tolist() if is_text else values


def _pack_ids(ids: Ids) -> dict[str, Any]:
    """Ids as an array, if they are integers; otherwise one by one."""
    if all(type(value) is int and -(2**63) <= value < 2**63 for value in ids):
        return {"what": ids.what, "array": np.array(list(ids), np.int64)}
    return {"what": ids.what, "list": [_checked(value, ids.what) for value in ids]}


def _checked(value: Hashable, what: str) -> Hashable:
    parts = value if isinstance(value, tuple) else (value,)
    if not all(isinstance(part, str | int | float | bool) for part in parts):
        raise DTypeError(
            f"save: {what} {value!r:.60} is a {type(value).__name__}; ids that can be saved are "
            "numbers, texts and tuples of them"
        )
    return value


def _unpack_ids(tree: dict[str, Any]) -> Ids:
    return Ids(tree["array"].tolist() if "array" in tree else tree["list"], tree["what"])


def _interactions(tree: dict[str, Any]) -> Interactions:
    new = Interactions.__new__(Interactions)
    for name, value in tree.items():
        setattr(new, name, _unpack_ids(value) if name in ("users", "items") else value)
    return new


def _matrix(tree: dict[str, Any]) -> sparse.csr_array:
    return sparse.csr_array((tree["data"], tree["indices"], tree["indptr"]), shape=tree["shape"])


class _Reader:
    """Makes of a tree what `packed` made the tree of."""

    def __init__(self, kinds: Kinds) -> None:
        self._kinds = kinds
        self._readers: dict[str, Callable[[Any], Any]] = {
            "interactions": _interactions,
            "csr": _matrix,
            "ids": _unpack_ids,
            "features": lambda tree: Features([*_unpack_ids(tree["ids"])], tree["columns"]),
            "module": lambda state: state,
            "recommender": self.recommender,
            "tuple": lambda items: tuple(map(self.value, items)),
            "list": lambda items: list(map(self.value, items)),
            "dict": lambda pairs: {self.value(key): self.value(item) for key, item in pairs},
            "value": lambda value: value,
        }

    def value(self, tree: dict[str, Any]) -> Any:
        ((kind, content),) = tree.items()
        return self._readers[kind](content)

    def recommender(self, state: dict[str, Any]) -> Any:
        """The model that `packed` made a tree of."""
        kind = state["kind"]
        if kind not in self._kinds:
            raise ValueError(f"minidl has no recommender {kind!r:.40}")
        model = self._kinds[kind](**{n: self.value(v) for n, v in state["settings"].items()})
        model.data = self.value(state["data"])
        for name in model.FITTED:
            model.restore(name, self.value(state["fitted"][name]))
        return model
