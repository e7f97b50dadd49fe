"""Loads, stores, atomics and address windows: each form, and each fault that they can have."""

import numpy as np
import pytest

from .errors import Fault, NotUnderstood
from .forms import FORMS
from .one_instruction import DTYPES, SAMPLED_OR_ALL, kernel_text, program, run
from .reference import values
from .syntax import SIZES

OPCODES = (
    *("ld", "st", "atom", "red", "fence", "membar", "prefetch", "prefetchu", "nanosleep"),
    *("cvta", "isspacep", "bra", "brx", "call", "ret", "exit", "trap"),
)
COUNT = 64
LOADS = [(form, "ld") for form in FORMS["ld"]] + [(form, "st") for form in FORMS["st"]]
TABLE = np.arange(64, dtype="u1") * 7 + 1


def _space(text):
    found = [s for s in ("global", "const", "shared", "local", "param") if f".{s}" in text]
    return found[0] if found else "global"


def _vector(text):
    return 4 if ".v4" in text else 2 if ".v2" in text else 1


def _registers(kind, count):
    return f".reg .{kind if kind in ('f32', 'f64') else f'b{max(16, 8 * SIZES[kind])}'} v<{count}>;"


def _names(count):
    return f"{{{', '.join(f'v{i}' for i in range(count))}}}" if count > 1 else "v0"


def _plain(kind):
    return kind if kind[0] == "f" else f"b{8 * SIZES[kind]}"


def _copy_in(space, size):
    """PTX that puts `size` bytes of the array of bytes at `p` where `q` then points, in a space."""
    store = {"shared": "st.shared", "local": "st.local"}[space]
    lines = [".reg .b64 q; .reg .b16 h;", f"mov.u64 q, room_{space};"]
    if space == "shared":
        lines += [".reg .b64 o; mul.wide.u32 o, w, 32; add.s64 q, q, o;"]
    for i in range(size):
        lines += [f"ld.global.u8 h, [p+{i}]; {store}.u8 [q+{i}], h;"]
    return "\n".join(lines)


def _load_text(text, name):
    """An entry that loads by `text` what the thread's 32 bytes say, and stores it plainly."""
    kind, count, space = text.split(".")[-1], _vector(text), _space(text)
    size = SIZES[kind] * count
    address = {"global": "p", "const": "q", "param": f"{name}_1+8"}.get(space, "q")
    setup = (
        {
            "global": "",
            "const": ".reg .b64 q; mov.u64 q, table;",
            "param": "",
        }.get(space)
        if space in ("global", "const", "param")
        else _copy_in(space, size)
    )
    stores = " ".join(
        f"st.global.{_plain(kind)} [r+{i * SIZES[kind]}], v{i};" for i in range(count)
    )
    return f"""
.visible .entry {name}(.param .u64 {name}_0, .param .align 16 .b8 {name}_1[40],
.param .u64 {name}_2) {{
.reg .b64 p, r, t; .reg .b32 w; .local .align 16 .b8 room_local[32];
mov.u32 w, %tid.x; mul.wide.u32 t, w, 32;
.shared .align 16 .b8 room_shared[2048];
ld.param.u64 p, [{name}_0]; add.s64 p, p, t; ld.param.u64 r, [{name}_2]; add.s64 r, r, t;
{_registers(kind, count)} {setup}
{text} {_names(count)}, [{address}];
{stores} ret; }}"""


@pytest.mark.parametrize("opcodes", SAMPLED_OR_ALL)
@pytest.mark.parametrize("form", FORMS["ld"], ids=lambda f: f.grammar)
def test_every_load(form, opcodes):
    texts = [t for t in opcodes(form) if SIZES[t.split(".")[-1]] * _vector(t) <= 16]
    declarations = f".const .align 16 .b8 table[64] = {{{', '.join(map(str, TABLE))}}};\n"
    made = program([_load_text(t, f"k{i}") for i, t in enumerate(texts)], declarations)
    rng = np.random.default_rng(0)
    data = rng.integers(0, 256, (COUNT, 32), np.uint8)
    parameter = bytes(8) + data[5].tobytes()
    for i, text in enumerate(texts):
        size = SIZES[text.split(".")[-1]] * _vector(text)
        got = np.zeros((COUNT, 32), np.uint8)
        made.launch(f"k{i}", (1,), (COUNT,), (data, parameter, got))
        wanted = {
            "const": np.broadcast_to(TABLE, (COUNT, 64)),
            "param": np.stack([data[5]] * COUNT),
        }
        assert (got[:, :size] == wanted.get(_space(text), data)[:, :size]).all(), text
        assert not got[:, size:].any(), text


