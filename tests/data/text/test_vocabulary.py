"""Words, characters and vocabularies."""

import json
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidl.data import FormatError
from minidl.data.text import Vocabulary, word_tokens
from minidl.errors import ArgumentError, BoundsError, DTypeError

TEXTS = [["b", "a", "b"], ["c", "b", "a"], ["d"]]


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("", []),
        (" \n\t", []),
        ("Don't panic!", ["don't", "panic", "!"]),
        ("rock'n'roll", ["rock'n'roll"]),
        ("''quoted''", ["'", "'", "quoted", "'", "'"]),
        ("80's—it’s", ["80's", "—", "it’s"]),
        ("a-b c_d 1.5", ["a", "-", "b", "c_d", "1", ".", "5"]),
        ("Ünïcode ЖЖ 中文", ["ünïcode", "жж", "中文"]),
        ("no\u00a0break\x00", ["no", "break", "\x00"]),
        ("cafe\u0301 n\u0303, \u0301x", ["cafe\u0301", "n\u0303", ",", "\u0301", "x"]),
        ("İstanbul'u", ["i\u0307stanbul'u"]),
        ("हिन्दी में। שָׁלוֹם", ["हिन्दी", "में", "।", "שָׁלוֹם"]),
    ],
)
def test_words_and_punctuation(text, tokens):
    assert word_tokens(text) == tokens


@given(st.text())
def test_tokens_leave_out_nothing_but_white_space(text):
    assert "".join(word_tokens(text, lower=False)) == "".join(text.split())


def test_case_may_be_kept():
    assert word_tokens("Call ME", lower=False) == ["Call", "ME"]
    with pytest.raises(DTypeError, match="word_tokens: needs a str; got list"):
        word_tokens(["a"])
    with pytest.raises(ArgumentError, match="lower"):
        word_tokens("a", lower=2)


def test_the_most_frequent_come_first_and_of_equals_the_smaller():
    words = Vocabulary.count(TEXTS)
    assert words.tokens == ("<pad>", "<unk>", "b", "a", "c", "d")
    assert (words.padding_id, words.unknown_id, len(words)) == (0, 1, 6)
    assert list(words) == list(words.tokens)


@pytest.mark.parametrize(
    ("settings", "tokens"),
    [
        ({"min_frequency": 2}, ("<pad>", "<unk>", "b", "a")),
        ({"max_size": 3}, ("<pad>", "<unk>", "b")),
        ({"max_size": 2}, ("<pad>", "<unk>")),
        ({"max_size": 99, "padding": None}, ("<unk>", "b", "a", "c", "d")),
        ({"min_frequency": 9, "padding": None, "unknown": None}, ()),
        ({"padding": "c", "unknown": "b"}, ("c", "b", "a", "d")),
        ({"padding": None, "unknown": None, "max_size": 0}, ()),
    ],
)
def test_how_many_there_are(settings, tokens):
    assert Vocabulary.count(TEXTS, **settings).tokens == tokens


def test_counts_may_be_given():
    assert Vocabulary.count({"a": 1, "b": 2}, padding=None, unknown=None).tokens == ("b", "a")


@given(st.permutations(TEXTS))
def test_the_order_of_the_texts_makes_no_difference(texts):
    assert Vocabulary.count(texts) == Vocabulary.count(TEXTS)


@given(st.lists(st.text(min_size=1)))
def test_decoding_undoes_encoding(tokens):
    words = Vocabulary.count([tokens])
    assert words.decode(words.encode(tokens)) == tokens
    assert all(token in words and words.tokens[words[token]] == token for token in tokens)


@given(st.text())
def test_characters(text):
    characters = Vocabulary.of_characters(text)
    assert characters.tokens == tuple(sorted(set(text)))
    assert "".join(characters.decode(characters.encode(text))) == text


def test_what_it_has_not_is_unknown():
    words = Vocabulary.count(TEXTS)
    assert words.encode(["z", "b", ""]) == [1, 2, 1]
    assert words["z"] == 1
    assert "z" not in words
    assert ["b"] not in Vocabulary.count(TEXTS, max_size=3).tokens


def test_without_a_token_for_unknown_ones_they_are_an_error():
    letters = Vocabulary.of_characters("abc")
    assert letters.unknown_id is letters.padding_id is None
    with pytest.raises(BoundsError, match="has no 'z', and no token for unknown ones"):
        letters.encode("az")


