"""The adaptive softmax, against PyTorch's."""

import numpy as np
import pytest

import minidl
from minidl import nn
from tests.helpers import assert_close
from tests.oracle import torch
from tests.parity import TOLERANCE, random, twins

each_dtype = pytest.mark.parametrize("dtype", ["float64", "float32"])


ADAPTIVE = [
    {"in_features": 8, "n_classes": 12, "cutoffs": [3, 7], "div_value": 2.0},
    {"in_features": 8, "n_classes": 9, "cutoffs": [1], "head_bias": True},
]


@each_dtype
@pytest.mark.parametrize("settings", ADAPTIVE, ids=str)
def test_adaptive_softmax_is_pytorchs(settings, dtype):
    ours, theirs = twins("AdaptiveLogSoftmaxWithLoss", dtype, **settings)
    x, target = random(7, 8, dtype=dtype), np.array([0, 8, 3, 2, 7, 0, 5])
    tolerance = TOLERANCE[dtype]
    results = [
        layer(library.asarray(x), library.asarray(target))
        for layer, library in ((ours, minidl), (theirs, torch))
    ]
    for found, needed in zip(*results, strict=True):
        assert_close(found.detach(), needed.detach().numpy(), tolerance)
    for result in results:
        result.loss.backward()
    for mine, their in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert_close(mine.grad, their.grad.numpy(), tolerance)
    assert_close(
        ours.log_prob(minidl.asarray(x)).detach(),
        theirs.log_prob(torch.tensor(x)).detach().numpy(),
        tolerance,
    )
    assert ours.predict(minidl.asarray(x)).tolist() == theirs.predict(torch.tensor(x)).tolist()
    alone = ours(minidl.asarray(x[1]), minidl.tensor(8))
    assert_close(alone.output.detach(), results[0].output[1].detach(), tolerance)


def test_adaptive_softmax_explains_misuse():
    layer = nn.AdaptiveLogSoftmaxWithLoss(8, 12, [3, 7], 2.0)
    x = minidl.ones((2, 8))
    for misuse, message in (
        (lambda: layer(x, minidl.tensor([0, 12])), "classes from 0 to 11"),
        (lambda: layer(x, minidl.tensor([0])), r"x \(N, 8\)"),
        (lambda: layer(x, minidl.tensor([0.0, 1.0])), "integers"),
        (lambda: nn.AdaptiveLogSoftmaxWithLoss(8, 12, [3, 12]), "cutoffs ascend"),
        (lambda: nn.AdaptiveLogSoftmaxWithLoss(8, 12, []), "cutoffs ascend"),
        (lambda: nn.AdaptiveLogSoftmaxWithLoss(8, 12, [2, 3, 4]), "nothing is left"),
    ):
        with pytest.raises(minidl.errors.MinidlError, match=message):
            misuse()
