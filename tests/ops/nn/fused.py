"""The operations with an epilogue that kernels exist for, as functions."""

from minidl.ops.nn.fused import fused


def linear_relu(x, weight, bias=None):
    """max(linear(x, weight, bias), 0)."""
    return fused(x, weight, bias, operations=("linear", "relu"), settings=((), ()))


def conv2d_relu(x, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    """max(conv2d(x, weight, bias), 0)."""
    settings = (stride, padding, dilation, groups), ()
    return fused(x, weight, bias, operations=("conv2d", "relu"), settings=settings)


def conv2d_pool_relu(x, weight, bias=None, stride=1, padding=0, dilation=1, groups=1, pool=(2,)):
    """max(max_pool2d(conv2d(x, weight, bias), *pool), 0)."""
    operations, settings = (
        ("conv2d", "max_pool2d", "relu"),
        ((stride, padding, dilation, groups), pool, ()),
    )
    return fused(x, weight, bias, operations=operations, settings=settings)


def max_pool2d_relu(x, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False):
    """max(max_pool2d(x), 0)."""
    settings = (kernel_size, stride, padding, dilation, ceil_mode), ()
    return fused(x, operations=("max_pool2d", "relu"), settings=settings)
