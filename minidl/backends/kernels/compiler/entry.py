"""Entries: machine code that takes a kernel's arguments from Python, and calls the kernel.

The entry of a kernel is a function for `METH_FASTCALL`, generated here in LLVM's language.  It goes
through the arguments: is this an array, of the right dtype and number of axes, contiguous?  If one
does not fit, it returns NotImplemented, and nothing has happened.  Then it releases the interpreter
lock, and calls the kernel; a parallel one, for each chunk, by the pool of threads.

Of Python it uses functions of the stable ABI, and of objects only the fields that all builds with
the same header have in common since Python 3.2 and NumPy 1.7.  So one entry serves all versions of
both.

    arguments     those of the signature; of a parallel kernel, then the number of chunks and the
                  address of the pool's control block
    self          the types numpy.ndarray, numpy.float32 and numpy.uint64
"""

from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import types
from numba.np import arrayobj

from minidl.backends.kernels.compiler.frontend import _context, numba_type
from minidl.backends.kernels.runtime import signature as signatures

_BYTE, _I32, _I64 = ir.IntType(8), ir.IntType(32), ir.IntType(64)
_POINTER = _BYTE.as_pointer()
_NULL = ir.Constant(_POINTER, None)

# Offsets of fields on machines of 64 bits: struct PyObject, PyVarObject, PyArrayObject and
# PyArray_Descr.  The header of an object ends with its type; it is longer in free-threaded builds.
_HEADER = object.__basicsize__
_OB_TYPE, _OB_SIZE = _HEADER - 8, _HEADER
_DATA, _NDIM, _SHAPE, _STRIDES, _DESCR, _FLAGS = (_HEADER + i for i in (0, 8, 16, 24, 40, 48))
_BYTE_ORDER, _TYPE_NUMBER = _HEADER + 10, _HEADER + 12
_SCALAR_VALUE = _HEADER

_C_CONTIGUOUS, _ALIGNED = 0x0001, 0x0100
_TUPLE_SUBCLASS = 1 << 26
_SELF = {"ndarray": 0, "f32": 1, "u64": 2}  # the types in `self`

_RUN = "runtime.scheduling:run"


