"""Tensor cores and asynchronous copies: the fragments of the PTX manual, and late arrival."""

import numpy as np
import pytest

from .errors import Fault
from .forms import FORMS
from .one_instruction import program

OPCODES = ("mma", "ldmatrix", "wmma", "cp")
_FILL = {"f16": (np.dtype("f2"), 2), "bf16": (np.dtype("u2"), 2), "tf32": (np.dtype("f4"), 1)}
rng = np.random.default_rng(0)


def _entry(body, parameters, registers="", name="k"):
    names = ", ".join(f".param .u64 {name}_{i}" for i in range(parameters))
    loads = "".join(f"ld.param.u64 p{i}, [{name}_{i}];" for i in range(parameters))
    return f""".visible .entry {name}({names}) {{ .reg .b64 p<{parameters}>; .reg .b64 t; .reg .b32 w;
    {registers} mov.u32 w, %tid.x; {loads} {body} ret; }}"""


def _lane(k, count, load, size=4):
    """PTX that loads or stores the lane's `count` registers from or to array k, as b32."""
    lines = [f"mul.wide.u32 t, w, {count * size}; add.s64 t, t, p{k};"]
    for i in range(count):
        name = f"{'abcd'[k]}{i}"
        lines += [
            f"ld.global.b32 {name}, [t+{4 * i}];" if load else f"st.global.b32 [t+{4 * i}], {name};"
        ]
    return " ".join(lines)


def _bfloat(bits):
    return (bits.astype("u4") << 16).view("f4")


def _value(kind, element):
    return _bfloat(element) if kind == "bf16" else element.astype("f8")


def _drawn(kind, shape):
    if kind == "bf16":
        return (rng.standard_normal(shape).astype("f4").view("u4") >> 16).astype("u2")
    return rng.standard_normal(shape).astype(_FILL[kind][0])


