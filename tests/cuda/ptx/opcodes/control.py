"""Branches, calls and traps (PTX manual 9.7.12 and 9.7.19)."""

from ..forms import translates
from ..operation import Operation, identifier
from ..syntax import Group, Name


def _label(o: Operation, name: str) -> str:
    found = o.scope.find("labels", name)
    if found is None:
        raise o.wrong(f"there is no label {name}")
    return f"goto {found};"


@translates("bra[uni]")
def branch(o: Operation) -> str:
    """Go to a label."""
    o.count(1)
    return _label(o, o.operands[0].text)


@translates("brx.idx[uni]")
def indexed_branch(o: Operation) -> str:
    """Go to label number i of a list."""
    o.count(2)
    targets = o.scope.find("targets", o.operands[1].text)
    if targets is None:
        raise o.wrong(f"there is no list {o.operands[1].text}")
    cases = " ".join(f"case {i}: {_label(o, t)}" for i, t in enumerate(targets))  # type: ignore[arg-type]
    beyond = f'default: fault(BOUNDS, self, {o.line}, "brx.idx beyond its list");'
    return f"switch ({o.value(0, 'u32')}) {{ {cases} {beyond} }}"


@translates("call[uni]")
def call(o: Operation) -> str:
    """Call a function: (results), name, (parameters), all of them of .param space."""
    groups = [x for x in o.operands if isinstance(x, Group)]
    names = [x for x in o.operands if isinstance(x, Name)]
    if len(names) != 1 or len(groups) > 2:
        raise o.wrong("a call through a pointer")
    name = names[0].text
    if name == "__assertfail":
        return f'fault(TRAP, self, {o.line}, "assertion failed");'
    arguments = [o.scope.find("variables", m.text) for g in groups for m in g.members]
    if any(a is None or a[0].space != "param" for a in arguments):  # type: ignore[index]
        raise o.wrong("an argument that is not of .param space")
    o.calls = name
    return f"{identifier(name)}({', '.join(a[1] for a in arguments)});"  # type: ignore[index]


@translates("ret[uni]")
def leave(o: Operation) -> str:
    """Return; from a kernel, end the thread."""
    o.count(0)
    return "goto leave;"


@translates("exit")
def end_thread(o: Operation) -> str:
    """End the thread."""
    o.count(0)
    if o.in_entry:
        return "goto leave;"
    o.waits = True
    return "{ finish_all_copies(); self->state = DONE; for (;;) wait_here(); }"


@translates("trap")
def trap(o: Operation) -> str:
    """Abort the launch."""
    o.count(0)
    return f'fault(TRAP, self, {o.line}, "trap");'