@pytest.mark.parametrize("kind", ["s8", "u8", "s16", "u16", "s32", "u32"])
@pytest.mark.parametrize("register", ["b32", "b64"])
def test_loads_extend_to_wider_registers(kind, register):
    text = f".reg .b64 q; ld.param.u64 q, [k_0]; mul.wide.u32 t, w, {SIZES[kind]}; add.s64 q, q, t;"
    made = program([kernel_text("k", text + f"ld.global.{kind} d0, [q];", (kind,), (register,))])
    data = values(kind, COUNT, np.random.default_rng(0))
    (got,) = run(made, "k", [data], (register,))
    signed = data.view(f"i{SIZES[kind]}") if kind[0] == "s" else data
    assert (got == signed.astype("i8").astype(DTYPES[register])).all()


def _store_text(text, name):
    kind, count, space = text.split(".")[-1], _vector(text), _space(text)
    plain = kind if kind[0] == "f" else f"b{8 * SIZES[kind]}"
    loads = " ".join(f"ld.global.{plain} v{i}, [p+{i * SIZES[kind]}];" for i in range(count))
    target, back = {"global": ("r", "")}.get(space, ("q", None))
    setup = (
        f".reg .b64 q; mov.u64 q, room_{space}; .reg .b16 h;"
        if space in ("shared", "local")
        else ""
    )
    if space == "shared":
        setup += ".reg .b64 o; mul.wide.u32 o, w, 32; add.s64 q, q, o;"
    if back is None:
        size = SIZES[kind] * count
        back = " ".join(f"ld.{space}.u8 h, [q+{i}]; st.global.u8 [r+{i}], h;" for i in range(size))
    return f"""
.visible .entry {name}(.param .u64 {name}_0, .param .u64 {name}_1) {{
.reg .b64 p, r, t; .reg .b32 w; .local .align 16 .b8 room_local[32];
mov.u32 w, %tid.x; mul.wide.u32 t, w, 32;
.shared .align 16 .b8 room_shared[2048];
ld.param.u64 p, [{name}_0]; add.s64 p, p, t; ld.param.u64 r, [{name}_1]; add.s64 r, r, t;
{_registers(kind, count)} {setup} {loads}
{text} [{target}], {_names(count)};
{back} ret; }}"""


@pytest.mark.parametrize("opcodes", SAMPLED_OR_ALL)
@pytest.mark.parametrize("form", FORMS["st"], ids=lambda f: f.grammar)
def test_every_store(form, opcodes):
    texts = [t for t in opcodes(form) if SIZES[t.split(".")[-1]] * _vector(t) <= 16]
    texts = [t for t in texts if _space(t) not in ("const", "param")]
    if not texts:
        return
    made = program([_store_text(t, f"k{i}") for i, t in enumerate(texts)])
    data = np.random.default_rng(0).integers(0, 256, (COUNT, 32), np.uint8)
    for i, text in enumerate(texts):
        size = SIZES[text.split(".")[-1]] * _vector(text)
        got = np.zeros((COUNT, 32), np.uint8)
        made.launch(f"k{i}", (1,), (COUNT,), (data, got))
        assert (got[:, :size] == data[:, :size]).all(), text
        assert not got[:, size:].any(), text


# Atomics: every thread of a block adds to one cell; in the order of threads, so Python can follow

_STEPS = {
    "add": lambda old, b, c: old + b,
    "and": lambda old, b, c: old & b,
    "or": lambda old, b, c: old | b,
    "xor": lambda old, b, c: old ^ b,
    "min": lambda old, b, c: min(old, b),
    "max": lambda old, b, c: max(old, b),
    "inc": lambda old, b, c: 0 if old >= b else old + 1,
    "dec": lambda old, b, c: b if old == 0 or old > b else old - 1,
    "exch": lambda old, b, c: b,
    "cas": lambda old, b, c: c if old == b else old,
}


