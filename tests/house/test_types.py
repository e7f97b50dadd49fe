"""What a user's editor sees is what runs: declared methods, declared outputs, inferred types."""

import ast
import inspect
import subprocess
import sys
import typing
from importlib.util import find_spec
from pathlib import Path

import pytest

import minidl
from minidl import Tensor, data, io, linalg, nn, optim, train
from minidl.autograd import tensor_elementwise, tensor_methods, tensor_operators
from minidl.autograd.mode import Observer, observed_by
from minidl.ops import array_object, devices, operators
from tests.cases import CASES
from tests.house.user_programs import PROGRAMS

ROOT = Path(__file__).parents[2]


class Declared:
    """The declarations of Tensor's methods, which only type checkers read, as code that runs."""

    def __init__(self):
        self.members = {}
        for module in (tensor_operators, tensor_elementwise, tensor_methods):
            source = Path(module.__file__).read_text()
            tree = ast.parse(source.replace("if TYPE_CHECKING:", "if True:"))
            (declared,) = [node for node in tree.body if isinstance(node, ast.ClassDef)]
            declared.bases = []
            code = compile(
                f"from __future__ import annotations\n{ast.unparse(declared)}", "", "exec"
            )
            names = {}
            exec(code, names)
            self.members |= members_of(names[declared.name])


class Attached:
    """What minidl.ops attaches to Tensor."""

    def __init__(self):
        kind = type("Kind", (), {})
        operators.equip(kind)
        array_object.equip(kind)
        devices.equip(kind)
        self.members = members_of(kind)


def members_of(kind):
    ignored = {"__module__", "__doc__", "__dict__", "__weakref__", "__slots__", "__hash__"}
    return {name: value for name, value in vars(kind).items() if name not in ignored}


DECLARED, ATTACHED = Declared().members, Attached().members


def parameters(function):
    """Kind, default and name of each parameter but the first."""
    rest = [*inspect.signature(function).parameters.values()][1:]
    return [(p.kind, p.default, p.name) for p in rest]


def test_what_is_declared_of_tensor_is_what_is_attached():
    assert set(DECLARED) == set(ATTACHED)


@pytest.mark.parametrize("name", DECLARED)
def test_declared_methods_have_the_parameters_of_the_attached_ones(name):
    declared, attached = DECLARED[name], ATTACHED[name]
    assert isinstance(declared, property) == isinstance(attached, property)
    if isinstance(declared, property):
        return
    if name in operator_names():
        assert len(parameters(declared)) == len(parameters(attached))
    else:
        assert parameters(declared) == parameters(attached)


def operator_names():
    """The methods that Python calls by position."""
    binary = {f"__{prefix}{name}__" for name in operators.BINARY for prefix in ("", "r", "i")}
    return binary | {f"__{name}__" for name in operators.OTHERS}


def test_annotations_can_be_evaluated():
    """As libraries that check types at run time do."""
    for module in (minidl, nn, optim, data, train, io, linalg):
        for name in module.__all__:
            value = getattr(module, name)
            members = [value, *vars(value).values()] if inspect.isclass(value) else [value]
            for member in filter(inspect.isfunction, members):
                typing.get_type_hints(member)


def test_every_method_that_is_not_an_operator_says_what_it_does():
    for name, value in DECLARED.items():
        assert name.startswith("__") or inspect.getdoc(value), name


def test_completion_knows_the_methods():
    assert set(DECLARED) <= set(dir(Tensor)) & set(dir(minidl.tensor(1.0)))


class OutputCheck(Observer):
    """Notes operations that return several outputs, and do not declare it."""

    def __init__(self):
        self.undeclared = set()

    def ran(self, operation, inputs, outputs, node):
        may_vary = "return_indices" in inspect.signature(operation).parameters
        if operation.outputs is None and len(outputs) > 1 and not may_vary:
            self.undeclared.add(operation.__name__)


def test_operations_declare_their_outputs():
    check = OutputCheck()
    with observed_by(check), minidl.no_grad():
        for case in CASES:
            case.in_minidl()(*map(minidl.asarray, case.arrays()))
    assert not check.undeclared


def test_declared_outputs_are_checked():
    @minidl.primitive(outputs=2)
    def three(xp, x, /):
        return (x, x, x), None

    @minidl.composite(outputs=list)
    def no_list(xp, x, /):
        return x, x

    with pytest.raises(
        minidl.errors.GradientError, match=r"three: declares outputs=2; .* 3 values"
    ):
        three(1.0)
    with pytest.raises(minidl.errors.GradientError, match="no_list: declares outputs"):
        no_list(1.0)
    for wrong in (0, "two", True, 2.0):
        with pytest.raises(minidl.errors.ArgumentError, match="primitive: outputs"):
            minidl.primitive(outputs=wrong)
        with pytest.raises(minidl.errors.ArgumentError, match="composite: outputs"):
            minidl.composite(outputs=wrong)


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.__name__)
def test_user_programs_run(program, tmp_path):
    program(tmp_path)


@pytest.mark.skipif(find_spec("mypy") is None, reason="needs mypy")
def test_mypy_infers_the_types_of_user_programs():
    program = "tests/house/user_programs.py"
    command = [sys.executable, "-m", "mypy", "--strict", "--follow-imports=silent", program]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert found.returncode == 0, found.stdout
