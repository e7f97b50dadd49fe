"""Rows of reductions along axes."""

import numpy as np

from tests.cases.registry import ops
from tests.helpers import Case, distinct, given, real
from tests.oracle import torch

HOLES = np.array([[0, 0, 1, 0], [1, 0, 0, 0], [0, 0, 0, 0]], bool)


def holed(library, x):
    """x with two NaNs among its (3, 4)."""
    return library.where(library.asarray(HOLES), float("nan"), x)


# fmt: off
CASES = [
    Case("sum", ops.sum, torch.sum, real(3, 4)),
    Case("sum of one number", ops.sum, torch.sum, real()),
    Case("sum axis", lambda x: ops.sum(x, axis=1), lambda x: x.sum(1), real(2, 3, 4)),
    Case("sum axis keepdims", lambda x: x.sum(axis=-2, keepdims=True),
         lambda x: x.sum(-2, keepdim=True), real(2, 3, 4)),
    Case("sum axes", lambda x: x.sum(axis=(2, 0)), lambda x: x.sum((2, 0)), real(2, 3, 4)),
    Case("sum axes keepdims", lambda x: x.sum(axis=(0, -1), keepdims=True),
         lambda x: x.sum((0, -1), keepdim=True), real(2, 3, 4)),
    Case("sum no axis", lambda x: x.sum(axis=()), lambda x: x * 1, real(2, 3)),
    Case("mean", ops.mean, torch.mean, real(3, 4)),
    Case("mean axis", lambda x: ops.mean(x, axis=0), lambda x: x.mean(0), real(3, 4)),
    Case("mean axes", lambda x: x.mean(axis=(0, -1)), lambda x: x.mean((0, -1)), real(2, 3, 4)),
    Case("mean keepdims", lambda x: x.mean(axis=-1, keepdims=True),
         lambda x: x.mean(-1, keepdim=True), real(2, 3, 4)),
    Case("var", ops.var, lambda x: torch.var(x, correction=0), real(3, 4)),
    Case("var axis", lambda x: ops.var(x, axis=1), lambda x: x.var(1, correction=0), real(3, 4)),
    Case("var correction", lambda x: x.var(axis=(0, 2), correction=1, keepdims=True),
         lambda x: x.var((0, 2), correction=1, keepdim=True), real(2, 3, 4)),
    Case("std", ops.std, lambda x: torch.std(x, correction=0), real(3, 4)),
    Case("std correction", lambda x: x.std(axis=-1, correction=1),
         lambda x: x.std(-1, correction=1), real(3, 4)),
    Case("std keepdims", lambda x: x.std(axis=0, keepdims=True),
         lambda x: x.std(0, correction=0, keepdim=True), real(3, 4)),
    Case("max", ops.max, torch.amax, distinct(3, 4)),
    Case("max axis", lambda x: ops.max(x, axis=1), lambda x: x.amax(1), distinct(2, 3, 4)),
    Case("max axes", lambda x: x.max(axis=(0, -1)), lambda x: x.amax((0, -1)), distinct(2, 3, 4)),
    Case("max keepdims", lambda x: x.max(axis=0, keepdims=True),
         lambda x: x.amax(0, keepdim=True), distinct(3, 4)),
    Case("min", ops.min, torch.amin, distinct(3, 4)),
    Case("min axis", lambda x: ops.min(x, axis=-1), lambda x: x.amin(-1), distinct(2, 3, 4)),
    Case("min axes keepdims", lambda x: x.min(axis=(0, 2), keepdims=True),
         lambda x: x.amin((0, 2), keepdim=True), distinct(2, 3, 4)),
    Case("logsumexp", ops.logsumexp, lambda x: torch.logsumexp(x, (0, 1)), real(3, 4)),
    Case("logsumexp axis", lambda x: x.logsumexp(axis=1), lambda x: x.logsumexp(1), real(3, 4)),
    Case("logsumexp axes keepdims", lambda x: x.logsumexp(axis=(0, -1), keepdims=True),
         lambda x: x.logsumexp((0, -1), keepdim=True), real(2, 3, 4)),
    Case("prod", ops.prod, torch.prod, real(2, 3)),
    Case("prod of one number", ops.prod, torch.prod, real()),
    Case("prod axis", lambda x: ops.prod(x, axis=1), lambda x: x.prod(1), real(2, 3, 4)),
    Case("prod axes", lambda x: ops.prod(x, axis=(2, 0)), lambda x: x.prod(0).prod(1),
         real(2, 2, 3)),
    Case("prod keepdims", lambda x: ops.prod(x, axis=-1, keepdims=True),
         lambda x: x.prod(-1, keepdim=True), real(3, 4)),
    Case("prod with zeros", lambda x: ops.prod(x, axis=1), lambda x: x[:, 0] * x[:, 1] * x[:, 2],
         given([[0, 2, 3], [0, 2, 0], [0, 0, 0]])),
    Case("nansum", ops.nansum, torch.nansum, real(3, 4)),
    Case("nansum with NaN", lambda x: ops.nansum(holed(ops, x), axis=1),
         lambda x: torch.nansum(holed(torch, x), 1), real(3, 4)),
    Case("nanmean", lambda x: ops.nanmean(holed(ops, x), axis=0, keepdims=True),
         lambda x: torch.nanmean(holed(torch, x), 0, True), real(3, 4)),
    Case("nanprod", lambda x: ops.nanprod(holed(ops, x), axis=1),
         lambda x: torch.where(torch.isnan(holed(torch, x)), 1, x).prod(1), real(3, 4)),
    Case("nanvar", lambda x: ops.nanvar(holed(ops, x), axis=1, correction=1),
         lambda x: torch.stack([x[0, [0, 1, 3]].var(), x[1, 1:].var(), x[2].var()]), real(3, 4)),
    Case("nanstd", lambda x: ops.nanstd(holed(ops, x)),
         lambda x: holed(torch, x)[~torch.isnan(holed(torch, x))].std(correction=0), real(3, 4)),
    Case("nanmax", lambda x: ops.nanmax(holed(ops, x), axis=0),
         lambda x: torch.nan_to_num(holed(torch, x), -9.0).amax(0), distinct(3, 4)),
    Case("nanmin", lambda x: ops.nanmin(holed(ops, x), axis=1),
         lambda x: torch.nan_to_num(holed(torch, x), 9.0).amin(1), distinct(3, 4)),
]
# fmt: on
