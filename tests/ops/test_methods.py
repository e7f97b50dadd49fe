"""Every method of Tensor that is a function gives what the function gives."""

import numpy as np
import pytest

import minidl
from minidl import Tensor, ops
from minidl.ops import operators

NAMES = sorted(name for names in operators.METHODS.values() for name in names.split())
RNG = np.random.default_rng(0)
X = minidl.asarray(RNG.uniform(0.1, 0.9, (3, 4)))
Y = minidl.asarray(RNG.uniform(0.1, 0.9, (3, 4)))
IDS, FEW = minidl.tensor([2, 0]), minidl.tensor([[0], [2], [1]])
BITS = minidl.asarray(RNG.integers(0, 8, (3, 4)))
OF_TWO = (
    "add divide floor_divide fmod multiply pow remainder subtract xlogy allclose greater "
    "greater_equal isclose less less_equal logical_and logical_or logical_xor not_equal logaddexp "
    "atan2 hypot copysign fmax fmin maximum minimum nextafter kron"
)
ARGUMENTS = {
    **{name: ((Y,), {}) for name in OF_TWO.split()},
    **{name: ((1.0 * IDS[0],), {}) for name in ()},
    **{f"cumulative_{name}": ((), {"axis": 1}) for name in ("logsumexp", "max", "min", "prod")},
    "cumulative_sum": ((), {"axis": 0, "include_initial": True}),
    "lerp": ((Y, 0.3), {}),
    "clip": ((0.2, 0.6), {}),
    "polygamma": ((1,), {}),
    "var": ((), {"axis": 0, "correction": 1}),
    "sum": ((), {"axis": (0, 1), "keepdims": True}),
    "quantile": ((0.3,), {"axis": 1}),
    "nanquantile": ((0.3,), {"axis": 1}),
    "kthvalue": ((2,), {}),
    "topk": ((2,), {"largest": False}),
    "sort": ((), {"axis": 0, "descending": True}),
    "take": ((IDS,), {"axis": 1}),
    "take_along_axis": ((FEW,), {"axis": 1}),
    "index_copy": ((IDS, Y[:2]), {"axis": 0}),
    "index_fill": ((IDS, 7.0), {"axis": 1}),
    "masked_scatter": ((X > 0.5, Y), {}),
    "put_along_axis": ((FEW, 7.0), {"axis": 1}),
    "scatter_add": ((FEW, Y[:, :1]), {"axis": 1}),
    "scatter_reduce": ((FEW, Y[:, :1], "amax"), {"axis": 1}),
    "astype": (("float32",), {}),
    "broadcast_to": (((2, 3, 4),), {}),
    "expand_dims": ((1,), {}),
    "permute_dims": (((1, 0),), {}),
    "squeeze": (((),), {}),
    "unflatten": ((1, (2, 2)), {}),
    "moveaxis": ((0, 1), {}),
    "roll": ((1,), {"axis": 1}),
    "tile": (((2, 1),), {}),
    "chunk": ((2,), {"axis": 1}),
    "split": ((), {"lengths": [1, 3], "axis": 1}),
    "matmul": ((Y.T,), {}),
    **{name: ((BITS,), {}) for name in ("bitwise_and", "bitwise_or", "bitwise_xor")},
}
SUBJECTS = {
    **dict.fromkeys(("bitwise_and", "bitwise_or", "bitwise_xor"), BITS),
    "outer": X[0],
    "cross": X[:, :3],
}


@pytest.mark.parametrize("name", NAMES)
def test_the_method_is_the_function(name):
    x = SUBJECTS.get(name, X)
    args, settings = ARGUMENTS.get(name, ((x,) if name in ("outer", "cross") else (), {}))
    found = getattr(x, name)(*args, **settings)
    needed = getattr(ops, name)(x, *args, **settings)
    many = isinstance(needed, tuple)
    for one, other in zip(*((found, needed) if many else ([found], [needed])), strict=True):
        assert type(one) is type(other)
        np.testing.assert_array_equal(np.asarray(one), np.asarray(other))
    assert getattr(Tensor, name) is getattr(ops, name)


def test_parts_of_complex_numbers_are_attributes_as_in_numpy():
    z = minidl.tensor([1 + 2j, 3])
    assert z.real.tolist() == [1, 3]
    assert z.imag.tolist() == [2, 0]
    x = minidl.tensor([1.0], requires_grad=True)
    (x.real * 3).sum().backward()
    assert x.grad.tolist() == [3]


@pytest.mark.parametrize("name", ["repeat", "equal", "where", "unfold", "diagonal", "gather"])
def test_names_with_two_meanings_are_no_methods(name):
    assert not hasattr(X, name)
    with pytest.raises(AttributeError, match="in PyTorch is"):
        getattr(X, name)


def test_pytorchs_positional_axes_are_refused_not_misread():
    for call in (
        lambda: X.sum(0),
        lambda: X.flip(0),
        lambda: X.sort(0),
        lambda: X.scatter_add(0, FEW, Y),
        lambda: X.index_copy(0, IDS, Y[:2]),
        lambda: X.index_fill(0, IDS, 7.0),
        lambda: X.cumulative_sum(0),
    ):
        with pytest.raises(TypeError):
            call()
