"""Sparse matrices by rows (CSR): parts, and means of groups."""

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
