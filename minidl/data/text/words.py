"""Splitting text into words and punctuation."""

import re

from minidl.checks import check_flags
from minidl.errors import DTypeError, describe

# Letters, digits and underscores, with apostrophes only between them: don't is one word.
_WORD = r"\w+(?:['’]\w+)*"
_TOKENS = re.compile(rf"{_WORD}|[^\w\s]")


def word_tokens(text: str, lower: bool = True) -> list[str]:
    """The words and punctuation marks of a text, in order.

    A word is a run of letters and digits of any script, with apostrophes between them; every other
    character but white space is a token of its own.

    lower    whether to convert the text to lower case first

    >>> from minidl.data.text import word_tokens
    >>> word_tokens("It isn't funny, it's 'clever'...")
    ['it', "isn't", 'funny', ',', "it's", "'", 'clever', "'", '.', '.', '.']
    """
    if not isinstance(text, str):
        raise DTypeError(f"word_tokens: needs a str; got {describe(text)}")
    check_flags("word_tokens", lower=lower)
    return _TOKENS.findall(text.lower() if lower else text)
