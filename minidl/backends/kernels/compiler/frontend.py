"""Interim."""
import llvmlite.binding as llvm
import numba
from numba import types
from numba.core.ccallback import CFunc
from numba.core.typing.templates import make_intrinsic_template, signature as typed
from numba.np.numpy_support import from_dtype
import numpy as np

from minidl.backends.kernels.runtime import signature as s

SCALARS = {short: from_dtype(np.dtype(name)) for short, name in s.DTYPES.items()}
SCALARS["bool"] = types.boolean


def numba_type(t):
    if t is None:
        return types.none
    if isinstance(t, s.Scalar):
        return SCALARS[t.dtype]
    if isinstance(t, s.Pointer):
        return types.CPointer(SCALARS[t.dtype])
    if isinstance(t, s.Array):
        return types.Array(SCALARS[t.dtype], t.ndim, "C" if t.contiguous else "A")
    return types.Tuple([numba_type(x) for x in t.types])


def type_of_inner(inner):
    options = dict(inner.targetoptions)
    inner.dispatcher = numba.njit(**options)(inner.py_func)
    return numba.typeof(inner.dispatcher)


def type_of_numba_function(name):
    from numba.core.registry import cpu_target
    cpu_target.typing_context.refresh()
    return cpu_target.typing_context.resolve_value_type(getattr(numba, name))


def interim(kernel):
    from minidl.backends.kernels.runtime.kernel import FLAGS
    return numba.njit(**FLAGS, no_cfunc_wrapper=True)(kernel.function)


def type_of_outlined(outlined):
    sig = typed(numba_type(outlined.signature.result), *map(numba_type, outlined.signature.arguments))
    code = CFunc(outlined.function, (sig.args, sig.return_type), locals={}, options={})
    code.compile()
    outlined.code = code
    llvm.add_symbol(outlined.name, code.address)
    return types.ExternalFunction(outlined.name, sig)


def type_of_intrinsic(intrinsic):
    def define(_, *arguments):
        free = None
        for t, given in zip(intrinsic.signature.arguments, arguments, strict=True):
            if getattr(t, "dtype", None) == "T":
                free = given.dtype if isinstance(given, (types.Array, types.CPointer)) else given

        def resolve(t, given):
            if getattr(t, "dtype", None) != "T":
                return numba_type(t)
            if isinstance(t, s.Array):
                return given
            return types.CPointer(free) if isinstance(t, s.Pointer) else free

        expected = [resolve(t, g) for t, g in zip(intrinsic.signature.arguments, arguments)]
        result = resolve(intrinsic.signature.result, None)

        def generate(context, builder, sig, values):
            plain = []
            for kind, value in zip(sig.args, values, strict=True):
                if isinstance(kind, types.Array):
                    value = context.make_array(kind)(context, builder, value).data
                plain.append(value)
            made = intrinsic.generate(builder, *plain)
            return context.get_dummy_value() if made is None else made

        return typed(result, *expected), generate

    n = len(intrinsic.signature.arguments)
    names = ", ".join(f"a{i}" for i in range(n))
    scope = {"define": define}
    exec(f"def call(_, {names}):\n    return define(_, {names})", scope)
    template = make_intrinsic_template(intrinsic, scope["call"], intrinsic.__name__, kwargs={})
    return types.Function(template)
