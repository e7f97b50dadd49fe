"""Barriers: what they order, and how their misuse is reported."""

import numpy as np
import pytest

from .errors import Fault, LaunchError
from .one_instruction import kernel_text, program, run

OPCODES = ("bar", "barrier")
LANES = np.arange(128, dtype="u4")
ORDERS = ["forward", "reversed", "drawn"]
_TURN = """.shared .align 16 .b8 room[512]; .reg .b64 q, o; .reg .b32 other; mov.u64 q, room;
mul.wide.u32 o, w, 4; add.s64 o, q, o; st.shared.u32 [o], a0; {barrier}
sub.u32 other, n, w; sub.u32 other, other, 1; mul.wide.u32 o, other, 4; add.s64 o, q, o;
ld.shared.u32 d0, [o];"""


def _launch(text, outputs=("b32",), block=128, order="forward", checked=True, data=LANES):
    made = program([kernel_text("k", text, ("b32",), outputs)], checked=checked)
    return run(made, "k", [data], outputs, block, order)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize(
    "barrier",
    [
        "bar.sync 0;",
        "bar.sync 3;",
        "bar.sync 1, 128;",
        "bar.cta.sync 0;",
        "barrier.sync 2;",
        "barrier.sync.aligned 2;",
        "barrier.cta.sync 5, 128;",
    ],
)
def test_a_barrier_orders_a_block(barrier, order):
    (got,) = _launch(_TURN.format(barrier=barrier), order=order)
    assert (got == 127 - LANES).all()


@pytest.mark.parametrize("order", ORDERS)
def test_without_a_barrier_it_is_a_race(order):
    with pytest.raises(Fault) as error:
        _launch(_TURN.format(barrier=""), order=order)
    assert error.value.kind in ("race", "uninitialised")


@pytest.mark.parametrize("order", ORDERS)
def test_barriers_of_two_halves(order):
    """Each half of the block turns its own numbers round, at a barrier of its own."""
    text = """.shared .align 16 .b8 room[512]; .reg .b64 q, o; .reg .b32 h, base, i, j;
    mov.u64 q, room; shr.u32 h, w, 6; shl.b32 base, h, 6; and.b32 i, w, 63; mul.wide.u32 o, w, 4;
    add.s64 o, q, o; st.shared.u32 [o], a0; add.u32 h, h, 1; bar.sync h, 64;
    sub.u32 j, 63, i; add.u32 j, j, base; mul.wide.u32 o, j, 4; add.s64 o, q, o;
    ld.shared.u32 d0, [o];"""
    (got,) = _launch(text, order=order)
    assert (got == [i // 64 * 64 + 63 - i % 64 for i in range(128)]).all()


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("name", ["bar", "barrier", "bar.cta"])
def test_producers_arrive_and_consumers_wait(order, name):
    text = f""".shared .align 16 .b8 room[512]; .reg .b64 q, o; .reg .b32 j; .reg .pred first;
    mov.u64 q, room; mov.u32 d0, 0; setp.lt.u32 first, w, 64; @!first bra TAKE;
    mul.wide.u32 o, w, 4; add.s64 o, q, o; st.shared.u32 [o], a0; {name}.arrive 1, 128; bra END;
    TAKE: {name}.sync 1, 128; sub.u32 j, w, 64; mul.wide.u32 o, j, 4; add.s64 o, q, o;
    ld.shared.u32 d0, [o]; END:"""
    (got,) = _launch(text, order=order)
    assert (got == np.where(LANES < 64, 0, LANES - 64)).all()


def test_an_arrival_does_not_wait():
    """Who only arrives has not seen what the others wrote."""
    text = """.shared .align 16 .b8 room[512]; .reg .b64 q, o; .reg .b32 j; .reg .pred first;
    mov.u64 q, room; mov.u32 d0, 0; setp.lt.u32 first, w, 64; @first bra TAKE;
    mul.wide.u32 o, w, 4; add.s64 o, q, o; st.shared.u32 [o], a0; bar.sync 1, 128; bra END;
    TAKE: bar.arrive 1, 128; add.u32 j, w, 64; mul.wide.u32 o, j, 4; add.s64 o, q, o;
    ld.shared.u32 d0, [o]; END:"""
    for order in ORDERS:
        with pytest.raises(Fault) as error:
            _launch(text, order=order)
        assert error.value.kind in ("race", "uninitialised")


@pytest.mark.parametrize("few", [0, 1, 127, 128])
@pytest.mark.parametrize("name", ["bar.red", "bar.cta.red", "barrier.red", "barrier.cta.red"])
@pytest.mark.parametrize("count", ["", "128, "])
def test_reductions_at_a_barrier(few, name, count):
    aligned = ".aligned" if name.startswith("barrier") and few % 2 else ""
    text = f".reg .pred p1; setp.lt.u32 p1, w, {few}; {name}.popc{aligned}.u32 d0, 0, {count}p1;"
    text += f"{name}.and{aligned}.pred d1, 1, {count}p1; {name}.or{aligned}.pred d2, 0, {count}!p1;"
    how_many, all_hold, any_fails = _launch(text, ("b32", "pred", "pred"))
    assert (how_many == few).all()
    assert (all_hold == int(few == 128)).all()
    assert (any_fails == int(few < 128)).all()


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("@p1 bra END; bar.sync 0; END:", r"have ended|waits for 128 threads, and 96 came"),
        ("@p1 bra A; bar.sync 0; bra END; A: bar.sync 1; END:", "different barriers"),
        ("@p2 bra A; bar.sync 0; bra END;\nA: bar.sync 0; END:", "divergent barrier"),
        ("bar.sync 0, 96;", "more than 96 threads|96 elsewhere|threads arrived"),
        ("bar.sync 0, 50;", "not a multiple of a warp"),
        ("bar.sync 16;", "there are 16"),
        ("bar.sync 0, 256;", "the block has 128"),
        ("@p1 bra A; bar.sync 0, 96; bra END; A: bar.sync 0, 32; END:", "by 32 threads|by 96"),
        ("@p1 bra A; bra END; A: bar.arrive 0, 64; END:", "32 threads arrived at barrier 0"),
    ],
)
def test_misuse(text, match):
    setup = ".reg .pred p1, p2; .reg .b32 z; setp.lt.u32 p1, w, 32; and.b32 z, w, 1;"
    setup += "setp.eq.u32 p2, z, 0; mov.u32 d0, 0;"
    with pytest.raises(Fault, match=match) as error:
        _launch(setup + text, checked=False)
    assert error.value.kind == "barrier"


