"""The examples on device "cuda": they lose what they lose on the CPU, and wait for nothing."""

from typing import NamedTuple

import pytest

from tests.cuda.programs.runs import (
    ROOT,
    assert_kernels_ran,
    assert_same_losses,
    assert_steps_wait_for_nothing,
    on_both,
    run,
)

STEPS = 20


class Trains(NamedTuple):
    """What a step of an example sends and reads: batches, and what the program itself looks at."""

    sent: int
    read: int = 0
    whole: tuple[str, ...] = ()  # its arguments, where the whole of it is run


TRAIN = {
    "convolutional_net": Trains(sent=2, whole=("--epochs", "1")),
    "dense_classifier": Trains(sent=2),
    "feed_forward_net": Trains(sent=2),
    "linear_regression": Trains(sent=2, read=2),  # X and y are NumPy's, and it shows each step
    "recurrent_formula": Trains(sent=1),
    "recurrent_model": Trains(sent=2),
}
# These compare values and gradients, and are run whole; `own_gpu_kernels` has tests of its own.
COMPARE = "autograd_in_a_page", "check_your_convolution", "formulas", "self_attention"
# Recommenders compute with NumPy, except their networks, which tests/recommend/neural trains.
ON_THE_HOST = "neighbours_to_neural", "user_based_filtering"
SAMPLE = "feed_forward_net"


def example(name):
    return str(ROOT / "examples" / f"{name}.py")


def test_all_examples_are_here():
    names = {path.stem for path in (ROOT / "examples").glob("*.py")}
    assert names == {*TRAIN, *COMPARE, *ON_THE_HOST, "own_gpu_kernels"}


@pytest.mark.parametrize(
    "name", [n if n == SAMPLE else pytest.param(n, marks=pytest.mark.full) for n in TRAIN]
)
def test_an_example_trains_as_on_the_cpu(name, tmp_path):
    here, there = on_both([example(name)], tmp_path, STEPS)
    assert_same_losses(here, there, STEPS)
    assert_steps_wait_for_nothing(there, sent=TRAIN[name].sent, read=TRAIN[name].read)
    assert_kernels_ran(there)
    assert not here.record["launches"]


@pytest.mark.full
@pytest.mark.parametrize("name", TRAIN)
def test_a_whole_example_reaches_its_end(name, tmp_path):
    found = run([example(name), *TRAIN[name].whole], "cuda", tmp_path)
    assert found.printed
    assert sum(found.record["launches"].values()) > 0


@pytest.mark.parametrize(
    "name", [n if n == "formulas" else pytest.param(n, marks=pytest.mark.full) for n in COMPARE]
)
def test_an_example_finds_on_the_gpu_what_it_compares(name, tmp_path):
    found = run([example(name)], "cuda", tmp_path)
    assert found.printed
    of_numpy = name == "autograd_in_a_page"
    assert (sum(found.record["launches"].values()) == 0) == of_numpy
