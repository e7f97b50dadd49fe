"""Comparison and selection (PTX manual 9.7.5 to 9.7.6)."""

from ..forms import translates
from ..operation import Operation

_ORDERED = {"eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}
_UNSIGNED = {"lo": "<", "ls": "<=", "hi": ">", "hs": ">="}
_WORDS = "u16|u32|u64|s16|s32|s64"
_BOOLEANS = {"and": "&", "or": "|", "xor": "^"}
_FLOAT_TESTS = "eq|ne|lt|le|gt|ge|equ|neu|ltu|leu|gtu|geu|num|nan"


def _compare(test: str, is_float: bool) -> str:
    """The C expression of a comparison of a_ and b_."""
    if test in _UNSIGNED:
        return f"a_ {_UNSIGNED[test]} b_"
    if not is_float:
        return f"a_ {_ORDERED[test]} b_"
    ordered = "(a_ == a_ && b_ == b_)"
    if test in ("num", "nan"):
        return ordered if test == "num" else f"!{ordered}"
    if test in _ORDERED:
        return f"({ordered} && a_ {_ORDERED[test]} b_)"
    return f"(!{ordered} || a_ {_ORDERED[test[:-1]]} b_)"


def _operand(o: Operation, k: int, kind: str) -> str:
    value = o.value(k, kind)
    return f"flush({value})" if o["ftz"] and kind == "f32" else value


def _comparison(o: Operation) -> str:
    kind = o["type"]
    floats = kind[0] == "f"
    stored = kind if floats or kind[0] != "b" else f"u{kind[1:]}"
    pair = f"{stored} a_ = {_operand(o, 1, kind)}, b_ = {_operand(o, 2, kind)};"
    return f"({{ {pair} (pred)({_compare(o['test'], floats)}); }})"


@translates(
    "setp<test=eq|ne><bool=and|or|xor><type=b16|b32|b64>",
    "setp<test=eq|ne><type=b16|b32|b64>",
    f"setp<test=eq|ne|lt|le|gt|ge>[bool=and|or|xor]<type={_WORDS}>",
    "setp<test=lo|ls|hi|hs>[bool=and|or|xor]<type=u16|u32|u64>",
    f"setp<test={_FLOAT_TESTS}>[bool=and|or|xor][ftz]<type=f16|f32|f64>",
)
def set_predicate(o: Operation) -> str:
    """p = a test b [bool c], q = !(a test b) [bool c]."""
    o.count(4 if o["bool"] else 3)
    first, second = o.pair(0)
    joined = f" {_BOOLEANS[o['bool']]} {o.value(3, 'pred')}" if o["bool"] else ""
    text = (
        f"pred t_ = {_comparison(o)}, c_ = (pred)(t_{joined}), d_ = (pred)(!t_{joined}); (void)d_;"
    )
    other = o.set(second, "pred", "d_") if second else ""
    return f"{{ {text} {o.set(first, 'pred', 'c_')} {other} }}"


@translates(
    f"set<test=eq|ne|lt|le|gt|ge>[bool=and|or|xor]<to=u32|s32|f32><type={_WORDS}>",
    f"set<test={_FLOAT_TESTS}>[bool=and|or|xor][ftz]<to=u32|s32|f32><type=f32|f64>",
)
def set_value(o: Operation) -> str:
    """D = all ones, or 1.0, where the comparison holds."""
    o.count(4 if o["bool"] else 3)
    joined = f" {_BOOLEANS[o['bool']]} {o.value(3, 'pred')}" if o["bool"] else ""
    return o.set(
        0, o["to"], f"({_comparison(o)}{joined}) ? {'1' if o['to'] == 'f32' else '-1'} : 0"
    )


@translates(f"selp<type=b16|b32|b64|{_WORDS}|f32|f64>")
def select(o: Operation) -> str:
    """D = p ? a : b."""
    o.count(4)
    kind = o["type"]
    return o.set(0, kind, f"{o.value(3, 'pred')} ? {o.value(1, kind)} : {o.value(2, kind)}")


@translates(
    f"slct<type=b16|b32|b64|{_WORDS}|f32|f64><by=s32>",
    f"slct[ftz]<type=b16|b32|b64|{_WORDS}|f32|f64><by=f32>",
)
def select_by_sign(o: Operation) -> str:
    """D = c ≥ 0 ? a : b."""
    o.count(4)
    kind, by = o["type"], _operand(o, 3, o["by"])
    return o.set(0, kind, f"{by} >= 0 ? {o.value(1, kind)} : {o.value(2, kind)}")


@translates("testp<test=finite|infinite|number|notanumber|normal|subnormal><type=f32|f64>")
def test_property(o: Operation) -> str:
    """P = whether a is of that kind."""
    o.count(2)
    tests = {
        "finite": "isfinite(a_)",
        "infinite": "isinf(a_)",
        "number": "!isnan(a_)",
        "notanumber": "isnan(a_)",
        "normal": "isnormal(a_)",
        "subnormal": "fpclassify(a_) == FP_SUBNORMAL",
    }
    value = o.value(1, o["type"])
    return o.set(0, "pred", f"({{ {o['type']} a_ = {value}; (pred)!!({tests[o['test']]}); }})")
