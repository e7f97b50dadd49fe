"""Every form of arithmetic, logic, comparison and conversion against Python's own numbers."""

from functools import cache
from itertools import groupby

import numpy as np
import pytest

from .elementwise import CASES, Call
from .forms import FORMS, Form
from .one_instruction import SAMPLED_OR_ALL, kernel_text, program, run
from .reference import same, values

COUNT = 512
TOGETHER = 12  # groups in a program, where a few opcodes of each are tested
GROUPS = [(opcode, form) for opcode in CASES for form in FORMS[opcode]]
pytestmark = pytest.mark.filterwarnings("ignore")


def _operands(call, rng):
    return [values(kind, COUNT, rng) for kind in call.inputs]


@cache
def _calls(opcodes, group):
    """The legal calls of a form, with the names of their kernels."""
    _, form = GROUPS[group]
    calls = [Call(text, form.match(text)) for text in opcodes(form)]
    return {f"k{group}_{i}": call for i, call in enumerate(calls) if call.is_legal}


@cache
def _program(opcodes, first, count):
    """A program of some groups, which is compiled faster than one for each."""
    return program(
        [
            kernel_text(name, call.text(), call.inputs, call.outputs)
            for group in range(len(GROUPS))[first : first + count]
            for name, call in _calls(opcodes, group).items()
        ]
    )


@pytest.mark.parametrize("opcodes", SAMPLED_OR_ALL)
@pytest.mark.parametrize("group", range(len(GROUPS)), ids=[f.grammar for _, f in GROUPS])
def test_every_form(group, opcodes):
    count = TOGETHER if opcodes == Form.sample else 1
    made = _program(opcodes, group // count * count, count)
    for i, (name, call) in enumerate(_calls(opcodes, group).items()):
        operands = call.prepare(_operands(call, np.random.default_rng(i)))
        got = run(made, name, operands, call.outputs)
        for result, wanted in zip(got, call.wanted(operands), strict=True):
            bad = ~call.agrees(result, wanted)
            at = int(np.argmax(bad))
            assert not bad.any(), (
                f"{call.opcode}: {[x[at] for x in operands]} gave {result[at]}, not {wanted[at]}"
            )


def test_a_wrong_result_is_seen():
    call = Call("add.s32", {"type": "s32"})
    operands = _operands(call, np.random.default_rng(0))
    wanted = call.wanted(operands)[0].copy()
    wanted[3] += 1
    made = program([kernel_text("k", call.text(), call.inputs, call.outputs)])
    assert list(np.flatnonzero(~same(run(made, "k", operands, call.outputs)[0], wanted))) == [3]


def test_every_opcode_is_tested():
    from . import test_barriers, test_memory, test_tensor, test_warp

    elsewhere = {
        name for m in (test_barriers, test_memory, test_tensor, test_warp) for name in m.OPCODES
    }
    assert set(FORMS) == set(CASES) | elsewhere
    assert not [k for k, g in groupby(sorted([*CASES, *elsewhere])) if len(list(g)) > 1]
