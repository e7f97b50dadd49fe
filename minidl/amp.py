"""Automatic mixed precision: `autocast`, and `GradScaler` for the gradients in float16.

    scaler = minidl.amp.GradScaler()
    for x, target in batches:
        optimizer.zero_grad()
        with minidl.autocast():
            loss = loss_function(model(x), target)
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()

P. Micikevicius et al., Mixed precision training, ICLR 2018, arXiv:1710.03740.
"""

from collections.abc import Mapping
from enum import Enum
from typing import Any

from minidl.autograd.autocast import autocast, is_autocast_enabled
from minidl.autograd.graph import Leaf
from minidl.autograd.tensor import Tensor
from minidl.backends import backend_of, cpu, device_of
from minidl.backends.registry import create, on_device_of
from minidl.checks import check_flags, check_integers, check_numbers
from minidl.dtypes import float16, float32, int32
from minidl.errors import ArgumentError, DTypeError, GradientError, describe
from minidl.optim import Optimizer
from minidl.optim.gradients import beside, by_device, by_kernel, gradients_of, put, rows_of

__all__ = ["GradScaler", "autocast", "is_autocast_enabled"]


class _Stage(Enum):
    """Where an optimiser is between two updates of the scale."""

    UNSCALED = "unscale_"
    STEPPED = "step"


