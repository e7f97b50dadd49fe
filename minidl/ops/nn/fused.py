"""An operation and its epilogue, which a backend may compute in one pass over the output.

The epilogue of a matrix product, a convolution or a pooling is what follows while its output is
still in registers: the word is CUTLASS's; oneDNN calls it post-ops.  `minidl.nn.fusion` uses it.
"""

from minidl.autograd.primitive import composite


@composite
def fused(xp, /, *arrays, operations, settings):
    """The first operation of the arrays, and the others, its epilogue, of what came before.

    operations    their names, such as ("conv2d", "max_pool2d", "relu")
    settings      a tuple of settings for each of them

    >>> x, weight = minidl.ones((1, 2)), minidl.tensor([[1.0, 1.0], [-1.0, -1.0]])
    >>> fused(x, weight, operations=("linear", "relu"), settings=((), ()))
    Tensor([[2., 0.]], shape=(1, 2), float32)
    """
    for name, own in zip(operations, settings, strict=True):
        arrays = (getattr(xp, name)(*arrays, *own),)
    return arrays[0]
