"""Rows of the table of operations: samples of pictures, order, segments, letters, Γ."""

import numpy as np

from minidl import ops
from tests.cases_windows import both
from tests.helpers import Case, Input, away_from, distinct, fixed, given, positive, real, unit
from tests.oracle import functional, torch

IDS = np.array([2, 0, 2, 1, 0])
GRID = given([[[[-0.83, 0.31], [0.12, -0.57], [0.93, 0.77]]]])
SPACE = given([[[[[-0.3, 0.2, 0.7], [0.4, -0.6, 1.4]]]]])


def segments(reduce):
    """PyTorch's reduction of segments."""

    def of(x, ids):
        zeros = torch.zeros(3, *x.shape[1:], dtype=x.dtype)
        rows = [x[ids == i] for i in range(3)]
        return torch.stack([reduce(row) for row in rows]) + zeros

    return of


def uniforms(x):
    """The random numbers of a key, for PyTorch's x."""
    like = ops.zeros(tuple(x.shape), dtype=str(x.dtype).removeprefix("torch."))
    return torch.from_numpy(np.array(ops.uniform_like(like, (2026, 7))))


def norms(p):
    """PyTorch's distances of all pairs, which can be differentiated three times."""
    return lambda a, b: (a.unsqueeze(-2) - b.unsqueeze(-3)).norm(p, -1)


ROWS = np.array([[2, 0], [2, 2], [1, 0], [2, 2]])  # places along axis 0; some are named twice
STARTS = np.array([0, 2, 2])  # the second bag is empty


def joined(x, indices, values, reduce, include_self=True):
    """PyTorch's scatter_reduce along axis 0, written out, as prod has no second derivative."""
    reductions = {"amax": torch.amax, "amin": torch.amin}

    def place(i, j):
        found = [x[i, j]] if include_self else []
        found += [values[k, j] for k in range(len(values)) if indices[k, j] == i]
        if not found:
            return x[i, j]
        return reductions.get(reduce, getattr(torch, reduce))(torch.stack(found), 0)

    columns = range(x.shape[1])
    return torch.stack([torch.stack([place(i, j) for j in columns]) for i in range(len(x))])


def bags(weight, mode):
    """PyTorch's bags of IDS, which begin at STARTS."""
    reductions = {"sum": torch.sum, "mean": torch.mean, "max": torch.amax}
    rows = weight[torch.tensor(IDS)]
    first, last = (reductions[mode](part, 0) for part in (rows[:2], rows[2:]))
    return torch.stack([first, torch.zeros_like(first), last])


def small(*shape):
    """Different numbers between −2 and 2."""
    numbers = distinct(*shape)
    return Input(lambda rng: numbers.draw(rng) * 4 / np.prod(shape))


def fractional(n):
    """Both libraries' pools of windows of two, (1, 4 − n, *), that are placed by these samples."""
    samples = np.array([[[0.3, 0.8, 0.6], [0.9, 0.1, 0.5]]])[:, : 4 - n, :n]
    pool = getattr(functional, f"fractional_max_pool{n}d")
    return (
        lambda x: getattr(ops, f"fractional_max_pool{n}d")(x, ops.asarray(samples), 2, 3),
        lambda x: pool(x, 2, 3, _random_samples=torch.tensor(samples).to(x)),
    )


def alpha_dropped(x, p):
    """PyTorch's alpha dropout of whole channels, (N, C, L)."""
    alpha = 1.7580993408473766
    a = ((alpha**2 * p + 1) * (1 - p)) ** -0.5
    keep = uniforms(x[..., :1]) >= p
    return torch.where(keep, a * x, -alpha * a) + alpha * a * p


def sampled(name, x, grid, **settings):
    """A row; PyTorch differentiates samples only once."""
    return Case(f"grid_sample {name}", lambda *xs: ops.grid_sample(*xs, **settings), None, x, grid)


