"""The front end of the compiler: Numba turns a kernel's Python into LLVM's language.

Numba infers types and generates code for a *target*.  Ours differs from Numba's own, which runs
what it compiles at once, in this process, on this processor:

* It is for a level of processors, which may be another machine's (`runtime.level`).
* Code is position-independent, and only the final kernel is made machine code of: inner functions
  are linked into it as LLVM's instructions.
* Kernels allocate nothing.  So nothing counts references to arrays, and Numba's runtime library is
  not needed.

Objects of minidl's in the sources of kernels (`runtime.kernel`) tell Numba their types: an inner
function is a dispatcher of this target, an intrinsic a function whose code is generated here, an
outlined function an external one of C.
"""

from collections.abc import Callable
from functools import cache, partial
from typing import Any

import llvmlite.binding as llvm
import numpy as np
from numba.core import (
    cgutils,
    codegen,
    cpu,
    dispatcher,
    externals,
    fastmathpass,
    target_extension,
    types,
    typing,
)
from numba.core.registry import CPUTarget
from numba.core.runtime import rtsys
from numba.core.typing import templates
from numba.np import arrayobj, numpy_support

from minidl.backends.kernels.runtime import signature as signatures
from minidl.backends.kernels.runtime.functions import (
    ArrayAt,
    Inner,
    Intrinsic,
    Outlined,
    numba_types,
)
from minidl.backends.kernels.runtime.kernel import Kernel
from minidl.backends.kernels.runtime.level import Level, level

_SCALARS = {
    name: numpy_support.from_dtype(np.dtype(dtype)) for name, dtype in signatures.DTYPES.items()
}

# The triples that the architectures of levels have on Linux; of this machine, LLVM knows it.
_TRIPLES = {"x86_64": "x86_64-unknown-linux-gnu", "aarch64": "aarch64-unknown-linux-gnu"}
_PROCESSORS = {"aarch64": "generic"}  # whose names for LLVM are not those of their levels
# What LLVM calls its preference for vectors of half the width, which `wide` kernels do without.
_PREFERENCES = {"x86-64-v4": "prefer-256-bit"}


def triple_of(target: Level) -> str:
    """The architecture, the system and the binary interface that code of a level is for."""
    here = llvm.get_process_triple()
    architecture = here.partition("-")[0]
    return here if target.architecture in ("", architecture) else _TRIPLES[target.architecture]


@cache
def target_machine(wide: bool = False) -> Any:
    """LLVM's code generator for the level that is used.

    wide    loops use vectors of the full width, as intrinsics do in any case
    """
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    target = llvm.Target.from_triple(triple_of(level()))
    processor = _PROCESSORS.get(level().name, level().name)
    without = f"-{_PREFERENCES[level().name]}" if wide and level().name in _PREFERENCES else ""
    return target.create_target_machine(
        cpu=processor, features=without, opt=3, reloc="pic", codemodel="default"
    )


class _Library(codegen.AOTCodeLibrary):
    """The instructions of a function.

    They are optimised once, in the kernel: an inner function has no code of its own.
    """

    def _optimize_final_module(self) -> None:
        pass

    def optimized(self, wide: bool) -> Any:
        """LLVM's module with this function and all that it calls, optimised."""
        self._ensure_finalized()
        self._codegen._tm = target_machine(wide)
        super()._optimize_final_module()
        return self._final_module


class _Codegen(codegen.AOTCPUCodegen):
    """Code for a level of processors, which is not run here."""

    _library_class = _Library

    def _init(self, llvm_module: Any) -> None:
        self._tm = target_machine()
        self._tm_features = ""
        self._target_data = self._tm.target_data
        self._data_layout = str(self._target_data)
        # As Numba's own: before it looks for superfluous references, a cheap pass.
        self._loopvect, self._opt_level = False, 0

    def _create_empty_module(self, name: str) -> Any:
        module = super()._create_empty_module(name)
        module.triple = triple_of(level())
        return module


