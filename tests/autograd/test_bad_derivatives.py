"""Bad input of derivatives: of functions that give them, and of operations of one's own."""

import numpy as np
import pytest

import minidl
from minidl.errors import GradientError
from tests.bad_input import THING, real, refused, whole
from tests.helpers import HERE_ARRAY

NO_FUNCTIONS = {"None": None, "number": 3, "text": "text", "thing": THING}
DERIVATIVES = {
    "grad": lambda f, *xs: minidl.grad(f)(*xs),
    "value_and_grad": lambda f, *xs: minidl.value_and_grad(f)(*xs),
    "jacobian": lambda f, *xs: minidl.jacobian(f)(*xs),
    "hessian": lambda f, *xs: minidl.hessian(f)(*xs),
    "vjp": minidl.vjp,
    "jvp": lambda f, *xs: minidl.jvp(f, xs, xs),
    "hvp": lambda f, *xs: minidl.hvp(f, xs, xs),
}


@pytest.mark.parametrize("wrong", NO_FUNCTIONS)
@pytest.mark.parametrize("name", [*DERIVATIVES, "checkpoint"])
def test_what_is_no_function_is_refused(name, wrong):
    f = {**DERIVATIVES, "checkpoint": minidl.checkpoint}[name]
    refused(name, lambda: f(NO_FUNCTIONS[wrong], real(2)))


@pytest.mark.parametrize("wrong", [None, "text", THING, [[1.0], [2.0, 3.0]], whole(3)], ids=str)
@pytest.mark.parametrize("name", DERIVATIVES)
def test_what_has_no_gradient_is_refused(name, wrong):
    refused(name, lambda: DERIVATIVES[name](lambda x: x.sum(), wrong))


@pytest.mark.parametrize("value", [3.0, None, [real(2)], {"y": real(2)}, np.ones(2)], ids=repr)
@pytest.mark.parametrize("name", DERIVATIVES)
def test_functions_that_give_no_tensor_are_refused(name, value):
    refused(name, lambda: DERIVATIVES[name](lambda x: value, real(2)))


@pytest.mark.parametrize("argnums", [None, 1, -2, 1.5, "a", (), (0, 0), (0, 5), THING, True])
@pytest.mark.parametrize("name", ["grad", "value_and_grad", "jacobian", "hessian"])
def test_wrong_argnums_are_refused(name, argnums):
    refused(name, lambda: getattr(minidl, name)(lambda x: x.sum(), argnums)(real(2)))


@pytest.mark.parametrize("wrong", [None, 3, "text", THING, [], [None], [real(3)], [THING]], ids=str)
@pytest.mark.parametrize("name", ["jvp", "hvp"])
def test_wrong_directions_are_refused(name, wrong):
    refused(name, lambda: getattr(minidl, name)(lambda x: x.sum(), [real(2)], wrong))


@pytest.mark.parametrize(
    ("place", "wrong"),
    [
        *((0, x) for x in (None, 3, "text", THING, [None], [3], whole(2))),
        *((1, x) for x in (None, 3, "text", THING, [None], [3], [real(2)])),
        *((2, x) for x in (3, "text", THING, [real(3)], [None, None])),
        *((name, THING) for name in ("create_graph", "retain_graph", "allow_unused")),
    ],
    ids=str,
)
def test_wrong_arguments_of_gradients_are_refused(place, wrong):
    x = real(2).requires_grad_()
    args, settings = [(x * x).sum(), [x], [minidl.tensor(1.0)]], {}
    if isinstance(place, int):
        args[place] = wrong
    else:
        settings[place] = wrong
    refused("gradients", lambda: minidl.gradients(*args, **settings))


@pytest.mark.parametrize("wrong", [3, None, "text", THING], ids=repr)
def test_modes_and_decorators_are_refused_what_they_cannot_use(wrong):
    refused("kernels", lambda: minidl.kernels(wrong))
    refused("needs a function", lambda: minidl.no_grad()(wrong))


# Operations of one's own.