class GradScaler:
    """Scales a loss, so that small gradients in float16 do not become 0, and skips bad steps.

        scale(loss)          loss · s, whose gradients are s times as large
        unscale_(optimizer)  g ← g / s; only needed before gradients are clipped or looked at
        step(optimizer)      unscale_, unless that was done, and optimizer.step(), unless a
                             gradient is infinite or NaN
        update()             s ← s · backoff_factor if one was, else s · growth_factor after
                             growth_interval steps in a row

    Each optimiser steps at most once between two updates.  On a GPU nothing waits: s and whether a
    gradient was infinite stay there, and the kernels of SGD, Adam and AdamW skip the step by
    themselves.  The count of a skipped step, which the optimiser took for a step, is corrected
    before anything else is done with it; until then `optimizer.state[p]["step"]` is one too large.
    The other optimisers, and parameters in float16, wait for the gradients.

    device             where s is, before the first loss says so; by default that of the first loss
    init_scale         s at first, a number above 0
    growth_factor      above 1
    backoff_factor     in (0, 1)
    growth_interval    steps; at least 1
    enabled            False: losses are not scaled, and step() is optimizer.step()

    Micikevicius et al. 2018, arXiv:1710.03740, section 3.2; PyTorch's GradScaler.

    >>> layer = nn.Linear(3, 2)
    >>> optimizer, scaler = optim.SGD(layer.parameters(), lr=0.1), minidl.amp.GradScaler()
    >>> with minidl.autocast("cpu"):
    ...     loss = layer(minidl.ones((4, 3))).sum()  # in float32
    >>> scaler.scale(loss).backward()
    >>> scaler.step(optimizer)
    >>> scaler.update()
    >>> scaler.get_scale()
    65536.0
    """

    def __init__(
        self,
        device: str | None = None,
        init_scale: float = 2.0**16,
        growth_factor: float = 2.0,
        backoff_factor: float = 0.5,
        growth_interval: int = 2000,
        enabled: bool = True,
    ) -> None:
        check_flags("GradScaler", enabled=enabled)
        self._enabled, self._device = enabled, device
        self._check(init_scale, growth_factor, backoff_factor, growth_interval)
        self._init_scale, self._growth_factor = float(init_scale), float(growth_factor)
        self._backoff_factor, self._interval = float(backoff_factor), int(growth_interval)
        self._init_steps = 0
        self._scale: Any = None  # arrays without axes, on the device of the first loss
        self._steps: Any = None
        self._stages: dict[Optimizer, _Stage] = {}  # since the last update
        self._found: dict[Optimizer, Any] = {}

    @staticmethod
    def _check(scale: Any, growth: Any, backoff: Any, interval: Any) -> None:
        check_numbers("GradScaler", above=0, finite=True, init_scale=scale)
        check_numbers("GradScaler", above=1, finite=True, growth_factor=growth)
        check_numbers("GradScaler", above=0, finite=True, backoff_factor=backoff)
        if not backoff < 1:
            raise ArgumentError(f"GradScaler: backoff_factor is below 1; got {backoff!r}")
        check_integers("GradScaler", 1, growth_interval=interval)

    # The steps of training.

    def scale(self, outputs: Any) -> Any:
        """A loss times s; or a list, tuple or dict of them."""
        if not self._enabled:
            return outputs
        if isinstance(outputs, Tensor):
            if outputs.dtype.kind != "f":
                raise DTypeError(f"GradScaler.scale: needs floats; got {describe(outputs)}")
            self._begin(outputs.data)
            return outputs * Tensor(beside(outputs.data, self._scale))
        if isinstance(outputs, Mapping):
            return {key: self.scale(value) for key, value in outputs.items()}
        if isinstance(outputs, list | tuple):
            return type(outputs)([self.scale(value) for value in outputs])
        raise DTypeError(f"GradScaler.scale: needs tensors; got {describe(outputs)}")

    def unscale_(self, optimizer: Optimizer) -> None:
        """Divide the gradients of an optimiser by s, once between two updates.

        raises    GradientError if that was done already, or if gradients are float16: those of
                  parameters that are, which then cannot be unscaled
        """
        if not self._enabled:
            return
        stage = self._stages.get(optimizer)
        if stage is not None:
            raise GradientError(
                f"GradScaler.unscale_: {stage.value}() of this optimizer was called since the last "
                "update(); call it once, before step()"
            )
        gradients = gradients_of(optimizer)
        if any(g.dtype == float16 for g in gradients.values()):
            raise GradientError(
                "GradScaler.unscale_: gradients are float16; keep the parameters float32, and let "
                "autocast cast them"
            )
        self._found[optimizer] = self._unscaled(gradients) if gradients else None
        self._stages[optimizer] = _Stage.UNSCALED

    def _unscaled(self, gradients: dict[Leaf, Any]) -> Any:
        """Unscale the gradients; 1 where their first is, if any is not finite, else 0."""
        flags = []
        for own in by_device(gradients):
            arrays = rows_of(own)
            self._begin(arrays[0])
            with on_device_of(arrays[0]), cpu.quiet():
                flags.append(_unscale(own, arrays, beside(arrays[0], self._scale)))
        total = flags[0]
        for flag in flags[1:]:
            with on_device_of(total):
                total = total + beside(total, flag)
        return total

    def step(self, optimizer: Optimizer) -> None:
        """Step the optimiser, unless a gradient is infinite or NaN; unscale them before."""
        if not self._enabled:
            optimizer.step()
            return
        if self._stages.get(optimizer) is _Stage.STEPPED:
            raise GradientError(
                "GradScaler.step: was called for this optimizer since the last update()"
            )
        if optimizer not in self._stages:
            self.unscale_(optimizer)
        found = self._found[optimizer]
        if found is None:
            optimizer.step()
        else:
            optimizer.step_unless(found)
        self._stages[optimizer] = _Stage.STEPPED

    def found_inf(self, optimizer: Optimizer) -> Tensor | None:
        """1 if a gradient that was unscaled is infinite or NaN, so that step() skips it, else 0.

        A tensor without axes, on the device of the gradients; None before unscale_() or step(),
        after update(), and without gradients.
        """
        found = self._found.get(optimizer)
        return None if found is None else Tensor(found)

    def forget(self) -> None:
        """Forget what was unscaled since the last update, as of a step that was broken off."""
        self._stages.clear()
        self._found.clear()

    def update(self, new_scale: float | None = None) -> None:
        """Adapt s after the steps of all optimisers; or set it to `new_scale`."""
        if not self._enabled:
            return
        if new_scale is not None:
            check_numbers("GradScaler.update", above=0, finite=True, new_scale=new_scale)
            self._init_scale, self._scale = float(new_scale), None
            self._init_steps, self._steps = 0, None
        else:
            flags = [flag for flag in self._found.values() if flag is not None]
            if not flags:
                raise GradientError("GradScaler.update: no optimizer was stepped since the last")
            with on_device_of(self._scale):
                total = beside(self._scale, flags[0])
                for flag in flags[1:]:
                    total = total + beside(self._scale, flag)
                self._adapt(total)
        self.forget()

    def _adapt(self, found: Any) -> None:
        """The scale after a step."""
        settings = self._growth_factor, self._backoff_factor, self._interval
        xp: Any = backend_of(self._scale)
        kernel = xp.kernel("update_scale")
        if kernel is not None:
            kernel(self._scale, self._steps, found, *settings)
            return
        with cpu.quiet():
            self._adapt_by_functions(xp, found, *settings)

    def _adapt_by_functions(
        self, xp: Any, found: Any, growth: float, backoff: float, interval: int
    ) -> None:
        wrong, steps = found != 0, self._steps + 1
        due = steps == interval
        larger = self._scale * growth
        grown = xp.where(xp.logical_and(due, xp.isfinite(larger)), larger, self._scale)
        scale = xp.where(wrong, self._scale * backoff, grown)
        self._scale = xp.asarray(xp.astype(xp.asarray(scale), float32))
        self._steps = xp.astype(xp.asarray(xp.where(xp.logical_or(wrong, due), 0, steps)), int32)

    def _begin(self, like: Any) -> None:
        """Put s on a device: that of the constructor, or of the first loss."""
        if self._scale is not None:
            return
        where = device_of(like) if self._device is None else self._device
        self._scale = create(where, "full", (), self._init_scale, dtype=float32)
        self._steps = create(where, "full", (), self._init_steps, dtype=int32)

    # What it knows.

    def get_scale(self) -> float:
        """The scale s; 1 if it is not enabled.  It waits for a GPU."""
        if not self._enabled:
            return 1.0
        return self._init_scale if self._scale is None else float(Tensor(self._scale).item())

    def is_enabled(self) -> bool:
        """Whether losses are scaled."""
        return self._enabled

    def state_dict(self) -> dict[str, Any]:
        """The scale, the settings, and the number of steps since the scale changed."""
        if not self._enabled:
            return {}
        steps = self._init_steps if self._steps is None else int(Tensor(self._steps).item())
        return {
            "scale": self.get_scale(),
            "growth_factor": self._growth_factor,
            "backoff_factor": self._backoff_factor,
            "growth_interval": self._interval,
            "_growth_tracker": steps,
        }

    def load_state_dict(self, saved: Mapping[str, Any]) -> None:
        """Restore what `state_dict` returned; PyTorch's, too.

        raises    ArgumentError for anything else, and changes nothing
        """
        if not self._enabled:
            return
        try:
            rules = [saved[n] for n in ("growth_factor", "backoff_factor", "growth_interval")]
            scale, steps = saved["scale"], saved["_growth_tracker"]
        except (LookupError, TypeError) as error:
            raise ArgumentError(
                "GradScaler.load_state_dict: needs what the state_dict of an enabled GradScaler "
                f"gave; got {describe(saved)}"
            ) from error
        self._check(scale, *rules)
        check_integers("GradScaler", 0, _growth_tracker=steps)
        self._growth_factor, self._backoff_factor = float(rules[0]), float(rules[1])
        self._interval, self._init_scale, self._init_steps = int(rules[2]), float(scale), int(steps)
        self._scale = self._steps = None


def _unscale(gradients: dict[Leaf, Any], arrays: list[Any], scale: Any) -> Any:
    """Divide gradients on one device by a scale; 1 if any is infinite or NaN, else 0."""
    xp: Any = backend_of(scale)
    found = xp.zeros((), dtype=float32)
    unscaled = by_kernel("unscale", arrays, scale, found)
    if unscaled is not NotImplemented:
        put(gradients, unscaled)
        return found
    unscaled = [xp.asarray(g / xp.astype(scale, g.dtype)) for g in arrays]
    put(gradients, unscaled)
    finite = [xp.all(xp.isfinite(g), axis=None, keepdims=False) for g in unscaled]
    fine = xp.all(xp.stack([xp.asarray(x) for x in finite], axis=0), axis=None, keepdims=False)
    return xp.asarray(xp.where(fine, found, xp.zeros_like(found) + 1))
