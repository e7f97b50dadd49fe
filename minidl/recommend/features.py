"""What is known of items as vectors: texts by TF-IDF, categories, numbers, embeddings."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy import sparse

from minidl.data import Features
from minidl.data.text import word_tokens
from minidl.errors import ArgumentError, DTypeError, ShapeError, describe

KINDS = "text", "categories", "number", "vector"


class Words:
    """Texts as the weights of their words: (1 + log f)·(1 + log((1 + n)/(1 + n_w))).

    f is how often a word is in the text, n the number of texts, n_w of those that have the word:
    TF-IDF.  G. Salton, C. Buckley: Term-weighting approaches in automatic text retrieval, 1988.
    Words that were not learned are left out.
    """

    def learn(self, texts: Sequence[str]) -> None:
        """Learn the words, and how rare they are."""
        counts = Counter(word for text in texts for word in set(_words(text)))
        self.places = {word: place for place, word in enumerate(counts)}
        self.rarity = 1 + np.log((1 + len(texts)) / (1 + np.array([*counts.values()], float)))

    def encode(self, texts: Sequence[str]) -> sparse.csr_array:
        """(n, words)."""
        found = [Counter(w for w in _words(text) if w in self.places) for text in texts]
        places = [[self.places[word] for word in counts] for counts in found]
        values = [1 + np.log([*counts.values()]) for counts in found]
        matrix = _rows(places, values, len(self.places))
        matrix.data *= self.rarity[matrix.indices]
        return matrix


class Categories:
    """Categories, one or several for an item, as one axis each; unknown ones are left out."""

    def learn(self, values: Sequence[Any]) -> None:
        """Learn which categories there are."""
        found = dict.fromkeys(part for value in values for part in _parts(value))
        self.places = {value: place for place, value in enumerate(found)}

    def encode(self, values: Sequence[Any]) -> sparse.csr_array:
        """(n, categories)."""
        places = [
            [self.places[part] for part in dict.fromkeys(_parts(value)) if part in self.places]
            for value in values
        ]
        return _rows(places, [np.ones(len(own)) for own in places], len(self.places))


class Number:
    """A number x as (z, 1), where z = (x − mean)/standard deviation: cosines are of likeness."""

    def learn(self, values: Sequence[Any]) -> None:
        """Learn mean and standard deviation."""
        numbers = _numbers(values)
        self.mean, self.scale = float(numbers.mean()), float(numbers.std()) or 1.0

    def encode(self, values: Sequence[Any]) -> sparse.csr_array:
        """(n, 2)."""
        z = (_numbers(values) - self.mean) / self.scale
        return sparse.csr_array(np.stack([z, np.ones_like(z)], axis=1))


class Vector:
    """Vectors as they are, such as embeddings of texts or pictures."""

    def learn(self, values: Any) -> None:
        """Learn their length."""
        self.width = np.asarray(values).shape[1]

    def encode(self, values: Any) -> sparse.csr_array:
        """(n, d)."""
        vectors = np.asarray(values, np.float64)
        if vectors.ndim != 2 or vectors.shape[1] != self.width:
            raise ShapeError(f"features: needs vectors (n, {self.width}); got {vectors.shape}")
        if not np.isfinite(vectors).all():
            raise ArgumentError("features: vectors are finite; there is NaN or an infinity")
        return sparse.csr_array(vectors)


_ENCODERS: dict[str, Any] = dict(zip(KINDS, (Words, Categories, Number, Vector), strict=True))


def columns_of(features: Any) -> tuple[list[Any], dict[str, Any]]:
    """The ids and the columns of `data.Features`, or of a pair (ids, vectors)."""
    if isinstance(features, tuple) and len(features) == 2:
        ids, columns = features[0], {"vector": np.asarray(features[1], np.float64)}
    elif isinstance(features, Features):
        ids, columns = features.ids, dict(features)
    else:
        raise DTypeError(
            "features: needs minidl.data.Features(ids, columns), or (ids, vectors); got "
            f"{describe(features)}"
        )
    for name, column in columns.items():
        if len(column) != len(ids):
            raise ShapeError(f"features: {name} has {len(column)} values for {len(ids)} items")
    return list(ids), columns


def columns_like(known: Mapping[str, Any], features: Any) -> tuple[list[Any], dict[str, Any]]:
    """The ids of more items, and those of their columns that are known of the others."""
    ids, columns = columns_of(features)
    missing = [name for name in known if name not in columns]
    if missing:
        raise ArgumentError(f"add_items: features have no column {', '.join(missing)}")
    return ids, {name: columns[name] for name in known}


def kind_of(column: Any) -> str:
    """What a column looks like.

    Texts of several words, most of which occur once, are "text"; other texts and tuples are
    "categories", numbers a "number", and an array with two axes is a "vector".
    """
    if getattr(column, "ndim", 1) == 2:
        return "vector"
    first = column[0] if len(column) else ""
    if not isinstance(first, str | tuple | list):
        return "number"
    if not isinstance(first, str):
        return "categories"
    with_spaces = sum(" " in text for text in column)
    return "text" if with_spaces * 2 > len(column) and len(set(column)) * 2 > len(column) else (
        "categories"
    )  # fmt: skip


def encoder(name: str, column: Any, kind: str | None) -> Any:
    """What makes vectors of a column, having learned from it."""
    kind = kind or kind_of(column)
    if kind not in _ENCODERS:
        raise ArgumentError(f"features: {name} is one of {', '.join(KINDS)}; got {kind!r:.40}")
    new = _ENCODERS[kind]()
    new.learn(column)
    return new


def unit_rows(matrix: Any) -> sparse.csr_array:
    """Each row divided by its length; rows of zeros stay zero."""
    matrix = sparse.csr_array(matrix, dtype=np.float64)
    lengths = np.sqrt(matrix.power(2).sum(axis=1))
    scale = np.repeat(np.where(lengths > 0, lengths, 1), np.diff(matrix.indptr))
    matrix.data /= scale
    return matrix


def _words(text: Any) -> list[str]:
    return [token for token in word_tokens(text) if token[0].isalnum()]


def _parts(value: Any) -> Sequence[Any]:
    return value if isinstance(value, tuple | list) else (value,)


def _numbers(values: Any) -> np.ndarray:
    numbers = np.asarray(values, np.float64)
    if not np.isfinite(numbers).all():
        raise ArgumentError("features: numbers are finite; there is NaN or an infinity")
    return numbers


def _rows(places: Sequence[Sequence[int]], values: Sequence[Any], width: int) -> sparse.csr_array:
    """A sparse matrix from the columns of each row, and the values there."""
    bounds = np.append(0, np.cumsum([len(own) for own in places]))
    columns = np.array([place for own in places for place in own], np.int64)
    joined = np.concatenate([np.empty(0), *values])
    return sparse.csr_array((joined, columns, bounds), shape=(len(places), width))


def table_of(
    columns: Mapping[str, Any], encoders: Mapping[str, Any], weights: Mapping[str, float]
) -> sparse.csr_array:
    """A unit vector for each item: its columns side by side, each of unit length, times a weight.

    So a long text does not outweigh a category.
    """
    parts = [
        unit_rows(encoders[name].encode(column)) * weights.get(name, 1.0)
        for name, column in columns.items()
    ]
    return unit_rows(sparse.hstack(parts, format="csr")).astype(np.float32)


def encoders_of(
    columns: Mapping[str, Any], kinds: Mapping[str, str], weights: Mapping[str, float]
) -> dict[str, Any]:
    """An encoder for each column; ArgumentError for a kind or a weight of another."""
    for name in (*kinds, *weights):
        if name not in columns:
            raise ArgumentError(f"features: {name!r} is none of {', '.join(columns)}")
    return {name: encoder(name, column, kinds.get(name)) for name, column in columns.items()}