class _NoReferences:
    """In place of Numba's reference counts: kernels own no memory."""

    def incref(self, *_: Any) -> None:
        """Nothing: the caller keeps the array."""

    decref = incref

    def __getattr__(self, name: str) -> Any:
        raise NotImplementedError("kernels allocate no memory: let the caller do it")


class _Context(cpu.CPUContext):
    """How types and operations become instructions."""

    nrt = _NoReferences()
    allow_dynamic_globals = False  # addresses of this process

    def init(self) -> None:
        self.is32bit = False
        self._internal_codegen = _Codegen("minidl")
        externals.c_math_functions.install(self)

    def load_additional_registries(self) -> None:
        initialize = rtsys.initialize
        rtsys.initialize = lambda context: None  # memory, which is not needed
        try:
            super().load_additional_registries()
        finally:
            rtsys.initialize = initialize

    def post_lowering(self, mod: Any, library: Any) -> None:
        if self.fastmath:
            fastmathpass.rewrite_module(mod, self.fastmath)

    def get_constant_generic(self, builder: Any, ty: Any, val: Any) -> Any:
        if isinstance(ty, types.Dispatcher):  # as a value; calls of it do not look at it
            return self.get_dummy_value()
        return super().get_constant_generic(builder, ty, val)

    def get_executable(self, library: Any, fndesc: Any, env: Any) -> Any:
        """Nothing runs here; Numba knows a compiled function by this object."""
        return [].append


class _Target(CPUTarget):
    """The target of kernels."""

    _typing = typing.Context()

    @property
    def typing_context(self) -> Any:
        return self._typing

    @property
    def target_context(self) -> Any:
        return _context()


@cache
def _context() -> _Context:
    return _Context(_Target._typing, "minidl")


class _Dispatcher(dispatcher.Dispatcher):
    """A function, and what it was compiled to for each combination of argument types."""

    targetdescr = _Target("minidl")


class _Kernels(target_extension.CPU):
    """The target's name: what Numba can do on processors, it can do here."""


target_extension.target_registry["minidl"] = _Kernels
target_extension.dispatcher_registry[_Kernels] = _Dispatcher
# Functions of Python and NumPy that Numba writes in Python are compiled as kernels are.
target_extension.jit_registry[_Kernels] = lambda **options: partial(_dispatcher, options=options)

_WRAPPERS = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}  # nobody calls it from outside
_dispatchers: list[_Dispatcher] = []  # types refer to them weakly


def _dispatcher(function: Callable[..., Any], options: dict[str, Any]) -> _Dispatcher:
    made = _Dispatcher(function, targetoptions={"nopython": True, **options, **_WRAPPERS})
    _dispatchers.append(made)
    return made


# Types.


def numba_type(kind: signatures.Type | None) -> Any:
    """The type of Numba's that a signature names."""
    match kind:
        case None:
            return types.none
        case signatures.Scalar(dtype):
            return _SCALARS[dtype]
        case signatures.Pointer(dtype):
            return types.CPointer(_SCALARS[dtype])
        case signatures.Array(dtype, ndim, contiguous):
            return types.Array(_SCALARS[dtype], ndim, "C" if contiguous else "A")
        case signatures.Tuple(parts):
            return types.Tuple([numba_type(part) for part in parts])
    raise TypeError(kind)


def type_of_inner(inner: Inner) -> Any:
    """The type of a function that kernels call."""
    return types.Dispatcher(_dispatcher(inner.py_func, inner.targetoptions))


def type_of_outlined(outlined: Outlined) -> Any:
    """The type of a function that has machine code of its own."""
    arguments = map(numba_type, outlined.signature.arguments)
    signature = templates.signature(numba_type(outlined.signature.result), *arguments)
    return types.ExternalFunction(outlined.name, signature)


