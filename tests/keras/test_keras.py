"""The Keras face: the founding documents' programs, Keras's shapes and numbers, and errors."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minidl
from minidl import nn, optim
from minidl.data import digits
from minidl.errors import ArgumentError, DTypeError, MinidlError, ShapeError
from minidl.keras import (
    Input,
    Sequential,
    activations,
    callbacks,
    initializers,
    layers,
    losses,
    models,
    optimizers,
    utils,
)
from minidl.keras.layers.image import output_length, same_padding
from tests.helpers import assert_all_close, assert_close, named
from tests.oracle import functional, torch

TOLERANCE = {"float64": 1e-10, "float32": 1e-5}
each_dtype = pytest.mark.parametrize("dtype", TOLERANCE)


@pytest.fixture(autouse=True)
def seeded():
    utils.set_random_seed(0)


def random(*shape, dtype="float64", seed=0):
    return np.random.default_rng([seed, *shape]).normal(size=shape).astype(dtype)


def numbered_weights(layer, seed=1):
    """Weights that are not as they began, positive where they are variances."""
    shapes = [(w.shape, v.name) for w, v in zip(layer.get_weights(), layer.variables, strict=True)]
    values = [random(*shape, seed=seed + i) / 2 for i, (shape, _) in enumerate(shapes)]
    return [
        np.abs(v) + 0.5 if "variance" in n else v for v, (_, n) in zip(values, shapes, strict=True)
    ]


# The programs of the founding documents, with other imports.


def test_the_feed_forward_program_runs_as_it_stands():
    x_train = np.random.normal(size=(96, 1000))
    y_train = utils.to_categorical(np.random.randint(0, 10, 96))
    x_test = x_train[:5]
    program = """
from minidl.keras import layers, models

# 定义模型架构
model = models.Sequential()
model.add(layers.Dense(64, activation='relu', input_shape=(1000,)))
model.add(layers.Dense(64, activation='relu'))
model.add(layers.Dense(10, activation='softmax'))

# 编译模型
model.compile(optimizer='adam', loss='categorical_crossentropy', metrics=['accuracy'])

# 训练模型
model.fit(x_train, y_train, epochs=10, batch_size=32)

# 预测
predictions = model.predict(x_test)
"""
    names = {"x_train": x_train, "y_train": y_train, "x_test": x_test}
    exec(program, names)
    predictions = names["predictions"]
    assert type(predictions) is np.ndarray
    assert predictions.dtype == "float32"
    np.testing.assert_allclose(predictions.sum(axis=1), 1, rtol=1e-5)
    np.testing.assert_array_equal(predictions.argmax(axis=1), y_train[:5].argmax(axis=1))


def test_the_convolutional_program_runs_as_it_stands():
    (images, labels), _ = (dataset.tensors for dataset in digits())
    images = np.kron(images.numpy()[:96, 0], np.ones((3, 3), "float32"))
    images = np.pad(images, ((0, 0), (2, 2), (2, 2)))[..., None]
    assert images.shape == (96, 28, 28, 1)
    program = """
from minidl.keras.models import Sequential
from minidl.keras.layers import Conv2D, MaxPooling2D, Flatten, Dense

# 创建卷积神经网络模型
model = Sequential()
model.add(Conv2D(32, (3, 3), activation='relu', input_shape=(28, 28, 1)))
model.add(MaxPooling2D((2, 2)))
model.add(Conv2D(64, (3, 3), activation='relu'))
model.add(MaxPooling2D((2, 2)))
model.add(Flatten())
model.add(Dense(128, activation='relu'))
model.add(Dense(10, activation='softmax'))

# 编译模型
model.compile(optimizer='adam', loss='sparse_categorical_crossentropy', metrics=['accuracy'])

