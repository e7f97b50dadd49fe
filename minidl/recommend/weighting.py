"""Weighting of implicit counts, so that what is common counts less: TF-IDF, BM25, norms.

Documents are items, and their terms the users who met them, or the other way round.  Counts are the
ratings, or how often a pair occurs.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
from scipy import sparse

from minidl.checks import check_choice, check_numbers
from minidl.errors import ArgumentError, DTypeError, describe
from minidl.recommend.interactions import Interactions
from minidl.recommend.matrices import row_numbers, transposed, with_values

Data = TypeVar("Data", Interactions, sparse.csr_array)
_DOCUMENTS = "items", "users"


def tf_idf(data: Data, documents: str = "items") -> Data:
    """√tf · ln(N / (1 + df)): tf the count, N the documents, of which df have the term.

    data         Interactions, or a SciPy sparse matrix (users, items)
    documents    "items", whose terms are users, or "users", whose terms are items

    The idf, ln N/(1 + df), is that of `implicit` and Lucene (K. Spärck Jones: A statistical
    interpretation of term specificity, 1972); of a term in all documents it is just below 0.

    >>> from minidl.recommend import Interactions, weighting
    >>> data = Interactions(["ann", "ann", "ben"], ["tea", "rum", "tea"], [4, 1, 9])
    >>> weighting.tf_idf(data, "users").matrix.toarray().round(3)
    array([[-0.811,  0.   ],
           [-1.216,  0.   ]], dtype=float32)
    """
    return _weighted("tf_idf", data, documents, tf_idf_rows)


def bm25(data: Data, k1: float = 1.2, b: float = 0.75, documents: str = "items") -> Data:
    """idf · tf·(k1 + 1) / (tf + k1·(1 − b + b·l)), with l the length of the document.

    tf is the count, idf that of `tf_idf`, and l the sum of the counts of the document divided by
    the mean of these sums.

    k1    how much more a higher count counts; 0: not at all
    b     how much the length of a document matters, from 0 to 1

    S. Robertson, H. Zaragoza: The probabilistic relevance framework: BM25 and beyond, Foundations
    and Trends in Information Retrieval 3(4), 2009.  The defaults are those of `implicit`'s
    BM25Recommender.

    >>> from scipy.sparse import csr_array
    >>> from minidl.recommend import weighting
    >>> weighting.bm25(csr_array([[1.0, 3, 0, 0], [0, 1, 1, 1]])).toarray().round(3)
    array([[0.349, 0.354, 0.   , 0.   ],
           [0.   , 0.   , 0.   , 0.   ]], dtype=float32)
    """
    check_numbers("bm25", 0, finite=True, k1=k1)
    check_numbers("bm25", 0, 1, b=b)
    return _weighted("bm25", data, documents, lambda rows: bm25_rows(rows, k1, b))


def normalize(data: Data, documents: str = "items") -> Data:
    """The counts of each document divided by their Euclidean norm; one without any stays empty.

    >>> from scipy.sparse import csr_array
    >>> from minidl.recommend import weighting
    >>> weighting.normalize(csr_array([[3.0, 0], [4, 2]])).toarray()
    array([[0.6, 0. ],
           [0.8, 1. ]], dtype=float32)
    """
    return _weighted("normalize", data, documents, _normalized_rows)


def tf_idf_rows(rows: sparse.csr_array) -> sparse.csr_array:
    """`tf_idf` of documents by rows."""
    _check_counts("tf_idf", rows)
    return with_values(rows, np.sqrt(rows.data.astype(np.float64)) * _idf(rows)[rows.indices])


def bm25_rows(rows: sparse.csr_array, k1: float = 1.2, b: float = 0.75) -> sparse.csr_array:
    """`bm25` of documents by rows."""
    _check_counts("bm25", rows)
    counts, numbers = rows.data.astype(np.float64), row_numbers(rows)
    lengths = np.bincount(numbers, counts, rows.shape[0])
    norms = 1 - b + b * lengths / (lengths.mean() or 1.0)
    divisors = counts + k1 * norms[numbers]
    saturated = np.divide(
        counts * (k1 + 1), divisors, out=np.zeros_like(counts), where=divisors > 0
    )
    return with_values(rows, saturated * _idf(rows)[rows.indices])


def _normalized_rows(rows: sparse.csr_array) -> sparse.csr_array:
    values, numbers = rows.data.astype(np.float64), row_numbers(rows)
    norms = np.sqrt(np.bincount(numbers, values**2, rows.shape[0]))
    return with_values(rows, values / np.where(norms > 0, norms, 1)[numbers])


def _idf(rows: sparse.csr_array) -> np.ndarray:
    """ln(N / (1 + df)) of each column."""
    return np.log(rows.shape[0]) - np.log1p(np.bincount(rows.indices, minlength=rows.shape[1]))


def _weighted(
    name: str, data: Any, documents: str, weigh: Callable[[sparse.csr_array], sparse.csr_array]
) -> Any:
    check_choice(name, _DOCUMENTS, documents=documents)
    if not isinstance(data, Interactions) and not sparse.issparse(data):
        raise DTypeError(f"{name}: needs Interactions or a sparse matrix; got {describe(data)}")
    matrix = data.matrix if isinstance(data, Interactions) else sparse.csr_array(data)
    result = weigh(matrix) if documents == "users" else transposed(weigh(transposed(matrix)))
    if not isinstance(data, Interactions):
        return result
    return data.replaced(
        user_codes=row_numbers(result),
        item_codes=result.indices.astype(np.int32),
        ratings=result.data,
        times=None,
    )


def _check_counts(name: str, rows: sparse.csr_array) -> None:
    if rows.nnz and not rows.data.min() >= 0:
        raise ArgumentError(f"{name}: counts are not negative; got {rows.data.min():g}")
