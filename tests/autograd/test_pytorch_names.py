"""The table of PyTorch's names: each entry's two calls give the same, and errors show them."""

import re

import numpy as np
import pytest

import minidl
from minidl.autograd.pytorch_names import ELSEWHERE, METHODS, NAMES, RANDOM
from tests.oracle import INSTALLED, torch

RNG = np.random.default_rng(0)
MATRIX = RNG.uniform(0.1, 0.9, (3, 3)) + 3 * np.eye(3)
ARRAYS = {
    "x": RNG.uniform(0.1, 0.9, (3, 4)),
    "y": RNG.uniform(0.1, 0.9, (3, 4)),
    "t": RNG.uniform(0.1, 0.9, (2, 3, 4)),
    "z": RNG.normal(size=(2, 3)) + 1j * RNG.normal(size=(2, 3)),
    "a": MATRIX @ MATRIX.T,
    "b": RNG.uniform(0.1, 0.9, 3),
    "w": np.diag([0.1, 0.2, 0.3, 0.4]),
    "s": np.array(2.5),
    "i": np.array([2, 0]),
    "j": np.array([[0, 3], [1, 1], [2, 0]]),
    "m": RNG.uniform(size=(3, 4)) > 0.5,
    "edges": np.array([0.2, 0.4, 0.7]),
}
SHORTER = {"b": {"broadcast_tensors": RNG.uniform(0.1, 0.9, 4), "baddbmm": np.ones((2, 3, 3))}}


def evaluated(expression, name, library):
    """The value of a call of either library, as a list of arrays."""
    arrays = {key: SHORTER.get(key, {}).get(name, array) for key, array in ARRAYS.items()}
    tensors = {key: library.asarray(array.copy()) for key, array in arrays.items()}
    tensors |= {"xs": [tensors["x"], tensors["y"]], "array": ARRAYS["x"]}
    value = eval(expression, {"torch": torch, "minidl": minidl, **tensors})
    parts = value if isinstance(value, tuple | list) else [value]
    return [np.asarray(part) for part in parts]


@pytest.mark.parametrize("name", [*NAMES, *METHODS])
def test_both_calls_give_the_same(name):
    theirs, ours = (METHODS | NAMES)[name]
    found, needed = (evaluated(e, name, lib) for e, lib in ((ours, minidl), (theirs, torch)))
    if name in ("lu", "svd", "qr", "eig"):  # signs and orders may differ
        found, needed = [np.abs(found[0]).sum()], [np.abs(needed[0]).sum()]
    for one, other in zip(found, needed, strict=True):
        assert one.shape == other.shape
        assert one.dtype == other.dtype
        np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize("name", RANDOM)
def test_both_calls_draw_the_same_kind(name):
    theirs, ours = RANDOM[name]
    (one,), (other,) = evaluated(ours, name, minidl), evaluated(theirs, name, torch)
    assert (one.shape, one.dtype) == (other.shape, other.dtype)


@pytest.mark.skipif(not INSTALLED, reason="needs PyTorch")
def test_the_table_has_what_pytorch_has_and_minidl_has_not():
    both = [name for name in NAMES | RANDOM if hasattr(minidl, name)]
    assert not both
    assert not [name for name in METHODS if hasattr(minidl.Tensor, name)]
    assert all(hasattr(torch.Tensor, name) for name in METHODS)
    numpys = {"array", "power", "expit"}
    assert all(hasattr(torch, name) for name in (NAMES | RANDOM).keys() - numpys)


def test_the_error_of_a_missing_function_says_what_it_is():
    with pytest.raises(AttributeError, match=r"'cat'; torch.cat\(xs, 1\) in PyTorch is minidl.con"):
        _ = minidl.cat
    with pytest.raises(AttributeError, match=r"has no attribute 'cta'$"):
        _ = minidl.cta


@pytest.mark.parametrize(
    ("module", "name"), [(module, name) for module, names in ELSEWHERE.items() for name in names]
)
def test_the_error_of_a_name_that_is_elsewhere_says_where(module, name):
    import minidl.optim.lr_scheduler  # not imported by name anywhere else

    place = ELSEWHERE[module][name]
    theirs = f"{module}.{name}".replace("minidl", "torch")
    eval(place, {"minidl": minidl})  # it exists
    if INSTALLED:
        assert eval(theirs, {"torch": torch}) is not None
    with pytest.raises(
        AttributeError, match=re.escape(f"{name!r}; {theirs} in PyTorch is {place}")
    ):
        eval(f"{module}.{name}", {"minidl": minidl})
    with pytest.raises(AttributeError, match=f"module '{module}' has no attribute 'x{name}'$"):
        eval(f"{module}.x{name}", {"minidl": minidl})


@pytest.mark.parametrize(
    ("call", "says"),
    {
        "minidl.sum(x, dim=1)": "argument 'dim'; PyTorch's dim is axis",
        "x.max(axis=1, keepdim=True)": "argument 'keepdim'; PyTorch's keepdim is keepdims",
        "minidl.triu(x, diagonal=1)": "argument 'diagonal'; PyTorch's diagonal is k",
        "minidl.exp(x, dim=1)": "argument 'dim'",
        "minidl.concat([x], dim=1)": "concat: .* argument 'dim'; PyTorch's dim is axis",
        "minidl.concat([x], 1)": "concat: too many positional arguments",
    }.items(),
)
def test_the_error_of_an_unknown_argument_says_what_pytorchs_is(call, says):
    with pytest.raises(TypeError, match=f"{says}$"):
        eval(call, {"minidl": minidl, "x": minidl.ones((2, 2))})


@pytest.mark.parametrize(
    ("name", "says"),
    {
        "view": "; x.view(2, 6) in PyTorch is x.reshape(2, 6)",
        "unsqueeze": "; torch.unsqueeze(x, 1) in PyTorch is minidl.expand_dims(x, axis=1)",
        "add_": "; write in place as x += y",
        "exp_": "; write in place as x[...] = …, with the result of exp",
        "clamp_": "; write in place as x[...] = …, with the result of clamp",
        "hardshrink": "; x.hardshrink(0.5) in PyTorch is minidl.hardshrink(x, 0.5)",
        "vieww": "",
        "__array_interface__": "",
    }.items(),
    ids=lambda value: value if value.isidentifier() else "",
)
def test_the_error_of_a_missing_method_says_what_it_is(name, says):
    message = f"'Tensor' object has no attribute '{name}'{says}"
    with pytest.raises(AttributeError, match=f"^{re.escape(message)}$"):
        getattr(minidl.ones(2), name)
    assert not hasattr(minidl.ones(2), name)


def test_errors_of_parameters_name_their_class():
    with pytest.raises(AttributeError, match="'Parameter' object has no attribute 'cumsum'; torch"):
        _ = minidl.nn.Parameter(minidl.ones(2)).cumsum


def test_what_is_missing_is_not_listed():
    listed = dir(minidl.ones(2))
    assert {"reshape", "requires_grad_", "data", "T"} <= set(listed)
    assert not {"view", "cumsum", "exp_"} & set(listed)
    assert not hasattr(minidl.Tensor, "view")


def test_other_attributes_are_found_as_fast_as_ever():
    """Python finds attributes of a class with a __getattr__ more slowly."""
    assert not any(hasattr(kind, "__getattr__") for kind in minidl.Tensor.__mro__)
