"""Exchanges within a warp: every form, masks, and what is reported."""

from functools import cache
from itertools import product

import numpy as np
import pytest

from .errors import Fault
from .forms import FORMS
from .one_instruction import kernel_text, program, run

OPCODES = ("shfl", "vote", "match", "redux", "activemask")
LANES = np.arange(64, dtype="u4")


def _one(text, inputs, outputs, arrays, block=64, order="forward", checked=False):
    made = program([kernel_text("k", text, inputs, outputs)], checked=checked)
    return run(made, "k", arrays, outputs, block, order)


def _shuffled(mode, lane, b, c):
    """The PTX manual's definition of shfl: the source lane, and whether it is in range."""
    clamp, segment = c & 31, c >> 8 & 31
    most = (lane & segment) | (clamp & ~segment & 31)
    least = lane & segment
    source = {
        "up": lane - b,
        "down": lane + b,
        "bfly": lane ^ b,
        "idx": least | (b & ~segment & 31),
    }[mode]
    in_range = source >= most if mode == "up" else source <= most
    return (source if in_range else lane), in_range


WIDTHS, DISTANCES = (32, 16, 8), (0, 1, 3, 8, 16, 31)


def _clamp(mode, width):
    return (32 - width) << 8 | (0 if mode == "up" else 31)


@cache
def _shuffles(mode):
    """A program of all shuffles of a mode, which is compiled faster than each by itself."""
    entries = []
    for width, b in product(WIDTHS, DISTANCES):
        operands = f"d0|in, a0, {b}, {_clamp(mode, width)}, -1"
        text = f".reg .pred in; shfl.sync.{mode}.b32 {operands}; selp.u32 d1, 1, 0, in;"
        entries.append(kernel_text(f"by_{b}_in_{width}", text, ("b32",), ("b32", "b32")))
    return program(entries)


@pytest.mark.parametrize("order", ["forward", "reversed", "drawn"])
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("b", DISTANCES)
@pytest.mark.parametrize("mode", ["up", "down", "bfly", "idx"])
def test_shuffle(mode, b, width, order):
    name, outputs = f"by_{b}_in_{width}", ("b32", "b32")
    values, in_range = run(_shuffles(mode), name, [LANES * 5 + 1], outputs, 64, order)
    wanted = [_shuffled(mode, lane % 32, b, _clamp(mode, width)) for lane in range(64)]
    assert list(in_range) == [int(ok) for _, ok in wanted]
    assert list(values) == [(lane // 32 * 32 + s) * 5 + 1 for lane, (s, _) in enumerate(wanted)]


def test_shuffle_among_some_lanes():
    text = """.reg .pred low; .reg .b32 m; setp.lt.u32 low, w, 8; mov.u32 d0, 99;
    @!low bra END; shfl.sync.bfly.b32 d0, a0, 4, 31, 0xff; END:"""
    (got,) = _one(text, ("b32",), ("b32",), [LANES[:32]], block=32)
    assert list(got) == [i ^ 4 for i in range(8)] + [99] * 24


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("shfl.sync.down.b32 d0, a0, 8, 31, 0xff;", "reads lane 8, which does not take part"),
        ("shfl.sync.idx.b32 d0, a0, 20, 31, 0xff;", "reads lane 20, which does not take part"),
        ("shfl.sync.bfly.b32 d0, a0, 1, 31, 0xfe;", "lane 0 is not in its own mask"),
        ("shfl.sync.bfly.b32 d0, a0, 1, 31, 0xffff;", "which never all come"),
    ],
)
def test_what_a_shuffle_may_not_do(text, match):
    text = f"mov.u32 d0, 9; @!low bra END; {text} END: bar.sync 0;"
    text = ".reg .pred low; setp.lt.u32 low, w, 8;" + text
    with pytest.raises(Fault, match=match) as error:
        _one(text, ("b32",), ("b32",), [LANES[:32]], block=32)
    assert error.value.kind == "warp"


@pytest.mark.parametrize("pattern", [0, 0xFFFFFFFF, 0x80000001, 0x00F0F000])
def test_votes(pattern):
    holds = np.array([pattern >> (i % 32) & 1 for i in range(64)], "u4")
    text = "".join(f"vote.sync.{m}.pred d{i}, a0, -1;" for i, m in enumerate(("all", "any", "uni")))
    outputs = ("pred", "pred", "pred", "b32")
    got = _one(text + "vote.sync.ballot.b32 d3, a0, -1;", ("pred",), outputs, [holds])
    wanted = [pattern == 0xFFFFFFFF, pattern != 0, pattern in (0, 0xFFFFFFFF), pattern]
    for result, value in zip(got, wanted, strict=True):
        assert (result == int(value)).all()