def type_of_intrinsic(intrinsic: Intrinsic) -> Any:
    """The type of a generator of instructions."""
    expected, result = intrinsic.signature

    def define(*given: Any) -> Any:
        variable = _variable(expected, given)
        arguments = [
            _resolved(kind, variable, own) for kind, own in zip(expected, given, strict=True)
        ]
        signature = templates.signature(_resolved(result, variable, None), *arguments)
        return signature, generate

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        plain = [
            context.make_array(kind)(context, builder, value).data
            if isinstance(kind, types.Array)
            else value
            for kind, value in zip(signature.args, values, strict=True)
        ]
        value = intrinsic.generate(builder, *plain)
        return context.get_dummy_value() if value is None else value

    template = templates.make_intrinsic_template(
        intrinsic, _with_parameters(define, len(expected)), intrinsic.__name__, kwargs={}
    )
    return types.Function(template)


def _with_parameters(define: Callable[..., Any], count: int) -> Callable[..., Any]:
    """A function (typing context, …) with so many parameters by name, as Numba asks for."""
    names = ", ".join(f"argument{i}" for i in range(count))
    namespace = {"define": define}
    exec(f"def typed(context, {names}):\n    return define({names})", namespace)
    return namespace["typed"]


def _variable(expected: tuple[signatures.Type, ...], given: tuple[Any, ...]) -> Any:
    """What the type variable T stands for in a call; None if there is none."""
    for kind, own in zip(expected, given, strict=True):
        if not isinstance(kind, signatures.Tuple) and kind.dtype == "T":
            return own.dtype if isinstance(own, types.Array | types.CPointer) else own
    return None


def _resolved(kind: signatures.Type | None, variable: Any, given: Any) -> Any:
    """The type of an argument or a result, in which T is known."""
    if kind is None or isinstance(kind, signatures.Tuple) or kind.dtype != "T":
        return numba_type(kind)
    if isinstance(kind, signatures.Array):
        return given
    return types.CPointer(variable) if isinstance(kind, signatures.Pointer) else variable


def type_of_array_at(handle: Any) -> Any:
    """The type of carray(address, shape)."""

    def define(_context: Any, address: Any, shape: Any) -> Any:
        ndim = len(shape) if isinstance(shape, types.BaseTuple) else 1
        return types.Array(address.dtype, ndim, "C")(address, shape), generate

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        kind, (address, shape) = signature.return_type, values
        lengths = [shape] if kind.ndim == 1 else cgutils.unpack_tuple(builder, shape, kind.ndim)
        itemsize = context.get_constant(types.intp, kind.dtype.bitwidth // 8)
        strides = [itemsize]
        for length in lengths[:0:-1]:
            strides.insert(0, builder.mul(strides[0], length))
        array = context.make_array(kind)(context, builder)
        arrayobj.populate_array(array, address, lengths, strides, itemsize, meminfo=None)
        return array._getvalue()

    return types.Function(templates.make_intrinsic_template(handle, define, "carray", kwargs={}))


numba_types.update(
    {
        Inner: type_of_inner,
        Outlined: type_of_outlined,
        Intrinsic: type_of_intrinsic,
        ArrayAt: type_of_array_at,
    }
)


# Compiling.


def compiled_kernel(kernel: Kernel, signature: signatures.Signature) -> Any:
    """What Numba makes of a kernel for these arguments: its signature and its code."""
    arguments = tuple(map(numba_type, signature.arguments))
    if kernel.parallel:
        arguments += types.int64, types.int64
    return _compiled(kernel.function, kernel.options, arguments)


def compiled_outlined(outlined: Outlined) -> Any:
    """The same of an outlined function."""
    arguments = tuple(map(numba_type, outlined.signature.arguments))
    return _compiled(outlined.function, outlined.options, arguments)


def _compiled(function: Callable[..., Any], options: dict[str, Any], arguments: Any) -> Any:
    made = _dispatcher(function, options)
    made.compile(arguments)
    return made.overloads[arguments]