def operation(value=lambda a: a * 1, pullback=lambda dy: dy, two=False):
    def one(xp, a, /):
        return value(a), pullback

    def both(xp, a, b, /):
        return value(a), pullback

    one.__name__ = both.__name__ = "halve"
    made = minidl.primitive(both if two else one)
    w = real(2).requires_grad_()
    return made(w, w) if two else made(w)


@pytest.mark.parametrize("result", [None, real(2).data, (1, 2, 3), [1, None], ()], ids=str)
def test_bodies_that_give_no_pair_are_named(result):
    def halve(xp, x, /):
        return result

    with pytest.raises(GradientError, match=r"halve: the body gave .* needs a value and its pull"):
        minidl.primitive(halve)(real(2))


@pytest.mark.parametrize("value", [None, [1.0], "text", {}, THING], ids=repr)
def test_values_that_are_no_arrays_are_named(value):
    with pytest.raises(GradientError, match=r"halve: the body gave .* needs an array"):
        operation(lambda a: value)


WRONG_GRADIENTS = {
    "None": lambda dy: None,
    "a number": lambda dy: 3.0,
    "text": lambda dy: "text",
    "a list": lambda dy: [1.0, 2.0],
    "a thing": lambda dy: THING,
    "objects": lambda dy: np.array([None, None]),
    "another shape": lambda dy: np.ones(3, "float32"),
    "no axes": lambda dy: np.ones((), "float32"),
    "two": lambda dy: (dy, dy),
    "none": lambda dy: (),
    "an index outside": lambda dy: dy[5],
    "shapes that do not fit": lambda dy: dy * np.ones(3, "float32"),
}


@pytest.mark.parametrize("wrong", WRONG_GRADIENTS)
@pytest.mark.parametrize("order", [1, 2])
def test_wrong_gradients_of_pullbacks_name_the_operation(wrong, order):
    if order == 1:
        y = operation(pullback=WRONG_GRADIENTS[wrong]).sum()
    else:
        with minidl.higher_order():
            y = operation(pullback=WRONG_GRADIENTS[wrong]).sum()
    refused("the pullback of halve", lambda: y.backward(create_graph=order == 2))


@pytest.mark.parametrize("wrong", WRONG_GRADIENTS)
def test_wrong_gradients_among_several_name_the_operation(wrong):
    if wrong in ("two", "none"):
        return  # each is what it is above
    pair = operation(pullback=lambda dy: (dy, WRONG_GRADIENTS[wrong](dy)), two=True)
    refused("the pullback of halve", pair.sum().backward)


@pytest.mark.parametrize("wrong", [3, "text", [lambda dy: dy]], ids=["number", "text", "list"])
def test_pullbacks_that_are_no_functions_name_the_operation(wrong):
    refused("halve", lambda: operation(pullback=wrong).sum().backward())


def test_pullbacks_are_as_many_as_arrays():
    with pytest.raises(GradientError, match=r"halve: the body gave 1 pullbacks for 2 arrays"):
        operation(pullback=(lambda dy: dy,), two=True)


@pytest.mark.parametrize("wrong", [3, "text", THING], ids=repr)
def test_rules_and_positions_of_operations_are_checked(wrong):
    refused("primitive", lambda: minidl.primitive(wrong))
    refused("primitive: keep_dtype", lambda: minidl.primitive(keep_dtype=wrong))
    refused("primitive: constants", lambda: minidl.primitive(constants=wrong))
    refused("composite: constants", lambda: minidl.composite(constants=wrong))
    refused("a body", lambda: minidl.primitive()(wrong))
    refused("a body", lambda: minidl.composite(wrong))


@pytest.mark.parametrize(
    "given", [3, "text", real(3), whole(2), np.ones(2), real(2, dtype="float64")], ids=str
)
def test_hooks_that_give_no_such_gradient_are_refused(given):
    x = real(2).requires_grad_()
    x.register_hook(lambda dx: given)
    refused("register_hook", (x * 1).sum().backward)


def test_gradients_without_axes_stay_arrays():
    x = minidl.tensor(2.0, requires_grad=True)
    for _ in range(3):
        (x * x).backward()
    assert type(x.edge[0].grad) is HERE_ARRAY
    assert x.grad.item() == 12
