"""The upsampling layers, against PyTorch's."""

import pytest

from minidl import nn
from tests.oracle import torch
from tests.parity import assert_same, random


@pytest.mark.parametrize("settings", [{"scale_factor": 2}, {"size": (5, 3)}], ids=str)
@pytest.mark.parametrize("name", ["UpsamplingNearest2d", "UpsamplingBilinear2d"])
def test_upsampling_is_pytorchs(name, settings):
    ours, theirs = (getattr(library, name)(**settings) for library in (nn, torch.nn))
    assert repr(ours) == repr(theirs)
    assert_same(ours, theirs, random(2, 3, 4, 5))
