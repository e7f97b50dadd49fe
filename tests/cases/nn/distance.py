"""Rows of distances and similarities."""

from tests.cases.registry import ops
from tests.helpers import Case, away_from, distinct, given, real
from tests.oracle import functional


def norms(p):
    """PyTorch's distances of all pairs, which can be differentiated three times."""
    return lambda a, b: (a.unsqueeze(-2) - b.unsqueeze(-3)).norm(p, -1)


# fmt: off
CASES = [
    Case("normalize", ops.normalize, functional.normalize, real(3, 4)),
    Case("normalize p, axis", lambda x: ops.normalize(x, 3, axis=0),
         lambda x: functional.normalize(x, 3, 0), away_from([0], 3, 4)),
    Case("cosine_similarity", ops.cosine_similarity, functional.cosine_similarity,
         real(3, 4), real(3, 4)),
    Case("cosine_similarity axis, broadcast", lambda *xs: ops.cosine_similarity(*xs, axis=-2),
         lambda *xs: functional.cosine_similarity(*xs, -2), real(2, 3, 4), real(3, 1)),
    Case("pairwise_distance", ops.pairwise_distance, functional.pairwise_distance,
         real(3, 4), real(3, 4)),
    *[Case(f"pairwise_distance p={p}",
           lambda *xs, p=p: ops.pairwise_distance(*xs, p, keepdims=True),
           lambda *xs, p=p: functional.pairwise_distance(*xs, p, keepdim=True),
           distinct(2, 3), distinct(3, shift=0.2)) for p in (1, 3, 0.5, float("inf"))],
    *(Case(f"cdist p={p}", lambda *xs, p=p: ops.cdist(*xs, p), norms(p),
           distinct(2, 3), distinct(4, 3, shift=0.2)) for p in (1, 2, 3.5)),
    Case("cdist p=inf", lambda *xs: ops.cdist(*xs, float("inf")), norms(float("inf")),
         given([[0.1, 0.9], [1.3, -0.4]]), given([[0.5, 0.2], [-0.7, 0.8], [2.0, 1.1]])),
    *(Case(f"pdist p={p}", lambda x, p=p: ops.pdist(x, p),
           lambda x, p=p: (x[[0, 0, 1]] - x[[1, 2, 2]]).norm(p, -1), distinct(3, 2))
      for p in (1, 2, 3.5)),
]
# fmt: on
