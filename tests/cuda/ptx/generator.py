"""Module → C: a function for each entry, a variable for each register, a goto for each branch."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from . import opcodes  # noqa: F401  registers the forms
from .errors import NotUnderstood
from .forms import find
from .operation import Operation, Scope, identifier, storage
from .syntax import SIZES, Block, Function, Instruction, Label, Module, Targets, Variable

RUNTIME = Path(__file__).parent / "runtime"


@dataclass
class Kernel:
    """What a launch must know of an entry: its parameters' offsets and sizes, and its bounds."""

    name: str
    parameters: list[tuple[int, int]]
    parameter_size: int
    static_shared: int
    max_threads: int | None
    required_threads: tuple[int, ...]
    waits: bool = False
    opcodes: set[str] = field(default_factory=set)


def _up(number: int, to: int) -> int:
    return -(-number // to) * to


class Generator:
    """The C text of a module, and what it says of its kernels."""

    def __init__(self, module: Module) -> None:
        self.module, self.kernels = module, []
        self.sources: dict[int, tuple[int, int]] = {}  # PTX line → file and line of CUDA C++
        self._labels = count()
        self._waiting: dict[str, bool] = {}
        self._calls: dict[str, set[str]] = {}
        self._scope = Scope()
        self._own = self._shared_end = 0
        self._has_dynamic = False
        self._text: list[str] = []
        self.text = self._generate()

    def _generate(self) -> str:
        functions = [f for f in self.module.functions if f.body is not None]
        variables = [self._module_variable(v) for v in self.module.variables]
        self._module_shared = self._shared_end
        bodies = [self._function(f) for f in functions]
        self._find_waiting()
        prototypes = [self._prototype(f) + ";" for f in functions if not f.is_entry]
        return "\n".join(
            [
                '#include "machine.h"\n#include "memory.h"\n#include "arithmetic.h"',
                '#include "warp.h"\n#include "tensor.h"',
                "static u32 dynamic_shared;",
                *variables,
                self._own_variables(),
                *prototypes,
                *bodies,
                self._entries(),
                '#include "launch.h"',
            ]
        )

    # Variables

    def _module_variable(self, variable: Variable) -> str:
        c_name = identifier(variable.name)
        if variable.space == "shared":
            return self._shared_variable(variable, self._scope)
        self._scope.variables[variable.name] = (variable, c_name)
        kind = storage(variable.type)
        number = 1 if variable.count is None else variable.count
        values = ", ".join(f"0x{v & (256 ** SIZES[kind] - 1):x}ull" for v in variable.initial)
        if kind in ("f32", "f64"):
            kind = f"u{8 * SIZES[kind]}"
        return (
            f"static {kind} {c_name}[{number}] __attribute__((aligned("
            f"{max(variable.alignment, 16)}))) = {{{values or 0}}};"
        )

    def _own_variables(self) -> str:
        rows = [
            f"{{(u64){identifier(v.name)}, (u64){identifier(v.name)} + {v.size}, "
            f"{int(v.space == 'const')}, 0, 0}},"
            for v in self.module.variables
            if v.space in ("global", "const")
        ]
        return "static Range own_variables[] = {" + " ".join(rows) + "{~0ull, ~0ull, 0, 0, 0}};"

    def _shared_variable(self, variable: Variable, scope: Scope) -> str:
        if variable.unsized:
            scope.variables[variable.name] = (variable, "(BASE + static_shared)")
            return ""
        self._shared_end = _up(self._shared_end, max(variable.alignment, 1))
        scope.variables[variable.name] = (variable, f"(BASE + {self._shared_end})")
        self._shared_end += variable.size
        return ""

    # Functions

    def _prototype(self, function: Function) -> str:
        if function.is_entry:
            return f"static void {identifier(function.name)}(void)"
        names = [identifier(p.name) for p in (*function.results, *function.parameters)]
        return f"static void {identifier(function.name)}({', '.join(f'u8 *{n}' for n in names)})"

    def _function(self, function: Function) -> str:
        scope = Scope(self._scope)
        self._shared_end, self._in_entry = self._module_shared, function.is_entry
        self._name = function.name
        self._waiting[function.name], self._calls[function.name] = False, set()
        self._local: list[str] = []
        self._seen: set[str] = set()
        lines, offsets, end = [], [], 0
        for parameter in (*function.results, *function.parameters):
            if parameter.space != "param":
                raise NotUnderstood(f"PTX line {parameter.line}: a parameter in a register")
            c_name = identifier(parameter.name)
            scope.variables[parameter.name] = (parameter, c_name)
            if function.is_entry:
                end = _up(end, parameter.alignment)
                lines.append(f"u8 *const {c_name} = parameters + {end}; (void){c_name};")
                offsets.append((end, parameter.size))
                end += parameter.size
        self._local_end = 0
        body = self._block(function.body, scope)  # type: ignore[arg-type]
        if self._local_end:
            lines.append(
                "u32 old_top_ = self->local_top, "
                f"local_ = local_room({self._local_end}, {function.line});"
            )
            lines.append("(void)local_;")
        static_shared = _up(self._shared_end, 16)
        if function.is_entry:
            self.kernels.append(
                Kernel(
                    function.name,
                    offsets,
                    end,
                    static_shared,
                    _product(function.max_threads or function.required_threads),
                    function.required_threads,
                    opcodes=self._seen,
                )
            )
        give_back = "self->local_top = old_top_;" if self._local_end else ""
        text = "\n".join([*lines, body, f"leave: __attribute__((unused)); {give_back}"])
        size = f"enum {{ static_shared = {static_shared} }};"
        return f"{self._prototype(function)} {{\n{size}\n{text}\n}}"

    def _block(self, block: Block, outer: Scope) -> str:
        scope = Scope(outer)
        for statement in block.statements:
            if isinstance(statement, Label):
                scope.labels[statement.name] = f"label{next(self._labels)}"
            elif isinstance(statement, Targets):
                scope.targets[statement.name] = statement.labels
        lines = [self._statement(statement, scope) for statement in block.statements]
        return "{\n" + "\n".join(line for line in lines if line) + "\n}"

    def _statement(self, statement: object, scope: Scope) -> str:
        if isinstance(statement, Block):
            return self._block(statement, scope)
        if isinstance(statement, Label):
            return f"{scope.labels[statement.name]}: __attribute__((unused));"
        if isinstance(statement, Variable):
            return self._declaration(statement, scope)
        if isinstance(statement, Targets):
            return ""
        return self._instruction(statement, scope)  # type: ignore[arg-type]

    def _declaration(self, variable: Variable, scope: Scope) -> str:
        c_name = identifier(variable.name)
        if variable.space == "shared":
            return self._shared_variable(variable, scope)
        if variable.space == "local":
            self._local_end = _up(self._local_end, variable.alignment)
            scope.variables[variable.name] = (variable, f"(local_ + {self._local_end})")
            self._local_end += variable.size
            return ""
        scope.variables[variable.name] = (variable, c_name)
        if variable.space == "param":
            return f"u8 {c_name}[{variable.size}] __attribute__((aligned(16), unused));"
        kind = storage(variable.type)
        poison = "1" if kind == "pred" else "NAN" if kind in ("f32", "f64") else f"({kind})~0ull"
        return f"{kind} {c_name} = {poison};"

    def _instruction(self, instruction: Instruction, scope: Scope) -> str:
        form, modifiers = find(instruction.opcode, instruction.line)
        operation = Operation(instruction, modifiers, scope, self._in_entry)
        text = form.translate(operation)
        self._seen.add(instruction.opcode)
        self.sources[instruction.line] = (instruction.source.file, instruction.source.line)
        self._waiting[self._name] |= operation.waits
        if operation.calls:
            self._calls[self._name].add(operation.calls)
        if instruction.guard is None:
            return text
        return f"if ({operation.value(instruction.guard, 'pred')}) {{ {text} }}"

    # Kernels

    def _find_waiting(self) -> None:
        for kernel in self.kernels:
            reached, todo = set(), [kernel.name]
            while todo:
                name = todo.pop()
                if name not in reached:
                    reached.add(name)
                    todo += self._calls.get(name, ())
            kernel.waits = any(self._waiting.get(name, False) for name in reached)

    def _entries(self) -> str:
        rows = [
            f"{{{identifier(k.name)}, {k.parameter_size}, {k.static_shared}, {int(not k.waits)}}},"
            for k in self.kernels
        ]
        return (
            "typedef struct Entry { void (*run)(void); u32 parameter_size, static_shared, simple; }"
            " Entry;\nstatic const Entry entries[] = {" + " ".join(rows) + "};"
        )


def _product(numbers: tuple[int, ...]) -> int | None:
    result = 1
    for number in numbers:
        result *= number
    return result if numbers else None
