"""What is known of users or items, as sparse rows that a table of embeddings is multiplied by."""

from typing import Any

import numpy as np
from scipy import sparse

from minidl.recommend.features import Number, Vector, columns_of, encoders_of, unit_rows
from minidl.recommend.ids import Ids


class Fields:
    """x of each user, or of each item: the id, and then each column of its features.

    Those are the fields.  An id is one axis for each that was met, a category likewise; several
    categories, and the TF-IDF of a text, have length 1 together; a number is standardised; vectors
    stay as they are.  What was not met has no id, so that only its features speak for it.

    codes    how many ids there are
    count    how many fields
    width    of x
    """

    def __init__(
        self, ids: Ids, codes: np.ndarray, encoders: dict[str, Any], features: Any
    ) -> None:
        """The fields of ids, of which codes occur in interactions; features may be None."""
        met = np.unique(codes)
        own = sparse.csr_array(
            (np.ones(met.size), (met, np.arange(met.size))), shape=(len(ids) + 1, met.size)
        )
        blocks = [own, *_encoded(ids, encoders, features)]
        self.count = len(blocks)
        self.width = sum(block.shape[1] for block in blocks)
        self.codes = len(ids)
        stacked = sparse.csr_array(sparse.block_diag(blocks, format="csr"), dtype=np.float32)
        order = np.arange(self.count * (len(ids) + 1)).reshape(self.count, -1).T
        self._rows = stacked[order.reshape(-1)]  # field f of code c is row c·count + f

    def bags(self, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The axes where x is not 0, where each field of each code begins there, and the values.

        Code −1 stands for what is unknown: x = 0.
        """
        codes = np.where(codes < 0, self.codes, codes).astype(np.int64)
        rows = codes[:, None] * self.count + np.arange(self.count)
        chosen = self._rows[rows.reshape(-1)]
        return chosen.indices.astype(np.int64), chosen.indptr[:-1].astype(np.int64), chosen.data


def field_encoders(features: Any) -> dict[str, Any]:
    """What makes vectors of each column of features, which may be None."""
    return {} if features is None else encoders_of(columns_of(features)[1], {}, {})


def _encoded(ids: Ids, encoders: dict[str, Any], features: Any) -> list[sparse.csr_array]:
    """For each column the vectors of all ids; zeros for those without features, and in the end."""
    if features is None:
        return []
    given, columns = columns_of(features)
    places = np.full(len(ids) + 1, len(given))
    places[ids.codes(given)] = np.arange(len(given))
    found = []
    for name, encoder in encoders.items():
        vectors = encoder.encode(columns[name])
        if isinstance(encoder, Number):
            vectors = vectors[:, [0]]
        elif not isinstance(encoder, Vector):
            vectors = unit_rows(vectors)
        nothing = sparse.csr_array((1, vectors.shape[1]))
        found.append(sparse.csr_array(sparse.vstack([vectors, nothing], format="csr"))[places])
    return found
