"""Models of several inputs and outputs, labels for each step, and states carried over batches."""

import numpy as np
import pytest

import minidl
from minidl import io, nn
from minidl.data import DataLoader
from minidl.data.text import BucketBatchSampler, PadCollate, StreamBatches
from minidl.errors import DTypeError, ShapeError
from minidl.models import LanguageModel
from minidl.ops.random import Generator
from minidl.train import Checkpoint, LambdaCallback, Trainer

rng = np.random.default_rng(0)
SENTENCES = [(rng.integers(1, 9, n).tolist(), n % 2) for n in rng.integers(1, 12, 50).tolist()]


class MeanOfWords(nn.Module):
    """Ids (N, T) and lengths (N,) to two logits."""

    def __init__(self, tuples=False):
        self.embedding, self.linear = nn.Embedding(9, 6), nn.Linear(6, 2)
        self.dropout = nn.Dropout(0.2)

    def forward(self, ids, lengths):
        there = minidl.arange(ids.shape[1]) < lengths.reshape((-1, 1))
        words = minidl.where(minidl.expand_dims(there, axis=-1), self.embedding(ids), 0)
        total = words.sum(axis=1) / minidl.expand_dims(lengths, axis=-1)
        return self.linear(self.dropout(total))


class OfDict(MeanOfWords):
    def forward(self, batch):
        return super().forward(batch["ids"], batch["lengths"])


class Named(MeanOfWords):
    """Returns a dict, of a tensor and a tuple of them."""

    def forward(self, ids, lengths):
        logits = super().forward(ids, lengths)
        return {"logits": logits, "more": (logits + 1, lengths)}


def sentences(**settings):
    sampler = BucketBatchSampler([len(ids) for ids, _ in SENTENCES], 8, generator=Generator(1))
    return DataLoader(SENTENCES, collate_fn=PadCollate(), batch_sampler=sampler, **settings)


def weights(model):
    return {name: x.numpy().copy() for name, x in model.state_dict().items()}


def assert_equal(a, b):
    for name in a:
        np.testing.assert_array_equal(a[name], b[name])


# Several inputs.


def fitted(folder=None, epochs=3, resume=None, stop_at=None):
    minidl.manual_seed(0)
    callbacks = [Checkpoint(folder, every=1)] if folder else []

    def stop(batch, logs):
        if trainer.step == stop_at:  # which is saved no more
            raise KeyboardInterrupt

    trainer = Trainer(
        MeanOfWords(),
        "adam",
        "cross_entropy",
        ["accuracy"],
        [*callbacks, LambdaCallback(on_train_batch_end=stop)],
        clip_norm=1.0,
    )
    trainer.fit(sentences(), epochs, validation_data=sentences(), resume=resume)
    return trainer


def test_a_batch_of_ids_lengths_and_labels():
    trainer = fitted(epochs=30)
    loss = trainer.history["val_loss"]
    assert loss[-1] < 0.95 * loss[0]
    assert trainer.predict(sentences()).shape == (50, 2)


def test_arrays_may_be_several_inputs():
    ids, lengths, labels = PadCollate()(SENTENCES)
    trainer = Trainer(MeanOfWords(), "adam", "cross_entropy", ["accuracy"])
    trainer.fit((ids, lengths, labels), epochs=2, validation_data=(ids, lengths, labels))
    assert trainer.predict((ids, lengths)).shape == (50, 2)
    with pytest.raises(IndexError, match="label 7 of sample 0 is outside 0 … 1"):
        trainer.fit((ids, lengths, labels + 7))


def test_a_dict_is_one_input():
    ids, lengths, labels = PadCollate()(SENTENCES)
    samples = [({"ids": ids[i], "lengths": lengths[i]}, labels[i].item()) for i in range(len(ids))]
    trainer = Trainer(OfDict(), "adam", "cross_entropy", ["accuracy"])
    trainer.fit(DataLoader(samples, 16), epochs=2)
    assert trainer.position.samples == 0
    assert trainer.predict(samples).shape == (50, 2)
    assert trainer.evaluate(samples, 50)["loss"] == pytest.approx(
        trainer.evaluate(samples, 7)["loss"], rel=1e-6
    )