def _atomic_text(text, name, form):
    modifiers = form.match(text)
    kind, space = modifiers["type"], modifiers["space"] or "global"
    register = kind if kind in ("f32", "f64") else f"b{8 * SIZES[kind]}"
    plain = register
    third = ", c" if modifiers["op"] == "cas" else ""
    is_atom = text.startswith("atom")
    body = f"{text} {'d, ' if is_atom else ''}[q], b{third};"
    into = "st.global" if space == "global" else "st.shared"
    finish = f"@first ld.{space}.{plain} d, [q]; @first st.global.{plain} [cell], d;"
    return f"""
.visible .entry {name}(.param .u64 {name}_0, .param .u64 {name}_1, .param .u64 {name}_2) {{
.reg .b64 p, r, t, q, cell; .reg .b32 w, z; .reg .pred first; .reg .{register} b, c, d, e;
.shared .align 16 .b8 room[16];
mov.u32 w, %tid.x; mul.wide.u32 t, w, {SIZES[kind]}; setp.eq.u32 first, w, 0;
ld.param.u64 p, [{name}_0]; ld.param.u64 cell, [{name}_1]; ld.param.u64 r, [{name}_2];
add.s64 p, p, t; add.s64 r, r, t; ld.global.{plain} b, [p];
ld.global.{plain} c, [p+{64 * SIZES[kind]}];
mov.u64 q, {"room" if space == "shared" else "cell"}; ld.global.{plain} e, [cell];
@first {into}.{plain} [q], e; bar.sync 0;
{body}
{f"st.global.{plain} [r], d;" if is_atom else ""}
bar.sync 0; {finish} ret; }}"""


@pytest.mark.parametrize("opcodes", SAMPLED_OR_ALL)
@pytest.mark.parametrize("form", [*FORMS["atom"], *FORMS["red"]], ids=lambda f: f.grammar)
def test_every_atomic(form, opcodes):
    texts = opcodes(form)
    made = program([_atomic_text(t, f"k{i}", form) for i, t in enumerate(texts)])
    for i, text in enumerate(texts):
        modifiers = form.match(text)
        kind, rng = modifiers["type"], np.random.default_rng(i)
        dtype = np.dtype("f2") if kind == "f16x2" else DTYPES[kind]
        width = 2 if kind == "f16x2" else 1
        if dtype.kind == "f":
            data = rng.standard_normal(128 * width).astype(dtype)
        else:
            data = rng.integers(0, 9, 128).astype(dtype)
        cell = data[:width].copy() if modifiers["op"] != "cas" else data[5:6].copy()
        old, befores = cell.copy(), []
        made_results = np.zeros(64 * width, dtype)
        step = _STEPS[modifiers["op"]]
        for t in range(64):
            befores.append(old.copy())
            for w in range(width):
                b, c = data[t * width + w], data[(64 + t) * width + w]
                old[w] = dtype.type(step(old[w], b, c))
        made.launch(f"k{i}", (1,), (64,), (data, cell, made_results))
        assert (cell == old).all(), text
        if text.startswith("atom"):
            assert (made_results == np.concatenate(befores)).all(), text


def test_atomic_add_of_float32_flushes_in_global_memory_only():
    tiny = np.float32(1e-40)
    for space, wanted in (("global", 0), ("shared", tiny + tiny)):
        form = next(f for f in FORMS["red"] if f.match("red.global.add.f32"))
        made = program([_atomic_text(f"red.{space}.add.f32", "k", form)])
        data, cell = np.zeros(128, "f4"), np.array([tiny])
        data[0] = tiny
        made.launch("k", (1,), (1,), (data, cell, np.zeros(64, "f4")))
        assert cell[0] == wanted


# Windows, branches, calls


