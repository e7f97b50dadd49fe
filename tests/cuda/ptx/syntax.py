"""What a module of PTX consists of."""

from dataclasses import dataclass, field

SIZES = {"pred": 1, "f16x2": 4, "bf16x2": 4, "bf16": 2, "tf32": 4} | {
    f"{kind}{bits}": bits // 8
    for kind, widths in {"b": (8, 16, 32, 64), "u": (8, 16, 32, 64), "s": (8, 16, 32, 64)}.items()
    for bits in widths
}
SIZES |= {"f16": 2, "f32": 4, "f64": 8}


@dataclass(frozen=True)
class Name:
    """A register, a variable, a label or a function; `negated` for `!%p1`."""

    text: str
    negated: bool = False


@dataclass(frozen=True)
class Number:
    """A literal: an integer, or the bits of a float32 (`0f…`) or a float64 (`0d…`)."""

    value: int
    kind: str = "integer"


@dataclass(frozen=True)
class Address:
    """[base + offset]."""

    base: Name | Number
    offset: int = 0


@dataclass(frozen=True)
class Group:
    """{a, b, …}, or (a, b, …) of a call."""

    members: tuple


@dataclass(frozen=True)
class Pair:
    """d|p of shfl and setp."""

    first: Name
    second: Name


@dataclass(frozen=True)
class Source:
    """A file and line of CUDA C++, as `.loc` gives it."""

    file: int = 0
    line: int = 0


@dataclass
class Instruction:
    """@guard opcode operands;"""

    opcode: str
    operands: list
    line: int
    guard: Name | None = None
    source: Source = Source()


@dataclass
class Label:
    """name:"""

    name: str
    line: int


@dataclass
class Variable:
    """A register, parameter or variable: `.space .align n .type name[count] = {initial}`."""

    space: str
    type: str
    name: str
    count: int | None = None
    align: int = 0
    initial: list[int] = field(default_factory=list)
    unsized: bool = False
    line: int = 0

    @property
    def size(self) -> int:
        """Bytes."""
        return SIZES[self.type] * (1 if self.count is None else self.count)

    @property
    def alignment(self) -> int:
        """Bytes, of which the address is a multiple."""
        return self.align or SIZES[self.type]


@dataclass
class Targets:
    """name: .branchtargets a, b, …;"""

    name: str
    labels: list[str]


@dataclass
class Block:
    """{ statements }: names declared inside are seen only there."""

    statements: list


@dataclass
class Function:
    """An entry, or a function that entries call; `body` is None where it is declared only."""

    name: str
    is_entry: bool
    results: list[Variable]
    parameters: list[Variable]
    body: Block | None
    max_threads: tuple[int, ...] = ()
    required_threads: tuple[int, ...] = ()
    line: int = 0


@dataclass
class Module:
    """All of a file."""

    target: str = ""
    variables: list[Variable] = field(default_factory=list)
    functions: list[Function] = field(default_factory=list)
    files: dict[int, str] = field(default_factory=dict)
