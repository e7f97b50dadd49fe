"""The processor that Numba compiles for, and what its vector registers are.

It is this machine's, unless Numba's settings name another (NUMBA_CPU_NAME, NUMBA_CPU_FEATURES,
NUMBA_ENABLE_AVX).  So all that depends on it asks here, and never the machine.
"""

from functools import cache
from typing import NamedTuple

import llvmlite.binding as llvm
from numba.core.registry import cpu_target

__all__ = ["VectorRegisters", "target", "vector_registers"]


@cache
def target() -> tuple[str, str, str]:
    """The triple, the name and the features of the processor."""
    triple, name, features = cpu_target.target_context.codegen().magic_tuple()
    return str(triple), str(name), str(features)


class VectorRegisters(NamedTuple):
    """What vector instructions work on."""

    lanes: int  # float32 in a register
    number: int
    constraint: str  # of an operand in such a register, in inline assembly


_X86 = {"%zmm": VectorRegisters(16, 32, "v"), "%ymm": VectorRegisters(8, 16, "v")}
_SSE, _NEON = VectorRegisters(4, 16, "v"), VectorRegisters(4, 32, "w")

# 16 float32, which LLVM distributes over as many registers as they need.
_PROBE = """
define void @probe(<16 x float>* %x) {
  %loaded = load <16 x float>, <16 x float>* %x, align 4
  %sum = fadd <16 x float> %loaded, %loaded
  store <16 x float> %sum, <16 x float>* %x, align 4
  ret void
}
"""


@cache
def vector_registers() -> VectorRegisters:
    """The vector registers of the target.

    Features imply each other, and processors imply features; so a sum is compiled for the target,
    and its assembly shows which registers it uses.
    """
    triple, name, features = target()
    if not triple.startswith(("x86", "i386", "i686")):
        return _NEON
    machine = llvm.Target.from_triple(triple).create_target_machine(cpu=name, features=features)
    module = llvm.parse_assembly(f'target triple = "{triple}"\n{_PROBE}')
    assembly = machine.emit_assembly(module)
    return next((found for register, found in _X86.items() if register in assembly), _SSE)
