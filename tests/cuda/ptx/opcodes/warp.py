"""What lanes of a warp and threads of a block do together (PTX manual 9.7.9.6 and 9.7.13)."""

from ..forms import translates
from ..operation import Operation


def meet(
    o: Operation, function: str, kind: str, mask: str, *operands: str, aligned: int = 0
) -> str:
    """Leave the operands, and wait for the other lanes."""
    o.waits = True
    inputs = "".join(f"self->in[{i}] = {x}; " for i, x in enumerate(operands))
    return (
        f"u32 mask_ = {mask}; {inputs}meet_lanes({function}, {kind}, mask_, {aligned}, {o.line});"
    )


@translates("shfl.sync<mode=up|down|bfly|idx>.b32")
def shuffle(o: Operation) -> str:
    """D = the value of another lane; p = whether that lane is in range."""
    o.count(5)
    values = (o.value(k, "u32") for k in (1, 2, 3))
    text = meet(o, "shuffle", f"SHUFFLE_{o['mode'].upper()}", o.value(4, "u32"), *values)
    first, second = o.pair(0)
    in_range = o.set(second, "pred", "(pred)self->out[1]") if second else ""
    return f"{{ {text} {o.set(first, 'u32', '(u32)self->out[0]')} {in_range} }}"


@translates("vote.sync<mode=all|any|uni>.pred", "vote.sync<mode=ballot>.b32")
def vote(o: Operation) -> str:
    """All, any, or which of the lanes' predicates hold."""
    o.count(3)
    text = meet(o, "vote", f"VOTE_{o['mode'].upper()}", o.value(2, "u32"), o.value(1, "pred"))
    kind = "u32" if o["mode"] == "ballot" else "pred"
    return f"{{ {text} {o.set(0, kind, f'({kind})self->out[0]')} }}"


@translates("match<mode=any|all>.sync<type=b32|b64>")
def match(o: Operation) -> str:
    """Which lanes have the same value; p = whether all have."""
    o.count(3)
    kind = f"MATCH_{o['mode'].upper()}"
    text = meet(o, "match", kind, o.value(2, "u32"), o.value(1, o["type"]))
    first, second = o.pair(0)
    if second and o["mode"] == "any":
        raise o.wrong("match.any gives no predicate")
    all_same = o.set(second, "pred", "(pred)self->out[1]") if second else ""
    return f"{{ {text} {o.set(first, 'u32', '(u32)self->out[0]')} {all_same} }}"


@translates("redux.sync<op=add|min|max><type=u32|s32>", "redux.sync<op=and|or|xor><type=b32>")
def reduce(o: Operation) -> str:
    """The sum, least, greatest … of the lanes' values."""
    o.count(3)
    suffix = f"_{o['type'][0].upper()}" if o["op"] in ("min", "max") else ""
    kind = f"REDUX_{o['op'].upper()}{suffix}"
    text = meet(o, "redux", kind, o.value(2, "u32"), o.value(1, "u32"))
    return f"{{ {text} {o.set(0, 'u32', '(u32)self->out[0]')} }}"


@translates("activemask.b32")
def active(o: Operation) -> str:
    """The lanes that are here too when no other lane of the warp can go on."""
    o.count(1)
    o.waits = True
    return o.set(0, "u32", f"active_mask({o.line})")


@translates("bar.warp.sync")
def synchronise_warp(o: Operation) -> str:
    """Wait for the lanes of the mask; what they wrote before is seen after."""
    o.count(1)
    return f"{{ {meet(o, 'synchronise_warp', '0', o.value(0, 'u32'))} }}"


# Barriers: bar is barrier….aligned


def _is_aligned(o: Operation) -> int:
    return int(o.instruction.opcode.startswith("bar.") or bool(o["aligned"]))


def _expected(o: Operation, k: int) -> str:
    if len(o.operands) <= k:
        return "thread_count"
    return o.value(k, "u32")


@translates("bar[cta].sync", "barrier[cta].sync[aligned]")
def synchronise(o: Operation) -> str:
    """Wait until as many threads have come to the barrier: all of the block, or b."""
    o.count(1, 2)
    o.waits = True
    barrier = f"{o.value(0, 'u32')}, {_expected(o, 1)}"
    return f"barrier_sync({barrier}, NO_VOTE, 0, {_is_aligned(o)}, {o.line});"


@translates("bar[cta].arrive", "barrier[cta].arrive[aligned]")
def arrive(o: Operation) -> str:
    """Count as one who came, and go on."""
    o.count(2)
    o.waits = True
    barrier = f"{o.value(0, 'u32')}, {o.value(1, 'u32')}"
    return f"barrier_arrive({barrier}, {_is_aligned(o)}, {o.line});"


@translates(
    "bar[cta].red<op=popc><type=u32>",
    "bar[cta].red<op=and|or><type=pred>",
    "barrier[cta].red<op=popc>[aligned]<type=u32>",
    "barrier[cta].red<op=and|or>[aligned]<type=pred>",
)
def reduce_at_barrier(o: Operation) -> str:
    """Wait, and learn how many, all or any of the threads' predicates hold."""
    several = o.count(3, 4) == 4
    o.waits = True
    barrier = f"{o.value(1, 'u32')}, {o.value(2, 'u32') if several else 'thread_count'}"
    vote_kind = f"VOTE_{o['op'].upper()}"
    predicate = o.value(3 if several else 2, "pred")
    text = f"barrier_sync({barrier}, {vote_kind}, {predicate}, {_is_aligned(o)}, {o.line})"
    return o.set(0, o["type"], f"({'pred' if o['type'] == 'pred' else 'u32'}){text}")
