"""Bad input to the array functions, to Tensor's methods and operators, and to random numbers."""

import pytest

import minidl
from minidl import random
from minidl.errors import (
    ArgumentError,
    AxisError,
    BoundsError,
    DTypeError,
    MinidlError,
    ShapeError,
)
from minidl.ops.indexing import check_indices, put_at, scatter_at
from tests.bad_input import call, every_spoilt, real, whole

BITS = whole(3, 4, below=8)
TRUTH = real(3, 4) > 0.5
ROW = real(6)
SORTED = minidl.asarray([0.1, 0.4, 0.9])
SORTED_4 = minidl.asarray([0.1, 0.4, 0.9, 1.2])
X = real(3, 4)
IDS = minidl.tensor([2, 0, 2, 1])
STARTS = minidl.tensor([0, 2])
KEY = (0, 0)


def method(x, name, *args, names=(), **kwargs):
    """A right call of a method; x itself is not spoilt."""
    return call(getattr(x, name), *args, names=names, **kwargs)


CREATION = [
    call(minidl.tensor, [[1.0, 2.0]], names=("asarray",)),
    call(minidl.tensor, X, dtype="float64", device="cpu", requires_grad=True, names=("asarray",)),
    call(minidl.asarray, X, dtype="float64", device="cpu", copy=None),
    call(minidl.asarray, [1.0, 2.0], copy=True),
    call(minidl.from_dlpack, X.numpy().copy(), device="cpu", copy=True),
    call(minidl.full, (2, 3), 7.0, dtype="float32", device="cpu", requires_grad=False),
    call(minidl.full, 3, 7, dtype="int8"),
    *(
        call(function, (2, 3), dtype="float32", device="cpu", requires_grad=True, names=("full",))
        for function in (minidl.zeros, minidl.ones, minidl.empty)
    ),
    *(
        call(function, X, dtype="float32", device="cpu", requires_grad=True)
        for function in (minidl.zeros_like, minidl.ones_like, minidl.empty_like)
    ),
    call(minidl.full_like, X, 7.0, dtype="float32", device="cpu"),
    call(minidl.arange, 5),
    call(minidl.arange, 1, 5, 2, dtype="float32", device="cpu", requires_grad=True),
    call(minidl.linspace, 0.0, 1.0, 5, dtype="float32", device="cpu", endpoint=False),
    call(minidl.eye, 3, 4, k=1, dtype="float32", device="cpu"),
    call(minidl.eye, 3),
]
MANIPULATION = [
    call(minidl.reshape, X, (2, 6), copy=None),
    call(minidl.reshape, X, (-1, 3)),
    call(minidl.flatten, X, 0, 1),
    call(minidl.permute_dims, X, (1, 0)),
    call(minidl.matrix_transpose, X),
    call(minidl.expand_dims, X, axis=1),
    call(minidl.squeeze, real(1, 3, 1), axis=0),
    call(minidl.squeeze, real(1, 3, 1), (0, 2)),
    call(minidl.broadcast_to, X, (2, 3, 4)),
    call(minidl.flip, X, axis=0, allowed=("axis: None",)),
    call(minidl.astype, X, "float64", copy=True, device="cpu"),
    call(minidl.astype, X, dtype="float64"),
    call(minidl.to_device, X, "cpu"),
    call(minidl.copy, X),
    call(minidl.concat, [X, X], axis=0),
    call(minidl.stack, [X, X], axis=0),
    call(minidl.broadcast_arrays, X, real(4)),
    call(minidl.meshgrid, real(3), real(4), indexing="ij"),
    call(minidl.moveaxis, X, 0, 1),
    call(minidl.moveaxis, real(2, 3, 4), (0, 1), (1, 2)),
    call(minidl.roll, X, 1, axis=0),
    call(minidl.roll, X, (1, 2), axis=(0, 1)),
    call(minidl.roll, X, 2),
    call(minidl.tile, X, (2, 1)),
    call(minidl.tile, X, 2),
    call(minidl.repeat, X, 2, axis=0),
    call(minidl.repeat, X, minidl.asarray([1, 0, 2]), axis=0),
    call(minidl.unstack, X, axis=0),
    call(minidl.unflatten, X, axis=1, shape=(2, 2)),
    call(minidl.pixel_shuffle, real(1, 8, 3, 3), 2),
    call(minidl.pixel_unshuffle, real(1, 2, 4, 4), 2),
    call(minidl.channel_shuffle, real(1, 8, 3, 3), 2),
    call(minidl.pad, X, (1, 1), mode="constant", value=2.0),
    call(minidl.pad, X, (1, 1, 2, 2), "reflect"),
    call(minidl.pad, X, (1, 1), "circular"),
    call(minidl.rot90, real(2, 3), 1, axes=(0, 1)),
    call(minidl.split, ROW, sections=2, axis=0, names=("asarray",)),
    call(minidl.split, X, indices=[1, 2], axis=1, names=("asarray",)),
    call(minidl.split, X, lengths=[1, 2], axis=0, names=("asarray",)),
    call(minidl.split, X, lengths=2, names=("asarray",)),
    call(minidl.chunk, X, 2, axis=1),
    call(minidl.sliding_window_view, X, 2, axis=1),
    call(minidl.sliding_window_view, X, (2, 3)),
    call(minidl.cartesian_prod, real(2), real(3)),
    call(minidl.combinations, real(4), 2, with_replacement=True),
    call(minidl.tril_indices, 3, 4, k=1, device="cpu", allowed=("1: None",)),
    call(minidl.triu_indices, 3, 4, k=1, device="cpu", allowed=("1: None",)),
]
PICKING = [
    call(scatter_at, real(3), minidl.asarray([0, 1, 1]), (4,)),
    call(put_at, X, real(4), 0, allowed=("2: list",)),
    call(minidl.take_along_axis, X, whole(3, 2), axis=1),
    call(minidl.scatter_add, X, whole(3, 2), real(3, 2), axis=1),
    call(minidl.take, X, whole(2), axis=1),
    call(minidl.take, ROW, whole(2)),
    call(minidl.embedding, X, whole(2, 5), sparse=False),
    call(check_indices, whole(2, 3), 3),
    call(minidl.argsort, X, axis=0, descending=True, stable=True),
    call(minidl.sort, X, axis=0, descending=False, stable=True),
    call(minidl.argwhere, X),
    call(minidl.nonzero, X),
    call(minidl.count_nonzero, X, axis=0, keepdims=True),
    call(minidl.searchsorted, SORTED, X, side="left", sorter=None),
    call(minidl.searchsorted, SORTED, X, sorter=whole(3), allowed=("sorter: None",)),
    call(minidl.unique_all, BITS),
    call(minidl.unique_counts, BITS),
    call(minidl.unique_inverse, BITS),
    call(minidl.unique_values, X),
    call(minidl.topk, real(3, 4), 2, axis=0, largest=False, sorted=True),
    call(minidl.kthvalue, real(3, 4), 2, axis=1, keepdims=True),
    call(minidl.segment_sum, real(4, 2), IDS, 3),
    call(minidl.segment_mean, real(4, 2), IDS, 3),
    call(minidl.segment_prod, real(4, 2), IDS, 3),
    call(minidl.segment_max, real(4, 2), IDS, num_segments=3),
    call(minidl.segment_min, real(4, 2), IDS),
    call(minidl.put_along_axis, real(3, 4), whole(3, 2), real(3, 2), axis=1),
    call(minidl.put_along_axis, real(3), whole(1), 2.0, axis=0),
    call(
        minidl.scatter_reduce,
        real(3, 4),
        whole(2, 4),
        real(2, 4),
        "prod",
        axis=0,
        include_self=False,
    ),
    call(minidl.scatter_reduce, real(3), IDS, real(4), "amax"),
    call(minidl.index_copy, X, whole(2), real(2, 4), axis=0),
    call(minidl.index_fill, X, whole(2), 7.0, axis=1, names=("put_at",)),
    call(minidl.masked_scatter, X, TRUTH, real(12)),
    call(minidl.unique_consecutive, BITS, axis=0, allowed=("axis: None",), names=("asarray",)),
    call(minidl.isin, BITS, whole(3), invert=True, names=("asarray",)),
    call(minidl.mode, BITS, axis=0, keepdims=True),
    call(
        minidl.embedding_bag,
        real(3, 2),
        IDS,
        STARTS,
        real(4),
        mode="sum",
        padding_idx=1,
        include_last_offset=False,
        scale_grad_by_freq=True,
        sparse=False,
        allowed=["3: None"],
    ),
    call(minidl.embedding_bag, real(3, 2), whole(2, 2), mode="max"),
]
REDUCTION = [
    *(
        call(function, X, axis=0, keepdims=True)
        for function in (
            *(minidl.sum, minidl.prod, minidl.mean, minidl.var, minidl.std, minidl.max),
            *(minidl.min, minidl.all, minidl.any, minidl.argmax, minidl.argmin, minidl.logsumexp),
        )
    ),
    *(call(f, X, axis=0, dtype="float64") for f in (minidl.sum, minidl.prod)),
    *(call(f, X, axis=0, correction=1) for f in (minidl.var, minidl.std)),
    *(
        call(function, X, axis=0, keepdims=True, names=names)
        for function, names in (
            *((minidl.nansum, ("sum",)), (minidl.nanprod, ("prod",)), (minidl.nanmean, ("sum",))),
            *((minidl.nanmax, ()), (minidl.nanmin, ()), (minidl.nanmedian, ("nanquantile",))),
        )
    ),
    call(minidl.nanvar, X, axis=0, correction=1, names=("nanmean", "sum")),
    call(minidl.nanstd, X, axis=0, correction=1, names=("nanmean", "nanvar", "sum")),
    call(minidl.gradient, X, spacing=2.0, axis=0, edge_order=2, allowed=("axis: None",)),
    call(minidl.gradient, real(4), spacing=SORTED_4, allowed=("spacing: None",)),
    call(minidl.trapezoid, X, real(4), axis=1, allowed=("1: None",)),
    call(minidl.cumulative_trapezoid, X, dx=2.0, axis=0),
    *(
        call(function, X, axis=0, dtype="float64", include_initial=True)
        for function in (minidl.cumulative_sum, minidl.cumulative_prod)
    ),
    call(
        minidl.diff,
        X,
        axis=0,
        n=2,
        prepend=real(1, 4),
        append=real(2, 4),
        allowed=("prepend: None", "append: None"),
    ),
    call(minidl.quantile, real(3, 4), 0.3, axis=0, keepdims=True, interpolation="lower"),
    call(minidl.nanquantile, real(3, 4), real(2), axis=0),
    call(minidl.median, real(3, 4), axis=0, keepdims=False),
    call(minidl.cumulative_max, real(3, 4), axis=0),
    call(minidl.cumulative_min, real(3, 4), axis=-1),
    call(minidl.cumulative_logsumexp, real(3, 4), axis=1),
    call(minidl.one_hot, IDS, 3, dtype="float32"),
    call(minidl.bincount, IDS, real(4), minlength=5, allowed=["1: None"]),
    call(
        minidl.histogram,
        real(9),
        4,
        range=(0.0, 1.0),
        weights=real(9),
        density=True,
        allowed=["weights: None"],
    ),
]
NUMBERS = [
    *(
        call(function, BITS, BITS)
        for function in (
            *(minidl.bitwise_and, minidl.bitwise_or, minidl.bitwise_xor),
            *(minidl.bitwise_left_shift, minidl.bitwise_right_shift),
        )
    ),
    call(minidl.bitwise_and, TRUTH, TRUTH),
    call(minidl.bitwise_invert, BITS),
    *(
        call(function, X)
        for function in (
            *(minidl.positive, minidl.reciprocal, minidl.signbit, minidl.trunc),
            *(minidl.real, minidl.imag, minidl.conj),
        )
    ),
    *(call(function, X, X) for function in (minidl.copysign, minidl.nextafter)),
]
DTYPES = [
    call(minidl.finfo, "float32"),
    call(minidl.finfo, X),
    call(minidl.iinfo, "int8"),
    call(minidl.isdtype, dtype="int8", kind="integral"),
    call(minidl.isdtype, "int8", ("integral", "bool")),
    call(minidl.can_cast, "int8", "int64"),
    call(minidl.can_cast, X, "float64"),
    call(minidl.result_type, X, "float64"),
    call(minidl.result_type, X, 2),
]
RANDOM = [
    call(random.Generator, 5, names=("seed",)),
    call(minidl.manual_seed, 5, names=("seed",)),
    method(random.Generator(), "manual_seed", 5, names=("seed",)),
    method(random.Generator(), "set_state", {"seed": 1, "offset": 2}),
    method(random.Generator(), "key", 5),
    call(
        random.uniform, (2, 3), low=1.0, high=2.0, dtype="float64", device="cpu",
        generator=None, requires_grad=True,
    ),
    call(
        random.normal, (2, 3), mean=1.0, std=2.0, dtype="float64", device="cpu",
        generator=None, requires_grad=True,
    ),
    call(random.integers, 0, 5, (2, 3), device="cpu", generator=None),
    call(random.permutation, 5, device="cpu", generator=None),
    call(random.bernoulli, X, generator=None),
    call(random.multinomial, X, num_samples=2, replacement=True, generator=None),
    call(minidl.uniform_like, X, KEY),
    call(minidl.feature_dropout, real(2, 3, 4), 0.5, key=KEY),
    call(minidl.alpha_dropout, X, 0.5, key=KEY),
]  # fmt: skip
INDEXED = X.copy()
LEAF = minidl.tensor([1.0, 2.0, 3.0], requires_grad=True)
OPERATORS = [
    *(
        call(getattr(X, f"__{prefix}{short}__"), X, names=(long,))
        for short, long in {
            **{"add": "add", "sub": "subtract", "mul": "multiply", "truediv": "divide"},
            **{"floordiv": "floor_divide", "mod": "remainder", "pow": "pow"},
        }.items()
        for prefix in ("", "r")
    ),
    *(call(getattr(X, f"__{n}__"), X) for n in ("eq", "ne", "lt", "le", "gt", "ge")),
    call(X.__matmul__, real(4, 2)),
    call(X.__rmatmul__, real(2, 3), names=("matmul",)),
    call(TRUTH.__and__, TRUTH),
    call(TRUTH.__or__, TRUTH),
    call(TRUTH.__xor__, TRUTH),
    call(BITS.__lshift__, BITS),
    call(BITS.__rshift__, BITS),
    call(X.copy().__iadd__, X, names=("add",)),
    call(X.copy().__imul__, 2.0, names=("multiply",)),
]
INDEXING = [
    call(INDEXED.__getitem__, 1, names=("getitem",), allowed=("0: list",)),
    call(INDEXED.__getitem__, whole(2), names=("getitem",), allowed=("0: None",)),
    call(INDEXED.__getitem__, (1, 2), names=("getitem",)),
    call(INDEXED.__getitem__, TRUTH, names=("getitem",), allowed=("0: None",)),
    call(INDEXED.__setitem__, 1, real(4), names=("setitem",), allowed=("0: list",)),
    call(INDEXED.__setitem__, 1, 2.0, names=("setitem",), allowed=("0: list", "1: list")),
    call(INDEXED.__setitem__, whole(2), real(2, 4), names=("setitem",), allowed=("0: None",)),
]
METHODS = [
    call(X.reshape, (2, 6), names=("reshape",)),
    call(X.reshape, 2, 6, names=("reshape",)),
    call(X.astype, "float64", copy=True),
    call(X.to_device, "cpu", stream=None, names=("to_device",)),
    call(X.squeeze, ()),
    call(X.permute_dims, (1, 0)),
    call(X.clip, 0.2, 0.5),
    call(X.round),
    call(X.__array_namespace__, api_version="2024.12"),
    call(X.__array__, dtype="float64", copy=None, names=("array",)),
    call(X.__dlpack__, stream=None, max_version=(1, 0), dl_device=None, copy=None),
    call(X.sum, axis=0, keepdims=True),
    call(LEAF.requires_grad_, True, names=("requires_grad",)),
    call(minidl.ones(3, requires_grad=True).register_hook, lambda gradient: None),
    call((LEAF * 2).backward, real(3), retain_graph=True, create_graph=False),
    call(
        lambda value: setattr(LEAF, "grad", value), real(3), names=("grad",), allowed=("0: None",)
    ),
    call(X.__format__, "", names=("format", "item")),
]