# Memory


@pytest.mark.parametrize(
    ("text", "kind", "match"),
    [
        (
            "ld.global.u32 d0, [q+512];",
            "bounds",
            "out-of-bounds global read of 4 bytes, 512 bytes from",
        ),
        ("ld.global.u32 d0, [q+-4];", "bounds", "out-of-bounds global read"),
        ("ld.u32 d0, [q+512];", "bounds", "out-of-bounds global read"),
        ("ld.global.u32 d0, [q+2];", "alignment", "misaligned global read of 4 bytes"),
        ("ld.global.v4.u32 {d0, d0, d0, d0}, [q+4];", "alignment", "misaligned global read of 16"),
        (
            "ld.shared.u32 d0, [room+64];",
            "bounds",
            "out-of-bounds shared read of 4 bytes at byte 64 of 64",
        ),
        ("ld.shared.u32 d0, [room+1];", "alignment", "misaligned shared read"),
        (
            "ld.shared.u32 d0, [room+8];",
            "uninitialised",
            "read of uninitialised shared memory, byte 8",
        ),
        ("ld.local.u32 d0, [own+32];", "bounds", "out-of-bounds local read"),
        ("ld.local.u32 d0, [own+4];", "uninitialised", "uninitialised local memory, byte 4"),
        ("mov.u64 o, 16; ld.global.u32 d0, [o];", "bounds", "out-of-bounds"),
        ("cvta.to.shared.u64 o, q; mov.u32 d0, 0;", "bounds", "not in that space"),
    ],
)
def test_memory_faults(text, kind, match):
    setup = """.shared .align 16 .b8 room[64]; .local .align 16 .b8 own[32]; .reg .b64 q, o;
    ld.param.u64 q, [k_0];"""
    with pytest.raises(Fault, match=match) as error:
        _launch(setup + text)
    assert error.value.kind == kind
    assert error.value.place.kernel == "k"
    assert error.value.place.line > 0


