"""Logic, shifts and bit fields (PTX manual 9.7.1, 9.7.7) and data movement within registers."""

from ..forms import translates
from ..operation import Operation
from .integer import bits

_SIGNS = {"and": "&", "or": "|", "xor": "^"}


@translates(*(f"{name}<type=pred|b16|b32|b64>" for name in _SIGNS))
def logic(o: Operation) -> str:
    """D = a & b, a | b, a ^ b."""
    o.count(3)
    kind, sign = o["type"], _SIGNS[o.instruction.opcode.split(".")[0]]
    return o.set(0, kind, f"{o.value(1, kind)} {sign} {o.value(2, kind)}")


@translates("not<type=pred|b16|b32|b64>")
def complement(o: Operation) -> str:
    """D = ~a."""
    o.count(2)
    return o.set(0, o["type"], f"{'!' if o['type'] == 'pred' else '~'}{o.value(1, o['type'])}")


@translates("cnot<type=b16|b32|b64>")
def is_zero(o: Operation) -> str:
    """D = a == 0."""
    o.count(2)
    return o.set(0, o["type"], f"{o.value(1, o['type'])} == 0")


@translates("shl<type=b16|b32|b64>")
def shift_left(o: Operation) -> str:
    """D = a << b; 0 if b ≥ the width."""
    o.count(3)
    width, by = bits(o["type"]), o.value(2, "u32")
    return o.set(0, o["type"], f"{by} >= {width} ? 0 : (u{width}){o.value(1, o['type'])} << {by}")


@translates("shr<type=b16|b32|b64|u16|u32|u64|s16|s32|s64>")
def shift_right(o: Operation) -> str:
    """D = a >> b, filled with zeros, or with the sign of .s types."""
    o.count(3)
    width, by, a = bits(o["type"]), o.value(2, "u32"), o.value(1, o["type"])
    if o["type"][0] == "s":
        return o.set(0, o["type"], f"{a} >> ({by} >= {width} ? {width - 1} : {by})")
    return o.set(0, o["type"], f"{by} >= {width} ? 0 : {a} >> {by}")


@translates("shf<way=l|r><mode=clamp|wrap>.b32")
def funnel_shift(o: Operation) -> str:
    """32 bits of b:a, shifted: the high ones to the left, the low ones to the right."""
    o.count(4)
    by = o.value(3, "u32")
    by = f"({by} > 32 ? 32 : {by})" if o["mode"] == "clamp" else f"({by} & 31)"
    both = f"((u64){o.value(2, 'u32')} << 32 | {o.value(1, 'u32')})"
    shifted = f"({both} << {by}) >> 32" if o["way"] == "l" else f"{both} >> {by}"
    return o.set(0, "u32", f"(u32)({shifted})")


@translates("lop3.b32")
def lookup(o: Operation) -> str:
    """Any function of three bits, bit by bit, as a table of eight."""
    o.count(5)
    values = ", ".join(o.value(k, "u32") for k in (1, 2, 3))
    return o.set(0, "u32", f"lookup3({values}, (int){o.value(4, 'u32')})")


@translates("bfe<type=u32|u64|s32|s64>")
def extract(o: Operation) -> str:
    """A field of bits; of .s types its sign is extended."""
    o.count(4)
    width = bits(o["type"])
    arguments = f"{o.value(1, f'u{width}')}, {o.value(2, 'u32')}, {o.value(3, 'u32')}, {width}"
    return o.set(0, f"u{width}", f"bits_extract({arguments}, {int(o['type'][0] == 's')})")


@translates("bfi<type=b32|b64>")
def insert(o: Operation) -> str:
    """The field f = a put into b."""
    o.count(5)
    width = bits(o["type"])
    values = f"{o.value(1, f'u{width}')}, {o.value(2, f'u{width}')}"
    where = f"{o.value(3, 'u32')}, {o.value(4, 'u32')}, {width}"
    return o.set(0, f"u{width}", f"bits_insert({values}, {where})")


@translates("bfind[shiftamt]<type=u32|u64|s32|s64>")
def find_bit(o: Operation) -> str:
    """The place of the highest bit that is not the sign, −1 if there is none."""
    o.count(2)
    width = bits(o["type"])
    flags = f"{width}, {int(o['type'][0] == 's')}, {int(bool(o['shiftamt']))}"
    return o.set(0, "u32", f"find_leading({o.value(1, f'u{width}')}, {flags})")


@translates("brev<type=b32|b64>")
def reverse(o: Operation) -> str:
    """The bits in reverse order."""
    o.count(2)
    return o.set(0, o["type"], f"reverse_bits({o.value(1, o['type'])}, {bits(o['type'])})")


@translates("popc<type=b32|b64>")
def count_ones(o: Operation) -> str:
    """How many bits are set."""
    o.count(2)
    return o.set(0, "u32", f"__builtin_popcountll({o.value(1, o['type'])})")


@translates("clz<type=b32|b64>")
def count_leading_zeros(o: Operation) -> str:
    """How many zeros there are above the highest bit that is set."""
    o.count(2)
    width, a = bits(o["type"]), o.value(1, o["type"])
    return o.set(0, "u32", f"{a} ? __builtin_clzll({a}) - {64 - width} : {width}")


@translates("prmt.b32[mode=f4e|b4e|rc8|ecl|ecr|rc16]")
def permute(o: Operation) -> str:
    """Four bytes chosen from eight."""
    o.count(4)
    values = ", ".join(o.value(k, "u32") for k in (1, 2, 3))
    return o.set(0, "u32", f'permute({values}, "{o["mode"]}")')
