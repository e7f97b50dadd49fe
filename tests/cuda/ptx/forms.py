"""The forms of PTX's opcodes, as the PTX manual writes them, and which function translates each.

`add[round=rn|rz][ftz].f32` is `add`, then optionally one of `.rn` and `.rz`, optionally `.ftz`,
then `.f32`; `<type=u32|s32>` is one of the two, and must be there. A form is all of what it says,
and nothing else: an opcode that no form matches is a hard error, and `Form.expand` lists every one
that matches, so that all of them can be tested.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any

from .errors import NotUnderstood

_PART = re.compile(r"\[(?P<optional>[^\]]+)\]|<(?P<needed>[^>]+)>|\.(?P<literal>[^.\[<]+)")


@dataclass(frozen=True)
class Part:
    """A place in an opcode: its name, what may stand there, and whether it may be left out."""

    name: str
    choices: tuple[str, ...]
    optional: bool

    def pattern(self) -> str:
        """A regular expression of this part with its dot."""
        choices = "|".join(re.escape(choice) for choice in sorted(self.choices, key=len)[::-1])
        text = rf"\.(?P<{self.name}>{choices})" if self.name else rf"\.(?:{choices})"
        return f"(?:{text})?" if self.optional else text


class Form:
    """One grammar, e.g. `add[sat].s32`, and the function that translates its instructions."""

    def __init__(self, grammar: str, translate: Callable[..., Any]) -> None:
        self.grammar, self.translate = grammar, translate
        self.opcode = re.match(r"\w+", grammar)[0]  # type: ignore[index]
        self.parts = [self._part(m) for m in _PART.finditer(grammar[len(self.opcode) :])]
        self._pattern = re.compile(self.opcode + "".join(part.pattern() for part in self.parts))

    @staticmethod
    def _part(match: re.Match) -> Part:
        if match["literal"]:
            return Part("", (match["literal"],), optional=False)
        name, _, choices = (match["optional"] or match["needed"]).partition("=")
        return Part(name, tuple((choices or name).split("|")), bool(match["optional"]))

    def match(self, opcode: str) -> dict[str, str] | None:
        """The modifiers of an opcode by name, None if it is not of this form."""
        found = self._pattern.fullmatch(opcode)
        return None if found is None else {k: v or "" for k, v in found.groupdict().items()}

    def expand(self) -> Iterator[str]:
        """Every opcode of this form."""
        options = [("",) * p.optional + tuple("." + c for c in p.choices) for p in self.parts]
        for chosen in product(*options):
            yield self.opcode + "".join(chosen)

    def sample(self) -> list[str]:
        """A few opcodes of this form, with every modifier at least once."""
        every = list(self.expand())
        few: list[str] = []
        for part in self.parts:
            for choice in part.choices:
                having = [opcode for opcode in every if f".{choice}." in f"{opcode}."]
                few += having[len(few) * 7 % len(having) :][:1]
        return list(dict.fromkeys(few)) or every


FORMS: dict[str, list[Form]] = {}


def translates(*grammars: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Say of a function that it translates instructions of these forms."""

    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        for grammar in grammars:
            form = Form(grammar, function)
            FORMS.setdefault(form.opcode, []).append(form)
        return function

    return register


def find(opcode: str, line: int) -> tuple[Form, dict[str, str]]:
    """The form of an opcode and its modifiers.

    Raises NotUnderstood for an opcode that no form matches.
    """
    forms = FORMS.get(opcode.split(".")[0], [])
    for form in forms:
        modifiers = form.match(opcode)
        if modifiers is not None:
            return form, modifiers
    known = "; ".join(form.grammar for form in forms) or "none"
    raise NotUnderstood(f"PTX line {line}: {opcode} is not understood; known forms: {known}")