def test_fresh_memory_is_uninitialised():
    from .program import Memory

    text = ".reg .b64 q; ld.param.u64 q, [k_0]; ld.global.u32 d0, [q];"
    made = program([kernel_text("k", text, ("b32",), ("b32",))], checked=True)
    data, result = np.zeros(4, "u4"), np.zeros(4, "u4")
    fresh = Memory(data.ctypes.data, data.nbytes, fresh=True)
    with pytest.raises(Fault, match="uninitialised global memory"):
        made.launch("k", (1,), (4,), (data, result), memory=[fresh])


# Races


def _race(text, grid=1, block=64, order="forward"):
    made = program(
        [
            f""".visible .entry k(.param .u64 k_0) {{ .reg .b64 p, q; .reg .b32 w, d, l;
            .reg .pred p1;
            .shared .align 16 .b8 room[512]; mov.u32 w, %tid.x; and.b32 l, w, 31;
            ld.param.u64 p, [k_0]; mul.wide.u32 q, w, 4; add.s64 q, q, p; {text} ret; }}"""
        ],
        checked=True,
    )
    made.launch("k", (grid,), (block,), (np.zeros(256, "u4"),), order=order)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize(
    "text",
    [
        "st.global.u32 [p], w;",  # all threads write one number
        "st.global.u32 [q], w; ld.global.u32 d, [p+8];",  # … or read another's
        "ld.global.u32 d, [p]; st.global.u32 [p], 1;",
        "st.shared.u32 [room], w;",
        "red.global.add.u32 [p], 1; ld.global.u32 d, [p];",  # atomic against plain
        "st.global.u32 [q], w; shfl.sync.bfly.b32 d, w, 1, 31, -1; ld.global.u32 d, [p+8];",
        "st.global.u32 [q], w; bar.warp.sync -1; ld.global.u32 d, [p];",  # another warp's
        "ld.global.nc.u32 d, [q]; bar.sync 0; st.global.u32 [q], 1;",  # not read-only after all
    ],
)
def test_races_are_found(text, order):
    with pytest.raises(Fault) as error:
        _race(text, order=order)
    assert error.value.kind == "race"


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize(
    "text",
    [
        "st.global.u32 [q], w;",
        "ld.global.u32 d, [p];",
        "red.global.add.u32 [p], 1;",
        "st.global.u32 [q], w; bar.sync 0; ld.global.u32 d, [p+8]; bar.sync 0;"
        "st.global.u32 [q], 1;",
        "st.global.u32 [q], w; bar.warp.sync -1; shr.u32 l, w, 5; mul.wide.u32 q, l, 128;"
        "add.s64 q, q, p; ld.global.u32 d, [q+12];",  # one of the own warp's
        "ld.global.nc.u32 d, [q];",
        "st.volatile.global.u32 [p], w; ld.volatile.global.u32 d, [p];",
    ],
)
def test_what_is_ordered_is_no_race(text, order):
    _race(text, order=order)


@pytest.mark.parametrize("order", ORDERS)
def test_blocks_are_never_ordered(order):
    with pytest.raises(Fault, match="race in global memory") as error:
        _race("setp.eq.u32 p1, w, 0; @p1 st.global.u32 [p], 1;", grid=2, order=order)
    assert error.value.kind == "race"
    _race("red.global.add.u32 [p], 1;", grid=2, order=order)


def test_a_refused_launch():
    made = program([".visible .entry k() .maxntid 64, 1, 1 { ret; }"])
    made.launch("k", (1,), (64,), ())
    for grid, block, arguments in (((1,), (65,), ()), ((0,), (1,), ()), ((1,), (1,), (None,))):
        with pytest.raises(LaunchError):
            made.launch("k", grid, block, arguments)
    with pytest.raises(LaunchError, match="no kernel"):
        made.launch("other", (1,), (1,), ())


def test_memory_of_an_earlier_launch_is_out_of_bounds():
    made = program(
        [
            """.visible .entry k(.param .u64 k_0, .param .u64 k_1) { .reg .b64 p; .reg .b32 x;
            ld.param.u64 p, [k_1]; ld.global.u32 x, [p]; ret; }"""
        ]
    )
    arrays = sorted((np.zeros(64, "u4") for _ in range(2)), key=lambda a: a.ctypes.data)
    made.launch("k", (1,), (1,), arrays)
    with pytest.raises(Fault, match="out-of-bounds"):
        made.launch("k", (1,), (1,), (arrays[0], np.uint64(arrays[1].ctypes.data)))
