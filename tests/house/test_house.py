"""The house itself: its layers, its contract, and what a newcomer is promised."""

import ast
import inspect
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import minidl
from minidl import fft, linalg, nn, ops, random
from minidl.backends import cpu
from minidl.backends.contract import FUNCTIONS, KERNELS, RULES, SERVICES
from minidl.ops import namespace
from minidl.ops.nn.fused import fused

PACKAGE = Path(minidl.__file__).parent
ROOT = PACKAGE.parent
FILES = sorted(PACKAGE.rglob("*.py"))

# A module imports only from its own layer and those before it.
LAYERS = (
    *("errors", "dtypes", "checks", "files", "backends", "autograd", "ops", "linalg", "fft"),
    *("cuda", "nn", "optim", "amp", "data"),
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


def is_for_types_only(block):
    """Whether a block is read by type checkers, and never runs."""
    return getattr(block.test, "id", "") == "TYPE_CHECKING"


def imports(path):
    """The modules that a file imports, of minidl's own the file that it really means."""
    tree = ast.parse(path.read_text())
    tree.body = [n for n in tree.body if not (isinstance(n, ast.If) and is_for_types_only(n))]
    for node in ast.walk(tree):
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
    assert not wrong, f"{name} is of a lower layer than {wrong}; LAYERS has their order"
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
    count = len(path.read_text().splitlines())
    assert count <= 400, f"{path.relative_to(ROOT)} has {count} lines: make two files of it"


def test_importing_minidl_loads_nothing_heavy():
    code = "import sys, minidl; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    heavy = {"numba", "scipy", "rich", "safetensors", "matplotlib", "PIL", *FRAMEWORKS}
    assert not heavy & {name.split(".")[0] for name in loaded.stdout.split()}


# The contract.

# The namespace in which bodies run on Tensors.
XP = namespace.differentiable
OPERATIONS = {n: f for n, f in vars(XP).items() if hasattr(f, "body")} | {"fused": fused}


def helpers_and_bodies():
    """The functions whose first argument is the namespace."""
    for path in (PACKAGE / "ops").rglob("*.py"):
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


def names_in(function):
    """The names that a function uses, but for its own parameters."""
    arguments = function.args
    own = {a.arg for a in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)}
    return {node.id for node in ast.walk(function) if isinstance(node, ast.Name)} - own


def test_bodies_call_only_what_is_offered():
    """Primitives, and their helpers, call the contract; composites also call any operation."""
    functions = list(helpers_and_bodies())
    primitives = [f for f in functions if is_decorated(f, "primitive")]
    composites = [f for f in functions if is_decorated(f, "composite")]
    assert len(primitives) > 70
    assert len(composites) > 100
    names = {name for f in primitives for name in names_in(f)}
    for function in primitives + [f for f in functions if f.name in names]:
        unknown = set(called_through_xp(function)) - set(FUNCTIONS)
        assert not unknown, (
            f"{function.name} calls xp.{', xp.'.join(sorted(unknown))}, which backends do not "
            "offer: add its signature to FUNCTIONS of minidl/backends/contract.py and the function "
            "to minidl/backends/cpu.py; or make the body a composite"
        )
    for function in composites:
        unknown = set(called_through_xp(function)) - {*OPERATIONS, *FUNCTIONS}
        assert not unknown, (
            f"{function.name} calls xp.{', xp.'.join(sorted(unknown))}, which is no operation: "
            "export it in minidl/ops/__init__.py"
        )


def test_bodies_run_on_any_array():
    for function in helpers_and_bodies():
        names = {node.id for node in ast.walk(function) if isinstance(node, ast.Name)}
        foreign = names & {"np", "numpy", "Tensor"}
        assert not foreign, f"{function.name} names {foreign}: a body computes with xp alone"


