"""Floating-point arithmetic (PTX manual 9.7.3) and half precision (9.7.4)."""

from ..forms import translates
from ..operation import Operation
from ..syntax import SIZES

_ROUND = "[round=rn|rz|rm|rp]"
_SIGNS = {"add": "+", "sub": "-", "mul": "*"}


def _name(o: Operation) -> str:
    return o.instruction.opcode.split(".")[0]


def _input(o: Operation, k: int, kind: str) -> str:
    value = o.value(k, kind)
    return f"flush({value})" if o["ftz"] and kind == "f32" else value


def _result(o: Operation, kind: str, expression: str, flops: int = 1) -> str:
    if o["ftz"] and kind == "f32":
        expression = f"flush({expression})"
    if o["sat"]:
        expression = f"SATURATE({expression})"
    return f"{{ COUNT({flops}); {o.set(0, kind, expression)} }}"


def _halves(o: Operation, count: int, expression: str, flops: int = 2) -> str:
    """Both halves of f16x2 operands by an expression of a_, b_, c_."""
    names = "abc"[: count - 1]
    pairs = "".join(f"u32 {n}2_ = {o.value(k + 1, 'b32')};" for k, n in enumerate(names))
    lines = "".join(
        "{ "
        + "".join(f"f16 {n}_ = BITS(f16, (u16)({n}2_ >> {shift})); (void){n}_; " for n in names)
        + f"f16 d_ = {expression}; d2_ |= (u32)BITS(u16, d_) << {shift}; }}"
        for shift in (0, 16)
    )
    return f"{{ COUNT({flops}); u32 d2_ = 0; {pairs} {lines} {o.set(0, 'b32', 'd2_')} }}"


@translates(
    *(f"{n}{_ROUND}[ftz][sat]<type=f32>" for n in _SIGNS),
    *(f"{n}{_ROUND}<type=f64>" for n in _SIGNS),
)
def arithmetic(o: Operation) -> str:
    """D = a + b, a − b, a·b."""
    o.count(3)
    kind, name = o["type"], _name(o)
    a, b = _input(o, 1, kind), _input(o, 2, kind)
    plain = o.rounding == "FE_TONEAREST"
    text = f"({a} {_SIGNS[name]} {b})" if plain else f"{name}_{kind}({a}, {b}, {o.rounding})"
    return _result(o, kind, text)


def _half_result(o: Operation, expression: str) -> str:
    expression = f"(f16)({expression})"
    if o["sat"]:
        expression = f"({{ f16 s_ = {expression}; s_ > 0 ? (s_ < 1 ? s_ : (f16)1) : (f16)0; }})"
    return f"RELU({expression})" if o["relu"] else expression


@translates(*(f"{n}[round=rn][sat]<type=f16|f16x2>" for n in _SIGNS))
def half_arithmetic(o: Operation) -> str:
    """D = a ± b, a·b of halves: exact in float32, then rounded once."""
    o.count(3)
    text = _half_result(o, f"(f32)a_ {_SIGNS[_name(o)]} (f32)b_")
    return _half(o, 3, text)


def _half(o: Operation, count: int, text: str, flops: int = 1) -> str:
    if o["type"] == "f16x2":
        return _halves(o, count, text, 2 * flops)
    names = "abc"[: count - 1]
    values = "".join(f"f16 {n}_ = {o.value(k + 1, 'f16')}; " for k, n in enumerate(names))
    return f"{{ COUNT({flops}); {values} {o.set(0, 'f16', text)} }}"


@translates(
    "fma<round=rn|rz|rm|rp>[ftz][sat]<type=f32>",
    "fma<round=rn|rz|rm|rp><type=f64>",
    "mad<round=rn|rz|rm|rp>[ftz][sat]<type=f32>",
    "mad<round=rn|rz|rm|rp><type=f64>",
)
def fused(o: Operation) -> str:
    """D = a·b + c, rounded once (mad is fma from sm_20 on)."""
    o.count(4)
    kind = o["type"]
    values = ", ".join(_input(o, k, kind) for k in (1, 2, 3))
    if o.rounding != "FE_TONEAREST":
        text = f"fma_{kind}({values}, {o.rounding})"
    else:
        text = f"fma{'f' if kind == 'f32' else ''}({values})"
    return _result(o, kind, text, flops=2)


@translates("fma<round=rn>[sat]<type=f16|f16x2>", "fma<round=rn>[relu]<type=f16|f16x2>")
def half_fused(o: Operation) -> str:
    """D = a·b + c of halves, rounded once."""
    o.count(4)
    return _half(o, 4, _half_result(o, "fma((f64)a_, (f64)b_, (f64)c_)"), flops=2)