class Entry:
    """The module of LLVM's with the entry of a kernel that was compiled."""

    def __init__(
        self, symbol: str, signature: signatures.Signature, compiled: Any, parallel: bool
    ) -> None:
        self._context = _context()
        self.module = ir.Module(symbol)
        self.module.triple = self._context.codegen()._create_empty_module("").triple
        self._symbol, self._signature = symbol, signature
        self._kernel = self._context.declare_function(self.module, compiled.fndesc)
        self._types = compiled.signature.args
        self._result = compiled.signature.return_type
        kind = ir.FunctionType(_POINTER, [_POINTER, _POINTER.as_pointer(), _I64])
        self._function = ir.Function(self.module, kind, symbol)
        self._builder = ir.IRBuilder(self._function.append_basic_block("begin"))
        self._refuse = self._function.append_basic_block("refuse")
        self._write(parallel)

    def _write(self, parallel: bool) -> None:
        builder = self._builder
        _, given, count = self._function.args
        expected = list(self._signature.arguments)
        if parallel:
            expected += [signatures.Scalar("i64")] * 2
        self._require(builder.icmp_signed("==", count, _I64(len(expected))))
        objects = [builder.load(builder.gep(given, [_I64(i)])) for i in range(len(expected))]
        values = [self._unboxed(*pair) for pair in zip(expected, objects, strict=True)]
        failed, result = self._chunks(values) if parallel else self._call_unlocked(values)
        self._return(failed, result)
        builder.position_at_end(self._refuse)
        builder.ret(self._new_reference("_Py_NotImplementedStruct"))

    # Calling the kernel.

    def _call(self, builder: Any, values: list[Any]) -> tuple[Any, Any]:
        """Whether the kernel failed, and what it returns."""
        status, result = self._context.call_conv.call_function(
            builder, self._kernel, self._result, self._types, values
        )
        return status.is_error, result

    def _call_unlocked(self, values: list[Any]) -> tuple[Any, Any]:
        saved = self._release_lock()
        failed, result = self._call(self._builder, values)
        self._acquire_lock(saved)
        return failed, result

    def _chunks(self, values: list[Any]) -> tuple[Any, None]:
        """All chunks, by the pool.  What the task needs for one of them lies in a structure."""
        builder, (*arguments, chunks, pool) = self._builder, values
        fields = [*arguments, chunks, _I32(0)]
        kind = ir.LiteralStructType([field.type for field in fields])
        record = builder.alloca(kind)
        for i, field in enumerate(fields):
            builder.store(field, builder.gep(record, [_I32(0), _I32(i)]))
        task = builder.ptrtoint(self._task(kind), _I64)
        run = self._external(_RUN, ir.VoidType(), _I64.as_pointer(), _I64, _POINTER, _I64)
        control = builder.inttoptr(pool, _I64.as_pointer())
        saved = self._release_lock()
        builder.call(run, [control, task, builder.bitcast(record, _POINTER), chunks])
        self._acquire_lock(saved)
        failed = builder.load(builder.gep(record, [_I32(0), _I32(len(fields) - 1)]))
        return builder.icmp_signed("!=", failed, _I32(0)), None

    def _task(self, record: Any) -> ir.Function:
        """The function that the pool calls: task(structure, chunk)."""
        kind = ir.FunctionType(ir.VoidType(), [_POINTER, _I64])
        function = ir.Function(self.module, kind, f"{self._symbol}.task")
        function.linkage = "internal"
        data, chunk = function.args
        builder = ir.IRBuilder(function.append_basic_block("begin"))
        fields = builder.bitcast(data, record.as_pointer())
        addresses = [builder.gep(fields, [_I32(0), _I32(i)]) for i in range(len(record.elements))]
        *arguments, chunks = [builder.load(address) for address in addresses[:-1]]
        failed, _ = self._call(builder, [*arguments, chunk, chunks])
        with builder.if_then(failed, likely=False):
            builder.store(_I32(1), addresses[-1])
        builder.ret_void()
        return function

    def _release_lock(self) -> Any:
        return self._builder.call(self._external("PyEval_SaveThread", _POINTER), [])

    def _acquire_lock(self, saved: Any) -> None:
        restore = self._external("PyEval_RestoreThread", ir.VoidType(), _POINTER)
        self._builder.call(restore, [saved])

    # The result, as a Python object.

    def _return(self, failed: Any, result: Any) -> None:
        builder = self._builder
        with builder.if_then(failed, likely=False):
            self._raise(f"the kernel {self._symbol} failed")
        if result is None or self._result == types.none:
            builder.ret(self._new_reference("_Py_NoneStruct"))
        elif isinstance(self._result, types.BaseTuple):
            builder.ret(self._boxed_tuple(result))
        else:
            builder.ret(self._boxed(self._result, result))

    def _raise(self, message: str) -> None:
        builder, text = self._builder, bytearray(f"{message}\0".encode())
        words = ir.GlobalVariable(self.module, ir.ArrayType(_BYTE, len(text)), "failed")
        words.initializer, words.linkage = ir.Constant(words.value_type, text), "internal"
        error = builder.load(self._global("PyExc_RuntimeError", _POINTER))
        set_string = self._external("PyErr_SetString", ir.VoidType(), _POINTER, _POINTER)
        builder.call(set_string, [error, builder.bitcast(words, _POINTER)])
        builder.ret(_NULL)

    def _boxed_tuple(self, result: Any) -> Any:
        builder, kinds = self._builder, self._result.types
        made = builder.call(self._external("PyTuple_New", _POINTER, _I64), [_I64(len(kinds))])
        set_item = self._external("PyTuple_SetItem", _I32, _POINTER, _I64, _POINTER)
        for i, kind in enumerate(kinds):
            value = self._boxed(kind, builder.extract_value(result, i))
            builder.call(set_item, [made, _I64(i), value])
        return made

    def _boxed(self, kind: Any, value: Any) -> Any:
        builder = self._builder
        if isinstance(kind, types.Float):
            double = builder.fpext(value, ir.DoubleType()) if kind.bitwidth < 64 else value
            return builder.call(
                self._external("PyFloat_FromDouble", _POINTER, double.type), [double]
            )
        if isinstance(kind, types.Boolean):
            return builder.call(
                self._external("PyBool_FromLong", _POINTER, _I64), [self._wide(value)]
            )
        if not isinstance(kind, types.Integer):
            raise TypeError(f"{self._symbol}: an entry cannot return {kind}")
        signed = kind in types.signed_domain
        name = "PyLong_FromLongLong" if signed else "PyLong_FromUnsignedLongLong"
        wide = self._wide(value, signed=signed)
        return builder.call(self._external(name, _POINTER, _I64), [wide])

    def _wide(self, value: Any, *, signed: bool = False) -> Any:
        """An integer of 64 bits."""
        extend = self._builder.sext if signed else self._builder.zext
        return value if value.type == _I64 else extend(value, _I64)

    # Python objects as what kernels take.

    def _unboxed(self, kind: signatures.Type, thing: Any) -> Any:
        builder = self._builder
        match kind:
            case signatures.Array():
                return self._unboxed_array(kind, thing)
            case signatures.Tuple(parts):
                return self._unboxed_tuple(parts, thing)
            case signatures.Scalar("bool"):
                yes = builder.icmp_unsigned("==", thing, self._global("_Py_TrueStruct", _BYTE))
                no = builder.icmp_unsigned("==", thing, self._global("_Py_FalseStruct", _BYTE))
                self._require(builder.or_(yes, no))
                return self._context.cast(builder, yes, types.boolean, types.boolean)
            case signatures.Scalar("i64"):
                self._require_type(thing, self._global("PyLong_Type", _BYTE))
                return self._unboxed_integer(thing)
            case signatures.Scalar("f64"):
                self._require_type(thing, self._global("PyFloat_Type", _BYTE))
                convert = self._external("PyFloat_AsDouble", ir.DoubleType(), _POINTER)
                return builder.call(convert, [thing])
            case signatures.Scalar("f32" | "u64"):
                self._require_type(thing, self._own_type(kind.dtype))
                return self._field(
                    thing, _SCALAR_VALUE, self._context.get_value_type(numba_type(kind))
                )
        raise TypeError(f"{self._symbol}: an entry cannot take {kind}")

    def _unboxed_integer(self, thing: Any) -> Any:
        """A Python integer of 64 bits; others do not fit."""
        builder = self._builder
        value = builder.call(self._external("PyLong_AsLongLong", _I64, _POINTER), [thing])
        with builder.if_then(builder.icmp_signed("==", value, _I64(-1)), likely=False):
            error = builder.call(self._external("PyErr_Occurred", _POINTER), [])
            with builder.if_then(builder.icmp_unsigned("!=", error, _NULL)):
                builder.call(self._external("PyErr_Clear", ir.VoidType()), [])
                builder.branch(self._refuse)
        return value

    def _unboxed_tuple(self, parts: tuple[signatures.Type, ...], thing: Any) -> Any:
        builder = self._builder
        get_flags = self._external("PyType_GetFlags", _I64, _POINTER)
        flags = builder.call(get_flags, [self._field(thing, _OB_TYPE, _POINTER)])
        is_tuple = builder.and_(flags, _I64(_TUPLE_SUBCLASS))
        self._require(builder.icmp_unsigned("!=", is_tuple, _I64(0)))
        size = self._field(thing, _OB_SIZE, _I64)
        self._require(builder.icmp_signed("==", size, _I64(len(parts))))
        values = [self._unboxed(part, self._item(thing, i)) for i, part in enumerate(parts)]
        return self._context.make_tuple(builder, numba_type(signatures.Tuple(parts)), values)

    def _unboxed_array(self, kind: signatures.Array, thing: Any) -> Any:
        builder, own = self._builder, numba_type(kind)
        self._require_type(thing, self._own_type("ndarray"))
        ndim = self._field(thing, _NDIM, _I32)
        self._require(builder.icmp_signed("==", ndim, _I32(kind.ndim)))
        needed = _I32(_ALIGNED | _C_CONTIGUOUS if kind.contiguous else _ALIGNED)
        flags = builder.and_(self._field(thing, _FLAGS, _I32), needed)
        self._require(builder.icmp_signed("==", flags, needed))
        dtype = np.dtype(signatures.DTYPES[kind.dtype])
        descr = self._field(thing, _DESCR, _POINTER)
        number = self._field(descr, _TYPE_NUMBER, _I32)
        self._require(builder.icmp_signed("==", number, _I32(dtype.num)))
        foreign = _BYTE(ord(">" if np.little_endian else "<"))
        self._require(builder.icmp_signed("!=", self._field(descr, _BYTE_ORDER, _BYTE), foreign))
        shape, strides = (
            [
                builder.load(builder.gep(self._field(thing, offset, _I64.as_pointer()), [_I64(i)]))
                for i in range(kind.ndim)
            ]
            for offset in (_SHAPE, _STRIDES)
        )
        array = self._context.make_array(own)(self._context, builder)
        data = builder.bitcast(self._field(thing, _DATA, _POINTER), array.data.type)
        arrayobj.populate_array(
            array, data, shape, strides, itemsize=_I64(dtype.itemsize), meminfo=None
        )
        return array._getvalue()

    def _item(self, thing: Any, i: int) -> Any:
        get = self._external("PyTuple_GetItem", _POINTER, _POINTER, _I64)
        return self._builder.call(get, [thing, _I64(i)])

    def _own_type(self, name: str) -> Any:
        return self._item(self._function.args[0], _SELF[name])

    def _field(self, thing: Any, offset: int, kind: Any) -> Any:
        builder = self._builder
        return builder.load(builder.bitcast(builder.gep(thing, [_I64(offset)]), kind.as_pointer()))

    def _require_type(self, thing: Any, kind: Any) -> None:
        self._require(
            self._builder.icmp_unsigned("==", self._field(thing, _OB_TYPE, _POINTER), kind)
        )

    def _require(self, condition: Any) -> None:
        """Go on if a condition holds; else refuse the arguments."""
        fits = self._function.append_basic_block("fits")
        self._builder.cbranch(condition, fits, self._refuse)
        self._builder.position_at_end(fits)

    # Names of other modules.

    def _external(self, name: str, result: Any, *arguments: Any) -> Any:
        known = self.module.globals.get(name)
        return known or ir.Function(self.module, ir.FunctionType(result, arguments), name)

    def _global(self, name: str, kind: Any) -> Any:
        known = self.module.globals.get(name)
        return known or ir.GlobalVariable(self.module, kind, name)

    def _new_reference(self, name: str) -> Any:
        thing = self._global(name, _BYTE)
        self._builder.call(self._external("Py_IncRef", ir.VoidType(), _POINTER), [thing])
        return thing


def outlined_module(symbol: str, compiled: Any) -> ir.Module:
    """The module of LLVM's with an outlined function, as one of C under its symbol."""
    context = _context()
    module = ir.Module(symbol)
    kernel, arguments = (
        context.declare_function(module, compiled.fndesc),
        compiled.signature.args,
    )
    result = compiled.signature.return_type
    returned = ir.VoidType() if result == types.none else context.get_value_type(result)
    kinds = [context.get_value_type(kind) for kind in arguments]
    function = ir.Function(module, ir.FunctionType(returned, kinds), symbol)
    builder = ir.IRBuilder(function.append_basic_block("begin"))
    _, value = context.call_conv.call_function(builder, kernel, result, arguments, function.args)
    if result == types.none:
        builder.ret_void()
    else:
        builder.ret(value)
    return module
