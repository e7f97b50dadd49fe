"""A chain of layers of which some compute in mixed precision."""

from collections.abc import Iterable
from itertools import groupby
from typing import Any

from minidl import nn
from minidl.autograd.tensor import Tensor
from minidl.keras.data_format import Cast
from minidl.keras.dtype_policies import DTypePolicy
from minidl.nn import Module

Step = tuple[Module, DTypePolicy | None]  # a module, and the policy of its layer, if it has one


def is_head(module: Module) -> bool:
    """Whether it is a last layer that losses include."""
    return type(module) in (nn.Softmax, nn.Sigmoid)


class MixedChain(nn.Sequential):
    """The modules of a chain, with the names that they have in any precision.

    stages    the same modules as they are run: those of one precision together, and a last softmax
              or sigmoid by itself, since losses look for it
    """

    def __init__(self, cast: Module, steps: list[Step]) -> None:
        super().__init__(cast, *(module for module, _ in steps))
        head = steps[-1:] if steps and is_head(steps[-1][0]) else []
        stages, dtype = [cast], None
        for policy, group in groupby(steps[: len(steps) - len(head)], key=lambda step: step[1]):
            stages += _cast_to(policy, dtype)
            stages.append(Stage(policy, [module for module, _ in group]))
            dtype = policy and policy.compute_dtype
        for module, policy in head:
            stages += [*_cast_to(policy, dtype), module]
        self.stages = Unlisted(stages)

    def forward(self, x: Any) -> Any:
        """The output of the last stage."""
        for stage in self.stages.modules:
            x = stage(x)
        return x


class Stage(nn.Sequential):
    """Modules in a row that compute in one precision, or, without a policy, each in its own."""

    def __init__(self, policy: DTypePolicy | None, modules: Iterable[Module]) -> None:
        super().__init__(*modules)
        self.policy = policy

    def forward(self, x: Tensor) -> Any:
        """The output, in mixed precision as float16."""
        if self.policy is None:
            return super().forward(x)
        with self.policy.block(x.device.type):
            y = super().forward(x)
        cast = self.policy.is_mixed and y.dtype == self.policy.variable_dtype
        return y.astype(self.policy.compute_dtype) if cast else y


class Unlisted:
    """Modules that are parts of a module by other attributes of it, under other names."""

    def __init__(self, modules: list[Module]) -> None:
        self.modules = modules


def _cast_to(policy: DTypePolicy | None, dtype: str | None) -> list[Module]:
    """What casts an output of this dtype for layers of a policy, if they need another."""
    needed = None if policy is None else policy.compute_dtype
    return [] if dtype is None or needed in (None, dtype) else [Cast(str(needed))]
