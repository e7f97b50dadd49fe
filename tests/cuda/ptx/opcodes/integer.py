"""Integer arithmetic (PTX manual 9.7.1) and extended precision (9.7.2)."""

from ..forms import translates
from ..operation import Operation
from ..syntax import SIZES

_WORDS = "u16|u32|u64|s16|s32|s64"


def bits(kind: str) -> int:
    """The number of bits of a type."""
    return 8 * SIZES[kind]


def _unsigned(kind: str) -> str:
    return f"u{bits(kind)}"


@translates(f"add<type={_WORDS}>", f"sub<type={_WORDS}>", "add.sat<type=s32>", "sub.sat<type=s32>")
def add_or_subtract(o: Operation) -> str:
    """D = a ± b, modulo 2^n; with .sat, clamped."""
    o.count(3)
    sign = "+" if o.instruction.opcode.startswith("add") else "-"
    if ".sat" in o.instruction.opcode:
        a, b = o.value(1, "s32"), o.value(2, "s32")
        wide = f"(s64){a} {sign} (s64){b}"
        return o.set(0, "s32", f"CLAMP_TO_S32({wide})")
    kind = _unsigned(o["type"])
    return o.set(0, o["type"], f"({kind})({o.value(1, kind)} {sign} {o.value(2, kind)})")


def _product(o: Operation, kind: str) -> tuple[str, str]:
    """The part of a·b that .lo, .hi or .wide names, and its type."""
    wide = "s128" if kind[0] == "s" else "u128"
    product = f"(({wide}){o.value(1, kind)} * {o.value(2, kind)})"
    if o["part"] == "wide":
        return product, f"{kind[0]}{2 * bits(kind)}"
    return (f"({product} >> {bits(kind)})" if o["part"] == "hi" else product), kind


@translates(f"mul<part=lo|hi><type={_WORDS}>", "mul<part=wide><type=u16|u32|s16|s32>")
def multiply(o: Operation) -> str:
    """D = a·b: the low or the high half, or all of it."""
    o.count(3)
    product, kind = _product(o, o["type"])
    return o.set(0, kind, f"({_unsigned(kind)})({product})")


@translates(f"mad<part=lo|hi><type={_WORDS}>", "mad<part=wide><type=u16|u32|s16|s32>")
def multiply_add(o: Operation) -> str:
    """D = a·b + c."""
    o.count(4)
    product, kind = _product(o, o["type"])
    unsigned = _unsigned(kind)
    return o.set(0, kind, f"({unsigned})(({unsigned})({product}) + {o.value(3, unsigned)})")


@translates("mad.hi.sat<type=s32>")
def multiply_add_saturated(o: Operation) -> str:
    """D = clamp((a·b >> 32) + c)."""
    o.count(4)
    wide = f"((s64){o.value(1, 's32')} * {o.value(2, 's32')} >> 32) + (s64){o.value(3, 's32')}"
    return o.set(0, "s32", f"CLAMP_TO_S32({wide})")


@translates("mul24<part=lo|hi><type=u32|s32>", "mad24<part=lo|hi><type=u32|s32>")
def multiply_24(o: Operation) -> str:
    """The low 32 or the high 32 of the 48 bits of a product of 24-bit numbers, plus c."""
    kind = o["type"]
    adds = o.instruction.opcode.startswith("mad")
    o.count(4 if adds else 3)

    def narrow(k: int) -> str:
        value = o.value(k, "u32")
        return (
            f"((s64)((s32)({value} << 8) >> 8))"
            if kind == "s32"
            else f"((u64)({value} & 0xffffff))"
        )

    product = f"({narrow(1)} * {narrow(2)})"
    shifted = f"({product} >> 16)" if o["part"] == "hi" else product
    total = f"((u32){shifted} + {o.value(3, 'u32')})" if adds else f"(u32){shifted}"
    return o.set(0, kind, total)


@translates(f"div<type={_WORDS}>", f"rem<type={_WORDS}>")
def divide(o: Operation) -> str:
    """A quotient toward zero, or its remainder; by zero, all bits are set (PTX leaves it open)."""
    o.count(3)
    kind = o["type"]
    is_quotient = o.instruction.opcode.startswith("div")
    a, b = o.value(1, kind), o.value(2, kind)
    by_minus_one = ""
    if kind[0] == "s":
        negated = f"({kind})(0 - ({_unsigned(kind)})a_)" if is_quotient else "0"
        by_minus_one = f"b_ == -1 ? {negated} : "
    quotient = f"{by_minus_one}a_ {'/' if is_quotient else '%'} b_"
    pair = f"{kind} a_ = {a}, b_ = {b};"
    return o.set(0, kind, f"({{ {pair} ({kind})(!b_ ? ({kind})~0ull : {quotient}); }})")