def _a_fragment(kind, a, depth):
    """The PTX manual's table: which row and column lane l holds in element i of A."""
    per = _FILL[kind][1]
    count = 16 * depth // 32
    rows = []
    for lane in range(32):
        g, t = lane // 4, lane % 4
        row = []
        for i in range(count):
            if per == 2:
                r = g + 8 * (i // 2 % 2)
                c = t * 2 + i % 2 + 8 * (i // 4)
            else:
                r, c = g + 8 * (i % 2), t + 4 * (i // 2)
            row.append(a[r, c])
        rows.append(row)
    return np.array(rows, a.dtype)


def _b_fragment(kind, b, depth):
    per = _FILL[kind][1]
    count = 8 * depth // 32
    rows = []
    for lane in range(32):
        g, t = lane // 4, lane % 4
        if per == 2:
            rows.append([b[t * 2 + i % 2 + 8 * (i // 2), g] for i in range(count)])
        else:
            rows.append([b[t + 4 * i, g] for i in range(count)])
    return np.array(rows, b.dtype)


def _c_places():
    return [
        (lane // 4 + 8 * (e // 2), lane % 4 * 2 + e % 2) for lane in range(32) for e in range(4)
    ]


MMA = [(form, opcode) for form in FORMS["mma"] for opcode in form.expand()]
MMA = [(f, o) for f, o in MMA if not f.match(o).get("b") or f.match(o)["b"] == f.match(o)["type"]]


@pytest.mark.parametrize(("form", "opcode"), MMA, ids=[o for _, o in MMA])
def test_every_product_of_tiles(form, opcode):
    kind, depth = form.match(opcode)["type"], int(opcode.split("m16n8k")[1].split(".")[0])
    half = opcode.endswith("f16.f16.f16.f16") or ".row.col.f16." in opcode
    a, b = _drawn(kind, (16, depth)), _drawn(kind, (depth, 8))
    if kind == "tf32":  # ten bits of fraction
        a, b = ((x.view("u4") & 0xFFFFE000).view("f4") for x in (a, b))
    c = rng.standard_normal((16, 8)).astype("f2" if half else "f4")
    fragments = _a_fragment(kind, a, depth), _b_fragment(kind, b, depth)
    c_fragment = np.array([c[p] for p in _c_places()], c.dtype).reshape(32, 4)
    counts = [f.nbytes // 128 for f in (*fragments, c_fragment)]
    d = np.zeros_like(c_fragment)
    groups = [
        f"{{{', '.join(f'{n}{i}' for i in range(k))}}}" for n, k in zip("abc", counts, strict=True)
    ]
    out = f"{{{', '.join(f'd{i}' for i in range(counts[2]))}}}"
    registers = "".join(
        f".reg .b32 {n}<{k}>;" for n, k in zip("abcd", [*counts, counts[2]], strict=True)
    )
    body = "".join(_lane(k, counts[k], True) for k in range(3))
    body += f"{opcode} {out}, {', '.join(groups)};" + _lane(3, counts[2], False)
    made = program([_entry(body, 4, registers)])
    for order in ("forward", "reversed"):
        made.launch("k", (1,), (32,), (*fragments, c_fragment, d), order=order)
        got = np.zeros((16, 8), "f8")
        for place, value in zip(_c_places(), d.ravel(), strict=True):
            got[place] = value
        wanted = _value(kind, a).astype("f8") @ _value(kind, b).astype("f8") + c
        assert np.abs(got - wanted).max() <= np.abs(wanted).max() * (2**-11 if half else 2**-23)


@pytest.mark.parametrize("space", ["shared", "shared::cta"])
@pytest.mark.parametrize("trans", ["", ".trans"])
@pytest.mark.parametrize("count", [1, 2, 4])
def test_ldmatrix(count, trans, space):
    matrices = rng.integers(0, 2**16, (count, 8, 8)).astype("u2")
    registers = ".reg .b32 d<4>; .reg .b32 x; .reg .b64 s, q; .shared .align 16 .b8 room[512];"
    names = ", ".join(f"d{i}" for i in range(count))
    body = f"""mov.u64 s, room; mul.wide.u32 q, w, 16; add.s64 s, s, q; add.s64 q, p0, q;
    .reg .b32 v<4>; ld.global.v4.b32 {{v0, v1, v2, v3}}, [q];
    st.shared.v4.b32 [s], {{v0, v1, v2, v3}}; bar.warp.sync -1; .reg .b32 a; cvt.u32.u64 a, s;
    ldmatrix.sync.aligned.m8n8.x{count}{trans}.{space}.b16 {{{names}}}, [a];
    mul.wide.u32 t, w, {4 * count}; add.s64 t, t, p1;
    {" ".join(f"st.global.b32 [t+{4 * i}], d{i};" for i in range(count))}"""
    data = np.zeros(256, "u2")
    data[: matrices.size] = matrices.ravel()
    got = np.zeros((32, count, 2), "u2")
    program([_entry(body, 2, registers)], checked=True).launch("k", (1,), (32,), (data, got))
    for lane in range(32):
        for m in range(count):
            shown = matrices[m].T if trans else matrices[m]
            assert list(got[lane, m]) == list(shown[lane // 4, lane % 4 * 2 : lane % 4 * 2 + 2])


def _wmma_body(shape, a_layout, b_layout, c_layout, d, c, space):
    m, n = (int(x) for x in shape[1:].split("k")[0].split("n"))
    lds = {
        "a": 16 if a_layout == "row" else m,
        "b": n if b_layout == "row" else 16,
        "c": n if c_layout == "row" else m,
    }
    part = f".{space}" if space else ""
    vectors = {
        "d": 4 if d == "f16" else 8,
        "a": 8,
        "b": 8,
        "c": 4 if c == "f16" else 8,
    }
    group = {k: f"{{{', '.join(f'{k}{i}' for i in range(v))}}}" for k, v in vectors.items()}
    head = "sync.aligned"
    return (
        "".join(f".reg .b32 {k}<{v}>;" for k, v in vectors.items()),
        f"""
    wmma.load.a.{head}.{a_layout}.{shape}{part}.f16 {group["a"]}, [p0], {lds["a"]};
    wmma.load.b.{head}.{b_layout}.{shape}{part}.f16 {group["b"]}, [p1], {lds["b"]};
    wmma.load.c.{head}.{c_layout}.{shape}{part}.{c} {group["c"]}, [p2], {lds["c"]};
    wmma.mma.{head}.{a_layout}.{b_layout}.{shape}.{d}.{c} {", ".join(group.values())};
    wmma.store.d.{head}.{c_layout}.{shape}{part}.{d} [p3], {group["d"]}, {lds["c"]};""",
    )


LAYOUTS = [(a, b, c) for a in ("row", "col") for b in ("row", "col") for c in ("row", "col")]


@pytest.mark.parametrize("types", [("f16", "f16"), ("f32", "f32"), ("f16", "f32"), ("f32", "f16")])
@pytest.mark.parametrize("shape", ["m16n16k16", "m32n8k16", "m8n32k16"])
def test_wmma(shape, types):
    variants = [(layouts, space) for layouts in LAYOUTS for space in ("", "global")]
    entries = []
    for i, (layouts, space) in enumerate(variants):
        registers, body = _wmma_body(shape, *layouts, *types, space)
        entries.append(_entry(body, 4, registers, f"k{i}"))
    made = program(entries, checked=True)
    for i, (layouts, _) in enumerate(variants):
        _check_wmma(made, f"k{i}", shape, layouts, types)


def _check_wmma(made, name, shape, layouts, types):
    m, n = (int(x) for x in shape[1:].split("k")[0].split("n"))
    dtypes = [np.dtype(t.replace("f16", "f2").replace("f32", "f4")) for t in types]
    a, b = rng.standard_normal((m, 16)).astype("f2"), rng.standard_normal((16, n)).astype("f2")
    c, d = rng.standard_normal((m, n)).astype(dtypes[1]), np.full((m, n), np.nan, dtypes[0])
    places = zip((a, b, c, d), (*layouts, layouts[2]), strict=True)
    flat = [(x.T if layout == "col" else x).ravel().copy() for x, layout in places]
    made.launch(name, (1,), (32,), flat)
    got = flat[3].reshape((n, m)).T if layouts[2] == "col" else flat[3].reshape(m, n)
    wanted = a.astype("f8") @ b.astype("f8") + c
    assert np.abs(got - wanted).max() <= np.abs(wanted).max() * (
        2**-10 if types[0] == "f16" else 2**-22
    )


# Copies

_COPY = """.shared .align 16 .b8 room[1024]; .reg .b64 s, q; .reg .b32 v, z; mov.u64 s, room;
mul.wide.u32 q, w, {n}; add.s64 s, s, q; add.s64 q, p0, q; st.shared.b32 [s], -1; {clear}
{copy} {wait} ld.shared.b32 v, [s]; mul.wide.u32 t, w, 4; add.s64 t, t, p1; st.global.b32 [t], v;"""


def _copied(copy, wait, n=16, clear="", checked=False):
    source = rng.integers(1, 2**31, 512).astype("u4")
    got = np.zeros(32, "u4")
    made = program(
        [_entry(_COPY.format(copy=copy, wait=wait, n=n, clear=clear), 2)], checked=checked
    )
    made.launch("k", (1,), (32,), (source, got))
    return got, source.view("u1")[: 32 * n].reshape(32, n)[:, :4].copy().view("u4").ravel()


COPIES = [(form, o) for form in FORMS["cp"] for o in form.expand() if ".global" in o]


@pytest.mark.parametrize("opcode", [o for _, o in COPIES])
def test_every_copy(opcode):
    for size in (4, 8, 16) if ".ca." in opcode else (16,):
        for waits in ("cp.async.commit_group; cp.async.wait_group 0;", "cp.async.wait_all;"):
            got, wanted = _copied(f"{opcode} [s], [q], {size};", waits, size)
            assert (got == wanted).all()
    filled, wanted = _copied(f"{opcode} [s], [q], 16, 2;", "cp.async.wait_all;")
    assert (filled == wanted & 0xFFFF).all()
    nothing, _ = _copied(f"mov.u32 z, 0; {opcode} [s], [q], 16, z;", "cp.async.wait_all;")
    assert (nothing == 0).all()


@pytest.mark.parametrize(
    "wait",
    [
        "",
        "cp.async.commit_group;",
        "cp.async.commit_group; cp.async.wait_group 1;",
        "cp.async.wait_group 0;",  # of no group: the copy was not committed
    ],
)
def test_a_copy_that_is_not_waited_for_has_not_arrived(wait):
    got, wanted = _copied("cp.async.ca.shared.global [s], [q], 16;", wait)
    assert (got == 0xFFFFFFFF).all()
    assert (got != wanted).all()
    with pytest.raises(Fault, match="uninitialised shared memory"):
        _copied("cp.async.ca.shared.global [s], [q], 16;", wait, checked=True)


def test_groups_arrive_in_order():
    copy = "cp.async.ca.shared.global [s], [q], 4; cp.async.commit_group;"
    copy += "cp.async.ca.shared.global [s+4], [q+4], 4; cp.async.commit_group;"
    got, wanted = _copied(copy, "cp.async.wait_group 1;")
    assert (got == wanted).all()
    late = "ld.shared.b32 z, [s+4]; mov.b32 v, z;"
    body = _COPY.format(
        copy=copy, wait="cp.async.wait_group 1;", n=16, clear="st.shared.b32 [s+4], 5;"
    )
    body = body.replace("ld.shared.b32 v, [s];", late)
    result = np.zeros(32, "u4")
    program([_entry(body, 2)]).launch("k", (1,), (32,), (np.zeros(512, "u4"), result))
    assert (result == 5).all()


def test_what_a_copy_may_not_do():
    for text, kind in (
        ("cp.async.ca.shared.global [s+8], [q], 16;", "alignment"),
        ("cp.async.ca.shared.global [s], [q+4], 8;", "alignment"),
        ("cp.async.ca.shared.global [s+1024], [q], 16;", "bounds"),
        ("cp.async.ca.shared.global [s], [q+4096], 16;", "bounds"),
        ("mov.u32 z, 17; cp.async.ca.shared.global [s], [q], 16, z;", "copy"),
    ):
        with pytest.raises(Fault) as error:
            _copied(text, "cp.async.wait_all;")
        assert error.value.kind == kind