def arguments(signature):
    """(x, *, axis) as the names before and after the star."""
    before, _, after = signature.partition("*")
    return tuple([n.strip() for n in part.split(",") if n.strip()] for part in (before, after))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_function_of_the_contract_has_an_operation_with_the_same_arguments(name):
    positional, keywords = arguments(FUNCTIONS[name][1:].partition(")")[0])
    parameters = inspect.signature(getattr(XP, name)).parameters.values()
    parameters = [p for p in parameters if p.kind is not p.VAR_KEYWORD]
    taken = [p.name for p in parameters if p.kind is not p.KEYWORD_ONLY]
    named = [p.name for p in parameters if p.kind is p.KEYWORD_ONLY]
    optional = [p.name for p in parameters if p.default is not p.empty]
    assert taken[: len(positional)] == positional
    assert set(keywords) <= set(named) | set(taken)
    assert set(taken[len(positional) :]) <= set(optional)


@pytest.mark.parametrize("name", [*FUNCTIONS, *SERVICES])
def test_the_cpu_offers_every_function(name):
    assert callable(getattr(cpu, name, None)), f"define {name} in minidl/backends/cpu.py"


@pytest.mark.parametrize("name", KERNELS)
def test_every_kernel_has_the_signature_of_its_operation(name):
    function = cpu.kernel(name)
    assert function, f"no kernel {name}: name its file in _KERNEL_FILES of minidl/backends/cpu.py"
    kernel = inspect.signature(function).parameters
    body = [*inspect.signature(OPERATIONS[name].body).parameters.values()]
    operation = {p.name: p for p in body[1:]}  # all but the namespace
    assert list(kernel) == list(operation)
    assert [p.default for p in kernel.values()] == [p.default for p in operation.values()]


def test_there_are_no_kernels_beside_the_contract():
    assert set(cpu._KERNEL_FILES) == {*KERNELS, *RULES}, (
        "_KERNEL_FILES of minidl/backends/cpu.py names the kernels in KERNELS and RULES of "
        "minidl/backends/contract.py"
    )


def test_every_kernel_is_compared_with_its_body():
    files = [*(ROOT / "tests").rglob("test_*.py"), *(ROOT / "tests" / "every_backend").glob("*.py")]
    texts = [path.read_text() for path in files]
    comparisons = "".join(text for text in texts if '"reference"' in text)  # which runs bodies
    missing = [name for name in KERNELS if not re.search(rf"\b{name}\b", comparisons)]
    assert not missing, (
        f"no test compares the kernels {missing} with their bodies: add one to the test file of "
        "the kernel in tests/backends/kernels/, such as a row of ACTIVATIONS in test_elementwise.py"
    )


# What is public.