@pytest.mark.parametrize("space", ["global", "shared", "local", "const", "param"])
def test_generic_addresses(space):
    own = {"global": "p", "const": "table", "param": "k_0"}.get(space, f"room_{space}")
    fill = (
        f"mov.u32 x, 77; st.{space}.u32 [room_{space}], x;" if space in ("shared", "local") else ""
    )
    text = f"""
    .shared .align 16 .b8 room_shared[16]; .local .align 16 .b8 room_local[16];
    .reg .b64 q, s; .reg .pred e; ld.param.u64 p, [k_0]; mov.u64 s, {own}; {fill}
    cvta.{space}.u64 q, s; ld.u32 d0, [q]; isspacep.{space} e, q; selp.u32 d1, 1, 0, e;
    cvta.to.{space}.u64 s, q; ld.{space}.u32 d2, [s];
    """
    text += "".join(
        f"isspacep.{s} e, q; selp.u32 d{3 + i}, 1, 0, e;" for i, s in enumerate(("shared", "local"))
    )
    declarations = ".const .align 16 .b8 table[16] = {77, 0, 0, 0};\n"
    outputs = ("b32",) * 5
    made = program([kernel_text("k", text, ("b32",), outputs)], declarations)
    data = np.array([77], "u4")
    direct, inside, back, in_shared, in_local = run(made, "k", [data], outputs)
    low = data.ctypes.data & 0xFFFFFFFF
    assert inside[0] == 1
    assert direct[0] == back[0] == (low if space == "param" else 77)
    assert (in_shared[0], in_local[0]) == (space == "shared", space == "local")


def test_branches_calls_and_exit():
    declarations = """
    .func (.param .b32 result) twice(.param .b32 n) {
    .reg .b32 a; ld.param.u32 a, [n]; add.u32 a, a, a; st.param.b32 [result], a; ret.uni; }
    """
    text = """
    .reg .pred odd; .reg .b32 k; and.b32 k, a0, 3; mov.u32 d0, 100;
    list: .branchtargets L0, L1, L2, L3;
    brx.idx k, list;
    L0: mov.u32 d0, 10; bra.uni END;
    L1: mov.u32 d0, 11; bra END;
    L2: { .param .b32 n; .param .b32 r; st.param.b32 [n], a0; call.uni (r), twice, (n);
          ld.param.b32 d0, [r]; } bra END;
    L3: setp.gt.u32 odd, a0, 4; @odd exit; mov.u32 d0, 13;
    END:
    """
    made = program([kernel_text("k", text, ("b32",), ("b32",))], declarations)
    (got,) = run(made, "k", [np.arange(8, dtype="u4")], ("b32",))
    assert list(got) == [10, 11, 4, 13, 10, 11, 12, 0x5A5A5A5A & 0x5A]


@pytest.mark.parametrize(
    "text", ["fence.acq_rel.gpu;", "fence.sc.cta;", "membar.gl;", "membar.cta;", "nanosleep.u32 5;"]
)
def test_fences_change_nothing(text):
    made = program([kernel_text("k", text + "mov.u32 d0, a0;", ("b32",), ("b32",))])
    assert list(run(made, "k", [np.arange(4, dtype="u4")], ("b32",))[0]) == [0, 1, 2, 3]


def test_trap_ends_the_launch():
    text = ".reg .pred p1; setp.eq.u32 p1, a0, 3; @p1 trap; mov.u32 d0, 1;"
    made = program([kernel_text("k", text, ("b32",), ("b32",))])
    with pytest.raises(Fault, match=r"trap: kernel k, block \(0, 0, 0\), thread \(3, 0, 0\)") as e:
        run(made, "k", [np.arange(8, dtype="u4")], ("b32",))
    assert e.value.kind == "trap"


@pytest.mark.parametrize(
    "text",
    [
        "frobnicate.u32 d0, a0;",
        "add.u31 d0, a0, a0;",
        "add.rn.u32 d0, a0, a0;",
        "ld.global.v3.u32 d0, [p];",
        "add.u32 d0, a0;",
        "add.u64 d0, a0, a0;",
        "mov.u32 d0, %clock;",
        "mov.u32 d0, nothing;",
        ".maxnregs 5;",
        "st.const.u32 [p], a0;",
        "bra NOWHERE;",
        "add.u32 d0, a0, a0",
    ],
)
def test_what_is_not_known_is_an_error(text):
    with pytest.raises(NotUnderstood, match="PTX line"):
        program([kernel_text("k", text, ("b32",), ("b32",))])
