"""Automatic mixed precision: which operations run in float16, and which in float32.

Products gain most from float16 (on GPUs with tensor cores many times the speed, and half the
memory), and lose least: they are accumulated in float32.  What grows or shrinks quickly, as
exponentials and long sums do, needs the range and the digits of float32.  The tables below are all
that decides it; while an `autocast` block is in force, `dispatch` (primitive.py) looks an operation
up in them, and casts its inputs.

P. Micikevicius et al., Mixed precision training, ICLR 2018, arXiv:1710.03740.  The tables are those
of PyTorch's autocast on CUDA (torch.amp, "CUDA Op-Specific Behavior"), also for tensors on the CPU.
Where PyTorch refuses float16 there, as in `binary_cross_entropy`, it is float32 here.
"""

from collections.abc import Sequence
from typing import Any

from minidl.autograd import inplace, namespace
from minidl.autograd.graph import Leaf, tick
from minidl.autograd.mode import ModeChange
from minidl.autograd.tensor import Tensor
from minidl.backends import by_type
from minidl.backends.device import default_device, device
from minidl.backends.mode import Mode, current
from minidl.checks import check_flags
from minidl.dtypes import dtype_of, float16, float32
from minidl.errors import ArgumentError

# fmt: off
# Inputs are cast to float16, and so are the results.
FLOAT16 = {
    "matmul", "linear", "vecdot", "einsum",
    "conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d",
    "scaled_dot_product_attention", "prelu",
    "rnn", "lstm", "gru", "rnn_cell", "lstm_cell", "gru_cell",
}

# Inputs in float16 are cast to float32, and results are float32.
FLOAT32 = {
    # exponentials, logarithms, and what is steep or singular
    "exp", "expm1", "log", "log1p", "log2", "log10", "logsumexp", "pow", "reciprocal",
    "acos", "asin", "cosh", "sinh", "tan", "erfinv",
    "softplus", "softmax", "softmin", "log_softmax", "gumbel_softmax",
    # sums and products of many terms
    "sum", "prod", "cumulative_sum", "cumulative_prod",
    # norms and distances
    "group_norm", "layer_norm", "rms_norm", "local_response_norm", "vector_norm", "matrix_norm",
    "normalize", "cdist", "pdist", "pairwise_distance", "cosine_similarity",
    # losses
    "binary_cross_entropy", "binary_cross_entropy_with_logits", "cosine_embedding_loss",
    "cross_entropy", "ctc_loss", "gaussian_nll_loss", "hinge_embedding_loss", "huber_loss",
    "kl_div", "l1_loss", "margin_ranking_loss", "mse_loss", "multi_margin_loss",
    "multilabel_margin_loss", "multilabel_soft_margin_loss", "nll_loss", "poisson_nll_loss",
    "smooth_l1_loss", "soft_margin_loss", "triplet_margin_loss",
    "triplet_margin_with_distance_loss",
    # coordinates
    "interpolate",
}

# Computed in float32, as their weights and statistics are; the result has the dtype of the first
# input.  PyTorch's tables have not got them, and its operations take such a mixture.
FLOAT32_INSIDE = {"batch_norm", "batch_norm_inference", "instance_norm"}

# If one input is float32, all are cast to it.
WIDEST = {
    "atan2", "bilinear", "cross", "grid_sample", "index_copy", "scatter_add", "scatter_reduce",
    "tensordot",
}
# fmt: on
# All other operations run in the dtype of their inputs, promoted as ever.


used = False  # whether any block was ever entered: without one, `dispatch` does not look further


class Casts:
    """What is in force inside an `autocast` block.

    kinds    the types of devices whose tensors are cast: "cpu", "cuda"
    kept     the parameters that were cast, so that each is cast once; None: they are not kept
    """

    __slots__ = ("kept", "kinds")

    def __init__(self, kinds: frozenset[str], keep: bool) -> None:
        self.kinds = kinds
        self.kept: dict[tuple[Any, ...], tuple[int, Any, Tensor]] | None = {} if keep else None

    def anew(self) -> "Casts":
        """The same, with no casts yet: a call that is computed twice has its own."""
        return Casts(self.kinds, keep=self.kept is not None)

    def of(self, name: str, inputs: Sequence[Any], settings: dict[str, Any]) -> list[Any] | None:
        """The inputs of an operation as it runs here; None if it runs in the dtype that they have.

        A fused operation is cast as the first of its parts, whose result the others take.
        """
        if name == "fused":
            name = settings["operations"][0]
        if name in FLOAT16:
            dtype = float16
        elif name in FLOAT32 or name in FLOAT32_INSIDE or _is_reciprocal(name, inputs):
            dtype = float32
        elif name in WIDEST:
            dtype = float32
            if all(_dtype(x) is not float32 for x in inputs):
                return None
        else:
            return None
        return [x if _dtype(x) not in _OTHER[dtype] else self._cast(x, dtype) for x in inputs]

    def results(self, name: str, inputs: Sequence[Any], value: Any) -> Any:
        """The results of an operation that ran with cast inputs, given those it had before."""
        if name not in FLOAT32_INSIDE or _dtype(inputs[0]) is not float16:
            return value
        first, *others = value if type(value) is tuple else (value,)
        rounded = self._cast(first, float16)
        return (rounded, *others) if others else rounded

    def _cast(self, x: Any, dtype: Any) -> Any:
        """An input in another dtype, if it is on a device of these."""
        array = x.data if isinstance(x, Tensor) else x
        if by_type[type(array)].name not in self.kinds:
            return x
        edge = x.edge if isinstance(x, Tensor) else None
        if self.kept is None or edge is None or type(edge[0]) is not Leaf:
            return namespace.differentiable.astype(x, dtype)
        mode = current.get()
        key = edge[0], dtype, mode.record, mode.save_inputs
        found = self.kept.get(key)
        if found is not None and _is_valid(found, array):
            return found[2]
        result = namespace.differentiable.astype(x, dtype)
        self.kept[key] = tick(), array, result
        return result


