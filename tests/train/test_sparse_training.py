"""Training of embeddings with sparse gradients: accumulated, clipped, stopped and resumed."""

import numpy as np
import pytest

import minidl
from minidl import RowGradient, nn, optim
from minidl.train import TensorStatistics, Trainer
from tests.helpers import assert_close
from tests.train.test_resume import Stop, all_of

N, EPOCHS, BATCH, ROWS = 11, 2, 3, 30  # four batches an epoch, the last of them smaller
RULES = {
    "SparseAdam": lambda net: optim.SparseAdam(net[0].parameters(), lr=0.05),
    "lazy AdamW": lambda net: optim.AdamW(net.parameters(), lr=0.05, lazy=True, amsgrad=True),
    "Adagrad": lambda net: optim.Adagrad(net.parameters(), lr=0.05),
    "SGD": lambda net: optim.SGD(net.parameters(), lr=0.05),
}
each_rule = pytest.mark.parametrize("rule", RULES)


def data():
    rng = np.random.default_rng(0)
    return rng.integers(0, ROWS, (N, 5)), rng.integers(0, 3, N)


def make(rule, sparse=True, callbacks=(), **settings):
    minidl.manual_seed(3)
    net = nn.Sequential(
        nn.EmbeddingBag(ROWS, 4, mode="sum", padding_idx=0, sparse=sparse),
        nn.Linear(4, 3),
    )
    if rule == "SparseAdam":
        net[1].requires_grad_(False)
    settings = {"loss": "cross_entropy", "accumulate": 3, "clip_norm": 0.5, **settings}
    return Trainer(net, RULES[rule](net), callbacks=list(callbacks), **settings)


def fit(trainer, batch_size=BATCH, **settings):
    trainer.fit(data(), EPOCHS, batch_size=batch_size, shuffle=False, **settings)
    return trainer


@each_rule
def test_a_run_that_was_stopped_after_any_batch_goes_on_to_the_bit(rule, tmp_path):
    path, whole = tmp_path / "run.safetensors", all_of(fit(make(rule)))
    for k in range(1, 2 * 4 + 1):
        stopped = fit(make(rule, callbacks=[Stop(k, path)]))
        if stopped.updates.pending:
            assert isinstance(stopped.model[0].weight.grad, RowGradient)
        assert all_of(fit(make(rule), resume=path)) == whole


@pytest.mark.parametrize("rule", ["Adagrad", "SGD"])
@pytest.mark.parametrize("settings", [{}, {"clip_value": 0.01}, {"clip_norm": None}])
def test_exact_rules_train_as_with_dense_gradients(rule, settings):
    tables = [fit(make(rule, sparse, **settings)).model[0].weight for sparse in (True, False)]
    assert_close(tables[0].detach(), tables[1].detach().numpy(), 1e-5)


@each_rule
def test_accumulated_batches_are_one_large_batch(rule):
    parts = fit(make(rule), batch_size=2).model[0].weight
    whole = fit(make(rule, accumulate=1), batch_size=6).model[0].weight
    assert_close(parts.detach(), whole.detach().numpy(), 1e-5)


def test_statistics_of_gradients_are_those_of_dense_ones(tmp_path):
    texts = []
    for sparse in (True, False):
        path = tmp_path / f"{sparse}.jsonl"
        fit(make("SGD", sparse, callbacks=[TensorStatistics(path, 1)], clip_norm=None))
        texts.append(path.read_text())
    assert texts[0] == texts[1]
