"""The key/value cache: decoding step by step, in which no position is computed twice."""

from collections.abc import Callable, Sequence
from copy import deepcopy
from typing import Any, Self

from minidl import ops
from minidl.autograd import inplace
from minidl.autograd.graph import tick
from minidl.autograd.mode import no_grad
from minidl.autograd.tensor import Tensor
from minidl.checks import check_integers
from minidl.errors import (
    ArgumentError,
    DTypeError,
    GradientError,
    MinidlError,
    ShapeError,
    describe,
    raise_explained,
)
from minidl.nn.module import Module

_LEAST_CAPACITY = 16  # positions for which memory is taken at first


class KeyValueCache:
    """The keys and values of the positions that a decoder has seen, for each of its attentions.

    A decoder that is given `cache=` takes the new positions alone, and attends to all that the
    cache has: T steps give what one call with T positions and a causal mask gives.  Causal is all
    that decoding is: a position that came later has no influence on those before it.

    One cache serves all layers of a decoder, and one sequence, or batch of sequences; for the next
    one, make another, or `clear()` it.  `copy.deepcopy` gives another of the same decoder, so that
    several continuations share the computation of what they begin with.  A decoder that uses one
    attention several times in a step needs a cache for each time.

    memory    what is given to attentions to an encoder's memory, whose keys and values are computed
              in the first step, and again only if another tensor is given as memory, or this one
              was written

    The arrays grow by doubling.  Gradients are not kept: decode under `minidl.no_grad()`.

    >>> layer = nn.TransformerEncoderLayer(8, nhead=2, batch_first=True).eval()
    >>> x, cache = minidl.random.normal((1, 5, 8)), nn.KeyValueCache()
    >>> with minidl.no_grad():
    ...     whole = layer(x, is_causal=True)
    ...     steps = [layer(x[:, t : t + 1], cache=cache) for t in range(5)]
    >>> cache.length, minidl.allclose(minidl.concat(steps, axis=1), whole, atol=1e-6)
    (5, True)

    An attention of one's own asks for its part, and appends:

        def forward(self, x, cache):
            query, key, value = …                    # (N, heads, L, features)
            key, value = cache.of(self).append(key, value)
    """

    def __init__(self) -> None:
        self._layers: dict[Module, LayerCache] = {}
        self.memory = MemoryCache()

    @property
    def length(self) -> int:
        """The number of positions that all layers have: that of the next one, from 0."""
        return min((layer.length for layer in self._layers.values()), default=0)

    def of(self, layer: Module) -> "LayerCache":
        """The part of one attention, which is empty at first."""
        if not isinstance(layer, Module):
            raise DTypeError(f"KeyValueCache.of: needs a module; got {describe(layer)}")
        if layer not in self._layers:
            self._layers[layer] = LayerCache(self)
        return self._layers[layer]

    def truncate(self, length: int) -> None:
        """Keep the first positions only: to go back, or after a step that was interrupted."""
        check_integers("KeyValueCache.truncate", 0, length=length)
        if length > self.length:
            raise ArgumentError(
                f"KeyValueCache.truncate: there are {self.length} positions; got {length}"
            )
        for layer in self._layers.values():
            layer.length = int(length)

    def reorder(self, indices: Any) -> None:
        """Sequence i of the batch becomes that which was at indices[i]: for beam search."""
        try:
            order = ops.asarray(indices)
            if order.ndim != 1:
                raise ShapeError(f"indices are a vector; got {describe(order)}")
            chosen = {
                layer: [ops.take(x, order, axis=0) for x in part.buffers]
                for layer, part in self._layers.items()
                if part.buffers
            }
        except MinidlError as error:
            raise_explained("KeyValueCache.reorder", (), error)
        for layer, buffers in chosen.items():
            self._layers[layer].buffers = tuple(buffers)

    def clear(self) -> None:
        """Forget all positions and memories."""
        self._layers.clear()
        self.memory.clear()

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Another cache of the same layers, which are its keys; of their copies, beside those."""
        memo[id(self)] = copied = type(self)()
        for layer, part in self._layers.items():
            copied._layers[memo.get(id(layer), layer)] = deepcopy(part, memo)
        copied.memory = deepcopy(self.memory, memo)
        return copied

    def _refuse_uneven(self, appending: "LayerCache", stop: int) -> None:
        """Raise if a step before ended in the middle, so that some layers have fewer positions.

        stop    the number of positions that the layer will have
        """
        longest = max((layer.length for layer in self._layers.values()), default=0)
        if not appending.length and stop < longest:
            self._layers = {k: part for k, part in self._layers.items() if part is not appending}
            raise ArgumentError(
                f"KeyValueCache: a layer begins with {stop} positions where others have {longest}; "
                "a cache belongs to one decoder, not to copies of it, and the first step to all of "
                "its layers; clear() it, or make another"
            )
        if self.length < appending.length:
            raise ArgumentError(
                f"KeyValueCache: some layers have {self.length} positions, others "
                f"{appending.length}: a step was interrupted, then truncate({self.length}) and "
                "repeat it; or it uses one attention several times, each of which needs a cache "
                "of its own"
            )

    def __repr__(self) -> str:
        return f"KeyValueCache(length={self.length}, layers={len(self._layers)})"


class MemoryCache:
    """The keys and values of an encoder's memory, which stays the same in all steps."""

    def __init__(self) -> None:
        # What they were computed of, which arrays that had, when that was, and what came of it.
        self._layers: dict[Module, tuple[tuple[Tensor, ...], list[Any], int, Any]] = {}

    def of(
        self,
        layer: Module,
        sources: tuple[Tensor, ...],
        compute: Callable[[], Sequence[Tensor]],
    ) -> tuple[Tensor, Tensor]:
        """What an attention computes of these tensors: once, as long as they are the same."""
        if not self._knows(layer, sources):
            arrays, now = [x.data for x in sources], tick()
            self._layers[layer] = sources, arrays, now, _without_gradient(*compute())
        return self._layers[layer][-1]

    def _knows(self, layer: Module, sources: tuple[Tensor, ...]) -> bool:
        """Whether these tensors were given before, and have not been written since."""
        if layer not in self._layers:
            return False
        tensors, arrays, then, _ = self._layers[layer]
        if any(a is not b for a, b in zip(tensors, sources, strict=True)):
            return False
        same = all(x.data is array for x, array in zip(sources, arrays, strict=True))
        return same and not any(inplace.last_write(array, then) for array in arrays)

    def clear(self) -> None:
        """Forget all."""
        self._layers.clear()

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Another one that knows the same, which is never written."""
        memo[id(self)] = copied = type(self)()
        copied._layers = {memo.get(id(layer), layer): x for layer, x in self._layers.items()}
        return copied


class LayerCache:
    """The keys and values of one attention, (…, positions, features).

    length    the number of positions
    """

    def __init__(self, owner: KeyValueCache) -> None:
        self._owner = owner
        self.length = 0
        self.buffers: tuple[Tensor, ...] = ()

    def append(self, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Add those of new positions, (…, L, features), and return those of all positions."""
        new = _without_gradient(*_checked(key, value))
        stop = self.length + new[0].shape[-2]
        self._owner._refuse_uneven(self, stop)
        with no_grad():
            buffers = self._buffers_for(new, stop)
            for buffer, x in zip(buffers, new, strict=True):
                buffer[..., self.length : stop, :] = x
            self.buffers, self.length = buffers, stop
            keys, values = (buffer[..., :stop, :] for buffer in buffers)
        return keys, values

    def _buffers_for(self, new: tuple[Tensor, ...], stop: int) -> tuple[Tensor, ...]:
        """Buffers with room for `stop` positions, which begin with those that are known."""
        capacity = self.buffers[0].shape[-2] if self.buffers else 0
        for buffer, x in zip(self.buffers, new, strict=False):
            fits = buffer.shape[:-2] == x.shape[:-2] and buffer.shape[-1] == x.shape[-1]
            if not fits or buffer.dtype != x.dtype:
                needs = ", ".join(map(str, (*buffer.shape[:-2], "L", buffer.shape[-1])))
                raise ShapeError(
                    f"KeyValueCache: holds keys and values ({needs}) of {buffer.dtype}; got "
                    f"{describe(x)}; another batch needs another cache"
                )
        if stop <= capacity:
            return self.buffers
        capacity = max(stop, 2 * capacity, _LEAST_CAPACITY)
        grown = tuple(
            ops.empty((*x.shape[:-2], capacity, x.shape[-1]), dtype=x.dtype, device=x.device)
            for x in new
        )
        for buffer, x in zip(grown, self.buffers, strict=False):
            buffer[..., : self.length, :] = x[..., : self.length, :]
        return grown


def _checked(key: Any, value: Any) -> tuple[Tensor, Tensor]:
    """Both as tensors, after checking that they are of the same positions."""
    try:
        key, value = ops.asarray(key), ops.asarray(value)
    except MinidlError as error:
        raise_explained("KeyValueCache", (), error)
    if min(key.ndim, value.ndim) < 2 or key.shape[:-1] != value.shape[:-1]:
        raise ShapeError(
            f"KeyValueCache: needs key and value (…, L, features), of the same positions; got "
            f"{key.shape} and {value.shape}"
        )
    return key, value


def _without_gradient(key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
    """Both, or GradientError if one would need its history."""
    if key.requires_grad or value.requires_grad:
        raise GradientError(
            "KeyValueCache: keeps no gradients; decode under minidl.no_grad(), train without cache"
        )
    return key, value
