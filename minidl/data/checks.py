"""Checks of datasets."""

from typing import Any

from minidl.errors import DTypeError, describe


def check_dataset(name: str, dataset: Any) -> None:
    """Raise unless it has a length and gives samples."""
    has_both = hasattr(dataset, "__len__") and hasattr(dataset, "__getitem__")
    if not has_both or isinstance(dataset, str | bytes):
        raise DTypeError(
            f"{name}: a dataset has a length and gives a sample for each index; got "
            f"{describe(dataset)}"
        )
