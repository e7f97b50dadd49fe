"""Sparse matrices by rows (CSR): parts, means of groups, and where entries are."""

import numpy as np
from scipy import sparse


def row_numbers(matrix: sparse.csr_array) -> np.ndarray:
    """The row of each entry."""
    return np.repeat(np.arange(matrix.shape[0], dtype=np.int32), np.diff(matrix.indptr))


def with_values(matrix: sparse.csr_array, values: np.ndarray) -> sparse.csr_array:
    """The matrix with other values, float32."""
    parts = values.astype(np.float32), matrix.indices, matrix.indptr
    return sparse.csr_array(parts, shape=matrix.shape)


def transposed(matrix: sparse.csr_array) -> sparse.csr_array:
    """The transposed matrix by rows, with ascending columns."""
    result = matrix.T.tocsr()
    result.sort_indices()
    return result


def group_means(groups: np.ndarray, values: np.ndarray, count: int, otherwise: float) -> np.ndarray:
    """The mean of the values of each group, float64; `otherwise` for an empty one."""
    sizes = np.bincount(groups, minlength=count)
    sums = np.bincount(groups, values, count)
    return np.divide(sums, sizes, out=np.full(count, float(otherwise)), where=sizes > 0)


def found_among(ascending: np.ndarray, sought: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where what is sought is among ascending numbers, and whether it is there."""
    if not ascending.size:
        return np.zeros(sought.shape, np.int64), np.zeros(sought.shape, bool)
    places = np.minimum(np.searchsorted(ascending, sought), ascending.size - 1)
    return places, ascending[places] == sought
