"""Loads, stores, moves, atomics and fences (PTX manual 9.7.9 and 9.7.13)."""

from ..forms import translates
from ..operation import SITE, Operation, is_float, storage
from ..syntax import SIZES, Group, Name

_TYPES = "b8|b16|b32|b64|u8|u16|u32|u64|s8|s16|s32|s64|f32|f64"
_SPACES = "[space=global|const|shared|local|param]"
_PREFETCH = "[prefetch=L2::64B|L2::128B|L2::256B]"
_EVICT = "[evict=L1::evict_normal|L1::evict_first|L1::evict_last|L1::no_allocate]"


def _c_type(kind: str) -> str:
    return storage(kind) if kind[0] != "s" and not is_float(kind) else kind


def _elements(o: Operation, k: int) -> list:
    operand = o.operands[k]
    wanted = int(o["vec"][1:]) if o["vec"] else 1
    members = list(operand.members) if isinstance(operand, Group) else [operand]
    if len(members) != wanted:
        raise o.wrong(f"{len(members)} registers where {wanted} are needed")
    return members


@translates(
    f"ld{_SPACES}[cache=ca|cg|cs|lu|cv]{_PREFETCH}[vec=v2|v4]<type={_TYPES}>",
    f"ld.global[cache=ca|cg|cs]<nc=nc>{_EVICT}{_PREFETCH}[vec=v2|v4]<type={_TYPES}>",
    f"ld.global{_EVICT}{_PREFETCH}[vec=v2|v4]<type={_TYPES}>",
    f"ld<strong=volatile>[space=global|shared|local][vec=v2|v4]<type={_TYPES}>",
    f"ld<strong=relaxed|acquire><scope=cta|gpu|sys>[space=global|shared][vec=v2|v4]<type={_TYPES}>",
)
def load(o: Operation) -> str:
    """D = [a]; a register of more bits is filled with zeros, or with the sign of .s types."""
    o.count(2)
    kind, registers = o["type"], _elements(o, 0)
    how = "STRONG_READ" if o["strong"] else "READ_ONLY" if o["nc"] else "READ"
    space = "global" if ".global" in o.instruction.opcode else o["space"]
    c_type = _c_type(kind)
    pointer = o.access(1, space, SIZES[kind] * len(registers), how)
    loads = " ".join(
        o.set(register, kind, f"p_[{i}]", wide=True) for i, register in enumerate(registers)
    )
    return f"{{ {SITE}const {c_type} *p_ = (const {c_type} *){pointer}; {loads} }}"


@translates(
    f"st{_SPACES}[cache=wb|cg|cs|wt][vec=v2|v4]<type={_TYPES}>",
    f"st.global{_EVICT}[vec=v2|v4]<type={_TYPES}>",
    f"st<strong=volatile>[space=global|shared|local][vec=v2|v4]<type={_TYPES}>",
    f"st<strong=relaxed|release><scope=cta|gpu|sys>[space=global|shared][vec=v2|v4]<type={_TYPES}>",
)
def store(o: Operation) -> str:
    """[a] = b."""
    o.count(2)
    kind, registers = o["type"], _elements(o, 1)
    how = "STRONG_WRITE" if o["strong"] else "WRITE"
    space = "global" if ".global" in o.instruction.opcode else o["space"]
    if space == "const":
        raise o.wrong("a store to constant memory")
    c_type = _c_type(kind)
    pointer = o.access(0, space, SIZES[kind] * len(registers), how)
    values = [o.value(register, kind, wide=True) for register in registers]
    stores = " ".join(f"p_[{i}] = {value};" for i, value in enumerate(values))
    return f"{{ {SITE}{c_type} *p_ = ({c_type} *){pointer}; {stores} }}"


@translates("mov<type=pred|b16|b32|b64|u16|u32|u64|s16|s32|s64|f32|f64>")
def move(o: Operation) -> str:
    """D = a, the address of a variable, or registers packed into one or unpacked."""
    o.count(2)
    to, source, kind = *o.operands, o["type"]
    if isinstance(source, Group):
        return o.set(0, kind, _packed(o, source))
    if isinstance(to, Group):
        return _unpacked(o, to)
    found = o.scope.find("variables", source.text) if isinstance(source, Name) else None
    if found is not None and found[0].space != "reg":  # type: ignore[index]
        return o.set(0, kind, f"({storage(kind)}){o.variable_address(source)}")
    return o.set(0, kind, o.value(1, kind))


