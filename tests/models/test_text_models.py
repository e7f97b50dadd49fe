"""Networks for texts: against PyTorch's layers, with padding, and what they write."""

import numpy as np
import pytest

import minidl
from minidl import nn
from minidl.errors import ArgumentError, MinidlError
from minidl.models import LanguageModel, TextClassifier
from minidl.ops.random import Generator
from minidl.train import Trainer
from tests.helpers import assert_close
from tests.oracle import torch

rng = np.random.default_rng(0)
IDS, LENGTHS = rng.integers(1, 30, (4, 7)), np.array([7, 3, 1, 5])


def classifier(**settings):
    minidl.manual_seed(0)
    return TextClassifier(30, 3, embedding_dim=6, hidden_size=5, **settings)


POOLINGS = "max and mean", "max", "mean", "last"


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("cell", ["lstm", "gru"])
@pytest.mark.parametrize("bidirectional", [True, False])
def test_the_classifier_computes_what_pytorch_does(pooling, cell, bidirectional):
    model = classifier(pooling=pooling, cell=cell, bidirectional=bidirectional, num_layers=2)
    theirs = getattr(torch.nn, cell.upper())(6, 5, 2, bidirectional=bidirectional)
    embedding, linear = torch.nn.Embedding(30, 6), torch.nn.Linear(1, 1)
    parts = {"recurrent": theirs, "embedding": embedding}
    for name, parameter in model.state_dict().items():
        part, _, rest = name.partition(".")
        value = torch.tensor(parameter.numpy())
        if part == "classifier":
            setattr(linear, rest, torch.nn.Parameter(value))
        else:
            parts[part].get_parameter(rest).data = value
    ids, lengths = torch.tensor(IDS), torch.tensor(LENGTHS)
    packed = torch.nn.utils.rnn.pack_padded_sequence(
        embedding(ids.T), lengths, enforce_sorted=False
    )
    y, state = theirs(packed)
    y, _ = torch.nn.utils.rnn.pad_packed_sequence(y, padding_value=-torch.inf)
    h_n = state[0] if cell == "lstm" else state
    mean = torch.where(y.isinf(), 0, y).sum(0) / lengths[:, None]
    pooled = {
        "max and mean": torch.cat([y.amax(0), mean], 1),
        "max": y.amax(0),
        "mean": mean,
        "last": torch.cat([h_n[-2], h_n[-1]], 1) if bidirectional else h_n[-1],
    }
    expected = linear(pooled[pooling])
    found = model.eval()(minidl.asarray(IDS), minidl.asarray(LENGTHS))
    assert_close(found.detach(), expected.detach(), 1e-5)
    labels = np.array([0, 2, 1, 1])
    minidl.cross_entropy(found, minidl.asarray(labels)).backward()
    torch.nn.functional.cross_entropy(expected, torch.tensor(labels)).backward()
    assert_close(model.recurrent.weight_hh_l0.grad, theirs.weight_hh_l0.grad, 1e-5)
    assert_close(model.embedding.weight.grad, embedding.weight.grad, 1e-5)


@pytest.mark.parametrize("pooling", POOLINGS)
def test_padding_and_neighbours_make_no_difference(pooling):
    model = classifier(pooling=pooling).eval()
    together = model(IDS, LENGTHS).numpy()
    longer = np.concatenate([IDS, IDS[::-1]], axis=1)
    assert_close(model(longer, LENGTHS), together, 1e-5)
    for row, n in enumerate(LENGTHS):
        alone = model(IDS[row : row + 1, :n], LENGTHS[row : row + 1])
        assert_close(alone[0], together[row], 1e-5)


def test_the_vector_of_padding_starts_as_zeros():
    weight = TextClassifier(9, padding_idx=-2).embedding.weight.detach().numpy()
    assert (weight == 0).all(axis=1).nonzero()[0].tolist() == [7]


