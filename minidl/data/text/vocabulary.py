"""Vocabulary: the tokens that a model knows, and their ids."""

import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Self

import numpy as np

from minidl.checks import check_integers
from minidl.data.errors import FormatError
from minidl.errors import ArgumentError, BoundsError, DTypeError, describe, listed, path_of
from minidl.files import open_regular

_MOST_BYTES = 1 << 28  # of a file


class Vocabulary:
    """Tokens and their ids, which are their positions: 0, 1, …, n − 1.

    tokens     the tokens in the order of their ids, all different
    padding    the special token that fills short sequences, if there is one
    unknown    the special token that stands for all that the vocabulary has not, if there is one

    Special tokens that are not among the tokens come before them: padding is 0, unknown 1.
    `count` makes one from texts, `of_characters` one of the characters of a text.

    >>> from minidl.data.text import Vocabulary
    >>> words = Vocabulary(["the", "whale"], padding="<pad>", unknown="<unk>")
    >>> len(words), words.padding_id, words["whale"], "sea" in words
    (4, 0, 3, False)
    >>> words.encode(["the", "white", "whale"]), words.decode([2, 1, 3])
    ([2, 1, 3], ['the', '<unk>', 'whale'])
    """

    def __init__(
        self, tokens: Iterable[str], *, padding: str | None = None, unknown: str | None = None
    ) -> None:
        given = listed("Vocabulary", "a list of tokens", tokens)
        special = [token for token in (padding, unknown) if token is not None]
        if len(set(special)) < len(special):
            raise ArgumentError(f"Vocabulary: padding and unknown are both {padding!r}")
        self.tokens = (*(token for token in special if token not in given), *given)
        self._ids: dict[str, int] = {}
        for token in self.tokens:
            if not isinstance(token, str):
                raise DTypeError(f"Vocabulary: a token is a str; got {describe(token)}")
            if token in self._ids:
                raise ArgumentError(f"Vocabulary: {token!r} is there twice")
            self._ids[token] = len(self._ids)
        self.padding, self.unknown = padding, unknown
        self._has_words = any(len(token) > 1 for token in given if token not in special)

    @classmethod
    def count(
        cls,
        texts: Iterable[Iterable[str]],
        *,
        min_frequency: int = 1,
        max_size: int | None = None,
        padding: str | None = "<pad>",
        unknown: str | None = "<unk>",
    ) -> Self:
        """The vocabulary of some texts: special tokens, then the others from the most frequent.

        texts            each is the list of its tokens; or a mapping from tokens to their counts
        min_frequency    tokens that occur less often are left out
        max_size         the most tokens, special ones included; the rarest are left out

        Of tokens that occur equally often, the smaller string comes first, so that the same texts
        in any order give the same ids.

        >>> Vocabulary.count([["to", "be", "or"], ["not", "to", "be"]], max_size=4).tokens
        ('<pad>', '<unk>', 'be', 'to')
        """
        check_integers("Vocabulary.count", 1, min_frequency=min_frequency)
        special = [token for token in (padding, unknown) if token is not None]
        if max_size is not None:
            check_integers("Vocabulary.count", len(special), max_size=max_size)
        counts = _counts(texts)
        frequent = [
            token
            for token, frequency in sorted(counts.items(), key=lambda item: (-item[1], item[0]))
            if frequency >= min_frequency and token not in special
        ]
        if max_size is not None:
            frequent = frequent[: max_size - len(special)]
        return cls(frequent, padding=padding, unknown=unknown)

    @classmethod
    def of_characters(cls, text: str, *, unknown: str | None = None) -> Self:
        """The characters of a text, in the order of their code points.

        >>> Vocabulary.of_characters("banana").tokens
        ('a', 'b', 'n')
        """
        if not isinstance(text, str):
            raise DTypeError(f"Vocabulary.of_characters: needs a str; got {describe(text)}")
        return cls(sorted(set(text)), unknown=unknown)

    @property
    def padding_id(self) -> int | None:
        """The id of the padding token, if there is one."""
        return None if self.padding is None else self._ids[self.padding]

    @property
    def unknown_id(self) -> int | None:
        """The id of the token for unknown ones, if there is one."""
        return None if self.unknown is None else self._ids[self.unknown]

    def __len__(self) -> int:
        return len(self.tokens)

    def __iter__(self) -> Iterator[str]:
        return iter(self.tokens)

    def __contains__(self, token: object) -> bool:
        return token in self._ids

    def __getitem__(self, token: str) -> int:
        """The id of a token, or that for unknown ones; BoundsError if there is neither."""
        try:
            found = self._ids.get(token, self.unknown_id)
        except TypeError:  # cannot be hashed
            raise DTypeError(f"Vocabulary: a token is a str; got {describe(token)}") from None
        if found is None:
            raise BoundsError(
                f"Vocabulary: has no {token!r:.60}, and no token for unknown ones; leave it out, "
                "or make the vocabulary with unknown="
            )
        return found

    def encode(self, tokens: Iterable[str]) -> list[int]:
        """The ids of tokens; a str is a sequence of characters."""
        if isinstance(tokens, str) and self._has_words:
            raise DTypeError(
                "Vocabulary.encode: needs a list of tokens, for this is a vocabulary of words; got "
                f"{describe(tokens)}: split it first, as word_tokens does"
            )
        given = listed("Vocabulary.encode", "a list of tokens", tokens)
        try:
            return [self._ids[token] for token in given]  # the usual case, for speed
        except (KeyError, TypeError):
            return [self[token] for token in given]

    def decode(self, ids: Iterable[int]) -> list[str]:
        """The tokens of ids; BoundsError for an id that is none of 0 … n − 1."""
        given = ids.tolist() if hasattr(ids, "tolist") else listed("decode", "a list of ids", ids)
        for position, number in enumerate(given if isinstance(given, list) else [given]):
            if isinstance(number, bool) or not isinstance(number, int):
                raise DTypeError(
                    f"Vocabulary.decode: ids are a list of integers; got {describe(ids)}"
                )
            if not 0 <= number < len(self):
                raise BoundsError(
                    f"Vocabulary.decode: id {number} at position {position} is outside 0 … "
                    f"{len(self) - 1}"
                )
        return [self.tokens[number] for number in given]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Vocabulary):
            return NotImplemented
        return vars(self) == vars(other)

    __hash__ = None  # type: ignore[assignment]  # as of a list

    def __repr__(self) -> str:
        special = [f", {name}={getattr(self, name)!r}" for name in ("padding", "unknown")]
        return f"<Vocabulary of {len(self):,} tokens{''.join(special)}>"

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write it to a file, as JSON; one of that name is replaced when the new one is complete.

        >>> Vocabulary.of_characters("abc").save("letters.json")
        >>> Vocabulary.load("letters.json").tokens
        ('a', 'b', 'c')
        """
        target = path_of("Vocabulary.save", path)
        content = {"tokens": self.tokens, "padding": self.padding, "unknown": self.unknown}
        temporary = target.with_name(f".{target.name}-{os.urandom(8).hex()}")
        try:
            with open(temporary, "x", encoding="utf-8") as file:  # readable as new files are here
                json.dump(content, file, indent=1)
                file.write("\n")
            os.replace(temporary, target)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read what `save` wrote; FormatError for any other file."""
        path = path_of("Vocabulary.load", path)
        with open_regular(path) as file:
            text = file.read(_MOST_BYTES)
        try:
            content = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise FormatError(f"{path}: is no vocabulary: {error}") from None
        if not _is_vocabulary(content):
            raise FormatError(
                f"{path}: is no vocabulary: needs an object of tokens, padding and unknown"
            )
        try:
            return cls(content["tokens"], padding=content["padding"], unknown=content["unknown"])
        except ArgumentError as error:
            raise FormatError(f"{path}: {error}") from None


