"""One instruction on its way to C: its modifiers, its operands as C expressions of a type."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .errors import NotUnderstood
from .syntax import SIZES, Address, Group, Instruction, Name, Number, Pair, Variable

if TYPE_CHECKING:
    from collections.abc import Sequence

SPECIAL = {
    "%tid": "self->{}",
    "%ntid": "block.{}",
    "%ctaid": "block_index.{}",
    "%nctaid": "grid.{}",
    "%laneid": "self->lane",
    "%warpid": "self->warp",
    "%nwarpid": "((thread_count + 31) / 32)",
    "%lanemask_eq": "(1u << self->lane)",
    "%lanemask_lt": "((1u << self->lane) - 1)",
    "%lanemask_le": "((2u << self->lane) - 1)",
    "%lanemask_gt": "~((2u << self->lane) - 1)",
    "%lanemask_ge": "~((1u << self->lane) - 1)",
    "%dynamic_smem_size": "dynamic_shared",
    "%total_smem_size": "shared_size",
    "WARP_SZ": "32u",
}
ROUNDING = {"rn": "FE_TONEAREST", "rz": "FE_TOWARDZERO", "rm": "FE_DOWNWARD", "rp": "FE_UPWARD"}
_WINDOWS = {"shared": "SHARED_WINDOW", "local": "LOCAL_WINDOW", "param": "PARAM_WINDOW"}


def identifier(name: str) -> str:
    """A C name for a PTX name."""
    return "v" + re.sub(r"\W", lambda m: "_" if m[0] in "%." else "S", name)


def storage(kind: str) -> str:
    """The C type of a register of a PTX type."""
    return kind if kind in ("f32", "f64", "pred") else f"u{8 * SIZES[kind]}"


def is_float(kind: str) -> bool:
    """Whether a type is a floating-point number that C computes with."""
    return kind in ("f16", "f32", "f64")


@dataclass
class Scope:
    """The names of a block of statements, and the scope around it."""

    outer: Scope | None = None
    variables: dict[str, tuple[Variable, str]] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    targets: dict[str, list[str]] = field(default_factory=dict)

    def find(self, table: str, name: str) -> object | None:
        """What a name means here, None if nothing."""
        found = getattr(self, table).get(name)
        return found if found is not None or self.outer is None else self.outer.find(table, name)


class Operation:
    """An instruction, its modifiers by name, and C expressions for its operands."""

    def __init__(
        self, instruction: Instruction, modifiers: dict[str, str], scope: Scope, in_entry: bool
    ) -> None:
        self.instruction, self.modifiers, self.scope = instruction, modifiers, scope
        self.operands, self.line, self.in_entry = instruction.operands, instruction.line, in_entry
        self.waits = False  # for other threads: then every thread is a fibre
        self.calls: str | None = None

    def __getitem__(self, modifier: str) -> str:
        return self.modifiers.get(modifier, "")

    @property
    def rounding(self) -> str:
        """The rounding mode as C's constant."""
        return ROUNDING[self["round"] or "rn"]

    def wrong(self, why: str) -> NotUnderstood:
        """The error for an instruction whose operands are not what its opcode takes."""
        return NotUnderstood(f"PTX line {self.line}: {self.instruction.opcode}: {why}")

    def count(self, *numbers: int) -> int:
        """The number of operands, which must be one of these."""
        if len(self.operands) not in numbers:
            raise self.wrong(f"{len(self.operands)} operands, {numbers} are possible")
        return len(self.operands)

    def group(self, k: int) -> Sequence[Name]:
        """Operand k, which is {a, b, …}."""
        operand = self.operands[k]
        if not isinstance(operand, Group):
            raise self.wrong(f"operand {k} is to be a vector")
        return operand.members

    def pair(self, k: int) -> tuple[Name, Name | None]:
        """Operand k, which is d or d|p."""
        operand = self.operands[k]
        return (operand.first, operand.second) if isinstance(operand, Pair) else (operand, None)

    # Values

    def value(self, operand: object, kind: str, wide: bool = False) -> str:
        """An operand, or the operand of that number, as a C expression of a PTX type.

        `wide` allows a register of more bits than the type has, as ld, st and cvt do.
        """
        operand = self.operands[operand] if isinstance(operand, int) else operand
        if isinstance(operand, Number):
            return self._literal(operand, kind)
        if not isinstance(operand, Name):
            raise self.wrong(f"{operand} is no value")
        special = self._special(operand.text)
        if special:
            return f"(({storage(kind)}){special})"
        return self._register(operand, kind, wide)

    def _special(self, name: str) -> str | None:
        stem, _, part = name.partition(".")
        expression = SPECIAL.get(stem)
        if expression is None or ("{}" in expression) != (part in ("x", "y", "z") and bool(part)):
            return None
        return expression.format(part)

    def _register(self, name: Name, kind: str, wide: bool) -> str:
        variable, c_name = self._declared(name)
        if variable.space != "reg":
            raise self.wrong(f"{name.text} is no register")
        if name.negated:
            c_name = f"!{c_name}"
        own, wanted = storage(variable.type), SIZES[kind]
        if (variable.type == "pred") != (kind == "pred"):
            raise self.wrong(f"{name.text} is .{variable.type}, .{kind} is needed")
        if SIZES[variable.type] != wanted and not (wide and SIZES[variable.type] > wanted):
            raise self.wrong(f"{name.text} has {SIZES[variable.type]} bytes, .{kind} {wanted}")
        if own == kind or own == storage(kind) and not is_float(kind) and kind[0] not in "s":
            return c_name
        if own in ("f32", "f64"):
            c_name = f"BITS(u{8 * SIZES[own]}, {c_name})"
        if is_float(kind):
            return f"BITS({kind}, (u{8 * wanted}){c_name})"
        return f"(({kind if kind[0] == 's' else storage(kind)}){c_name})"

    def _declared(self, name: Name) -> tuple[Variable, str]:
        found = self.scope.find("variables", name.text)
        if found is None:
            raise self.wrong(f"{name.text} is not declared, and is no known special register")
        return found  # type: ignore[return-value]

    def _literal(self, number: Number, kind: str) -> str:
        if kind == "pred":
            return str(int(bool(number.value)))
        bits = 8 * SIZES[kind]
        text = f"0x{number.value & ((1 << bits) - 1):x}ull"
        if is_float(kind):
            if number.kind != kind:
                raise self.wrong(f"a literal of .{kind} is needed")
            return f"BITS({kind}, (u{bits}){text})"
        if number.kind != "integer" and SIZES[number.kind] * 8 != bits:
            raise self.wrong(f"a .{number.kind} literal for .{kind}")
        return f"(({kind if kind[0] == 's' else f'u{bits}'}){text})"

    def set(self, operand: object, kind: str, expression: str, wide: bool = False) -> str:
        """The C statement that gives operand k (or a register) the value of an expression."""
        operand = self.operands[operand] if isinstance(operand, int) else operand
        if not isinstance(operand, Name):
            raise self.wrong(f"{operand} cannot be written")
        if operand.text == "_":
            return f"(void)({expression});"
        variable, c_name = self._declared(operand)
        own = storage(variable.type)
        if (variable.type == "pred") != (kind == "pred") or variable.space != "reg":
            raise self.wrong(f"{operand.text} is .{variable.type}, .{kind} is needed")
        if SIZES[variable.type] != SIZES[kind] and not (
            wide and SIZES[variable.type] > SIZES[kind]
        ):
            raise self.wrong(f"{operand.text} has {SIZES[variable.type]} bytes, not .{kind}'s")
        if own == kind:
            return f"{c_name} = {expression};"
        c_kind = kind if is_float(kind) or kind[0] == "s" else storage(kind)
        if is_float(kind):  # a float in a register of bits, perhaps of more bits
            expression = f"BITS(u{8 * SIZES[kind]}, ({kind})({expression}))"
        elif own in ("f32", "f64"):
            return f"{c_name} = BITS({own}, (u{8 * SIZES[own]})({c_kind})({expression}));"
        else:
            expression = f"({c_kind})({expression})"
        return f"{c_name} = {expression};"

    # Memory

    def address(self, operand: object, space: str) -> str:
        """An address operand as a C expression: a host address, or an offset in its space."""
        operand = self.operands[operand] if isinstance(operand, int) else operand
        if not isinstance(operand, Address):
            raise self.wrong(f"{operand} is no address")
        offset = f" + ({operand.offset})" if operand.offset else ""
        if isinstance(operand.base, Number):
            return f"({operand.base.value}ull{offset})"
        found = self.scope.find("variables", operand.base.text)
        if found is None:
            raise self.wrong(f"{operand.base.text} is not declared")
        variable, c_name = found  # type: ignore[misc]
        if variable.space != "reg":
            if space and not self._is_in(variable.space, space):
                raise self.wrong(f"{variable.name} is in .{variable.space}")
            return f"({self.variable_address(operand.base, generic=not space)}{offset})"
        if SIZES[variable.type] not in (4, 8):
            raise self.wrong(f"{variable.name} holds no address")
        narrow = SIZES[variable.type] == 4
        if narrow and space != "shared":
            raise self.wrong(f"an address of 32 bits in .{space or 'generic'}")
        return f"((u64)(u32)({c_name}{offset}))" if narrow else f"({c_name}{offset})"

    @staticmethod
    def _is_in(own: str, space: str) -> bool:
        return own == space or (own, space) == ("const", "global")

    def variable_address(self, name: Name, generic: bool = False) -> str:
        """The address of a variable, or its offset in its space."""
        variable, c_name = self._declared(name)
        if variable.space in ("global", "const"):
            return f"(u64){c_name}"
        if variable.space == "param" and not self.in_entry:
            raise self.wrong(f"the address of {name.text}, which is a function's parameter")
        offset = f"({c_name} - parameters + BASE)" if variable.space == "param" else c_name
        return f"({_WINDOWS[variable.space]} + {offset})" if generic else f"(u64)({offset})"

    def access(self, operand: object, space: str, size: int, how: str) -> str:
        """A checked pointer to `size` bytes; the statement around declares `site` (SITE)."""
        operand = self.operands[operand] if isinstance(operand, int) else operand
        if space == "param" and isinstance(operand, Address):
            direct = self._parameter(operand, size)
            if direct:
                return direct
        address = self.address(operand, space)
        if space in ("global", "const"):
            return f"global_at({address}, {size}, {how}, {self.line}, &site)"
        if space:
            return f"{space}_at({address}, {size}, {how}, {self.line})"
        return f"generic_at({address}, {size}, {how}, {self.line}, &site)"

    def _parameter(self, address: Address, size: int) -> str | None:
        found = self.scope.find("variables", getattr(address.base, "text", ""))
        if found is None or found[0].space != "param":  # type: ignore[index]
            return None
        variable, c_name = found  # type: ignore[misc]
        if not 0 <= address.offset <= variable.size - size:
            raise self.wrong(f"byte {address.offset} of {variable.name}, of {variable.size} bytes")
        return f"({c_name} + {address.offset})"


SITE = "static Range *site = &nowhere; (void)site; "