@translates("abs<type=s16|s32|s64>", "neg<type=s16|s32|s64>")
def absolute_or_negated(o: Operation) -> str:
    """|a| or −a, modulo 2^n."""
    o.count(2)
    kind, unsigned = o["type"], _unsigned(o["type"])
    negated = f"({kind})(0 - ({unsigned})a_)"
    result = negated if o.instruction.opcode.startswith("neg") else f"a_ < 0 ? {negated} : a_"
    return o.set(0, kind, f"({{ {kind} a_ = {o.value(1, kind)}; {result}; }})")


@translates(f"min<type={_WORDS}>", f"max<type={_WORDS}>")
def least_or_greatest(o: Operation) -> str:
    """The smaller or the greater of two integers."""
    o.count(3)
    kind = o["type"]
    sign = "<" if o.instruction.opcode.startswith("min") else ">"
    pair = f"{kind} a_ = {o.value(1, kind)}, b_ = {o.value(2, kind)};"
    return o.set(0, kind, f"({{ {pair} a_ {sign} b_ ? a_ : b_; }})")


@translates("sad<type=u16|u32|u64|s16|s32|s64>")
def sum_of_differences(o: Operation) -> str:
    """D = |a − b| + c."""
    o.count(4)
    kind, unsigned = o["type"], _unsigned(o["type"])
    pair = f"{kind} a_ = {o.value(1, kind)}, b_ = {o.value(2, kind)};"
    distance = (
        f"({unsigned})(a_ > b_ ? ({unsigned})a_ - ({unsigned})b_ : ({unsigned})b_ - ({unsigned})a_)"
    )
    return o.set(0, kind, f"({{ {pair} ({unsigned})({distance} + {o.value(3, unsigned)}); }})")


@translates("dp4a<a=u32|s32><b=u32|s32>")
def dot_of_four(o: Operation) -> str:
    """D = Σ aᵢ·bᵢ + c over four bytes."""
    o.count(4)
    signs = f"{int(o['a'] == 's32')}, {int(o['b'] == 's32')}"
    call = f"dot4({o.value(1, 'u32')}, {o.value(2, 'u32')}, {o.value(3, 's32')}, {signs})"
    return o.set(0, "s32", call)


@translates(
    "add.cc<type=u32|s32|u64|s64>",
    "sub.cc<type=u32|s32|u64|s64>",
    "addc[cc]<type=u32|s32|u64|s64>",
    "subc[cc]<type=u32|s32|u64|s64>",
)
def add_with_carry(o: Operation) -> str:
    """D = a ± b ± carry; with .cc the new carry, or borrow, is kept."""
    o.count(3)
    opcode, kind = o.instruction.opcode, _unsigned(o["type"])
    sign = "+" if opcode.startswith("add") else "-"
    carried = f" {sign} carry" if opcode[3] == "c" else ""
    total = f"u128 w_ = (u128){o.value(1, kind)} {sign} (u128){o.value(2, kind)}{carried};"
    keep = f"carry = w_ >> {bits(kind)} & 1;" if ".cc" in opcode else ""
    return f"{{ {total} {o.set(0, kind, f'({kind})w_')} {keep} }}"


@translates(
    "mad<part=lo|hi>.cc<type=u32|s32|u64|s64>", "madc<part=lo|hi>[cc]<type=u32|s32|u64|s64>"
)
def multiply_add_with_carry(o: Operation) -> str:
    """D = a·b + c + carry, of the low or the high half of the product."""
    o.count(4)
    opcode, kind = o.instruction.opcode, o["type"]
    unsigned = _unsigned(kind)
    product, _ = _product(o, kind)
    carried = " + carry" if opcode.startswith("madc") else ""
    total = f"u128 w_ = (u128)({unsigned})({product}) + {o.value(3, unsigned)}{carried};"
    keep = f"carry = w_ >> {bits(kind)} & 1;" if ".cc" in opcode else ""
    return f"{{ {total} {o.set(0, kind, f'({unsigned})w_')} {keep} }}"