def test_the_classifier_learns_an_order_of_words():
    """Whether 1 comes before 2, which no bag of words tells."""
    minidl.manual_seed(1)
    ids = np.stack([rng.permutation([1, 2, *rng.integers(3, 9, 4)]) for _ in range(256)])
    labels = ((ids == 1).argmax(1) < (ids == 2).argmax(1)).astype("int64")
    model = TextClassifier(9, embedding_dim=8, hidden_size=8, dropout=0, word_dropout=0)
    optimizer = minidl.optim.Adam(model.parameters(), lr=0.03)
    trainer = Trainer(model, optimizer, "cross_entropy", ["accuracy"])
    trainer.fit((ids, np.full(256, 6), labels), epochs=8)
    assert trainer.history["accuracy"][-1] > 0.95


@pytest.mark.parametrize(
    ("ids", "lengths", "message"),
    [
        (IDS, [7, 3, 0, 5], "LSTM.*lengths"),
        (IDS, [7, 3, 8, 5], "LSTM.*lengths"),
        (IDS, [7, 3], "LSTM.*lengths"),
        (IDS[0], [7], r"TextClassifier: needs ids \(N, T\).*got \(7,\)"),
        (IDS[:, :0], [0] * 4, r"TextClassifier: needs ids \(N, T\), N and T above 0; got \(4, 0"),
        (IDS * 1.0, LENGTHS, r"needs ids, integers \(N, T\); got float64"),
        (IDS + 23, LENGTHS, "embedding: .*outside 0 … 29"),
        (IDS - 2, LENGTHS, "embedding: .*outside 0 … 29"),
    ],
)
def test_what_is_no_batch_of_texts_is_refused(ids, lengths, message):
    with pytest.raises(MinidlError, match=message):
        classifier()(ids, lengths)


@pytest.mark.parametrize("pooling", ["max and mean", "last"])
def test_the_length_of_one_text_may_be_a_number(pooling):
    model = classifier(pooling=pooling).eval()
    found, needed = model(IDS[:1], 5), model(IDS[:1], [5])
    np.testing.assert_array_equal(found.numpy(), needed.numpy())


def test_settings_of_networks_that_do_not_exist():
    for settings in ({"cell": "rnn"}, {"pooling": "sum"}, {"bidirectional": 2}, {"dropout": 2}):
        with pytest.raises(ArgumentError, match=next(iter(settings))):
            classifier(num_layers=2, **settings)
    for settings in ({"classes": 0}, {"vocabulary_size": 0}, {"classes": 1.5}):
        with pytest.raises(ArgumentError, match=f"TextClassifier: {next(iter(settings))}"):
            TextClassifier(**{"vocabulary_size": 5, **settings})
    with pytest.raises(ArgumentError, match="LanguageModel: vocabulary_size is an integer ≥ 1"):
        LanguageModel(0)
    with pytest.raises(ArgumentError, match="cell"):
        LanguageModel(5, cell="rnn")
    with pytest.raises(ArgumentError, match=r"embedding_dim = hidden_size; got 64 and 512"):
        LanguageModel(5, tied=True)


# Language models.


def model_of(vocabulary=11, **settings):
    minidl.manual_seed(0)
    return LanguageModel(vocabulary, embedding_dim=6, hidden_size=6, **settings)


@pytest.mark.parametrize("cell", ["lstm", "gru"])
@pytest.mark.parametrize("layers", [1, 2])
def test_reading_in_parts_is_reading_at_once(cell, layers):
    model = model_of(cell=cell, num_layers=layers).eval()
    ids = rng.integers(0, 11, (3, 9))
    whole, _ = model(ids)
    first, state = model(ids[:, :4])
    second, _ = model(ids[:, 4:], state)
    assert whole.shape == (3, 11, 9)
    assert_close(minidl.concat([first, second], axis=2), whole, 1e-5)


def test_tied_weights_are_one():
    model = model_of(tied=True)
    assert model.next.weight is model.embedding.weight
    names = [name for name, _ in model.named_parameters()]
    assert len(names) == len(set(map(id, model.parameters()))) == 6
    logits, _ = model(rng.integers(0, 11, (2, 3)))
    minidl.cross_entropy(logits, minidl.zeros((2, 3), dtype="int64")).backward()
    assert np.abs(model.embedding.weight.grad.numpy()).max() > 0