def _is_reciprocal(name: str, inputs: Sequence[Any]) -> bool:
    """Whether it is a number divided by a tensor, which is a reciprocal times the number."""
    return name == "divide" and isinstance(inputs[0], int | float)


_OTHER = {float16: (float32,), float32: (float16,)}


def _dtype(x: Any) -> Any:
    """The dtype of a tensor or an array of a backend."""
    array = x.data if isinstance(x, Tensor) else x
    return array.dtype if type(array) in by_type else None


def _is_valid(kept: tuple[int, Any, Tensor], array: Any) -> bool:
    """Whether a parameter is what it was when it was cast, and its graph has not been walked."""
    when, cast, result = kept
    if cast is not array or inplace.latest_write > when and inplace.last_write(array, when):
        return False
    return result.edge is None or getattr(result.edge[0], "pullback", None) is not None


class autocast(ModeChange):  # noqa: N801 - PyTorch's name
    """A block, or a decorator, in which products run in float16, and all else as it must.

        with minidl.autocast("cuda"):
            loss = loss_function(model(x), target)
        scaler.scale(loss).backward()          # minidl.amp.GradScaler

    Products, convolutions, attention and recurrent layers cast their inputs to float16;
    exponentials, sums, norms and losses to float32; all others, batch norms too, give the dtype
    that they get.  minidl/autograd/autocast.py has the tables, which are PyTorch's for CUDA.
    Parameters stay float32, and so do their gradients.  float64 is left alone.  Backward belongs
    outside of the block: it computes in the dtypes of the forward pass anyway.

    device_type      that of the tensors that are cast, "cuda" or "cpu"; by default that of the
                     default device.  On the CPU, float16 computes in float32: the values are
                     those of a GPU up to rounding, but nothing is faster
    dtype            float16, the only one
    enabled          False: nothing is cast inside of this block, as if there were none around it
    cache_enabled    whether a parameter is cast once for all its uses in the outermost block.  It
                     is cast again if it was written, or backward was called, in between

    Micikevicius et al. 2018, arXiv:1710.03740.

    >>> layer, x = nn.Linear(3, 2), minidl.ones((4, 3))
    >>> with minidl.autocast("cpu"):
    ...     y = layer(x)
    ...     loss = y.sum()
    >>> loss.backward()
    >>> y.dtype, loss.dtype, layer.weight.grad.dtype
    (dtype('float16'), dtype('float32'), dtype('float32'))
    """

    def __init__(
        self,
        device_type: str | None = None,
        dtype: Any = None,
        enabled: bool = True,
        cache_enabled: bool | None = None,
    ) -> None:
        super().__init__(
            device_type=device_type, dtype=dtype, enabled=enabled, cache_enabled=cache_enabled
        )
        check_flags("autocast", enabled=enabled)
        if cache_enabled is not None:
            check_flags("autocast", cache_enabled=cache_enabled)
        name = default_device() if device_type is None else device(device_type)
        self._kind, self._keep = name.type, cache_enabled is not False
        if dtype is not None and dtype_of(dtype, "autocast") != float16:
            raise ArgumentError(
                f"autocast: dtype is float16, in which GPUs multiply fastest; got {dtype!r}"
            )

    def _changed(self, mode: Mode) -> Mode:
        global used
        used = True
        outer: Casts | None = mode.autocast
        kinds = outer.kinds if outer is not None else frozenset()
        if self._settings["enabled"]:
            kinds |= {self._kind}
        else:
            kinds -= {self._kind}
        if not kinds:
            return mode._replace(autocast=None)
        casts = Casts(kinds, self._keep)
        if casts.kept is not None and outer is not None and outer.kept is not None:
            casts.kept = outer.kept
        return mode._replace(autocast=casts)


def is_autocast_enabled(device_type: str | None = None) -> bool:
    """Whether tensors of this type of device are cast here; by default, of the default device.

    >>> with minidl.autocast("cpu"):
    ...     minidl.amp.is_autocast_enabled("cpu"), minidl.amp.is_autocast_enabled("cuda")
    (True, False)
    """
    kind = (default_device() if device_type is None else device(device_type)).type
    casts: Casts | None = current.get().autocast
    return casts is not None and kind in casts.kinds