def _counts(texts: Any) -> Mapping[str, int]:
    """The number of times that each token occurs."""
    if isinstance(texts, Mapping):
        for token, count in texts.items():
            _check_token(token)
            if isinstance(count, bool) or not isinstance(count, int | float | np.number):
                raise DTypeError(
                    f"Vocabulary.count: the count of {token!r} is a number; got {describe(count)}"
                )
        return texts
    if isinstance(texts, str):
        raise DTypeError("Vocabulary.count: needs texts, each a list of tokens; got one str")
    counts: Counter[str] = Counter()
    for text in listed("Vocabulary.count", "texts, each a list of tokens", texts):
        if isinstance(text, str):
            raise DTypeError(
                f"Vocabulary.count: a text is a list of tokens; got {describe(text)}: split it "
                "first, as word_tokens does"
            )
        tokens = listed("Vocabulary.count", "texts, each a list of tokens", text)
        for token in tokens:
            _check_token(token)
        counts.update(tokens)
    return counts


def _check_token(token: Any) -> None:
    if not isinstance(token, str):
        raise DTypeError(f"Vocabulary.count: a token is a str; got {describe(token)}")


def _is_vocabulary(content: Any) -> bool:
    """Whether it is what `save` writes."""
    if not isinstance(content, dict) or set(content) != {"tokens", "padding", "unknown"}:
        return False
    tokens = content["tokens"]
    special = (content["padding"], content["unknown"])
    return (
        isinstance(tokens, list)
        and all(isinstance(token, str) for token in tokens)
        and all(token is None or isinstance(token, str) for token in special)
    )
