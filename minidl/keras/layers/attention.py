"""Multi-head attention."""

import math
from typing import Any

from minidl import ops
from minidl.autograd.tensor import Tensor
from minidl.checks import check_probability, is_integer
from minidl.errors import ArgumentError, ShapeError
from minidl.keras.checks import positive, shape_of
from minidl.keras.graph.tensor import Shape
from minidl.keras.layers.base import Layer
from minidl.keras.masking import as_mask
from minidl.ops.nn.attention import attention_weights


class Projection(Layer):
    """y = Σ x·kernel + bias over the last axes of x: (…, *ins) → (…, *outs)."""

    supports_masking = True

    def __init__(
        self,
        ins: tuple[int, ...],
        outs: tuple[int, ...],
        use_bias: bool,
        kernel_initializer: Any,
        bias_initializer: Any,
        **common: Any,
    ) -> None:
        super().__init__(**common)
        self.ins, self.outs = ins, outs
        self.kernel = self.add_weight((*ins, *outs), kernel_initializer, name="kernel")
        self.bias = self.add_weight(outs, bias_initializer, name="bias") if use_bias else None
        self.built = True

    def call(self, inputs: Tensor) -> Tensor:
        """The projection."""
        lead = inputs.shape[: inputs.ndim - len(self.ins)]
        columns, rows = math.prod(self.ins), math.prod(self.outs)
        weight = ops.permute_dims(self.kernel.reshape((columns, rows)), (1, 0))
        bias = None if self.bias is None else self.bias.reshape((rows,))
        return ops.linear(inputs.reshape((*lead, columns)), weight, bias).reshape(
            (*lead, *self.outs)
        )


