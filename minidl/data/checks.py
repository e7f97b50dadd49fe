"""What datasets, and the generators that draw from them, may be."""

from typing import Any

from minidl.errors import DTypeError, check_kind, describe
from minidl.ops.random import Generator


def check_dataset(name: str, dataset: Any) -> None:
    """Raise for what has no length, or gives no samples."""
    has_both = hasattr(dataset, "__len__") and hasattr(dataset, "__getitem__")
    if not has_both or isinstance(dataset, str | bytes):
        raise DTypeError(
            f"{name}: a dataset has a length and gives a sample for each index; got "
            f"{describe(dataset)}"
        )


def check_generator(name: str, generator: Any) -> None:
    """Raise for what is neither a Generator nor left out."""
    if generator is not None:
        check_kind(name, "generator", generator, Generator)
