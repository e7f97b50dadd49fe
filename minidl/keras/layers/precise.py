"""The dtypes of a layer: of its weights, and of its computations."""

from collections.abc import Callable
from typing import Any, ClassVar

from minidl.autograd.tensor import Tensor
from minidl.backends.device import default_device
from minidl.keras.dtype_policies import NO_POLICY, DTypePolicy, policy_of
from minidl.keras.layers import calling
from minidl.keras.structure import flatten


class Precise:
    """What has a dtype policy.  Subclasses are layers.

    dtype_policy    its dtypes under a name, such as "float32" or "mixed_float16"
    """

    dtype_policy: DTypePolicy
    # Whether it computes in its policy; else in the dtypes of what it is given, or of its parts.
    has_precision: ClassVar[bool] = True

    call: Callable[..., Any]
    is_modular: Any
    sublayers: Callable[[], list[Any]]

    def set_precision(self, given: Any) -> None:
        """Have a policy, given as itself, by its name or as a dtype; None: the global one."""
        self.dtype_policy = policy_of(given)

    @property
    def dtype(self) -> str:
        """The dtype of its weights."""
        return self.dtype_policy.variable_dtype

    @dtype.setter
    def dtype(self, given: Any) -> None:
        self.set_precision(given)

    @property
    def variable_dtype(self) -> str:
        """The same."""
        return self.dtype

    @property
    def compute_dtype(self) -> str:
        """The dtype in which it computes, and which its outputs have."""
        return self.dtype_policy.compute_dtype

    @property
    def input_dtype(self) -> str:
        """The dtype that inputs are converted to."""
        return self.compute_dtype

    @property
    def casts_outputs(self) -> bool:
        """Whether in mixed precision its outputs are cast; those of layers inside have been."""
        return not self.sublayers()

    def called(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """What `call` gives, in the precision of the layer; modules have theirs by themselves."""
        policy = self.dtype_policy if self.has_precision else NO_POLICY
        if not policy.changes_anything or self.is_modular and policy.is_mixed:
            return self.call(*args, **kwargs)
        first = next((x for x in flatten([args, kwargs]) if isinstance(x, Tensor)), None)
        kind = default_device().type if first is None else first.device.type
        with policy.block(kind):
            outputs = self.call(*args, **kwargs)
        if policy.is_mixed and self.casts_outputs:
            outputs = calling.to_tensors(outputs, self.compute_dtype)
        return outputs