@pytest.mark.parametrize("kind", ["b32", "b64"])
def test_match(kind):
    data = (LANES % 3).astype(kind.replace("b32", "u4").replace("b64", "u8")) << (
        20 if kind == "b32" else 40
    )
    text = f".reg .pred p1; match.any.sync.{kind} d0, a0, -1; match.all.sync.{kind} d1|p1, a0, -1;"
    text += f"selp.u32 d2, 1, 0, p1; match.all.sync.{kind} d3|p1, 7, -1; selp.u32 d4, 1, 0, p1;"
    got = _one(text, (kind,), ("b32",) * 5, [data])
    for lane in range(64):
        same = [i for i in range(32) if data[lane // 32 * 32 + i] == data[lane]]
        assert got[0][lane] == sum(1 << i for i in same)
    assert (got[1] == 0).all()
    assert (got[2] == 0).all()
    assert (got[3] == 0xFFFFFFFF).all()
    assert (got[4] == 1).all()


_REDUCE = {
    "add": lambda x: sum(map(int, x)),
    "min": min,
    "max": max,
    "and": np.bitwise_and.reduce,
    "or": np.bitwise_or.reduce,
    "xor": np.bitwise_xor.reduce,
}


@pytest.mark.parametrize("form", FORMS["redux"], ids=lambda f: f.grammar)
def test_every_reduction(form):
    for opcode in form.expand():
        kind = form.match(opcode)["type"]
        dtype = "i4" if kind == "s32" else "u4"
        data = np.random.default_rng(0).integers(0, 2**32, 64, np.uint64).astype("u4").view(dtype)
        (got,) = _one(f"{opcode} d0, a0, -1;", (kind,), (kind,), [data])
        for warp in (0, 32):
            wanted = int(_REDUCE[opcode.split(".")[2]](data[warp : warp + 32])) % 2**32
            assert (got.view("u4")[warp : warp + 32] == wanted).all(), opcode


@pytest.mark.parametrize("order", ["forward", "reversed", "drawn"])
def test_activemask_is_of_the_lanes_that_are_there(order):
    text = """.reg .pred low; setp.lt.u32 low, a0, 10; @low bra LOW; activemask.b32 d0; bra END;
    LOW: activemask.b32 d0; END:"""
    (got,) = _one(text, ("b32",), ("b32",), [LANES[:32]], block=32, order=order)
    assert list(got) == [0x3FF] * 10 + [0xFFFFFC00] * 22


def test_special_registers():
    names = [
        "laneid",
        "warpid",
        "nwarpid",
        "lanemask_eq",
        "lanemask_lt",
        "lanemask_le",
        "lanemask_gt",
        "lanemask_ge",
    ]
    text = (
        "".join(f"mov.u32 d{i}, %{name};" for i, name in enumerate(names)) + "mov.u32 d8, WARP_SZ;"
    )
    got = _one(text, ("b32",), ("b32",) * 9, [LANES])
    for i in range(64):
        lane = i % 32
        below = (1 << lane) - 1
        own = [lane, i // 32, 2, 1 << lane, below, below | 1 << lane]
        above = 0xFFFFFFFF & ~(below | 1 << lane)
        assert [int(g[i]) for g in got] == [*own, above, above | 1 << lane, 32]


def test_indices_of_threads_and_blocks():
    axes = [f"{name}.{axis}" for name in ("tid", "ntid", "ctaid", "nctaid") for axis in "xyz"]
    text = "".join(f"mov.u32 v{i}, %{a};" for i, a in enumerate(axes))
    stores = "".join(f"st.global.u32 [p+{4 * i}], v{i};" for i in range(12))
    made = program(
        [
            f""".visible .entry k(.param .u64 k_0) {{ .reg .b32 v<12>; .reg .b32 t, b;
            .reg .b64 p, o; {text}
            mad.lo.u32 t, v2, v4, v1; mad.lo.u32 t, t, v3, v0;
            mad.lo.u32 b, v8, v10, v7; mad.lo.u32 b, b, v9, v6;
            mul.lo.u32 b, b, 24; add.u32 t, t, b; mul.wide.u32 o, t, 48;
            ld.param.u64 p, [k_0]; add.s64 p, p, o; {stores} ret; }}"""
        ]
    )
    got = np.zeros((30, 24, 12), "u4")
    made.launch("k", (5, 3, 2), (4, 3, 2), (got,))
    for b in range(30):
        for t in range(24):
            thread, block = (t % 4, t // 4 % 3, t // 12), (b % 5, b // 5 % 3, b // 15)
            assert tuple(got[b, t]) == (*thread, 4, 3, 2, *block, 5, 3, 2)