def test_bad_tokens_and_ids_are_refused():
    words = Vocabulary.count([["whale"]])
    with pytest.raises(DTypeError, match="this is a vocabulary of words; got str 'whale'"):
        words.encode("whale")
    with pytest.raises(DTypeError, match="a token is a str; got list"):
        words.encode([["whale"]])
    with pytest.raises(DTypeError, match="needs a list of tokens; got 3"):
        words.encode(3)
    for ids in ([3], [-1], [0, 9]):
        with pytest.raises(BoundsError, match=rf"id {ids[-1]} at position \d is outside 0 … 2"):
            words.decode(ids)
    for ids in (["a"], [1.0], [True], 2.5):
        with pytest.raises(DTypeError, match="ids"):
            words.decode(ids)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Vocabulary(["a", "b", "a"]), "'a' is there twice"),
        (lambda: Vocabulary(["a"], padding="x", unknown="x"), "padding and unknown are both 'x'"),
        (lambda: Vocabulary(["a", 1]), "a token is a str; got 1"),
        (lambda: Vocabulary(3), "needs a list of tokens; got 3"),
        (lambda: Vocabulary.count("text"), "got one str"),
        (lambda: Vocabulary.count(["text"]), "a text is a list of tokens; got str 'text'"),
        (lambda: Vocabulary.count([1]), "needs texts, each a list of tokens; got 1"),
        (lambda: Vocabulary.count(TEXTS, min_frequency=0), "min_frequency"),
        (lambda: Vocabulary.count(TEXTS, max_size=1), "max_size"),
        (lambda: Vocabulary.count([["a", 2]]), "count: a token is a str; got 2"),
        (lambda: Vocabulary.count([[["a"]]]), "count: a token is a str; got list"),
        (lambda: Vocabulary.count({"a": "x"}), "the count of 'a' is a number; got str 'x'"),
        (lambda: Vocabulary.count({"a": 1, 3: 5}), "count: a token is a str; got 3"),
        (lambda: Vocabulary.of_characters(["a"]), "needs a str"),
    ],
)
def test_bad_vocabularies_are_refused(make, message):
    with pytest.raises((ArgumentError, DTypeError), match=message):
        make()


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), unique=True))
def test_what_is_saved_is_loaded(tmp_path_factory, tokens):
    path = tmp_path_factory.mktemp("words") / "words.json"
    for special in ({}, {"unknown": "\n?"}, {"padding": "", "unknown": "?"}):
        words = Vocabulary(tokens, **special)
        words.save(path)
        assert Vocabulary.load(path) == words
        assert [p.name for p in path.parent.iterdir()] == ["words.json"]


def test_vocabularies_are_equal_if_all_is():
    assert Vocabulary(["a"]) == Vocabulary(["a"]) != Vocabulary(["b"])
    assert Vocabulary(["a"]) != Vocabulary(["a"], unknown="a")
    assert Vocabulary(["a"]) != ["a"]
    assert repr(Vocabulary.count(TEXTS)) == (
        "<Vocabulary of 6 tokens, padding='<pad>', unknown='<unk>'>"
    )


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        "[" * 99_999,
        '{"tokens": ["a"]}',
        json.dumps({"tokens": "abc", "padding": None, "unknown": None}),
        json.dumps({"tokens": [1], "padding": None, "unknown": None}),
        json.dumps({"tokens": ["a", "a"], "padding": None, "unknown": None}),
        json.dumps({"tokens": ["a"], "padding": 0, "unknown": None}),
        json.dumps({"tokens": ["a"], "padding": "p", "unknown": "p"}),
    ],
)
def test_other_files_are_refused(tmp_path, content):
    (tmp_path / "file").write_text(content)
    with pytest.raises(FormatError, match=f"{tmp_path / 'file'}: "):
        Vocabulary.load(tmp_path / "file")


@pytest.mark.skipif(os.name != "posix", reason="Windows has no such permissions")
def test_a_saved_file_has_the_permissions_of_new_files(tmp_path):
    (tmp_path / "plain").touch()
    Vocabulary(["a"]).save(tmp_path / "words.json")
    modes = {path.stat().st_mode for path in tmp_path.iterdir()}
    assert len(modes) == 1


def test_a_failure_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "words.json"
    Vocabulary(["a"]).save(path)

    def full(*_, **__):
        raise OSError("no space")

    monkeypatch.setattr(json, "dump", full)
    with pytest.raises(OSError, match="no space"):
        Vocabulary(["b"]).save(path)
    assert Vocabulary.load(path).tokens == ("a",)
    assert len(list(tmp_path.iterdir())) == 1
    with pytest.raises(FileNotFoundError):
        Vocabulary(["b"]).save(tmp_path / "nowhere" / "words.json")


@pytest.mark.skipif(os.name != "posix", reason="needs POSIX permissions")
def test_a_saved_file_may_be_read_as_other_new_files(tmp_path):
    (tmp_path / "new").touch()
    Vocabulary.of_characters("ab").save(tmp_path / "saved.json")
    modes = [(tmp_path / name).stat().st_mode for name in ("new", "saved.json")]
    assert modes[0] == modes[1]
    assert {path.name for path in tmp_path.iterdir()} == {"new", "saved.json"}
