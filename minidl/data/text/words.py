"""Splitting text into words and punctuation."""

import re
import unicodedata
from functools import lru_cache

from minidl.checks import check_flags
from minidl.errors import DTypeError, describe


@lru_cache(maxsize=64)
def _pattern(marks: str) -> re.Pattern[str]:
    """What finds tokens in texts that have these marks, such as accents and vowel signs.

    Words are letters with the marks on them, digits and underscores, with apostrophes only between
    them: don't is one word.
    """
    part = rf"\w[\w{re.escape(marks)}]*"
    return re.compile(rf"{part}(?:['’]{part})*|[^\w\s]")


def _marks(text: str) -> str:
    """The marks in a text: characters that combine with the letter before them."""
    if text.isascii():
        return ""
    return "".join(sorted(c for c in set(text) if unicodedata.category(c)[0] == "M"))


def word_tokens(text: str, lower: bool = True) -> list[str]:
    """The words and punctuation marks of a text, in order.

    A word is a run of letters, with the marks on them, and digits of any script, with apostrophes
    between them; every other character but white space is a token of its own.

    lower    whether to convert the text to lower case first

    >>> from minidl.data.text import word_tokens
    >>> word_tokens("It isn't funny, it's 'clever'...")
    ['it', "isn't", 'funny', ',', "it's", "'", 'clever', "'", '.', '.', '.']
    """
    if not isinstance(text, str):
        raise DTypeError(f"word_tokens: needs a str; got {describe(text)}")
    check_flags("word_tokens", lower=lower)
    text = text.lower() if lower else text
    return _pattern(_marks(text)).findall(text)
