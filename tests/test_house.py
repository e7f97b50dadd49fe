"""The house itself: its layers, its contract, and what a newcomer is promised."""

import ast
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

import minidl
from minidl import ops
from minidl.backends import cpu
from minidl.backends.contract import FUNCTIONS, KERNELS, RULES, SERVICES
from minidl.ops.fused import fused

PACKAGE = Path(minidl.__file__).parent
ROOT = PACKAGE.parent
FILES = sorted(PACKAGE.rglob("*.py"))

# A module imports only from its own layer and those before it.
LAYERS = (
    *("errors", "dtypes", "backends", "autograd", "ops", "linalg", "fft", "nn", "optim", "data"),
    *(
        "io",
        "train",
        "models",
        "keras",
        "recommend",
        "vision",
        "serve",
        "testing",
        "cli",
        "__main__",
    ),
)
FRAMEWORKS = {"torch", "tensorflow", "jax", "sklearn", "cupy", "minidl_cuda", "transformers"}


def module_name(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in FILES}


def imports(path):
    """The modules that a file imports, of minidl's own the file that it really means."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                submodule = f"{node.module}.{alias.name}"
                yield submodule if submodule in MODULES else node.module


def layer(name):
    parts = name.split(".")
    return LAYERS.index(parts[1]) if len(parts) > 1 else len(LAYERS)


@pytest.mark.parametrize("name", MODULES)
def test_modules_import_from_the_layers_above(name):
    own = [other for other in imports(MODULES[name]) if other.split(".")[0] == "minidl"]
    wrong = [other for other in own if other != "minidl" and layer(other) > layer(name)]
    assert not wrong
    outermost = name in ("minidl", "minidl.__main__") or name.startswith("minidl.cli")
    assert "minidl" not in own or outermost


def test_no_module_imports_itself_in_a_circle():
    graph = {name: {i for i in imports(path) if i in MODULES} for name, path in MODULES.items()}
    while leaves := [name for name, needs in graph.items() if not needs & set(graph)]:
        for name in leaves:
            del graph[name]
    assert not graph, f"cycle among {sorted(graph)}"


def test_no_framework_is_in_the_product():
    for path in FILES:
        assert not {name.split(".")[0] for name in imports(path)} & FRAMEWORKS


@pytest.mark.parametrize("path", FILES, ids=module_name)
def test_no_file_needs_scrolling_to_be_understood(path):
    assert len(path.read_text().splitlines()) <= 400


def test_importing_minidl_loads_nothing_heavy():
    code = "import sys, minidl; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    heavy = {"numba", "scipy", "rich", "safetensors", "matplotlib", "PIL", *FRAMEWORKS}
    assert not heavy & {name.split(".")[0] for name in loaded.stdout.split()}


# The contract.

OPERATIONS = {n: f for n, f in vars(ops).items() if hasattr(f, "body")} | {"fused": fused}


def helpers_and_bodies():
    """The functions whose first argument is the namespace."""
    for path in (PACKAGE / "ops").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef):
                arguments = [a.arg for a in (*node.args.posonlyargs, *node.args.args)]
                if arguments[:1] == ["xp"]:
                    yield node


def is_decorated(function, name):
    decorators = [getattr(d, "func", d) for d in function.decorator_list]
    return name in [getattr(d, "id", "") for d in decorators]


def called_through_xp(function):
    for node in ast.walk(function):
        if isinstance(node, ast.Attribute) and getattr(node.value, "id", None) == "xp":
            yield node.attr


def test_bodies_call_only_what_is_offered():
    """Primitives, and what helps them, call the contract; composites call any operation."""
    functions = list(helpers_and_bodies())
    primitives = [f for f in functions if is_decorated(f, "primitive")]
    composites = [f for f in functions if is_decorated(f, "composite")]
    assert len(primitives) > 70
    assert len(composites) > 10
    names = {n.id for f in primitives for n in ast.walk(f) if isinstance(n, ast.Name)}
    for function in primitives + [f for f in functions if f.name in names]:
        assert set(called_through_xp(function)) <= set(FUNCTIONS), function.name
    for function in composites:
        assert set(called_through_xp(function)) <= set(OPERATIONS), function.name


def test_bodies_run_on_any_array():
    for function in helpers_and_bodies():
        names = {node.id for node in ast.walk(function) if isinstance(node, ast.Name)}
        assert not names & {"np", "numpy", "Tensor"}, function.name


def arguments(signature):
    """(x, *, axis) as the names before and after the star."""
    before, _, after = signature.partition("*")
    return tuple([n.strip() for n in part.split(",") if n.strip()] for part in (before, after))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_function_of_the_contract_is_public_with_the_same_arguments(name):
    positional, keywords = arguments(FUNCTIONS[name][1:].partition(")")[0])
    parameters = inspect.signature(getattr(ops, name)).parameters.values()
    parameters = [p for p in parameters if p.kind is not p.VAR_KEYWORD]
    taken = [p.name for p in parameters if p.kind is not p.KEYWORD_ONLY]
    named = [p.name for p in parameters if p.kind is p.KEYWORD_ONLY]
    optional = [p.name for p in parameters if p.default is not p.empty]
    assert taken[: len(positional)] == positional
    assert set(keywords) <= set(named) | set(taken)
    assert set(taken[len(positional) :]) <= set(optional)


@pytest.mark.parametrize("name", [*FUNCTIONS, *SERVICES])
def test_the_cpu_offers_every_function(name):
    assert callable(getattr(cpu, name))


@pytest.mark.parametrize("name", KERNELS)
def test_every_kernel_has_the_signature_of_its_operation(name):
    kernel = inspect.signature(cpu.kernel(name)).parameters
    operation = inspect.signature(OPERATIONS[name]).parameters
    assert list(kernel) == list(operation)
    assert [p.default for p in kernel.values()] == [p.default for p in operation.values()]


def test_there_are_no_kernels_beside_the_contract():
    assert set(cpu._KERNEL_FILES) == {*KERNELS, *RULES}


# Promises to the reader.


@pytest.mark.parametrize("name", [n for n in dir(minidl) if not n.startswith("_")])
def test_every_public_name_has_a_docstring(name):
    value = getattr(minidl, name)
    if callable(value) or inspect.ismodule(value):
        assert inspect.getdoc(value)


README = (ROOT / "README.md").read_text()


@pytest.mark.parametrize("code", re.findall(r"```python\n(.*?)```", README, re.DOTALL))
def test_the_code_of_the_readme_runs(code, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "README.md", "exec"), {"__name__": "readme"})


def test_the_line_counts_of_the_readme_are_right():
    rows = re.findall(r"\| `(minidl/[\w/]+\.py)` \| (\d+) \|", README)
    assert len(rows) > 10
    for path, count in rows:
        assert len((ROOT / path).read_text().splitlines()) == int(count), path
