"""How each opcode is translated: a file for each chapter of the PTX manual."""

from . import bits, comparison, control, conversion, floating, integer, memory, tensor, warp