@translates(
    "div<round=rn|rz|rm|rp>[ftz]<type=f32>",
    "div<how=approx|full>[ftz]<type=f32>",
    "div<round=rn|rz|rm|rp><type=f64>",
)
def divide(o: Operation) -> str:
    """D = a / b."""
    o.count(3)
    kind = o["type"]
    a, b = _input(o, 1, kind), _input(o, 2, kind)
    if o["how"]:
        return _result(
            o, kind, f"approximate_div({a}, {b})" if o["how"] == "approx" else f"({a} / {b})"
        )
    plain = o.rounding == "FE_TONEAREST"
    return _result(o, kind, f"({a} / {b})" if plain else f"div_{kind}({a}, {b}, {o.rounding})")


@translates(
    "rcp<round=rn|rz|rm|rp>[ftz]<type=f32>",
    "rcp<round=rn|rz|rm|rp><type=f64>",
    "sqrt<round=rn|rz|rm|rp>[ftz]<type=f32>",
    "sqrt<round=rn|rz|rm|rp><type=f64>",
)
def root_or_reciprocal(o: Operation) -> str:
    """D = 1 / a, or √a, correctly rounded."""
    o.count(2)
    kind, a = o["type"], _input(o, 1, o["type"])
    if _name(o) == "rcp":
        return _result(o, kind, f"div_{kind}(1, {a}, {o.rounding})")
    return _result(o, kind, f"sqrt_{kind}({a}, {o.rounding})")


@translates(
    *(f"{n}.approx[ftz]<type=f32>" for n in ("rcp", "sqrt", "rsqrt", "sin", "cos", "lg2", "ex2")),
    "tanh.approx<type=f32>",
)
def approximate(o: Operation) -> str:
    """A function that hardware approximates; here the nearest float32."""
    o.count(2)
    return _result(o, "f32", f"approximate_{_name(o)}({_input(o, 1, 'f32')})")


@translates(
    "tanh.approx<type=f16|f16x2>",
    "ex2.approx<type=f16|f16x2>",
)
def approximate_half(o: Operation) -> str:
    """The same of halves; here the nearest half."""
    o.count(2)
    return _half(o, 2, f"(f16)approximate_{_name(o)}((f32)a_)")


@translates("rsqrt.approx[ftz]<type=f64>")
def approximate_double(o: Operation) -> str:
    """1 / √a; here nearly rounded correctly."""
    o.count(2)
    return _result(o, "f64", f"(1 / sqrt({o.value(1, 'f64')}))")


@translates("abs[ftz]<type=f32>", "abs<type=f64>", "neg[ftz]<type=f32>", "neg<type=f64>")
def sign(o: Operation) -> str:
    """|a| or −a: the sign bit alone, of a NaN too."""
    o.count(2)
    kind, a = o["type"], _input(o, 1, o["type"])
    if _name(o) == "neg":
        return o.set(0, kind, f"-{a}")
    return o.set(0, kind, f"{'fabsf' if kind == 'f32' else 'fabs'}({a})")


@translates("abs<type=f16|f16x2|bf16|bf16x2>", "neg<type=f16|f16x2|bf16|bf16x2>")
def sign_of_half(o: Operation) -> str:
    """|a| or −a of halves: the sign bits alone."""
    o.count(2)
    size = SIZES[o["type"]]
    sign_bits = "0x80008000u" if size == 4 else "0x8000"
    kind, a = f"b{8 * size}", o.value(1, f"b{8 * size}")
    return o.set(0, kind, f"{a} ^ {sign_bits}" if _name(o) == "neg" else f"{a} & ~{sign_bits}")


@translates("min[ftz][NaN]<type=f32>", "max[ftz][NaN]<type=f32>", "min<type=f64>", "max<type=f64>")
def least_or_greatest(o: Operation) -> str:
    """The smaller or the greater; of a NaN and a number the number, or with .NaN the NaN."""
    o.count(3)
    kind = o["type"]
    function = f"{_name(o)}{'_nan' if o['NaN'] else ''}_{kind}"
    text = f"{function}({_input(o, 1, kind)}, {_input(o, 2, kind)})"
    return o.set(0, kind, text)


@translates("min[NaN]<type=f16|f16x2>", "max[NaN]<type=f16|f16x2>")
def least_or_greatest_half(o: Operation) -> str:
    """The same of halves."""
    o.count(3)
    return _half(o, 3, f"{_name(o)}{'_nan' if o['NaN'] else ''}_f16(a_, b_)", flops=0)


@translates("copysign<type=f32|f64>")
def copy_sign(o: Operation) -> str:
    """The magnitude of b with the sign of a."""
    o.count(3)
    kind = o["type"]
    function = "copysignf" if kind == "f32" else "copysign"
    return o.set(0, kind, f"{function}({o.value(2, kind)}, {o.value(1, kind)})")
