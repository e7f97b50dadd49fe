"""Signatures: for which types of arguments a function is compiled, written beside it.

    "f32[m,k] f32[k,n] bool i64 (i64 f32[n]) -> f32"

    i64, u32, f32 …   numbers; bool
    f32[m,n]          a C-contiguous array, with as many axes as there are names between the
                      brackets, which tell a reader what they are, and nothing to the compiler
    f32[~m,n]         the same with any strides
    f32*              an address
    (…)               a tuple, and so is a named tuple
    F, F[n]           in kernels: f32 or f64, the same everywhere: two signatures in one
    T, T*, T[*]       in intrinsics: any type, the same everywhere; [*] any number of axes

Without an arrow, nothing is returned; what a kernel returns, the compiler finds out.
"""

import re
from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple, TypeAlias

import numpy as np

__all__ = ["Array", "Pointer", "Scalar", "Signature", "Tuple", "Type", "of_arguments", "parse"]

# The names of types here, and NumPy's.
DTYPES = {
    **{f"f{bits}": f"float{bits}" for bits in (32, 64)},
    **{f"{kind[0]}{bits}": f"{kind}{bits}" for kind in ("int", "uint") for bits in (8, 16, 32, 64)},
    "bool": "bool",
}
_NAMES = {np.dtype(name): short for short, name in DTYPES.items()}
ANY = -1  # number of axes


class Scalar(NamedTuple):
    """A number."""

    dtype: str

    def __str__(self) -> str:
        return self.dtype


class Pointer(NamedTuple):
    """The address of numbers."""

    dtype: str

    def __str__(self) -> str:
        return f"{self.dtype}*"


class Array(NamedTuple):
    """A NumPy array in native byte order."""

    dtype: str
    ndim: int
    contiguous: bool = True

    def __str__(self) -> str:
        return f"{self.dtype}[{'' if self.contiguous else '~'}{self.ndim}]"


class Tuple(NamedTuple):
    """A tuple."""

    types: tuple[Any, ...]

    def __str__(self) -> str:
        return f"({' '.join(map(str, self.types))})"


Type: TypeAlias = Scalar | Pointer | Array | Tuple


class Signature(NamedTuple):
    """The types of the arguments, and of the result; None: it returns nothing."""

    arguments: tuple[Type, ...]
    result: Type | None = None

    def __str__(self) -> str:
        arrow = "" if self.result is None else f" -> {self.result}"
        return " ".join(map(str, self.arguments)) + arrow


_TOKEN = re.compile(r"\s*(->|\(|\)|(?P<dtype>\w+)(?P<kind>\*|\[(?P<axes>[^\]]*)\])?)")


@cache
def parse(text: str) -> Signature:
    """The signature that is written like that; ValueError if it cannot be read."""
    stack: list[list[Type]] = [[]]
    arguments, position = None, 0
    while position < len(text.rstrip()):
        token = _TOKEN.match(text, position)
        if token is None:
            raise ValueError(f"cannot read the signature {text!r} from {text[position:]!r} on")
        position = token.end()
        match token[1]:
            case "->":
                arguments = stack.pop()
                stack.append([])
            case "(":
                stack.append([])
            case ")" if len(stack) > 1:
                stack[-2].append(Tuple(tuple(stack.pop())))
            case ")":
                raise ValueError(f"a parenthesis too many in the signature {text!r}")
            case _:
                stack[-1].append(_type(token, text))
    if len(stack) > 1:
        raise ValueError(f"a parenthesis is open at the end of the signature {text!r}")
    if arguments is None:
        return Signature(tuple(stack[0]))
    if len(stack[0]) != 1:
        raise ValueError(f"one type must follow the arrow in the signature {text!r}")
    return Signature(tuple(arguments), stack[0][0])


def parse_all(texts: Sequence[str]) -> tuple[Signature, ...]:
    """The signatures that are written like that, F standing for one type after the other."""
    return tuple(
        parse(re.sub(r"\bF\b", dtype, text))
        for text in texts
        for dtype in (("f32", "f64") if re.search(r"\bF\b", text) else ("",))
    )


def _type(token: re.Match[str], text: str) -> Type:
    dtype, kind, axes = token["dtype"], token["kind"], token["axes"]
    if dtype not in DTYPES and dtype != "T":
        raise ValueError(f"unknown type {dtype!r} in the signature {text!r}")
    if kind is None:
        return Scalar(dtype)
    if kind == "*":
        return Pointer(dtype)
    names = axes.removeprefix("~")
    if names.isdecimal():  # as signatures are printed
        return Array(dtype, int(names), names == axes)
    ndim = ANY if names == "*" else len(names.split(",")) if names else 0
    return Array(dtype, ndim, names == axes)


def of_arguments(arguments: Sequence[Any]) -> Signature | None:
    """The signature that these arguments need; None if there is none."""
    types = tuple(map(_type_of, arguments))
    return None if None in types else Signature(types)  # type: ignore[arg-type]


def takes(declared: Any, given: Any) -> bool:
    """Whether what is compiled for one signature or type takes arguments of another.

    An array of any strides may be contiguous, too.
    """
    if isinstance(declared, Array) and not declared.contiguous and isinstance(given, Array):
        return declared[:2] == given[:2]
    if isinstance(declared, Tuple) and isinstance(given, Tuple):
        return _all_take(declared.types, given.types)
    if isinstance(declared, Signature) and isinstance(given, Signature):
        return _all_take(declared.arguments, given.arguments)
    return bool(declared == given)


def _all_take(declared: Sequence[Any], given: Sequence[Any]) -> bool:
    return len(declared) == len(given) and all(map(takes, declared, given))


_NUMBERS = bool, int, float, np.float32, np.uint64  # of exactly these types entries take numbers


def plain(argument: Any) -> Any:
    """The argument as an entry takes it, where there is such a one: 1 for np.int8(1), say."""
    if isinstance(argument, tuple):
        return tuple(map(plain, argument))
    if type(argument) is np.ndarray:
        return _plain_array(argument)
    if isinstance(argument, np.generic) and not isinstance(argument, np.float32 | np.uint64):
        argument = argument.item()
    for kind in _NUMBERS:
        if isinstance(argument, kind):
            return argument if type(argument) is kind else kind(argument)
    return argument


def _plain_array(x: np.ndarray) -> np.ndarray:
    """The array as one of NumPy's usual dtype, where C has two names for a type: long long, say."""
    if x.dtype not in _NAMES:
        return x
    usual = np.dtype(DTYPES[_NAMES[x.dtype]])
    return x if x.dtype.num == usual.num else x.view(usual)


def described(argument: Any) -> str:
    """What an argument is, in an error message."""
    if isinstance(argument, np.ndarray):
        return f"{type(argument).__name__} of {argument.dtype}, shape {argument.shape}"
    return type(argument).__name__


def _type_of(argument: Any) -> Type | None:
    if type(argument) is np.ndarray:
        dtype, flags = argument.dtype, argument.flags
        if dtype not in _NAMES or not dtype.isnative or not flags.aligned:
            return None
        return Array(_NAMES[dtype], argument.ndim, flags.c_contiguous)
    if isinstance(argument, tuple):
        types = tuple(map(_type_of, argument))
        return None if None in types else Tuple(types)
    if isinstance(argument, bool | np.bool):
        return Scalar("bool")
    if isinstance(argument, np.float32):
        return Scalar("f32")
    if isinstance(argument, float):
        return Scalar("f64")
    if isinstance(argument, np.uint64):
        return Scalar("u64")
    if isinstance(argument, int | np.integer) and -(2**63) <= argument < 2**63:
        return Scalar("i64")
    return None