# 训练模型
model.fit(x_train, y_train, epochs=10, batch_size=32, validation_data=(x_test, y_test))
"""
    labels = labels.numpy()[:96]
    names = {"x_train": images[:72], "y_train": labels[:72]}
    names |= {"x_test": images[72:], "y_test": labels[72:]}
    exec(program, names)
    model = names["model"]
    loss, accuracy = model.evaluate(images[:72], labels[:72])
    assert accuracy > 0.8
    assert loss < 1
    assert model.count_params() == 225034


def test_a_dense_classifier_reads_digits():
    (x, y), (x_test, y_test) = ([a.numpy() for a in dataset.tensors] for dataset in digits())
    model = Sequential([layers.Flatten(), layers.Dense(64, "relu"), layers.Dense(10, "softmax")])
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    x, x_test = np.moveaxis(x, 1, -1), np.moveaxis(x_test, 1, -1)
    history = model.fit(x, y, epochs=15, verbose=0, validation_split=0.1)
    assert sorted(history.history) == ["accuracy", "loss", "val_accuracy", "val_loss"]
    assert len(history.history["loss"]) == 15
    assert model.evaluate(x_test, y_test, return_dict=True)["accuracy"] >= 0.95


# Each layer against PyTorch's, with the same weights and the axes turned round.


def first(x):
    """Channels-last → channels-first."""
    return torch.from_numpy(np.ascontiguousarray(np.moveaxis(np.asarray(x), -1, 1)))


def last(y):
    return np.moveaxis(y.detach().numpy(), 1, -1)


def torch_same(x, window, stride, dilation, value=0.0):
    """TensorFlow's padding, by its formula."""
    sides = []
    for n, k, s, d in zip(x.shape[2:], window, stride, dilation, strict=True):
        total = max((math.ceil(n / s) - 1) * s + d * (k - 1) + 1 - n, 0)
        sides = [total // 2, total - total // 2, *sides]
    return functional.pad(x, sides, value=value)


CONVOLUTIONS = [
    {},
    {"use_bias": False, "activation": "relu"},
    {"kernel_size": (2, 3), "strides": (2, 1)},
    {"padding": "same"},
    {"padding": "same", "kernel_size": 2},
    {"padding": "same", "strides": 2},
    {"padding": "SAME", "strides": (2, 3), "kernel_size": (4, 2)},
    {"padding": "same", "dilation_rate": 2, "groups": 2},
    {"groups": 4, "filters": 8, "dilation_rate": (1, 2), "padding": "same", "kernel_size": (5, 2)},
    {"activation": "softmax"},
    {"activation": minidl.log_softmax},
    {"activation": lambda x: x * minidl.arange(6, dtype=x.dtype)},
]


@each_dtype
@pytest.mark.parametrize("settings", CONVOLUTIONS, ids=named)
def test_convolution_is_pytorchs(settings, dtype):
    settings = {"filters": 6, "kernel_size": 3, "dtype": dtype, **settings}
    layer = layers.Conv2D(**settings)
    x = random(2, 8, 7, 4, dtype=dtype)
    layer.build((None, 8, 7, 4))
    layer.set_weights(numbered_weights(layer))
    kernel, *bias = (torch.from_numpy(w) for w in layer.get_weights())
    groups = settings.get("groups", 1)
    assert kernel.shape == (*layer.kernel_size, 4 // groups, layer.filters)
    z = first(x)
    if layer.padding == "same":
        z = torch_same(z, layer.kernel_size, layer.strides, layer.dilation_rate)
    how = {"stride": layer.strides, "dilation": layer.dilation_rate, "groups": groups}
    y = last(functional.conv2d(z, kernel.permute(3, 2, 0, 1), *bias, **how))
    y = np.asarray(layer.activation(minidl.asarray(y)))
    assert_close(layer(x).numpy(), y, TOLERANCE[dtype])
    assert layer.compute_output_shape((None, 8, 7, 4)) == (None, *y.shape[1:])


@pytest.mark.parametrize("kind", ["Max", "Average"])
@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("pool", [(2, 2), (3, 2), (1, 4)])
@pytest.mark.parametrize("strides", [None, 1, (2, 3)])
def test_pooling_sees_what_keras_sees(kind, padding, pool, strides):
    layer = getattr(layers, f"{kind}Pooling2D")(pool, strides, padding)
    x = random(2, 7, 6, 3) - 3  # negative: zeros of a padding would win
    reduce = np.max if kind == "Max" else np.mean
    rows, columns = (
        windows(n, k, s, padding) for n, k, s in zip(x.shape[1:3], pool, layer.strides, strict=True)
    )
    expected = [[reduce(x[:, a][:, :, b], axis=(1, 2)) for b in columns] for a in rows]
    layer.dtype = "float64"
    assert_close(layer(x).numpy(), np.moveaxis(np.array(expected), 2, 0), 1e-12)
    assert layer.compute_output_shape((None, *x.shape[1:])) == (None, *layer(x).shape[1:])


def windows(length, window, stride, padding):
    """The places that each window sees, as Keras says."""
    if padding == "valid":
        return [slice(i, i + window) for i in range(0, length - window + 1, stride)]
    number = math.ceil(length / stride)
    before = max((number - 1) * stride + window - length, 0) // 2
    starts = (i * stride - before for i in range(number))
    return [slice(max(a, 0), a + window) for a in starts]


def test_gradients_go_through_a_padded_pooling():
    x = minidl.asarray(random(1, 5, 5, 2), requires_grad=True)
    layer = layers.MaxPooling2D(2, padding="same", dtype="float64")
    layer(x).sum().backward()
    assert x.grad.sum().item() == 18  # one for each of 3 × 3 windows and two channels
    assert set(x.grad.numpy().ravel()) == {0, 1}


@given(st.integers(0, 12), st.integers(1, 6), st.integers(1, 5), st.integers(1, 3))
def test_same_padding_is_just_enough(length, window, stride, dilation):
    before, after = same_padding(length, window, stride, dilation)
    number, span = (
        output_length(length, window, stride, dilation, "same"),
        dilation * (window - 1) + 1,
    )
    assert number == math.ceil(length / stride)
    assert after - before in (0, 1)
    if number:
        assert output_length(length + before + after, window, stride, dilation, "valid") == number
        if before + after:
            assert (number - 1) * stride + span == length + before + after


@pytest.mark.parametrize("keepdims", [False, True])
def test_global_pooling(keepdims):
    x = random(2, 5, 4, 3, dtype="float32")
    mean, largest = layers.GlobalAveragePooling2D, layers.GlobalMaxPooling2D
    for kind, reduce in ((mean, np.mean), (largest, np.max)):
        layer = kind(keepdims=keepdims)
        y = layer(x).numpy()
        assert_close(y, reduce(x, axis=(1, 2), keepdims=keepdims), 1e-6)
        assert layer.compute_output_shape((None, 5, 4, 3)) == (None, *y.shape[1:])


def test_zeros_around_images():
    x = random(2, 3, 4, 2, dtype="float32")
    for padding, sides in [(1, ((1, 1), (1, 1))), ((2, 0), ((2, 2), (0, 0)))]:
        y = layers.ZeroPadding2D(padding)(x).numpy()
        np.testing.assert_array_equal(y, np.pad(x, ((0, 0), *sides, (0, 0))))
    layer = layers.ZeroPadding2D(((1, 2), (3, 4)))
    np.testing.assert_array_equal(layer(x).numpy(), np.pad(x, ((0, 0), (1, 2), (3, 4), (0, 0))))
    assert layer.compute_output_shape((None, None, 4, 2)) == (None, None, 11, 2)


@each_dtype
@pytest.mark.parametrize("shape", [(5, 4), (2, 3, 4), (2, 3, 5, 4)])
def test_dense_and_norms_are_pytorchs(shape, dtype):
    x = random(*shape, dtype=dtype)
    dense = layers.Dense(3, "tanh", dtype=dtype)
    dense.build((None, *shape[1:]))
    kernel, bias = numbered_weights(dense)
    dense.set_weights([kernel, bias])
    assert_close(dense(x).numpy(), np.tanh(x @ kernel + bias).astype(dtype), TOLERANCE[dtype])

    norm = layers.LayerNormalization(dtype=dtype)
    norm.build((None, *shape[1:]))
    norm.set_weights(numbered_weights(norm))
    gamma, beta = (torch.from_numpy(w) for w in norm.get_weights())
    expected = functional.layer_norm(torch.from_numpy(x), (4,), gamma, beta, eps=1e-3)
    assert_close(norm(x).numpy(), expected.numpy(), TOLERANCE[dtype])

    norm = layers.BatchNormalization(momentum=0.9, dtype=dtype)
    norm.build((None, *shape[1:]))
    norm.set_weights(numbered_weights(norm))
    gamma, beta, mean, variance = norm.get_weights()
    statistics = torch.from_numpy(mean), torch.from_numpy(variance)
    affine = torch.from_numpy(gamma), torch.from_numpy(beta)
    expected = functional.batch_norm(first(x), *statistics, *affine, eps=1e-3)
    assert_close(norm(x).numpy(), last(expected), TOLERANCE[dtype])
    expected = functional.batch_norm(first(x), None, None, *affine, training=True, eps=1e-3)
    assert_close(norm(x, training=True).numpy(), last(expected), TOLERANCE[dtype])
    axes = tuple(range(x.ndim - 1))
    moving = [0.9 * mean + 0.1 * x.mean(axes), 0.9 * variance + 0.1 * x.var(axes)]
    assert_all_close(norm.get_weights()[2:], [m.astype(dtype) for m in moving], TOLERANCE[dtype])


def test_norms_have_the_requested_weights():
    x = random(4, 3, 2, dtype="float32")
    for kind, more in ((layers.BatchNormalization, 2), (layers.LayerNormalization, 0)):
        for center, scale in itertools.product((True, False), repeat=2):
            layer = kind(center=center, scale=scale)
            layer(x, training=True)
            names = ["gamma"] * scale + ["beta"] * center
            assert [v.name.split("/")[1] for v in layer.variables][: len(names)] == names
            assert len(layer.weights) == center + scale + more
            assert len(layer.trainable_weights) == center + scale
    layer = layers.LayerNormalization(axis=[1, 2])
    y = layer(x).numpy()
    assert layer.get_weights()[0].shape == (3, 2)
    assert_close(y.mean(axis=(1, 2)) + 1, np.ones(4, "float32"), 1e-6)


def test_frozen_batch_norm_runs_as_in_use():
    layer = layers.BatchNormalization()
    layer.trainable = False
    x = random(8, 3, dtype="float32")
    assert_close(layer(x, training=True).numpy(), x / np.sqrt(np.float32(1.001)), 1e-6)
    assert not layer.trainable_weights
    np.testing.assert_array_equal(layer.get_weights()[2], np.zeros(3))


def test_flatten_has_channels_fastest():
    x = random(2, 4, 3, 5, dtype="float32")
    model = Sequential([Input((4, 3, 5)), layers.MaxPooling2D(1), layers.Flatten()])
    np.testing.assert_array_equal(model.predict(x), x.reshape(2, -1))
    assert model.output_shape == (None, 60)
    model = Sequential([Input((4, 3, 5)), layers.MaxPooling2D(1), layers.Reshape((-1, 10))])
    np.testing.assert_array_equal(model.predict(x), x.reshape(2, 6, 10))
    assert layers.Flatten()(np.ones(3)).shape == (3, 1)


def test_images_are_transposed_once():
    model = Sequential([Input((9, 9, 2)), layers.Conv2D(3, 3), layers.BatchNormalization()])
    for layer in (layers.Activation("relu"), layers.Dropout(0.5), layers.MaxPooling2D()):
        model.add(layer)
    model.add(layers.Flatten())
    kinds = [type(module).__name__ for module in model.network]
    assert kinds.count("ChannelsFirst") == kinds.count("ChannelsLast") == 1


def test_embedding_and_dropout():
    table = layers.Embedding(7, 3)
    ids = np.array([[0, 6], [2, 2]])
    y = table(ids).numpy()
    np.testing.assert_array_equal(y, table.get_weights()[0][ids])
    assert abs(table.get_weights()[0]).max() <= 0.05
    model = Sequential([layers.Embedding(7, 3, input_length=2), layers.Flatten()])
    np.testing.assert_array_equal(model.predict(ids.astype("float32")).shape, (2, 6))
    drop = layers.Dropout(0.5, seed=3)
    x = np.ones((50, 50), "float32")
    np.testing.assert_array_equal(drop(x).numpy(), x)
    noisy = drop(x, training=True).numpy()
    assert set(noisy.ravel()) == {0, 2}
    assert 0.4 < (noisy == 0).mean() < 0.6


ACTIVATIONS = {
    "linear": lambda x: x,
    "relu": functional.relu,
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "softmax": lambda x: functional.softmax(x, -1),
    "log_softmax": lambda x: functional.log_softmax(x, -1),
    "elu": functional.elu,
    "gelu": functional.gelu,
    "silu": functional.silu,
    "swish": functional.silu,
    "softplus": functional.softplus,
    "leaky_relu": lambda x: functional.leaky_relu(x, 0.2),
    "relu6": functional.relu6,
    "selu": functional.selu,
    "softsign": functional.softsign,
    "exponential": torch.exp,
}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_are_pytorchs(name):
    x = random(2, 3, 4, 5) * 4
    expected = ACTIVATIONS[name](torch.from_numpy(x)).numpy()
    assert_close(layers.Activation(name, dtype="float64")(x).numpy(), expected, 1e-10)
    function = activations.get(name.upper())
    assert_close(layers.Activation(function, dtype="float64")(x).numpy(), expected, 1e-10)


def test_activation_layers():
    x = random(3, 4) * 4
    z = torch.from_numpy(x)
    for layer, expected in [
        (layers.ReLU(dtype="float64"), functional.relu(z)),
        (layers.ReLU(max_value=2.0, dtype="float64"), z.clamp(0, 2)),
        (layers.ReLU(negative_slope=0.1, dtype="float64"), functional.leaky_relu(z, 0.1)),
        (layers.ReLU(threshold=1.0, dtype="float64"), functional.threshold(z, 1.0, 0.0)),
        (layers.LeakyReLU(dtype="float64"), functional.leaky_relu(z, 0.3)),
        (layers.ELU(0.5, dtype="float64"), functional.elu(z, 0.5)),
        (layers.Softmax(axis=0, dtype="float64"), functional.softmax(z, 0)),
    ]:
        assert_close(layer(x).numpy(), expected.numpy(), 1e-10)


# How weights begin.


@pytest.mark.parametrize("shape", [(300, 100), (3, 3, 40, 60)])
def test_weights_are_initialised_as_keras_documents(shape):
    window = math.prod(shape[:-2])
    ins, outs = window * shape[-2], window * shape[-1]
    limits = {
        "glorot_uniform": math.sqrt(6 / (ins + outs)),
        "he_uniform": math.sqrt(6 / ins),
        "lecun_uniform": math.sqrt(3 / ins),
        "random_uniform": 0.05,
    }
    for name, limit in limits.items():
        x = initializers.get(name)(shape).numpy()
        assert limit * 0.99 < abs(x).max() <= limit
        assert abs(x.mean()) < limit / 50
    deviations = {
        "glorot_normal": math.sqrt(2 / (ins + outs)),
        "he_normal": math.sqrt(2 / ins),
        "LecunNormal": math.sqrt(1 / ins),
    }
    for name, deviation in deviations.items():
        x = initializers.get(name)(shape).numpy()
        assert x.std() == pytest.approx(deviation, rel=0.02)
        assert abs(x).max() <= 2 * deviation / 0.8796256


def test_layers_are_initialised_with_glorot_and_zeros():
    dense, conv = layers.Dense(50), layers.Conv2D(20, 3, groups=2)
    dense.build((None, 70))
    conv.build((None, 9, 9, 10))
    for layer, ins, outs in ((dense, 70, 50), (conv, 9 * 5, 9 * 20)):
        kernel, bias = layer.get_weights()
        limit = math.sqrt(6 / (ins + outs))
        assert limit * 0.98 < abs(kernel).max() <= limit
        assert not bias.any()


def test_initializers_may_be_classes_functions_and_seeded():
    shape = (4, 3)
    make = initializers.RandomNormal(stddev=1.0, seed=5)
    np.testing.assert_array_equal(make(shape).numpy(), make(shape).numpy())
    dense = layers.Dense(3, kernel_initializer=make, bias_initializer=initializers.Constant(2))
    dense.build((None, 4))
    np.testing.assert_array_equal(dense.get_weights()[0], make(shape).numpy())
    np.testing.assert_array_equal(dense.get_weights()[1], np.full(3, 2))
    dense = layers.Dense(3, kernel_initializer=lambda shape, dtype=None: np.eye(*shape))
    dense.build((None, 4))
    np.testing.assert_array_equal(dense.get_weights()[0], np.eye(4, 3))
    dense = layers.Dense(3, kernel_initializer=initializers.GlorotUniform, bias_initializer="ones")
    dense.build((None, 4))
    assert dense.get_weights()[1].all()


# Models.


def small(**compiled):
    model = Sequential([Input((4,)), layers.Dense(5, "relu"), layers.Dense(3, "softmax")])
    settings = {"optimizer": "sgd", "loss": "sparse_categorical_crossentropy"}
    model.compile(**{**settings, **compiled})
    return model


def test_a_model_is_built_by_shape_by_build_and_by_data():
    by_shape = Sequential([layers.Dense(3, input_dim=4)])
    assert by_shape.built
    by_build = Sequential([layers.Dense(3)])
    assert not by_build.built
    by_build.build((None, 4))
    by_data = Sequential([layers.Dense(3)])
    assert by_data(np.ones((2, 4))).shape == (2, 3)
    for model in (by_shape, by_build, by_data):
        assert [w.shape for w in model.get_weights()] == [(4, 3), (3,)]
        assert model.output_shape == (None, 3)
        assert model.layers[0].name == "dense"


def test_summary_counts_parameters(capsys):
    model = Sequential([Input((8, 8, 1)), layers.Conv2D(4, 3), layers.BatchNormalization()])
    model.add(layers.GlobalAveragePooling2D())
    model.add(layers.Dense(2, name="scores"))
    model.summary()
    text = capsys.readouterr().out
    assert "conv2d (Conv2D)" in text
    assert "(None, 6, 6, 4)" in text
    assert "66 parameters: 58 trainable, 8 not" in text
    assert model.count_params() == 66
    assert model.get_layer("scores").count_params() == 10


def test_models_are_layers_too():
    inner = Sequential([layers.Conv2D(3, 2, activation="relu"), layers.MaxPooling2D()])
    model = Sequential([Input((5, 5, 2)), inner, layers.Flatten(), layers.Dense(2, "softmax")])
    assert len(model.get_weights()) == 4
    assert len(list(model.network.parameters())) == 4
    x = random(3, 5, 5, 2, dtype="float32")
    y = inner(x).numpy().reshape(3, -1)
    dense = Sequential([model.layers[-1]])
    assert_close(model.predict(x), dense.predict(y), 1e-6)
    tail = Sequential([Input((4,)), Sequential([layers.Dense(2), layers.Softmax()])])
    tail.compile("sgd", "sparse_categorical_crossentropy")
    z = np.full((2, 4), 1000, "float32")
    tail.set_weights([np.eye(4, 2) * [[1], [-1], [0], [0]], [0, 0]])
    assert tail.evaluate(z, [1, 1]) == pytest.approx(2000)


def test_weights_come_and_go(tmp_path):
    one, other = small(), small()
    x = random(6, 4, dtype="float32")
    assert not np.array_equal(one.predict(x), other.predict(x))
    other.set_weights(one.get_weights())
    np.testing.assert_array_equal(one.predict(x), other.predict(x))
    other.set_weights([w * 0 for w in one.get_weights()])
    one.save_weights(tmp_path / "weights.safetensors")
    other.load_weights(tmp_path / "weights.safetensors")
    np.testing.assert_array_equal(one.predict(x), other.predict(x))
    copy = one.get_weights()
    copy[0][:] = 0
    assert one.get_weights()[0].any()
    with pytest.raises(ShapeError, match=r"set_weights.*dense/kernel \(4, 5\).*got \[\(5, 4\)"):
        one.set_weights([w.T for w in one.get_weights()])


def test_images_may_be_of_any_size_until_the_data_is_known():
    model = Sequential([Input((None, None, 3)), layers.Conv2D(4, 3, strides=2, padding="same")])
    model.add(layers.GlobalAveragePooling2D())
    for size in (5, 8):
        assert model.predict(np.ones((2, size, size + 1, 3))).shape == (2, 4)


def test_bytes_keep_their_values():
    model = Sequential([Input((2, 2, 1)), layers.Flatten()])
    x = np.arange(0, 256, 8, dtype="uint8").reshape(-1, 2, 2, 1)
    y = model.predict(x)
    assert y.dtype == "float32"
    np.testing.assert_array_equal(y, x.reshape(-1, 4))


def test_results_are_joined_and_there_may_be_none():
    model = small()
    x = random(70, 4, dtype="float32")
    np.testing.assert_allclose(model.predict(x), model(x).numpy(), rtol=1e-5)
    assert model.predict(x[:0]).shape == (0, 3)
    assert model.predict(x[:1], batch_size=1).shape == (1, 3)


# Training.


@pytest.mark.parametrize("loss", ["sparse_categorical_crossentropy", "categorical_crossentropy"])
def test_training_is_that_of_pytorch(loss):
    model = small(optimizer=optimizers.SGD(0.1, momentum=0.9), loss=loss, metrics=["accuracy"])
    theirs = torch.nn.Sequential(torch.nn.Linear(4, 5), torch.nn.ReLU(), torch.nn.Linear(5, 3))
    with torch.no_grad():
        for p, w in zip(theirs.parameters(), model.get_weights(), strict=True):
            p.copy_(torch.from_numpy(w.T))
    x, y = random(12, 4, dtype="float32"), np.arange(12) % 3
    steps = torch.optim.SGD(theirs.parameters(), lr=0.1, momentum=0.9)
    for _ in range(5):
        steps.zero_grad()
        functional.cross_entropy(theirs(torch.from_numpy(x)), torch.from_numpy(y)).backward()
        steps.step()
    target = y if loss.startswith("sparse") else utils.to_categorical(y)
    model.fit(x, target, epochs=2, batch_size=12, verbose=0, shuffle=False)
    history = model.fit(x, target[:, None] if target.ndim == 1 else target, 12, 3, verbose=0)
    assert len(history.history["loss"]) == 3
    weights = [w.T for w in model.get_weights()]
    assert_all_close(weights, [p.detach().numpy() for p in theirs.parameters()], 1e-5)


def test_there_is_never_a_second_softmax():
    """The loss of a softmax that has rounded to 0 is exact; a softmax of it would be far less."""
    model = Sequential([Input((2,)), layers.Dense(2, "softmax", kernel_initializer=np_eye)])
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    x = np.array([[500, 0], [0, 500]], "float32")
    np.testing.assert_array_equal(model.predict(x), np.eye(2))
    assert model.evaluate(x, np.array([0, 1])) == [0, 1]
    assert model.evaluate(x, np.array([1, 0])) == [500, 0]
    model.compile("sgd", losses.SparseCategoricalCrossentropy())
    assert model.evaluate(x, np.array([1, 0])) == 500
    model.compile("sgd", losses.CategoricalCrossentropy())
    assert model.evaluate(x, np.array([[0, 1], [1, 0]])) == 500


def np_eye(shape, dtype=None):
    return np.eye(*shape, dtype=dtype)


def test_logits_are_said_to_be_logits():
    model = Sequential([Input((2,)), layers.Dense(2, kernel_initializer=np_eye)])
    x = np.array([[500, 0], [0, 500]], "float32")
    model.compile("sgd", losses.SparseCategoricalCrossentropy(from_logits=True))
    assert model.evaluate(x, [1, 0]) == 500
    model.compile("sgd", "sparse_categorical_crossentropy")
    with pytest.raises(ArgumentError, match="from_logits"):
        model.fit(x, [1, 0], verbose=0)
    model.add(layers.Softmax())
    model.compile("sgd", losses.SparseCategoricalCrossentropy(from_logits=True))
    with pytest.raises(ArgumentError, match="Softmax"):
        model.fit(x, [1, 0], verbose=0)


@pytest.mark.parametrize("shape", [(1,), (4, 1), (3, 4, 1)])
def test_binary_cross_entropy_in_any_shape(shape):
    x = random(6, *shape, dtype="float32") * 300
    y = (x <= 0).astype("uint8")
    model = Sequential([Input(shape), layers.Dense(1, "sigmoid", kernel_initializer="ones")])
    if len(shape) == 3:
        model = Sequential([Input(shape), layers.Conv2D(1, 1, activation="sigmoid")])
        model.set_weights([np.ones((1, 1, 1, 1)), np.zeros(1)])
    model.compile("adam", "binary_crossentropy", metrics=["binary_accuracy", "accuracy"])
    for target in (y, y[..., 0]):
        loss, *accuracies = model.evaluate(x, target)
        assert loss == pytest.approx(np.logaddexp(0, abs(x)).mean(), rel=1e-5)
        assert accuracies == [0, 0]
    assert model.evaluate(x, 1 - y)[1:] == [1, 1]
    y[0] = 1 - y[0]
    assert model.evaluate(x, y)[1:] == [pytest.approx(1 / 6)] * 2


def test_several_labels_at_once():
    model = Sequential([Input((3,)), layers.Activation("sigmoid")])
    model.add(layers.Dense(3, kernel_initializer=np_eye))
    model.add(layers.Activation("sigmoid"))
    model.compile("adam", losses.BinaryCrossentropy(), metrics=["binary_accuracy"])
    y = np.array([[1, 1, 0], [1, 1, 1]])
    assert model.evaluate(np.zeros((2, 3)), y)[1] == pytest.approx(5 / 6)


@pytest.mark.parametrize("last_layer", ["conv", "dense"])
@pytest.mark.parametrize("loss", ["sparse_categorical_crossentropy", "categorical_crossentropy"])
def test_every_pixel_may_have_a_class(last_layer, loss):
    kind = layers.Conv2D(3, 1, activation="softmax")
    kind = kind if last_layer == "conv" else layers.Dense(3, activation="softmax")
    model = Sequential([Input((5, 4, 2)), layers.Conv2D(6, 3, padding="same"), kind])
    model.compile("adam", loss, metrics=["accuracy"])
    x = random(8, 5, 4, 2, dtype="float32")
    y = (x[..., 0] > 0).astype(int) + (x[..., 1] > 0)
    target = y[..., None] if loss.startswith("sparse") else utils.to_categorical(y)
    before, _ = model.evaluate(x, target)
    p = model.predict(x)
    assert p.shape == (8, 5, 4, 3)
    np.testing.assert_allclose(p.sum(axis=-1), 1, rtol=1e-5)
    assert before == pytest.approx(
        -np.log(np.take_along_axis(p, y[..., None], -1)).mean(), rel=1e-4
    )
    history = model.fit(x, target, epochs=3, verbose=0, validation_split=0.25)
    assert history.history["loss"][-1] < history.history["loss"][0]


def test_regression_with_a_vector_of_targets():
    model = Sequential([Input((3,)), layers.Dense(1)])
    model.compile(optimizers.Adam(0.1), loss="mse", metrics=["mae"])
    x = random(64, 3, dtype="float32")
    y = x @ np.array([1, -2, 3], "float32") + 1
    model.fit(x, y, epochs=60, batch_size=64, verbose=0)
    assert model.evaluate(x, y, return_dict=True)["loss"] < 0.1
    model.compile("sgd", loss=lambda t, p: (p - t) ** 2)
    assert model.evaluate(x, y) < 0.1


OPTIMIZERS = ["SGD", "RMSprop", "Adam", "AdamW", "Nadam", "Adagrad", "Adadelta", "Lion"]


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_trains_by_name_and_as_an_object(name):
    x, y = random(16, 4, dtype="float32"), np.arange(16) % 3
    results = []
    for optimizer in (name.lower(), getattr(optimizers, name)()):
        utils.set_random_seed(1)
        model = small(optimizer=optimizer)
        before = model.evaluate(x, y)
        model.fit(x, y, epochs=3, verbose=0)
        assert model.evaluate(x, y) < before
        results.append(model.get_weights())
    assert_all_close(*results, 0)


def test_the_learning_rate_may_be_changed_and_models_do_not_share():
    optimizer = optimizers.SGD(0.5, global_clipnorm=1e-3)
    one, other = small(optimizer=optimizer), small(optimizer=optimizer)
    x, y = random(16, 4, dtype="float32"), np.arange(16) % 3
    one.optimizer.learning_rate = 0.25
    before = one.get_weights()
    one.fit(x, y, batch_size=16, verbose=0)
    change = math.sqrt(
        sum(((a - b) ** 2).sum() for a, b in zip(before, one.get_weights(), strict=True))
    )
    assert change == pytest.approx(0.25e-3, rel=1e-2)
    before = other.get_weights()
    other.fit(x, y, verbose=0)
    assert not np.array_equal(before[0], other.get_weights()[0])
    other.optimizer.learning_rate = 0
    before = other.get_weights()
    other.fit(x, y, verbose=0)
    assert_all_close(before, other.get_weights(), 0)
    plain = small(optimizer=optim.SGD(one.network.parameters(), lr=0.1))
    assert isinstance(plain.optimizer, optim.SGD)


def test_frozen_layers_stay_as_they_are():
    model = small(optimizer="adam")
    model.layers[0].trainable = False
    before = model.get_weights()
    model.fit(random(8, 4), np.arange(8) % 3, verbose=0)
    after = model.get_weights()
    assert_all_close(before[:2], after[:2], 0)
    assert not np.array_equal(before[2], after[2])
    assert len(model.trainable_weights) == 2


def test_callbacks(tmp_path):
    x, y = random(40, 4, dtype="float32"), np.arange(40) % 3
    seen = []

    class Stop(callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            seen.append(sorted(logs))
            self.model.stop_training = epoch == 2

    path = str(tmp_path / "{epoch:02d}.safetensors")
    model = small()
    history = model.fit(
        x,
        y,
        epochs=9,
        verbose=0,
        validation_split=0.2,
        callbacks=[
            Stop(),
            callbacks.ModelCheckpoint(path),
            callbacks.CSVLogger(tmp_path / "log.csv"),
            callbacks.LearningRateScheduler(lambda epoch, rate: rate / 2),
        ],
    )
    assert len(history.epoch) == 3
    assert seen[0] == ["loss", "val_loss"]
    assert sorted(f.name for f in tmp_path.iterdir()) == [
        *(f"0{n}.safetensors" for n in (1, 2, 3)),
        "log.csv",
    ]
    assert model.optimizer.learning_rate == pytest.approx(0.01 / 8)
    weights = model.get_weights()
    model.load_weights(tmp_path / "01.safetensors")
    assert not np.array_equal(model.get_weights()[0], weights[0])
    model.load_weights(tmp_path / "03.safetensors")
    assert_all_close(model.get_weights(), weights, 0)


def test_early_stopping():
    model = small(optimizer=optimizers.SGD(0.0))
    stop = callbacks.EarlyStopping("loss", patience=3, restore_best_weights=True)
    x, y = random(40, 4, dtype="float32"), np.arange(40) % 3
    history = model.fit(x, y, 40, 20, 0, [stop], shuffle=False)
    assert len(history.epoch) == 4


def test_plateaus():
    """A loss that falls never improves if large losses are good."""
    model = small(optimizer=optimizers.SGD(0.1))
    plateau = callbacks.ReduceLROnPlateau("loss", factor=0.5, patience=2, mode="max")
    x, y = random(40, 4, dtype="float32"), np.arange(40) % 3
    model.fit(x, y, 40, 4, 0, [plateau], shuffle=False)
    assert model.optimizer.learning_rate == pytest.approx(0.05)
    model.fit(x, y, 40, 5, 0, [plateau], shuffle=False)
    assert model.optimizer.learning_rate == pytest.approx(0.0125)


def test_progress_is_shown_unless_turned_off(capsys):
    x, y = random(8, 4), np.arange(8) % 3
    model = small(metrics=["sparse_categorical_accuracy"])
    model.fit(x, y, verbose=0)
    assert capsys.readouterr().err == ""
    model.fit(x, y, epochs=2)
    text = capsys.readouterr().err
    assert "Epoch 2/2" in text
    assert "sparse_categorical_accuracy" in text


def test_dropout_and_batch_norm_train_in_fit_and_rest_after_it():
    model = Sequential([Input((4,)), layers.BatchNormalization(), layers.Dropout(0.5)])
    model.add(layers.Dense(2, "softmax"))
    model.compile("adam", "sparse_categorical_crossentropy")
    x = random(64, 4, dtype="float32") + 3
    model.fit(x, np.arange(64) % 2, epochs=2, verbose=0)
    assert not any(module.training for module in model.network.modules())
    assert model.layers[0].get_weights()[2].min() > 0
    np.testing.assert_array_equal(model(x).numpy(), model(x).numpy())
    assert not np.array_equal(model(x, training=True).numpy(), model(x, training=True).numpy())


# What errors say.

IMAGES = np.ones((5, 28, 28), "float32")


def picture_model():
    return Sequential([layers.Conv2D(2, 3, input_shape=(28, 28, 1)), layers.Flatten()])


MISTAKES = [
    (lambda: picture_model().predict(IMAGES), ShapeError, r"x\[\.\.\., None\]"),
    (lambda: Sequential([layers.Conv2D(2, 3)]).predict(IMAGES), ShapeError, r"conv2d.*None\]"),
    (lambda: picture_model().predict(IMAGES[:, None]), ShapeError, r"channels first.*moveaxis"),
    (lambda: picture_model().predict(IMAGES[0, ..., None]), ShapeError, r"one sample: x\[None\]"),
    (lambda: small().predict(np.ones((2, 5))), ShapeError, r"\(N, 4\).*got \(2, 5\)"),
    (lambda: small().predict(np.array(["a"])), DTypeError, "x is an array of real numbers"),
    (lambda: small().predict(1.0), ShapeError, "samples along its first axis"),
    (lambda: small().fit(np.ones((2, 4))), ArgumentError, "fit: needs y"),
    (lambda: small().fit(np.ones((2, 4)), [0, 1, 2]), ShapeError, "2 in .*3 in"),
    (lambda: small().fit(np.ones((2, 4)), [0, 3]), MinidlError, "label 3"),
    (lambda: small().fit(np.ones((2, 4)), [0, 0.5]), DTypeError, "whole"),
    (lambda: small().fit(np.ones((2, 4)), np.eye(3)[:2]), ShapeError, '"categorical_cross'),
    (
        lambda: small(loss="categorical_crossentropy").fit(np.ones((2, 4)), [0, 1]),
        ShapeError,
        '"sparse_categorical_crossentropy"',
    ),
    (lambda: small().fit(np.ones((2, 4)), [0, 1], validation_split=0.9), ArgumentError, "leaves"),
    (lambda: small().fit(np.ones((2, 4)), [0, 1], validation_data=3), ArgumentError, r"\(x, y\)"),
    (lambda: small().fit(np.ones((2, 4)), [0, 1], class_weight={0: 1}), ArgumentError, "class_w"),
    (lambda: small().fit(np.ones((2, 4)), [0, 1], epoch=2), ArgumentError, "epoch"),
    (lambda: small(loss="categorical_crossentropi"), ArgumentError, "mean 'categorical_crossen"),
    (lambda: small(optimizer="adm"), ArgumentError, "mean 'adam'"),
    (lambda: small(optimizer=3), ArgumentError, "optimizer is a name"),
    (lambda: small(metrics=["acuracy"]), ArgumentError, "mean 'accuracy'"),
    (lambda: small(metrics="accuracy"), ArgumentError, r"\['accuracy'\]"),
    (lambda: small(loss=None), ArgumentError, "a loss is a name"),
    (lambda: layers.Dense(3, "relo"), ArgumentError, "mean 'relu'"),
    (lambda: layers.Dense(3, 7), ArgumentError, "function of a tensor"),
    (lambda: layers.Dense(0), ArgumentError, "units is an integer"),
    (lambda: layers.Dense(3, kernel_regularizer="l2"), ArgumentError, "kernel_regularizer of Ker"),
    (lambda: layers.Dense(3, kernel_initialiser="ones"), ArgumentError, "no argument 'kernel_i"),
    (lambda: layers.Dense(3)(np.ones(3)), ShapeError, r"dense \(Dense\).*got \(N,\)"),
    (lambda: layers.Conv2D(3, 3, padding="full"), ArgumentError, '"valid" or "same"'),
    (lambda: layers.Conv2D(3, 3, data_format="channels_first"), ArgumentError, "channels_last"),
    (lambda: layers.Conv2D(3, 3, groups=2), ArgumentError, "does not divide"),
    (lambda: layers.Conv2D(4, 3, groups=2)(np.ones((1, 5, 5, 3))), ShapeError, "groups=2"),
    (lambda: layers.Conv2D(3, 3)(np.ones((1, 2, 9, 3))), ShapeError, "window of 3×3"),
    (lambda: layers.Embedding(5, 2)(np.array([[5]])), MinidlError, "5"),
    (lambda: layers.BatchNormalization(axis=1)(np.ones((2, 3, 3, 1))), ShapeError, "last axis"),
    (lambda: layers.LayerNormalization(axis=0)(np.ones((2, 3))), ShapeError, "batch's"),
    (lambda: layers.Reshape((2, 2))(np.ones((2, 3))), ShapeError, "cannot make"),
    (lambda: layers.ZeroPadding2D((1, 2, 3)), ArgumentError, "two pairs"),
    (lambda: layers.RepeatVector(2)(np.ones((2, 3, 4))), ShapeError, r"vectors \(N, C\)"),
    (lambda: layers.Permute((0, 1)), ArgumentError, "1 … 2"),
    (lambda: layers.Permute((2, 1))(np.ones((2, 3))), ShapeError, "samples with 2 axes"),
    (lambda: Sequential([layers.Dense]), DTypeError, r"mean Dense\(…\)"),
    (lambda: Sequential([nn.Linear(2, 3)]), DTypeError, "a layer of minidl.keras.layers"),
    (lambda: Sequential([layers.Dense(2, name="a"), layers.Dense(2, name="a")]), None, "'a'"),
    (lambda: Sequential([layers.Dense(2), Input((3,))]), ArgumentError, "Input comes first"),
    (lambda: Sequential().predict(np.ones((1, 2))), ArgumentError, "no layers"),
    (lambda: Sequential([layers.Dense(2)]).summary(), ArgumentError, "no weights yet"),
    (lambda: Sequential([layers.Dense(2)]).fit(np.ones(2), [0, 1]), ArgumentError, r"compile\("),
    (lambda: Sequential([layers.Dense(2)]).evaluate(0, 0), ArgumentError, r"compile\("),
    (lambda: optimizers.SGD(lr=0.1), ArgumentError, "no argument 'lr'"),
    (lambda: optimizers.SGD(clipnorm=0.1), ArgumentError, "clipnorm of Keras"),
    (lambda: optimizers.Adam("fast"), ArgumentError, "learning_rate"),
    (lambda: initializers.get("glorot"), ArgumentError, "mean 'glorot_"),
    (lambda: utils.to_categorical([0, 3], 3), ArgumentError, "from 0 to 2"),
]


@pytest.mark.parametrize(("mistake", "kind", "message"), MISTAKES)
def test_mistakes_are_named(mistake, kind, message):
    with pytest.raises(kind or ArgumentError, match=message):
        mistake()


def test_a_layer_has_one_shape():
    layer = layers.Dense(2)
    Sequential([Input((3,)), layer])
    with pytest.raises(ShapeError, match=r"was built for inputs \(N, 3\); got \(N, 4\)"):
        Sequential([Input((4,)), layer])
    model = Sequential([Input((3,)), layers.Dense(3)])
    with pytest.raises(ArgumentError, match="in the model already"):
        model.add(model.layers[0])


def test_a_layer_that_does_not_fit_is_not_added():
    model = Sequential([Input((3,))])
    with pytest.raises(ShapeError, match=r"conv2d \(Conv2D\) needs images"):
        model.add(layers.Conv2D(2, 3))
    assert model.layers == []


def test_to_categorical():
    np.testing.assert_array_equal(utils.to_categorical([[2], [0]]), [[0, 0, 1], [1, 0, 0]])
    assert utils.to_categorical([1], 4).shape == (1, 4)


def test_the_modules_are_those_of_keras():
    assert models.Sequential is Sequential
    assert layers.MaxPool2D is layers.MaxPooling2D


@pytest.mark.parametrize(
    "labels",
    [["a"], [[1], [1, 2]], [0.5], [np.nan], [np.inf], [1 + 2j], [-1], None],
    ids=lambda labels: str(labels),
)
def test_class_indices_are_integers(labels):
    with pytest.raises(MinidlError, match="to_categorical"):
        utils.to_categorical(labels)


@pytest.mark.parametrize("num_classes", [2.5, "a", 1])
def test_the_number_of_classes_is_an_integer_and_large_enough(num_classes):
    with pytest.raises(MinidlError, match="to_categorical"):
        utils.to_categorical([0, 2], num_classes)


def test_nadam_has_kerass_momentum():
    """μₜ = β₁·(1 − ½·0.96ᵗ): the first step is η·(μ₂·(1 − β₁)/(1 − μ₁·μ₂) + 1) for any gradient."""
    first, second = (0.9 * (1 - 0.5 * 0.96**t) for t in (1, 2))
    for optimizer in (optimizers.Nadam(0.1), "nadam"):
        model = models.Sequential([layers.Dense(1, use_bias=False, kernel_initializer="zeros")])
        model.compile(optimizer, "mse")
        model.fit([[1.0]], [1.0], verbose=0)
        rate = 0.001 if optimizer == "nadam" else 0.1
        step = rate * (second * 0.1 / (1 - first * second) + (1 - first) / (1 - first))
        assert model.get_weights()[0].item() == pytest.approx(step, rel=1e-5)