# fmt: off
MORE = [
    sampled("bilinear", real(1, 2, 3, 4), GRID),
    sampled("bilinear reflection", real(1, 2, 3, 4), GRID,
            padding_mode="reflection", align_corners=True),
    sampled("bicubic border", real(1, 1, 3, 4), GRID, mode="bicubic", padding_mode="border"),
    sampled("trilinear", real(1, 1, 2, 3, 2), SPACE),
    Case("grid_sample nearest",
         lambda x: ops.grid_sample(x, ops.asarray(GRID.draw(None)), mode="nearest"),
         lambda x: functional.grid_sample(x, torch.tensor(GRID.draw(None)).to(x), "nearest",
                                          align_corners=False), real(1, 2, 3, 4)),
    Case("affine_grid", lambda x: ops.affine_grid(x, (1, 1, 2, 3)),
         lambda x: functional.affine_grid(x, (1, 1, 2, 3), align_corners=False), real(1, 2, 3)),
    Case("resample", *both("interpolate", 4, mode="linear"), real(1, 2, 3)),
    *(Case(f"interpolate {mode} antialias",
           *both("interpolate", (2, 5), mode=mode, antialias=True), real(1, 1, 4, 3))
      for mode in ("bilinear", "bicubic")),
    Case("topk", lambda x: ops.topk(x, 2)[0], lambda x: torch.topk(x, 2)[0], distinct(3, 4)),
    Case("topk smallest, axis", lambda x: ops.topk(x, 2, axis=0, largest=False)[0],
         lambda x: torch.topk(x, 2, 0, False)[0], distinct(3, 4)),
    Case("kthvalue", lambda x: ops.kthvalue(x, 2, axis=0)[0],
         lambda x: torch.kthvalue(x, 2, 0)[0], distinct(3, 4)),
    Case("quantile", lambda x: ops.quantile(x, 0.3), lambda x: torch.quantile(x, 0.3),
         distinct(3, 3)),
    Case("quantile several, axis", lambda x: ops.quantile(x, [0.1, 0.8], axis=1, keepdims=True),
         lambda x: torch.quantile(x, torch.tensor([0.1, 0.8], dtype=x.dtype), 1, True),
         distinct(2, 4)),
    Case("nanquantile", lambda x: ops.nanquantile(x, 0.6, axis=0, interpolation="midpoint"),
         lambda x: torch.nanquantile(x, 0.6, 0, interpolation="midpoint"), distinct(4, 2)),
    Case("median", lambda x: ops.median(x, axis=-1), lambda x: torch.quantile(x, 0.5, -1),
         distinct(2, 4)),
    Case("cumulative_max", lambda x: ops.cumulative_max(x, axis=1)[0],
         lambda x: torch.cummax(x, 1)[0], distinct(2, 5)),
    Case("cumulative_min", lambda x: ops.cumulative_min(x, axis=0)[0],
         lambda x: torch.cummin(x, 0)[0], distinct(5, 2)),
    Case("cumulative_logsumexp", lambda x: ops.cumulative_logsumexp(x, axis=-1),
         lambda x: torch.stack([x[:, : i + 1].logsumexp(1) for i in range(5)], 1), real(2, 5)),
    Case("segment_sum", ops.segment_sum, segments(lambda x: x.sum(0)), real(5, 2), fixed(IDS)),
    Case("segment_mean", ops.segment_mean, segments(lambda x: x.mean(0)), real(5, 2), fixed(IDS)),
    Case("segment_prod", ops.segment_prod, segments(lambda x: x.prod(0)), real(5, 2), fixed(IDS)),
    Case("segment_max", ops.segment_max, segments(lambda x: x.amax(0)), distinct(5, 2),
         fixed(IDS)),
    Case("segment_min", ops.segment_min, segments(lambda x: x.amin(0)), distinct(5, 2),
         fixed(IDS)),
    Case("segment_extremum", ops.segment_min, segments(lambda x: x.amin(0)), distinct(5),
         fixed(IDS)),
    Case("einsum", lambda *xs: ops.einsum("bij,bjk->bik", *xs),
         lambda *xs: torch.einsum("bij,bjk->bik", *xs), real(2, 2, 3), real(2, 3, 2)),
    Case("einsum diagonal, ellipsis", lambda *xs: ops.einsum("...ii,ij,...j->...i", *xs),
         lambda *xs: torch.einsum("...ii,ij,...j->...i", *xs), real(2, 3, 3), real(3, 2),
         real(1, 2)),
    *(Case(f"cdist p={p}", lambda *xs, p=p: ops.cdist(*xs, p), norms(p),
           distinct(2, 3), distinct(4, 3, shift=0.2)) for p in (1, 2, 3.5)),
    Case("cdist p=inf", lambda *xs: ops.cdist(*xs, float("inf")), norms(float("inf")),
         given([[0.1, 0.9], [1.3, -0.4]]), given([[0.5, 0.2], [-0.7, 0.8], [2.0, 1.1]])),
    *(Case(f"pdist p={p}", lambda x, p=p: ops.pdist(x, p),
           lambda x, p=p: (x[[0, 0, 1]] - x[[1, 2, 2]]).norm(p, -1), distinct(3, 2))
      for p in (1, 2, 3.5)),
    Case("diag_embed", lambda x: ops.diag_embed(x, offset=-1), lambda x: torch.diag_embed(x, -1),
         real(2, 3)),
    Case("kron", ops.kron, torch.kron, real(2, 3), real(2, 1)),
    Case("rot90", lambda x: ops.rot90(x, axes=(1, 2)), lambda x: torch.rot90(x, 1, (1, 2)),
         real(2, 2, 3)),
    Case("rot90 back", lambda x: ops.rot90(x, -1), lambda x: torch.rot90(x, -1), real(2, 3)),
    Case("vander", lambda x: ops.vander(x, 4),
         lambda x: torch.stack([x**3, x**2, x, torch.ones_like(x)], -1), real(3)),
    Case("gumbel_softmax", lambda x: ops.gumbel_softmax(x, 0.7, axis=0, key=(2026, 7)),
         lambda x: ((x - (-uniforms(x).log()).log()) / 0.7).softmax(0), real(3, 4)),
    Case("erfc", ops.erfc, torch.erfc, real(3, 4)),
    Case("erfinv", ops.erfinv, torch.erfinv, unit(3, 4)),
    Case("lgamma", ops.lgamma, torch.lgamma, positive(3, 4)),
    # PyTorch's polygamma is right to ten digits, SciPy's to fifteen.
    Case("digamma", ops.digamma, None, positive(3, 4)),
    Case("polygamma", lambda x: ops.polygamma(x, 1), None, positive(3, 4)),
    Case("sinc", ops.sinc, lambda x: torch.sin(torch.pi * x) / (torch.pi * x),
         away_from([0], 3, 4)),
    Case("sinc at 0", ops.sinc, None, given([0.0, 0.01, -0.03])),
    Case("lerp", ops.lerp, torch.lerp, real(3, 4), real(4), away_from([0.5], 3, 4)),
    Case("nan_to_num", ops.nan_to_num, torch.nan_to_num, real(3, 4)),
    Case("put_along_axis", lambda x, i, v: ops.put_along_axis(x, i, v, axis=1),
         lambda x, i, v: x.scatter(1, i, v), real(2, 4), fixed([[3, 0], [1, 2]]), real(2, 2)),
    *(Case(f"scatter_reduce {reduce}",
           lambda x, i, v, r=reduce: ops.scatter_reduce(x, i, v, r, axis=0),
           lambda x, i, v, r=reduce: joined(x, i, v, r), distinct(3, 2), fixed(ROWS),
           distinct(4, 2, shift=0.2)) for reduce in ("sum", "prod", "mean", "amax", "amin")),
    *(Case(f"scatter_reduce {reduce} alone",
           lambda x, i, v, r=reduce: ops.scatter_reduce(x, i, v, r, axis=0, include_self=False),
           lambda x, i, v, r=reduce: joined(x, i, v, r, False), distinct(3, 2), fixed(ROWS),
           distinct(4, 2, shift=0.2)) for reduce in ("prod", "mean", "amax")),
    *(Case(f"embedding_bag {mode}", lambda w, m=mode: ops.embedding_bag(w, IDS, STARTS, mode=m),
           lambda w, m=mode: bags(w, m), distinct(3, 2)) for mode in ("sum", "mean", "max")),
    Case("embedding_bag weights",
         lambda w, p: ops.embedding_bag(w, IDS.reshape(1, 5), None, p, mode="sum", padding_idx=1),
         lambda w, p: (w[torch.tensor(IDS)] * (p * torch.tensor(IDS != 1)).T).sum(0)[None],
         real(3, 2), real(1, 5)),
    *(Case(f"fractional_max_pool{n}d", *fractional(n), small(1, 4 - n, *[5] * n))
      for n in (2, 3)),
    Case("feature_alpha_dropout", lambda x: ops.feature_alpha_dropout(x, 0.4, key=(2026, 7)),
         lambda x: alpha_dropped(x, 0.4), real(2, 3, 2)),
    Case("triplet_margin_with_distance_loss",
         lambda *xs: ops.triplet_margin_with_distance_loss(*xs, margin=3.0),
         lambda *xs: torch.nn.functional.triplet_margin_with_distance_loss(*xs, margin=3.0),
         real(3, 4), real(3, 4), real(3, 4)),
    Case("triplet_margin_with_distance_loss swap",
         lambda *xs: ops.triplet_margin_with_distance_loss(
             *xs, distance_function=lambda a, b: ops.sum((a - b) ** 2, axis=-1), swap=True),
         lambda *xs: torch.nn.functional.triplet_margin_with_distance_loss(
             *xs, distance_function=lambda a, b: ((a - b) ** 2).sum(-1), swap=True),
         real(3, 4), real(3, 4), real(3, 4)),
]
# fmt: on