@every_spoilt(OPERATORS)
def test_operators_refuse_what_has_no_meaning(spoilt):
    spoilt.check()


@every_spoilt(INDEXING)
def test_indices_that_mean_nothing_are_refused(spoilt):
    spoilt.check()


@every_spoilt(METHODS)
def test_methods_refuse_what_has_no_meaning(spoilt):
    spoilt.check()


@every_spoilt(CREATION)
def test_tensors_are_made_of_what_fits(spoilt):
    spoilt.check()


@every_spoilt(MANIPULATION)
def test_manipulations_refuse_what_has_no_meaning(spoilt):
    spoilt.check()


@every_spoilt(PICKING)
def test_picking_refuses_what_has_no_meaning(spoilt):
    spoilt.check()


@every_spoilt(REDUCTION)
def test_reductions_refuse_what_has_no_meaning(spoilt):
    spoilt.check()


@every_spoilt(NUMBERS)
def test_bits_and_numbers_refuse_what_has_no_meaning(spoilt):
    spoilt.check()


@every_spoilt(DTYPES)
def test_dtype_functions_refuse_what_is_no_dtype(spoilt):
    spoilt.check()


@every_spoilt(RANDOM)
def test_random_numbers_refuse_what_has_no_meaning(spoilt):
    spoilt.check()