class MultiHeadAttention(Layer):
    """Attention of queries over values: softmax(q·kᵀ/√key_dim)·v for each head, projected.

    num_heads           H, the number of heads
    key_dim             the length of a query and of a key of a head
    value_dim           the length of a value of a head; default: key_dim
    dropout             the probability of leaving out an attention weight, in training
    output_shape        the shape of an output; default: the length of a query
    attention_axes      the axes over which it attends; default: all between batch and features

    Called as layer(query, value, key=None), of (N, T, …) and (N, S, …), it returns (N, T, …), and
    with return_attention_scores also the weights (N, H, T, S).

    attention_mask      (N, T, S) bools: which queries attend to which values
    use_causal_mask     whether query t attends to values 0 … t alone

    The masks of query, value and key are taken into account; that of the query is the output's.  A
    query that may attend to nothing gets zeros, before the last projection.  The weights are
    kernels (in, H, key_dim) and biases (H, key_dim) of query, key and value, then (H, value_dim,
    out) and (out,).  Vaswani et al. 2017.

    >>> from minidl.keras import layers
    >>> layer = layers.MultiHeadAttention(num_heads=2, key_dim=3)
    >>> x = np.ones((5, 4, 8))
    >>> y, weights = layer(x, x, use_causal_mask=True, return_attention_scores=True)
    >>> y.shape, weights.shape, weights[0, 0, 1].tolist()
    ((5, 4, 8), (5, 2, 4, 4), [0.5, 0.5, 0.0, 0.0])
    """

    casts_outputs = True
    supports_masking = True

    def __init__(
        self,
        num_heads: int,
        key_dim: int,
        value_dim: int | None = None,
        dropout: float = 0.0,
        use_bias: bool = True,
        output_shape: Any = None,
        attention_axes: Any = None,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        seed: int | None = None,
        **common: Any,
    ) -> None:
        flash = common.pop("flash_attention", None)  # how Keras computes it
        super().__init__(**common)
        if flash not in (None, True, False):
            raise ArgumentError(f"MultiHeadAttention: flash_attention is a flag; got {flash!r}")
        self.num_heads = positive("MultiHeadAttention", "num_heads", num_heads)
        self.key_dim = positive("MultiHeadAttention", "key_dim", key_dim)
        self.value_dim = key_dim
        if value_dim is not None:
            self.value_dim = positive("MultiHeadAttention", "value_dim", value_dim)
        check_probability("MultiHeadAttention", dropout=dropout)
        self.dropout, self.use_bias = dropout, bool(use_bias)
        self.sizes = None if output_shape is None else shape_of("MultiHeadAttention", output_shape)
        axes = (attention_axes,) if is_integer(attention_axes) else attention_axes
        self.attention_axes = None if axes is None else tuple(axes)
        self.initializers = kernel_initializer, bias_initializer
        self.generator = None if seed is None else ops.random.Generator(seed)

    # Shapes.

    def build(self, query_shape: Any, value_shape: Any = None, key_shape: Any = None) -> None:
        """Create the projections."""
        if value_shape is None:
            raise ArgumentError(f"{self.title}: needs a query and a value; call layer(x, x)")
        key_shape = value_shape if key_shape is None else key_shape
        shapes = {"query": query_shape, "value": value_shape, "key": key_shape}
        for name, shape in shapes.items():
            if len(shape) < 3 or shape[-1] is None:
                raise ShapeError(
                    f"{self.title}: needs a {name} (N, T, features) with known features; got "
                    f"{tuple(shape)}"
                )
        self._check_pair(tuple(query_shape), tuple(value_shape), tuple(key_shape))
        of_key, of_value = (self.num_heads, self.key_dim), (self.num_heads, self.value_dim)
        self.query_dense = self._projection("query", (query_shape[-1],), of_key)
        self.key_dense = self._projection("key", (key_shape[-1],), of_key)
        self.value_dense = self._projection("value", (value_shape[-1],), of_value)
        outs: Any = self.sizes or (query_shape[-1],)
        self.output_dense = self._projection("attention_output", of_value, outs)
        self.built = True

    def _projection(self, name: str, ins: tuple[int, ...], outs: tuple[int, ...]) -> Projection:
        return Projection(
            ins, outs, self.use_bias, *self.initializers, name=name, dtype=self.dtype_policy
        )

    def _check_pair(self, query: Shape, value: Shape, key: Shape) -> None:
        same = all(None in (n, m) or n == m for n, m in zip(key[:-1], value[:-1], strict=False))
        if len(key) != len(value) or len(query) != len(value) or not same:
            raise ShapeError(
                f"{self.title}: needs a query (N, T, …), and a value and a key with as many steps "
                f"(N, S, …); got {query}, {value} and {key}"
            )

    def compute_output_shape(
        self, query_shape: Any, value_shape: Any = None, key_shape: Any = None
    ) -> Shape:
        """(N, T, *output_shape)."""
        return *query_shape[:-1], *(self.sizes or (query_shape[-1],))

    def output_spec(
        self, args: tuple[Any, ...], kwargs: dict[str, Any], arguments: dict[str, Any]
    ) -> Any:
        """The symbolic outputs of a call."""
        if arguments.get("return_attention_scores"):
            return self._tried(args, kwargs)
        return super().output_spec(args, kwargs, arguments)

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        """The mask of the query, of the output; none of the weights."""
        return [mask, None]

    # Computation.

    def call(
        self,
        query: Any,
        value: Any,
        key: Any = None,
        query_mask: Any = None,
        value_mask: Any = None,
        key_mask: Any = None,
        attention_mask: Any = None,
        return_attention_scores: bool = False,
        training: bool = False,
        use_causal_mask: bool = False,
    ) -> Any:
        """The outputs, and with return_attention_scores the weights."""
        key = value if key is None else key
        self._check_pair(tuple(query.shape), tuple(value.shape), tuple(key.shape))
        order = self._order(query.ndim)
        q = _by_heads(self.query_dense(query), order)
        k, v = _by_heads(self.key_dense(key), order), _by_heads(self.value_dense(value), order)
        mask = self._mask(attention_mask, q.ndim, len(order[1]), query_mask, value_mask, key_mask)
        rate = self.dropout if training else 0.0
        if return_attention_scores:
            y, weights = self._with_weights(q, k, v, mask, rate, use_causal_mask)
        else:
            count = math.prod(q.shape[:-1]) * k.shape[-2]
            y = ops.scaled_dot_product_attention(
                q,
                k,
                v,
                mask,
                dropout_p=rate,
                is_causal=use_causal_mask,
                dropout_key=self._key(count) if rate else None,
            )
        output = self.output_dense(_back(y, order, query.shape))
        if not return_attention_scores:
            return output
        lengths = [x.shape[axis] for x in (query, value) for axis in self._attended(query.ndim)]
        return output, weights.reshape((*weights.shape[:-2], *lengths))

    def _attended(self, ndim: int) -> list[int]:
        """The axes over which it attends."""
        axes = range(1, ndim - 1) if self.attention_axes is None else self.attention_axes
        found = [axis % ndim if -ndim <= axis < ndim else 0 for axis in axes]
        if not set(found) <= set(range(1, ndim - 1)) or len(set(found)) != len(found):
            raise ShapeError(
                f"{self.title}: attention_axes={self.attention_axes} are not between the batch and "
                f"the features of inputs with {ndim} axes"
            )
        return found

    def _order(self, ndim: int) -> tuple[list[int], list[int]]:
        """The axes that are not attended over, with the batch, and those that are."""
        attended = self._attended(ndim)
        return [axis for axis in range(ndim - 1) if axis not in attended], attended

    def _mask(
        self, given: Any, ndim: int, count: int, of_query: Any, of_value: Any, of_key: Any
    ) -> Any:
        """One mask (…, T, S) from that of the call and those of the inputs; or None.

        ndim     that of the projected query, with which it is to broadcast
        count    the number of axes that are attended over
        """
        masks = []
        if of_query is not None:
            masks.append(as_mask(of_query)[:, :, None])
        masks += [as_mask(m)[:, None, :] for m in (of_value, of_key) if m is not None]
        if given is not None:
            masks.append(as_mask(given))
        if not masks:
            return None
        joined = masks[0]
        for mask in masks[1:]:
            joined = ops.logical_and(joined, mask)
        start = joined.ndim - 2 * count
        lead, rest = joined.shape[:start], joined.shape[start:]
        steps = math.prod(rest[:count]), math.prod(rest[count:])
        return joined.reshape((*lead, *(1,) * (ndim - 2 - len(lead)), *steps))

    def _key(self, count: int) -> tuple[int, int]:
        """The key of so many random numbers."""
        return ops.random.key_of(self.generator, count)

    def _with_weights(
        self, q: Tensor, k: Tensor, v: Tensor, mask: Any, rate: float, is_causal: bool
    ) -> tuple[Tensor, Tensor]:
        """The outputs and the weights, which the operation does not give."""
        weights = attention_weights(q, k, mask, is_causal=is_causal)
        kept = weights
        if rate:
            kept = ops.dropout(weights, rate, key=self._key(weights.size))
        return ops.matmul(kept, v), weights


def _by_heads(x: Tensor, order: tuple[list[int], list[int]]) -> Tensor:
    """(N, …, H, K) → (N, other axes, H, steps attended over, K)."""
    others, attended = order
    heads = x.ndim - 2
    moved = ops.permute_dims(x, (*others, heads, *attended, x.ndim - 1))
    lead = moved.shape[: len(others) + 1]
    return moved.reshape((*lead, math.prod(x.shape[axis] for axis in attended), x.shape[-1]))


def _back(y: Tensor, order: tuple[list[int], list[int]], shape: tuple[int, ...]) -> Tensor:
    """(N, other axes, H, T, V) → (N, …, H, V), the axes in the order of the query's shape."""
    others, attended = order
    lead, (heads, _, width) = y.shape[: len(others)], y.shape[-3:]
    apart = y.reshape((*lead, heads, *(shape[axis] for axis in attended), width))
    axes = [*others, None, *attended]  # where each axis of the query is now
    places = [axes.index(axis) for axis in range(len(shape) - 1)]
    return ops.permute_dims(apart, (*places, len(others), apart.ndim - 1))