def _part(o: Operation, group: Group) -> int:
    size = SIZES[o["type"]] // len(group.members)
    if o["type"][0] != "b" or size * len(group.members) != SIZES[o["type"]]:
        raise o.wrong("such a vector cannot be packed into it")
    return 8 * size


def _packed(o: Operation, group: Group) -> str:
    width, kind = _part(o, group), o["type"]
    values = (o.value(member, f"b{width}") for member in group.members)
    return " | ".join(f"({storage(kind)}){v} << {width * i}" for i, v in enumerate(values))


def _unpacked(o: Operation, group: Group) -> str:
    width, kind = _part(o, group), o["type"]
    parts = " ".join(
        o.set(member, f"b{width}", f"(u{width})(a_ >> {width * i})")
        for i, member in enumerate(group.members)
    )
    return f"{{ {storage(kind)} a_ = {o.value(1, kind)}; {parts} }}"


# Atomics

_ORDER = "[sem=relaxed|acquire|release|acq_rel][scope=cta|gpu|sys][space=global|shared]"
_STEPS = {
    "add": "old_ + b_",
    "and": "old_ & b_",
    "or": "old_ | b_",
    "xor": "old_ ^ b_",
    "min": "old_ < b_ ? old_ : b_",
    "max": "old_ > b_ ? old_ : b_",
    "inc": "old_ >= b_ ? 0 : old_ + 1",
    "dec": "!old_ || old_ > b_ ? b_ : old_ - 1",
    "exch": "b_",
    "cas": "old_ == b_ ? c_ : old_",
}
_OPERATIONS = (
    "<op=and|or|xor><type=b32|b64>",
    "<op=add><type=u32|s32|u64|s64|f32|f64>",
    "<op=inc|dec><type=u32>",
    "<op=min|max><type=u32|s32|u64|s64>",
    "<op=add>.noftz<type=f16|f16x2>",
)


def _half_sum(kind: str) -> str:
    if kind == "f16":
        return "BITS(u16, (f16)((f32)BITS(f16, old_) + (f32)BITS(f16, b_)))"
    halves = (
        f"(u32)BITS(u16, (f16)(half_value(old_, {i}) + half_value(b_, {i}))) << {16 * i}"
        for i in (0, 1)
    )
    return " | ".join(halves)


def _atomic(o: Operation, address: int, value: int, result: bool) -> str:
    kind, space = o["type"], o["space"]
    c_type = _c_type(kind)
    step = _STEPS[o["op"]]
    if kind in ("f16", "f16x2"):
        c_type, step = f"u{8 * SIZES[kind]}", _half_sum(kind)
    if kind == "f32" and space != "shared":  # PTX manual: atom.add.f32 flushes in global memory
        step = "flush(flush(old_) + flush(b_))"
        if not space:
            is_shared = "(u8 *)p_ >= shared && (u8 *)p_ < shared + shared_size"
            step = f"{is_shared} ? old_ + b_ : {step}"
    register = kind if kind not in ("f16", "f16x2") else f"b{8 * SIZES[kind]}"
    pointer = o.access(address, space, SIZES[kind], "ATOMIC")
    third = f"{c_type} c_ = {o.value(value + 1, register)};" if o["op"] == "cas" else ""
    old = o.set(0, register, "old_") if result else ""
    return (
        f"{{ {SITE}{c_type} b_ = {o.value(value, register)}; {third} {c_type} *p_ = ({c_type} *)"
        f"{pointer}; {c_type} old_ = *p_; *p_ = {step}; {old} }}"
    )


@translates(
    *(f"atom{_ORDER}{operation}" for operation in _OPERATIONS),
    f"atom{_ORDER}<op=exch><type=b32|b64>",
    f"atom{_ORDER}<op=cas><type=b16|b32|b64>",
)
def atomic(o: Operation) -> str:
    """D = [a]; [a] = D op b, in one step."""
    o.count(4 if o["op"] == "cas" else 3)
    return _atomic(o, 1, 2, result=True)


@translates(*(f"red{_ORDER}{operation}" for operation in _OPERATIONS))
def reduction(o: Operation) -> str:
    """[a] = [a] op b, in one step."""
    o.count(2)
    return _atomic(o, 0, 1, result=False)


@translates(
    "fence<sem=sc|acq_rel><scope=cta|gpu|sys>",
    "membar<scope=cta|gl|sys>",
    "prefetch<space=global|local><level=L1|L2>",
    "prefetchu.L1",
    "nanosleep.u32",
)
def no_effect(o: Operation) -> str:
    """Nothing: every access here is in order. A fence alone orders no two threads."""
    return ";"
