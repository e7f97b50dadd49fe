"""What trainings on texts have in common: kernels, and the file with the vocabulary."""

from pathlib import Path

from minidl.data import FormatError
from minidl.data.text import Vocabulary
from minidl.errors import ArgumentError

# The kernels that recurrent networks on texts need.
KERNELS = [
    *("random:_uniform", "embedding:_gather", "scatter:_count", "scatter:_sort", "scatter:_add"),
    *("recurrent.panels:pack", "recurrent.panels:pack_transposed"),
    *("recurrent.lstm:_forward", "recurrent.lstm:_backward"),
    *("recurrent.weight_gradient:_add_block", "recurrent.weight_gradient:_finish"),
    *("reduction:_sum_vector32", "reduction:_sum_lines"),
    *("optimizer:_fill_row", "optimizer:_adam_rule.over_all"),
]

_FILE = "vocabulary.json"
_MOST_TOKENS = 1 << 17  # networks grow with them


def keep(vocabulary: Vocabulary, folder: Path) -> None:
    """Write a vocabulary into the folder of a run."""
    vocabulary.save(folder / _FILE)


def kept(folder: Path) -> Vocabulary:
    """The vocabulary in the folder of a run."""
    try:
        vocabulary = Vocabulary.load(folder / _FILE)
    except FileNotFoundError:
        raise ArgumentError(f"{folder} has no {_FILE}, which a run on texts needs") from None
    if not 0 < len(vocabulary) <= _MOST_TOKENS:
        raise FormatError(f"{folder / _FILE}: has {len(vocabulary):,} tokens, which cannot be")
    return vocabulary