def counting():
    """A model that has learnt to count: 0, 1, 2, 3, 4, 0, …."""
    model = LanguageModel(5, embedding_dim=5, hidden_size=5)
    for parameter in model.parameters():
        nn.init.fill(parameter, 0)
    nn.init.fill(model.embedding.weight, minidl.eye(5))
    weight = model.recurrent.weight_ih_l0.data
    weight[10:15] = (2 * minidl.eye(5)).data  # the cell takes in the last number,
    for rows, bias in ((slice(0, 5), 9), (slice(5, 10), -9), (slice(15, 20), 9)):
        model.recurrent.bias_ih_l0.data[rows] = bias  # forgets all others, and shows it
    nn.init.fill(model.next.weight, 3 * minidl.roll(minidl.eye(5), 1, axis=0))
    return model


def test_the_likeliest_token_is_taken_at_temperature_0():
    for temperature in (0, 1e-3, 1e-46, 5e-324):
        assert counting().generate([3], 7, temperature=temperature) == [4, 0, 1, 2, 3, 4, 0]
    assert counting().generate(minidl.tensor([0, 1, 2]), 3, top_k=1) == [3, 4, 0]
    assert counting().generate([0], 0) == []


@pytest.mark.parametrize("temperature", [1e-30, 1e-300, 5e-324])
def test_the_likeliest_token_is_taken_at_tiny_temperatures(temperature):
    assert counting().generate([3], 7, temperature=temperature) == [4, 0, 1, 2, 3, 4, 0]


def test_tokens_are_drawn_with_the_models_probabilities():
    model = counting()
    logits = model(np.array([[1]]))[0].numpy()[0, :, 0]
    for temperature in (1.0, 0.5, 4.0):
        draw = Generator(0)
        settings = {"temperature": temperature, "generator": draw}
        drawn = [model.generate([1], 1, **settings)[0] for _ in range(600)]
        p = np.exp(logits / temperature) / np.exp(logits / temperature).sum()
        np.testing.assert_allclose(np.bincount(drawn, minlength=5) / 600, p, atol=0.05)
    drawn = model.generate([1], 200, temperature=50.0, top_k=2, generator=Generator(0))
    assert len(set(drawn)) > 2


def test_the_same_generator_writes_the_same():
    model = model_of(dropout=0.5, num_layers=2)
    written = [model.generate([1], 20, generator=Generator(3)) for _ in range(2)]
    assert written[0] == written[1]
    assert written[0] != model.generate([1], 20, generator=Generator(4))
    minidl.manual_seed(1)
    first = model.generate([1], 20)
    assert model.generate([1], 20) != first
    minidl.manual_seed(1)
    assert model.generate([1], 20) == first
    assert model.training
    assert model.recurrent.training


@pytest.mark.parametrize(
    ("arguments", "settings", "message"),
    [
        (([], 3), {}, "needs a prompt of at least one id"),
        (([[1]], 3), {}, "needs a prompt of at least one id"),
        (([1], -1), {}, "length"),
        (([1], 1.5), {}, "length"),
        (("ab", 3), {}, "list of ids, as Vocabulary.encode gives; got 'ab'"),
        (([1], 3), {"temperature": -1}, "temperature"),
        (([1], 3), {"temperature": float("nan")}, "temperature"),
        (([1], 3), {"top_k": 0}, "top_k"),
        (([1], 3), {"generator": 3}, "generator"),
        (([11], 3), {}, "outside 0 … 10"),
        (([0.5], 3), {}, "needs ids, integers"),
    ],
)
def test_what_cannot_be_continued_is_refused(arguments, settings, message):
    model = model_of()
    with pytest.raises(MinidlError, match=message):
        model.generate(*arguments, **settings)
    assert model.training


def test_networks_of_texts_are_summarised(capsys):
    found = nn.summary(model_of(), (1, 20), dtypes="int64")
    assert found.layers[0].output[0] == (1, 11, 20)
    assert found.layers[2].multiply_adds == 20 * 2 * 24 * 6
    inputs = minidl.asarray(IDS), minidl.asarray(LENGTHS)
    assert nn.summary(classifier(), *inputs).layers[0].output == (4, 3)
