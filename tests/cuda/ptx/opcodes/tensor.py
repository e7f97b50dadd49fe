"""Tensor cores and asynchronous copies (PTX manual 9.7.14, 9.7.9.25)."""

from ..forms import translates
from ..operation import SITE, Operation
from ..syntax import Number
from .warp import meet

_ALL = "0xffffffffu"
_TYPE_NUMBERS = {"f16": 0, "bf16": 1, "tf32": 2}


def _load_inputs(o: Operation, k: int, base: int, count: int) -> str:
    registers = o.group(k)
    if len(registers) != count:
        raise o.wrong(f"operand {k} has {len(registers)} registers, {count} are needed")
    return "".join(f"self->in[{base + i}] = {o.value(r, 'b32')}; " for i, r in enumerate(registers))


def _store_outputs(o: Operation, k: int, count: int) -> str:
    registers = o.group(k)
    if len(registers) != count:
        raise o.wrong(f"operand {k} has {len(registers)} registers, {count} are needed")
    return "".join(o.set(r, "b32", f"(u32)self->out[{i}]") for i, r in enumerate(registers))


@translates(
    "mma.sync.aligned<shape=m16n8k8|m16n8k16>.row.col.f32<type=f16|bf16>.<b>.f32".replace(
        ".<b>", "<b=f16|bf16>"
    ),
    "mma.sync.aligned<shape=m16n8k8|m16n8k16>.row.col.f16<type=f16>.f16.f16",
    "mma.sync.aligned<shape=m16n8k4|m16n8k8>.row.col.f32<type=tf32>.tf32.f32",
)
def multiply_tiles(o: Operation) -> str:
    """D = A·B + C of 16 × k by k × 8."""
    o.count(4)
    depth, kind = int(o["shape"].split("k")[1]), o["type"]
    if o["b"] and o["b"] != kind:
        raise o.wrong("A and B are of different types")
    per_register = 1 if kind == "tf32" else 2
    in_half = ".f16" in o.instruction.opcode.split("row.col")[1][:4]
    inputs = _load_inputs(o, 1, 0, 16 * depth // 32 // per_register)
    inputs += _load_inputs(o, 2, 8, 8 * depth // 32 // per_register)
    inputs += _load_inputs(o, 3, 16, 2 if in_half else 4)
    number = depth << 4 | _TYPE_NUMBERS[kind] << 1 | int(in_half)
    text = meet(o, "multiply_tiles", str(number), _ALL, aligned=1)
    return f"{{ {inputs} {text} {_store_outputs(o, 0, 2 if in_half else 4)} }}"


@translates("ldmatrix.sync.aligned.m8n8<count=x1|x2|x4>[trans]<space=shared|shared::cta>.b16")
def load_matrices(o: Operation) -> str:
    """Matrices of 8 × 8 halves from rows of 16 bytes, whose addresses the lanes give."""
    o.count(2)
    count = int(o["count"][1:])
    kind = count << 1 | bool(o["trans"])
    text = meet(o, "load_matrices", str(int(kind)), _ALL, o.address(1, "shared"), aligned=1)
    return f"{{ {text} {_store_outputs(o, 0, count)} }}"


# wmma: lane l holds numbers l·n … l·n + n − 1 of a tile, rows first (the real layout is secret)

_SHAPES = "<shape=m16n16k16|m32n8k16|m8n32k16>"


def _sizes(o: Operation) -> tuple[int, int]:
    rows, rest = o["shape"][1:].split("n")
    return int(rows), int(rest.split("k")[0])


def _element_addresses(o: Operation, address: int, stride: int, rows: int, columns: int) -> str:
    """C text before a loop body that has the address of number e of this lane in q_."""
    size = 4 if o["type"] == "f32" else 2
    default = columns if o["layout"] == "row" else rows
    step = o.value(stride, "u32") if len(o.operands) > stride else str(default)
    space = o["space"]
    place = "r_ * s_ + c_" if o["layout"] == "row" else "c_ * s_ + r_"
    pointer = {
        "global": "global_at(q_, {0}, {1}, {2}, &site)",
        "shared": "shared_at(q_, {0}, {1}, {2})",
        "": "generic_at(q_, {0}, {1}, {2}, &site)",
    }[space]
    how = "WRITE" if o.instruction.opcode.startswith("wmma.store") else "READ"
    numbers = rows * columns // 32
    return (
        f"u64 a_ = {o.address(address, space)}; u32 s_ = {step}; (void)s_; "
        f"for (u32 e_ = 0; e_ < {numbers}; e_++) {{ u32 i_ = self->lane * {numbers} + e_, "
        f"r_ = i_ / {columns}, c_ = i_ % {columns}; u64 q_ = a_ + (u64)({place}) * {size}; "
        f"void *p_ = {pointer.format(size, how, o.line)};"
    )


def _meeting(o: Operation) -> str:
    return meet(o, "synchronise_nothing", "0", _ALL, aligned=1)


@translates(
    f"wmma.load<which=a|b>.sync.aligned<layout=row|col>{_SHAPES}[space=global|shared]<type=f16>",
    f"wmma.load<which=c>.sync.aligned<layout=row|col>{_SHAPES}[space=global|shared]<type=f16|f32>",
)
def load_fragment(o: Operation) -> str:
    """A tile from memory into registers of the warp."""
    o.count(2, 3)
    m, n = _sizes(o)
    rows, columns = {"a": (m, 16), "b": (16, n), "c": (m, n)}[o["which"]]
    registers = o.group(0)
    wide = o["type"] == "f32"
    element = "f_[e_] = *(u32 *)p_;" if wide else "((u16 *)f_)[e_] = *(u16 *)p_;"
    sets = "".join(o.set(r, "b32", f"f_[{i}]") for i, r in enumerate(registers))
    body = _element_addresses(o, 1, 2, rows, columns)
    return f"{{ {SITE}{_meeting(o)} u32 f_[8] = {{0}}; {body} {element} }} {sets} }}"


@translates(
    f"wmma.store.d.sync.aligned<layout=row|col>{_SHAPES}[space=global|shared]<type=f16|f32>"
)
def store_fragment(o: Operation) -> str:
    """A tile from registers of the warp into memory."""
    o.count(2, 3)
    m, n = _sizes(o)
    registers = o.group(1)
    values = "".join(f"f_[{i}] = {o.value(r, 'b32')}; " for i, r in enumerate(registers))
    wide = o["type"] == "f32"
    element = "*(u32 *)p_ = f_[e_];" if wide else "*(u16 *)p_ = ((u16 *)f_)[e_];"
    body = _element_addresses(o, 0, 2, m, n)
    return f"{{ {SITE}u32 f_[8]; {values} {_meeting(o)} {body} {element} }} }}"


@translates(
    f"wmma.mma.sync.aligned<alayout=row|col><blayout=row|col>{_SHAPES}<d=f16|f32><c=f16|f32>"
)
def multiply_fragments(o: Operation) -> str:
    """D = A·B + C."""
    o.count(4)
    m, n = _sizes(o)
    halves = {"f16": 4, "f32": 8}
    inputs = _load_inputs(o, 1, 0, 8) + _load_inputs(o, 2, 8, 8)
    inputs += _load_inputs(o, 3, 16, halves[o["c"]])
    kind = m << 16 | n << 8 | (o["c"] == "f16") << 1 | (o["d"] == "f16")
    text = meet(o, "multiply_fragments", str(kind), _ALL, aligned=1)
    return f"{{ {inputs} {text} {_store_outputs(o, 0, halves[o['d']])} }}"


# Copies

_LEVEL = "[prefetch=L2::64B|L2::128B|L2::256B]"


@translates(
    f"cp.async<cache=ca|cg><space=shared|shared::cta>.global{_LEVEL}",
)
def copy(o: Operation) -> str:
    """Copy 4, 8 or 16 bytes from global to shared memory, some time before it is waited for."""
    o.count(3, 4)
    size = o.operands[2]
    allowed = (4, 8, 16) if o["cache"] == "ca" else (16,)
    if not isinstance(size, Number) or size.value not in allowed:
        raise o.wrong(f"{size} bytes: {allowed} are possible")
    o.waits = True
    filled = o.value(3, "u32") if len(o.operands) == 4 else str(size.value)
    addresses = f"{o.address(0, 'shared')}, {o.address(1, 'global')}"
    return f"{{ {SITE}copy_later({addresses}, {size.value}, {filled}, {o.line}, &site); }}"


@translates("cp.async.commit_group")
def commit(o: Operation) -> str:
    """The copies so far are a group."""
    o.count(0)
    return "self->copy_group++;"


@translates("cp.async.wait_group")
def wait_group(o: Operation) -> str:
    """Wait until at most n groups are under way."""
    o.count(1)
    return f"finish_copies({o.value(0, 'u32')});"


@translates("cp.async.wait_all")
def wait_all(o: Operation) -> str:
    """Wait for all copies, committed or not."""
    o.count(0)
    return "finish_all_copies();"