# What was once accepted, or refused in other words.


@pytest.mark.parametrize(
    "wrong",
    {
        "expand_dims": lambda: minidl.expand_dims(X, axis=5),
        "squeeze": lambda: minidl.squeeze(X, 5),
        "sum": lambda: minidl.sum(X, axis=5),
        "cumulative_sum": lambda: minidl.cumulative_sum(X, axis=5),
        "take": lambda: minidl.take(X, whole(2), axis=5),
        "sort": lambda: minidl.sort(X, axis=None),
        "concat": lambda: minidl.concat([X, X], axis=5),
        "flatten": lambda: minidl.flatten(X, 5),
        "moveaxis": lambda: minidl.moveaxis(X, 0, 5),
    }.items(),
    ids=lambda case: case[0],
)
def test_an_axis_that_is_not_there_is_an_error_of_shapes_and_of_indices(wrong):
    name, misuse = wrong
    with pytest.raises(AxisError, match=name) as caught:
        misuse()
    for kind in (ShapeError, BoundsError, ValueError, IndexError):
        assert isinstance(caught.value, kind)


@pytest.mark.parametrize(
    ("values", "dtype"),
    [([300], "uint8"), ([-1], "uint8"), ([float("nan")], "int64"), ([1e30], "int64"),
     ([1 + 2j], "float32")],
)  # fmt: skip
def test_numbers_that_do_not_fit_into_a_dtype_are_refused(values, dtype):
    with pytest.raises(DTypeError, match=f"^tensor: .*{dtype}"):
        minidl.tensor(values, dtype=dtype)
    with pytest.raises(DTypeError, match=f"^full: .*{dtype}"):
        minidl.full(2, values[0], dtype=dtype)


