"""Every form of arithmetic, logic, comparison and conversion against Python's own numbers."""

from itertools import groupby

import numpy as np
import pytest

from .elementwise import CASES, Call
from .forms import FORMS
from .one_instruction import SAMPLED_OR_ALL, kernel_text, program, run
from .reference import same, values

COUNT = 512
GROUPS = [(opcode, form) for opcode in CASES for form in FORMS[opcode]]
pytestmark = pytest.mark.filterwarnings("ignore")


def _operands(call, rng):
    return [values(kind, COUNT, rng) for kind in call.inputs]


@pytest.mark.parametrize("opcodes", SAMPLED_OR_ALL)
@pytest.mark.parametrize(("opcode", "form"), GROUPS, ids=[f.grammar for _, f in GROUPS])
def test_every_form(opcode, form, opcodes):
    calls = [Call(text, form.match(text)) for text in opcodes(form)]
    calls = [call for call in calls if call.is_legal]
    entries = [
        kernel_text(f"k{i}", call.text(), call.inputs, call.outputs) for i, call in enumerate(calls)
    ]
    made = program(entries)
    for i, call in enumerate(calls):
        rng = np.random.default_rng(i)
        operands = _operands(call, rng)
        operands = call.prepare(operands)
        got = run(made, f"k{i}", operands, call.outputs)
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