def test_an_interrupted_run_of_sequences_goes_on_with_the_same_bits(tmp_path):
    whole = fitted(tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        fitted(tmp_path / "part", stop_at=10)
    resumed = fitted(tmp_path / "part", resume=tmp_path / "part" / "last.safetensors")
    assert_equal(weights(whole.model), weights(resumed.model))
    assert whole.history.history == resumed.history.history


# Several outputs.


def test_outputs_of_any_structure_are_joined():
    model = Named()
    trainer = Trainer(model, "sgd", lambda output, target: minidl.mean(output["logits"]))
    trainer.fit(sentences())
    found = trainer.predict(DataLoader(SENTENCES, 8, collate_fn=PadCollate()))
    assert found["logits"].shape == (50, 2)
    np.testing.assert_array_equal(found["more"][0].numpy(), found["logits"].numpy() + 1)
    assert found["more"][1].tolist() == [len(ids) for ids, _ in SENTENCES]


def test_metrics_see_the_outputs_as_they_are():
    class Second(minidl.train.metrics.Metric):
        name = "second"

        def reset(self):
            self.total = 0.0

        def update(self, prediction, target):
            assert not prediction["more"][0].requires_grad
            self.total += float(prediction["more"][0].sum())

        def compute(self):
            return self.total

    loss = lambda output, target: minidl.cross_entropy(output["logits"], target)
    trainer = Trainer(Named(), "sgd", loss, [Second()])
    assert trainer.fit(sentences())["second"][0] != 0
    assert trainer.evaluate(sentences())["second"] != 0


@pytest.mark.parametrize("output", [(1, 2), (), "text", [minidl.ones(3), None]])
def test_outputs_that_cannot_be_joined_are_refused(output):
    class Strange(nn.Module):
        def __init__(self):
            self.unused = nn.Linear(1, 1)

        def forward(self, x):
            return output

    with pytest.raises(DTypeError, match="predict: joins Tensors, and tuples, lists and dicts of"):
        Trainer(Strange(), "sgd", "mse").predict(np.ones((3, 1)))


# Labels for each step.


class PerStep(nn.Module):
    """(N, T) to logits (N, C, T)."""

    def __init__(self):
        self.embedding = nn.Embedding(5, 5)

    def forward(self, ids):
        return minidl.moveaxis(self.embedding(ids), -1, 1)


def test_the_mean_is_over_labels_not_over_sequences():
    """The last batch has sequences of one step, and counts a third as much as the first."""
    ids = rng.integers(0, 5, 41)
    batches = StreamBatches(ids, 4, 9)
    model = PerStep()
    for loss in ("cross_entropy", nn.CrossEntropyLoss(), minidl.cross_entropy):
        found = Trainer(model, "sgd", loss, ["accuracy"]).evaluate(batches)
        x, y = next(iter(StreamBatches(ids, 4, 10)))
        expected = minidl.cross_entropy(model(x), y).item()
        assert found["loss"] == pytest.approx(expected, rel=1e-6)
        assert found["accuracy"] == pytest.approx((model(x).numpy().argmax(1) == y).mean().item())


def test_accumulated_gradients_are_of_the_mean_over_labels():
    ids = rng.integers(0, 5, 41)
    minidl.manual_seed(0)
    both, once = PerStep(), PerStep()
    once.load_state_dict(both.state_dict())
    for model, steps, accumulate in ((both, 9, 2), (once, 10, 1)):
        optimizer = minidl.optim.SGD(model.parameters(), lr=1.0)
        trainer = Trainer(model, optimizer, "cross_entropy", accumulate=accumulate)
        trainer.fit(StreamBatches(ids, 4, steps))
    for a, b in zip(both.parameters(), once.parameters(), strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-5, atol=1e-6)


def test_the_loss_by_name_is_that_of_each_step():
    logits, labels = minidl.random.normal((3, 5, 4)), minidl.asarray(rng.integers(0, 5, (3, 4)))
    logits.requires_grad = True
    gradients = []
    for loss in (minidl.train.loss_for("cross_entropy", from_logits=True), minidl.cross_entropy):
        value = loss(logits, labels)
        gradients.append(minidl.gradients(value, [logits])[0].numpy())
        assert value.item() == pytest.approx(minidl.cross_entropy(logits, labels).item(), rel=1e-6)
    np.testing.assert_allclose(*gradients, rtol=1e-5, atol=1e-7)
    ignoring = minidl.train.CrossEntropy(from_logits=True, ignore_index=2)
    expected = minidl.cross_entropy(logits, labels, ignore_index=2).item()
    assert ignoring(logits, labels).item() == pytest.approx(expected, rel=1e-6)
    with pytest.raises(IndexError, match=r"label 5 \(position \(0, 0\) of the batch\) is outside"):
        ignoring(logits, labels * 0 + 5)


# States.


class Counter(nn.Module):
    """An exponential average of what it has read, whose state is a pair."""

    def __init__(self):
        self.linear = nn.Linear(1, 1)
        self.seen = []

    def forward(self, x, state=None):
        self.seen.append(None if state is None else state[0].tolist())
        before = minidl.zeros((len(x), 1)) if state is None else state[0]
        steps = 0 if state is None else state[1]["steps"]
        out = []
        for t in range(x.shape[1]):
            before = 0.5 * before + self.linear(x[:, t : t + 1].astype("float32"))
            out.append(before)
        return minidl.concat(out, axis=1), (before, {"steps": steps + x.shape[1]})


def carrying(model, folder=None, stop_at=None):
    def stop(batch, logs):
        if trainer.step == stop_at:  # which is saved no more
            raise KeyboardInterrupt

    def loss(output, target):
        return minidl.mse_loss(output, target.astype("float32"))

    callbacks = [Checkpoint(folder, every=1)] if folder else []
    trainer = Trainer(
        model,
        minidl.optim.SGD(model.parameters(), lr=0.01),
        loss,
        callbacks=[*callbacks, LambdaCallback(on_train_batch_end=stop)],
        carry_state=True,
    )
    return trainer


STREAM = StreamBatches(np.arange(31) % 3, 2, 4)


def test_each_batch_begins_where_the_last_one_ended():
    model = Counter()
    trainer = carrying(model)
    trainer.fit(STREAM, epochs=2)
    assert len(STREAM) == 4
    assert [state is None for state in model.seen] == [True, *[False] * 3] * 2
    assert trainer.carried.value[1]["steps"] == 15
    assert not trainer.carried.value[0].requires_grad


def test_evaluation_has_a_state_of_its_own():
    model = Counter()
    trainer = carrying(model)
    trainer.fit(STREAM, epochs=1, validation_data=STREAM)
    assert [state is None for state in model.seen] == [True, *[False] * 3] * 2
    kept = trainer.carried.value
    first, again = trainer.evaluate(STREAM), trainer.evaluate(STREAM)
    assert first == again
    assert trainer.carried.value is kept
    joined = trainer.predict(StreamBatches(np.arange(31) % 3, 2, 5))
    x, _ = next(iter(StreamBatches(np.arange(31) % 3, 2, 15)))
    whole = model(x)[0].numpy().reshape(2, 3, 5).swapaxes(0, 1).reshape(6, 5)
    np.testing.assert_allclose(joined.numpy(), whole, rtol=1e-6)


@pytest.mark.parametrize("stop_at", [2, 4, 5, 7])
def test_a_run_that_carries_a_state_goes_on_with_the_same_bits(tmp_path, stop_at):
    minidl.manual_seed(0)
    begin = Counter().state_dict()

    def run(folder, resume=None, stop_at=None):
        model = Counter()
        model.load_state_dict(begin)
        trainer = carrying(model, folder, stop_at)
        trainer.fit(STREAM, epochs=3, resume=resume)
        return trainer

    whole = run(tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "part", stop_at=stop_at)
    resumed = run(tmp_path / "part", tmp_path / "part" / "last.safetensors")
    assert_equal(weights(whole.model), weights(resumed.model))
    assert whole.history.history == resumed.history.history


def test_a_checkpoint_without_a_state_can_still_be_resumed(tmp_path):
    trainer = Trainer(nn.Linear(1, 1), "sgd", "mse")
    trainer.fit((np.ones((4, 1)), np.ones((4, 1))))
    trainer.save(tmp_path / "run.safetensors")
    saved = io.load(tmp_path / "run.safetensors")
    assert saved.pop("carried") is None
    io.save(tmp_path / "old.safetensors", saved)
    trainer.resume(tmp_path / "old.safetensors")


def test_a_model_that_carries_nothing_is_refused():
    trainer = Trainer(nn.Linear(1, 1), "sgd", "mse", carry_state=True)
    with pytest.raises(TypeError):
        trainer.fit((np.ones((4, 1)), np.ones((4, 1))))

    class Forgetful(nn.Linear):
        def forward(self, x, state):
            return super().forward(x)

    trainer = Trainer(Forgetful(1, 1), "sgd", "mse", carry_state=True)
    with pytest.raises(DTypeError, match=r"a model returns \(output, state\); got float32 \(4, 1"):
        trainer.fit((np.ones((4, 1)), np.ones((4, 1))))
    with pytest.raises(ShapeError, match="there are no samples"):
        trainer.predict(iter_nothing())


@pytest.mark.parametrize(
    "loss", ["cross_entropy", "mse", nn.CrossEntropyLoss(), minidl.cross_entropy]
)
def test_a_state_that_is_not_carried_is_told_of(loss):
    model = LanguageModel(5, embedding_dim=2, hidden_size=3)
    trainer = Trainer(model, "sgd", loss)
    with pytest.raises(DTypeError, match=r"a tuple of 2; .* state\), say carry_state=True"):
        trainer.fit(StreamBatches(range(5), 2, 2))


def test_outputs_of_different_lengths_are_not_joined():
    model = LanguageModel(7, embedding_dim=2, hidden_size=3)
    trainer = Trainer(model, "sgd", "cross_entropy", carry_state=True)
    with pytest.raises(ShapeError, match=r"predict: .*\(1, 7, 4\) and float32 \(1, 7, 2\): call"):
        trainer.predict(StreamBatches(range(7), 1, 4))


def test_batches_that_do_not_go_on():
    ids = np.ones((4, 3), "int64")
    model = minidl.models.LanguageModel(5, embedding_dim=2, hidden_size=3)
    trainer = Trainer(model, "sgd", "cross_entropy", carry_state=True)
    with pytest.raises(ShapeError, match="as many samples, as those of StreamBatches; LSTM"):
        trainer.fit((ids, ids), batch_size=3)


class iter_nothing:  # noqa: N801
    def __iter__(self):
        return iter(())
