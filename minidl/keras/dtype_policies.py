"""Dtype policies: the dtype of a layer's weights, and the dtype in which it computes."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from minidl.autograd.autocast import autocast
from minidl.dtypes import dtype_of
from minidl.errors import ArgumentError, describe

# Whether what runs is a layer in mixed precision, so that others inside it have to end that.
_within_mixed: ContextVar[bool] = ContextVar("_within_mixed", default=False)


class DTypePolicy:
    """The dtype of a layer's weights, and the dtype in which it computes, under one name.

    name    a dtype, which is both; or "mixed_float16": weights in float32, computations in float16.
            By default that of the global policy

    A layer casts floats that it is given to `compute_dtype`, and so are its outputs.  In mixed
    precision its weights are cast to float16 where `minidl.autocast` does so: softmax, norms and
    sums compute in float32.  Micikevicius et al. 2018, arXiv:1710.03740.

    >>> from minidl.keras import mixed_precision
    >>> policy = mixed_precision.DTypePolicy("mixed_float16")
    >>> policy.compute_dtype, policy.variable_dtype, policy
    ('float16', 'float32', <DTypePolicy "mixed_float16">)
    """

    def __init__(self, name: Any = None) -> None:
        if name is None:
            name = dtype_policy().name
        if name == "mixed_bfloat16":
            raise ArgumentError("DTypePolicy: minidl has no bfloat16; say 'mixed_float16'")
        self.is_mixed = name == "mixed_float16"
        if self.is_mixed:
            self.compute_dtype, self.variable_dtype = "float16", "float32"
        else:
            name = self.compute_dtype = self.variable_dtype = dtype_of(name, "DTypePolicy").name
        self.name: str = name

    @property
    def changes_anything(self) -> bool:
        """Whether layers of this policy compute otherwise here than they do without one."""
        return self.is_mixed or _within_mixed.get()

    @contextmanager
    def block(self, kind: str) -> Iterator[None]:
        """A block in which layers of this policy compute, on devices of a kind."""
        if not self.changes_anything:
            yield
            return
        token = _within_mixed.set(self.is_mixed)
        try:
            with autocast(kind, enabled=self.is_mixed):
                yield
        finally:
            _within_mixed.reset(token)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, DTypePolicy) and self.name == other.name

    def __hash__(self) -> int:
        return hash(self.name)

    def __repr__(self) -> str:
        return f'<DTypePolicy "{self.name}">'


NO_POLICY = DTypePolicy("float32")  # of what computes in the dtypes that it is given
_global = DTypePolicy("float32")


def dtype_policy() -> DTypePolicy:
    """The policy of layers that are created without a `dtype`.

    >>> from minidl.keras import mixed_precision
    >>> mixed_precision.dtype_policy()
    <DTypePolicy "float32">
    """
    return _global


def set_dtype_policy(policy: str | DTypePolicy) -> None:
    """Set the policy of layers that are created without a `dtype` from now on.

    >>> from minidl.keras import layers, mixed_precision
    >>> mixed_precision.set_dtype_policy("mixed_float16")
    >>> layer = layers.Dense(2)
    >>> mixed_precision.set_dtype_policy("float32")
    >>> layer.dtype_policy, layer(np.ones((1, 3))).dtype, layer.weights[0].dtype
    (<DTypePolicy "mixed_float16">, dtype('float16'), dtype('float32'))
    """
    global _global
    _global = policy_of(policy)


def policy_of(given: Any) -> DTypePolicy:
    """The policy that is given as itself, by its name, as a dtype, or not: the global one."""
    if given is None:
        return _global
    if isinstance(given, DTypePolicy):
        return given
    if not isinstance(given, str) and not hasattr(given, "name") and not isinstance(given, type):
        raise ArgumentError(
            "DTypePolicy: needs a policy, its name, such as 'mixed_float16', or a dtype; got "
            f"{describe(given)}"
        )
    return DTypePolicy(given)