@pytest.mark.parametrize("shape", [None, (-3,), (-2, 6), -5])
def test_shapes_that_numpy_guesses_at_are_refused(shape):
    with pytest.raises(ShapeError, match="reshape: a shape is made of"):
        minidl.reshape(X, shape)


def test_indices_are_no_mask():
    with pytest.raises(DTypeError, match="take: indices are integers; got bool"):
        minidl.take(ROW, ROW > 0.5)
    with pytest.raises(DTypeError, match="searchsorted: sorter is a tensor of indices"):
        minidl.searchsorted(SORTED, X, sorter=SORTED > 0)


def test_a_shift_is_not_negative():
    for shift in (minidl.bitwise_left_shift, minidl.bitwise_right_shift):
        with pytest.raises(ArgumentError, match=f"^{shift.__name__}: needs a shift ≥ 0"):
            shift(BITS, -1)


def test_a_correction_is_a_number():
    for function in (minidl.var, minidl.std):
        with pytest.raises(ArgumentError, match="correction is a number; got nan"):
            function(X, correction=float("nan"))


def test_a_generator_does_not_go_back():
    generator = random.Generator(1)
    with pytest.raises(ArgumentError, match="key: needs an integer"):
        generator.key(-4)
    assert generator.get_state() == {"seed": 1, "offset": 0}


def test_a_missing_argument_is_pythons_error():
    for function in (minidl.zeros, minidl.tensor, minidl.concat, random.uniform):
        with pytest.raises(TypeError, match="missing a required") as caught:
            function()
        assert not isinstance(caught.value, MinidlError)


def test_what_only_bodies_use_is_not_public():
    inner = {"check_indices", "item_of", "one_axis", "check_flags", "named", "padded", "taps"}
    assert not inner & set(dir(minidl))
    assert not {"np", "named", "creation", "DTypeError"} & set(random.__all__)
