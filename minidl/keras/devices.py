"""Where models are created and computed, under Keras's names."""

from minidl.backends import device as named_device
from minidl.errors import DTypeError, describe


def device(device_name: str) -> named_device:
    """A block in which tensors and models are created on a device, as `with minidl.device(…)`.

    device_name    "cpu", or "gpu", "gpu:0", …, which are "cuda", "cuda:0", … elsewhere in minidl

    >>> from minidl import keras
    >>> with keras.device("cpu:0"):
    ...     model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    >>> model.weights[0].device
    'cpu'
    """
    if not isinstance(device_name, str):
        raise DTypeError(f"device: needs a name such as 'gpu:0'; got {describe(device_name)}")
    return named_device(device_name.lower().replace("gpu", "cuda"))
