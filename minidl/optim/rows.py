"""The update of those rows of a parameter that its row-sparse gradient has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from minidl.autograd import inplace
from minidl.autograd.mode import current
from minidl.autograd.tensor import Tensor
from minidl.backends import backend_of
from minidl.backends.registry import on_device_of
from minidl.backends.rows import RowGradient
from minidl.optim.checks import check_writeable
from minidl.optim.skipping import is_skipped

if TYPE_CHECKING:
    from minidl.optim.optimizer import Optimizer


def update_rows(optimizer: Optimizer, group: Mapping[str, Any], params: list[Tensor]) -> None:
    """Update the rows of each that its RowGradient has, and their state; no others.

    The step count of the parameter goes on, as if all rows had been updated.
    """
    check_writeable(type(optimizer).__name__, params)
    for p in params:
        with on_device_of(p.data):
            _update(optimizer, group, p)


def _update(optimizer: Optimizer, group: Mapping[str, Any], p: Tensor) -> None:
    found: Any = p.grad
    gradient: RowGradient = found.coalesce()
    xp: Any = backend_of(p.data)
    own = optimizer.bucket_of(xp, group, [p]).states[0]
    names, step = optimizer.state_names(group), own["step"] + 1
    group = optimizer.at_step(group, step)
    kernel = xp.kernel(optimizer.rule) if current.get().fast else None
    fused = None if kernel is None else kernel(group, step, p.dtype)
    skip = optimizer._skip
    if skip is not None and is_skipped(skip, fused, p.data, p.dtype.char in "fd"):
        return
    if fused is None or not fused.update_rows(p.data, gradient.indices, gradient.rows, own):
        arrays = {"value": p.data, **{name: own[name] for name in names}}
        flat = {name: x[gradient.indices].reshape(-1) for name, x in arrays.items()}
        values = flat.pop("value")
        rows = gradient.rows.reshape(-1)
        flat["value"] = values - optimizer.whole_change(xp, group, step, values, rows, flat)
        for name, x in arrays.items():
            x[gradient.indices] = flat[name].reshape(gradient.rows.shape)
    own["step"] = step
    if skip is not None:
        skip.counted([own])
    inplace.mark_written(p.data)
