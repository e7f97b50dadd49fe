"""cvt (PTX manual 9.7.9.21) and cvta (9.7.9.20)."""

from ..forms import translates
from ..operation import ROUNDING, Operation
from ..syntax import Name
from .integer import bits

_INTEGERS = "u8|u16|u32|u64|s8|s16|s32|s64"
_TO_INTEGER = {"rni": "rn", "rzi": "rz", "rmi": "rm", "rpi": "rp"}


def _flushed(o: Operation, value: str, kind: str) -> str:
    return f"flush({value})" if o["ftz"] and kind == "f32" else value


@translates(f"cvt[sat]<to={_INTEGERS}><from={_INTEGERS}>")
def between_integers(o: Operation) -> str:
    """Truncated or extended; with .sat, clamped."""
    o.count(2)
    to, value = o["to"], o.value(1, o["from"], wide=True)
    if o["sat"]:
        width = bits(to)
        least = f"-((s128)1 << {width - 1})" if to[0] == "s" else "0"
        most = f"((s128)1 << {width - 1}) - 1" if to[0] == "s" else f"((s128)1 << {width}) - 1"
        value = f"({{ s128 w_ = {value}; w_ < {least} ? {least} : w_ > {most} ? {most} : w_; }})"
    return o.set(0, to, f"({to})({value})", wide=True)


@translates(f"cvt<round=rni|rzi|rmi|rpi>[ftz][sat]<to={_INTEGERS}><from=f16|f32|f64>")
def to_integer(o: Operation) -> str:
    """Rounded as said, and clamped."""
    o.count(2)
    to, source = o["to"], o["from"]
    value = _flushed(o, o.value(1, source), source)
    mode = ROUNDING[_TO_INTEGER[o["round"]]]
    function = "to_signed" if to[0] == "s" else "to_unsigned"
    text = f"{function}((f64){value}, {mode}, {bits(to)}, {int(source == 'f64')})"
    return o.set(0, to, f"({to}){text}", wide=True)


@translates(f"cvt<round=rn|rz|rm|rp>[sat]<to=f16|f32|f64><from={_INTEGERS}>")
def from_integer(o: Operation) -> str:
    """Rounded as said."""
    o.count(2)
    to, source = o["to"], o["from"]
    value = o.value(1, source, wide=True)
    word = "signed" if source[0] == "s" else "unsigned"
    if to == "f16":  # 64 bits do not fit a float64: what is lost is made to stick out
        text = f"narrow_f16(from_{word}_f64({value}, FE_TOWARDZERO), {o.rounding})"
        if bits(source) == 64:
            text = f"narrow_f16((f64)({value}) , {o.rounding})"
    else:
        text = f"from_{word}_{to}({value}, {o.rounding})"
    return o.set(0, to, f"SATURATE({text})" if o["sat"] else text)


@translates(
    "cvt[ftz][sat]<to=f32><from=f16>",
    "cvt[sat]<to=f64><from=f16>",
    "cvt[ftz][sat]<to=f64><from=f32>",
    "cvt<round=rn|rz|rm|rp>[ftz][sat]<to=f32><from=f64>",
    "cvt<round=rn|rz|rm|rp>[ftz][sat]<to=f16><from=f32>",
    "cvt<round=rn|rz|rm|rp>[sat]<to=f16><from=f64>",
)
def between_floats(o: Operation) -> str:
    """Exact to more bits, rounded as said to fewer."""
    o.count(2)
    to, source = o["to"], o["from"]
    value = _flushed(o, o.value(1, source), source)
    if to == "f16":
        text = f"narrow_f16((f64){value}, {o.rounding})"
    elif (to, source) == ("f32", "f64"):
        text = f"narrow_f32({value}, {o.rounding})"
    else:
        text = f"({to}){value}"
    text = _flushed(o, text, to)
    return o.set(0, to, f"SATURATE({text})" if o["sat"] else text)


@translates(
    "cvt[round=rni|rzi|rmi|rpi][ftz][sat]<to=f32>.f32",
    "cvt[round=rni|rzi|rmi|rpi][sat]<to=f64>.f64",
    "cvt[round=rni|rzi|rmi|rpi][sat]<to=f16>.f16",
)
def to_whole(o: Operation) -> str:
    """Rounded to a whole number of the same type."""
    o.count(2)
    kind = o["to"]
    text = _flushed(o, o.value(1, kind), kind)
    if o["round"]:
        text = f"({kind})integral((f64){text}, {ROUNDING[_TO_INTEGER[o['round']]]})"
    return o.set(0, kind, f"SATURATE({text})" if o["sat"] else text)


@translates("cvt<round=rn|rz>[relu]<to=f16x2|bf16x2>.f32")
def to_pair(o: Operation) -> str:
    """Two float32 in 16 bits each: a above, b below."""
    o.count(3)
    return o.set(0, "b32", " | ".join(f"(u32){_short(o, k)} << {s}" for k, s in ((1, 16), (2, 0))))


def _short(o: Operation, k: int) -> str:
    value = f"RELU({o.value(k, 'f32')})" if o["relu"] else o.value(k, "f32")
    if o["to"].startswith("bf16"):
        return f"bfloat_of({value}, {o.rounding})"
    return f"BITS(u16, narrow_f16((f64){value}, {o.rounding}))"


@translates("cvt<round=rn|rz>[relu]<to=bf16>.f32", "cvt<round=rn|rz>.relu<to=f16>.f32")
def to_short(o: Operation) -> str:
    """A float32 in 16 bits, negative numbers as 0."""
    o.count(2)
    if o.instruction.opcode.endswith("relu.f16.f32"):
        o.modifiers["relu"] = "relu"
    return o.set(0, "b16", _short(o, 1))


@translates("cvt.rna.tf32.f32")
def to_tf32(o: Operation) -> str:
    """Ten bits of fraction."""
    o.count(2)
    return o.set(0, "b32", f"tf32_of({o.value(1, 'f32')})")


@translates("cvta<space=global|shared|local|const|param><type=u32|u64>")
def to_generic(o: Operation) -> str:
    """An address in a space as a generic address."""
    o.count(2)
    windows = {"shared": "SHARED_WINDOW", "local": "LOCAL_WINDOW", "param": "PARAM_WINDOW"}
    return o.set(0, "u64", f"{windows.get(o['space'], '0')} + {_address(o, o['space'])}")


@translates("cvta.to<space=global|shared|local|const|param><type=u64>")
def from_generic(o: Operation) -> str:
    """A generic address as one in a space."""
    o.count(2)
    windows = {"shared": "SHARED_WINDOW", "local": "LOCAL_WINDOW", "param": "PARAM_WINDOW"}
    if o["space"] not in windows:
        return o.set(0, "u64", o.value(1, "u64"))
    text = f'leave_window({o.value(1, "u64")}, {windows[o["space"]]}, "{o["space"]}", {o.line})'
    return o.set(0, "u64", text)


def _address(o: Operation, space: str) -> str:
    operand = o.operands[1]
    found = o.scope.find("variables", operand.text) if isinstance(operand, Name) else None
    if found is not None and found[0].space != "reg":  # type: ignore[index]
        return o.variable_address(operand)
    return o.value(1, "u64")


@translates("isspacep<space=global|shared|local|const|param>")
def is_in_space(o: Operation) -> str:
    """Whether a generic address is in a space."""
    o.count(2)
    number = {"shared": 1, "local": 2, "param": 3}.get(o["space"], 0)
    return o.set(0, "pred", f"{o.value(1, 'u64')} >> 56 == {number}")
