"""The bar of long fits."""

import io
import sys

from minidl.recommend.progress import track


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_track_is_silent_without_a_terminal(capsys):
    assert list(track("abc", "letters")) == ["a", "b", "c"]
    assert capsys.readouterr() == ("", "")


def test_track_draws_a_bar_on_a_terminal(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    assert list(track(iter("abc"), "letters", total=3)) == ["a", "b", "c"]
    assert "letters" in terminal.getvalue()