LAZY = {
    *("amp", "cuda", "data", "fft", "io", "keras", "linalg", "models", "recommend", "testing"),
    "train",
}
OTHER_PUBLIC_NAMES = {
    *LAZY,
    *("dtypes", "errors", "nn", "ops", "optim", "random"),
    *("Tensor", "RowGradient", "primitive", "composite", "manual_seed"),
    *("grad", "gradients", "value_and_grad", "vjp", "jvp", "hvp", "jacobian", "hessian", "vmap"),
    *("no_grad", "enable_grad", "higher_order", "kernels", "allow_winograd", "autocast"),
    *("checkpoint", "detect_anomaly"),
    *("device", "get_default_device", "set_default_device"),
    *("get_num_threads", "set_num_threads", "result_type", "e", "inf", "nan", "newaxis", "pi"),
    *("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
    *("float16", "float32", "float64", "complex64", "complex128"),
    *("__version__", "__array_api_version__"),
}


@pytest.mark.parametrize("module", [minidl, ops, linalg, fft, random], ids=lambda m: m.__name__)
def test_public_modules_list_what_they_have(module):
    assert len(module.__all__) == len({*module.__all__})
    assert all(hasattr(module, name) for name in module.__all__)


def listed_names(path):
    """The `__all__` of a file, as type checkers read it: a list of words and nothing else."""
    for node in ast.parse(path.read_text()).body:
        targets = getattr(node, "targets", [getattr(node, "target", None)])
        if any(isinstance(target, ast.Name) and target.id == "__all__" for target in targets):
            assert isinstance(node, ast.Assign), path
            return ast.literal_eval(node.value)
    return None


def test_type_checkers_can_read_what_modules_list():
    for path in MODULES.values():
        assert all(isinstance(name, str) for name in listed_names(path) or ()), path


@pytest.mark.parametrize(
    "name",
    ["data", "io", "keras", "keras.layers", "models", "nn", "optim", "train", "train.metrics"],
)
def test_packages_list_what_they_import(name):
    path = MODULES[f"minidl.{name}"]
    imported = {
        alias.asname or alias.name
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    public = {name for name in imported if not name.startswith("_")}
    assert public <= {*listed_names(path)}, f"{path}: __all__"


def test_minidl_offers_the_operations_and_little_else():
    assert {*minidl.__all__} == {*ops.__all__} | OTHER_PUBLIC_NAMES, "minidl/__init__.py: __all__"


@pytest.mark.parametrize("module", [minidl, ops], ids=lambda m: m.__name__)
def test_nothing_else_leaks_out(module):
    assert dir(module) == sorted(module.__all__)
    others = {name for name in vars(module) if not name.startswith("_")} - {*module.__all__}
    assert all(f"{module.__name__}.{name}" in MODULES for name in others)


def test_a_type_checker_sees_the_packages_that_are_imported_late():
    (block,) = [n for n in ast.parse(MODULES["minidl"].read_text()).body if isinstance(n, ast.If)]
    assert {alias.name for alias in block.body[0].names} == LAZY
    loaded = "import sys, minidl; print(*sys.modules)"
    names = subprocess.run([sys.executable, "-c", loaded], capture_output=True, text=True).stdout
    assert not {f"minidl.{name}" for name in LAZY} & set(names.split())


def operations_in_files():
    """Each operation that a file of minidl/ops defines for others, with its module."""
    for name in MODULES:
        if name.startswith("minidl.ops."):
            for operation in vars(import_module(name)).values():
                body = getattr(operation, "body", None)
                if body and body.__module__ == name and not body.__name__.startswith("_"):
                    yield name, operation


def test_every_operation_can_be_called():
    inner = set(namespace.INTERNAL)
    modules = (ops, linalg, fft, random)
    offered = {id(getattr(module, name)) for module in modules for name in module.__all__}
    of_linalg = {id(operation) for operation in namespace.OF_LINALG}  # eigh, …: as named tuples
    for module, operation in operations_in_files():
        if operation not in inner and id(operation) not in of_linalg:
            assert id(operation) in offered, (
                f"{module} defines {operation.__name__}, which nobody can call: add it to the "
                "imports and to __all__ of minidl/ops/__init__.py and of minidl/__init__.py, or of "
                "minidl/linalg.py or minidl/fft.py, or to INTERNAL of minidl/ops/namespace.py"
            )
        assert getattr(XP, operation.__name__) is operation


def test_internal_operations_are_not_public():
    inner = {operation.__name__ for operation in namespace.INTERNAL}
    assert inner == {
        *(
            "attention_weights",
            "attention_with_weights",
            "check_indices",
            "consecutive_parts",
            "fused",
            "mul_zero",
        ),
        *("precise_matmul", "put_at", "row_gradient", "scatter_at", "xdivy", "xmuly"),
    }
    assert not inner & {*minidl.__all__, *ops.__all__}


def test_every_layer_is_public():
    for name in MODULES:
        if name.startswith("minidl.nn."):
            for cls in vars(import_module(name)).values():
                is_layer = isinstance(cls, type) and issubclass(cls, nn.Module)
                if is_layer and cls.__module__ == name and not cls.__subclasses__():
                    assert cls.__name__.startswith("_") or cls.__name__ in nn.__all__, (
                        f"{name} defines the layer {cls.__name__}, which is not public: add it to "
                        "the imports of minidl/nn/__init__.py"
                    )


# Promises to the reader.


@pytest.mark.parametrize("name", [n for n in dir(minidl) if not n.startswith("_")])
def test_every_public_name_has_a_docstring(name):
    value = getattr(minidl, name)
    if callable(value) or inspect.ismodule(value):
        assert inspect.getdoc(value), f"minidl.{name} has no docstring"


README = (ROOT / "README.md").read_text()


@pytest.mark.parametrize("code", re.findall(r"```python\n(.*?)```", README, re.DOTALL))
def test_the_code_of_the_readme_runs(code, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "README.md", "exec"), {"__name__": "readme"})
