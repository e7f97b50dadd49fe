"""A kernel around one instruction: operands from arrays, a thread for each element."""

import numpy as np
import pytest

from .forms import Form
from .program import Program
from .syntax import SIZES

DTYPES = {
    **{
        f"{k}{n}": np.dtype(f"{'i' if k == 's' else 'u'}{n // 8}")
        for k in "bus"
        for n in (8, 16, 32, 64)
    },
    **{"f16": np.dtype("f2"), "f32": np.dtype("f4"), "f64": np.dtype("f8")},
    **{
        "f16x2": np.dtype("u4"),
        "bf16x2": np.dtype("u4"),
        "bf16": np.dtype("u2"),
        "tf32": np.dtype("u4"),
    },
    "pred": np.dtype("u4"),
}
SAMPLED_OR_ALL = [  # the opcodes of a form that a test takes
    pytest.param(Form.sample, id="sample"),
    pytest.param(lambda form: list(form.expand()), id="all", marks=pytest.mark.full),
]
_HEADER = ".version 9.0\n.target sm_80\n.address_size 64\n"


def _register(kind: str) -> str:
    """The declared type of the register that holds a type."""
    if kind in ("pred", "f32", "f64"):
        return kind
    return f"b{max(16, 8 * SIZES[kind])}"


def _memory_type(kind: str) -> str:
    return "u32" if kind == "pred" else kind if kind in ("f32", "f64") else f"b{8 * SIZES[kind]}"


def kernel_text(name: str, text: str, inputs: tuple[str, ...], outputs: tuple[str, ...]) -> str:
    """An entry: registers a0, a1 … are loaded, `text` runs, registers d0, d1 … are stored."""
    parameters = [f".param .u64 {name}_{k}" for k in range(len(inputs) + len(outputs))]
    lines = [f".reg .{_register(k)} a{i};" for i, k in enumerate(inputs)]
    lines += [f".reg .{_register(k)} d{i};" for i, k in enumerate(outputs)]
    lines += [".reg .b64 p, t; .reg .b32 w, x; mov.u32 w, %tid.x; mov.u32 x, %ctaid.x;"]
    lines += [".reg .b32 n; mov.u32 n, %ntid.x; mad.lo.u32 w, x, n, w;"]
    for i, kind in enumerate(inputs):
        lines += [f"ld.param.u64 p, [{name}_{i}]; mul.wide.u32 t, w, {DTYPES[kind].itemsize};"]
        target = "x" if kind == "pred" else f"a{i}"
        lines += [f"add.s64 p, p, t; ld.global.{_memory_type(kind)} {target}, [p];"]
        lines += [f"setp.ne.u32 a{i}, x, 0;"] if kind == "pred" else []
    lines += [text]
    for i, kind in enumerate(outputs):
        lines += [f"ld.param.u64 p, [{name}_{len(inputs) + i}];"]
        lines += [f"mul.wide.u32 t, w, {DTYPES[kind].itemsize}; add.s64 p, p, t;"]
        lines += [f"selp.u32 x, 1, 0, d{i};"] if kind == "pred" else []
        lines += [f"st.global.{_memory_type(kind)} [p], {'x' if kind == 'pred' else f'd{i}'};"]
    body = "\n".join(lines)
    return f".visible .entry {name}({', '.join(parameters)})\n{{\n{body}\nret;\n}}\n"


def program(entries: list[str], declarations: str = "", checked: bool = False) -> Program:
    """A program of such kernels."""
    return Program(_HEADER + declarations + "\n".join(entries), checked)


def run(
    made: Program,
    name: str,
    inputs: list[np.ndarray],
    outputs: tuple[str, ...],
    block: int | None = None,
    order: str = "forward",
) -> list[np.ndarray]:
    """Run a kernel; what it stored."""
    count = len(inputs[0])
    block = block or min(count, 256)
    results = [np.full(count, 0x5A, DTYPES[kind]) for kind in outputs]
    made.launch(name, (count // block,), (block,), [*inputs, *results], order=order)
    return results
