"""Models of graphs beside Keras's: structure, values, training, and what mistakes are told."""

import pickle
from copy import deepcopy

import numpy as np
import pytest

import minidl
from minidl import keras
from minidl.errors import MinidlError
from minidl.keras import Input, Model, Sequential, callbacks, layers, optimizers
from tests.helpers import assert_all_close, assert_close
from tests.keras.twins import assert_equal_outputs, keras_is_quiet, numpy, random, theirs, varied

pytestmark = keras_is_quiet


def two_by_two(k):
    """Two inputs, two outputs, a shared layer, and branches that join."""
    a, b = k.Input((4,), name="a"), k.Input((4,), name="b")
    shared = k.layers.Dense(5, activation="tanh", name="shared")
    both = k.layers.concatenate([shared(a), shared(b), a * 2 - b])
    hidden = k.layers.Dense(6, activation="relu", name="hidden")(both)
    classes = k.layers.Dense(3, activation="softmax", name="classes")(hidden)
    value = k.layers.Dense(1, name="value")(k.layers.add([hidden, hidden]))
    return k.Model(inputs=[a, b], outputs=[classes, value])


def residual_net(k):
    x = k.Input((8, 8, 3), name="image")
    y = k.layers.Conv2D(4, 3, padding="same", activation="relu", name="c1")(x)
    z = k.layers.Conv2D(4, 3, padding="same", name="c2")(y)
    y = k.layers.Activation("relu", name="r")(k.layers.Add(name="sum")([y, z]))
    y = k.layers.MaxPooling2D(name="p")(y)
    y = k.layers.GlobalAveragePooling2D(name="g")(y)
    return k.Model(x, k.layers.Dense(2, name="d")(y))


def nested(k):
    inner = k.Sequential([k.Input((4,)), k.layers.Dense(3, activation="relu")], name="inner")
    a, b = k.Input((4,), name="a"), k.Input((4,), name="b")
    pair = k.Model([a, b], [a + b, a * b], name="pair")
    x, y = k.Input((4,), name="x"), k.Input((4,), name="y")
    one, two = pair([x, y])
    return k.Model({"x": x, "y": y}, {"one": inner(one), "two": inner(two), "sum": inner(x + y)})


MODELS = {
    "two_by_two": (two_by_two, [(4,), (4,)]),
    "residual_net": (residual_net, [(8, 8, 3)]),
    "nested": (nested, [(4,), (4,)]),
}


@pytest.mark.parametrize("name", MODELS)
def test_graphs_compute_what_kerass_do(name):
    make, shapes = MODELS[name]
    mine, keras_model = make(keras), make(theirs)
    names = [layer.name for layer in keras_model.layers if "input" not in layer.name]
    own = [layer.name for layer in mine.layers if "input" not in layer.name]
    assert [n for n in own if n in names] == [n for n in names if n in own]
    assert len(mine.layers) == len(keras_model.layers)
    x = [random(5, *shape, seed=i) for i, shape in enumerate(shapes)]
    x = {"x": x[0], "y": x[1]} if name == "nested" else x if len(x) > 1 else x[0]
    assert_equal_outputs(mine, keras_model, x)
    needed = keras_model.predict(x, verbose=0)
    found = mine.predict(x)
    assert type(found) is type(needed)
    assert_all_close(numpy(found), numpy(needed), 1e-5)
    assert mine.count_params() == keras_model.count_params()


SETTINGS = [
    {"loss": ["sparse_categorical_crossentropy", "mse"]},
    {
        "loss": {"classes": "sparse_categorical_crossentropy", "value": "mae"},
        "loss_weights": {"classes": 0.5, "value": 2.0},
        "metrics": {"classes": ["accuracy"], "value": ["mae", "mse"]},
    },
    {
        "loss": ["sparse_categorical_crossentropy", "mse"],
        "loss_weights": [1.0, 0.25],
        "metrics": [["sparse_categorical_accuracy"], ["mae"]],
    },
    {"loss": ["sparse_categorical_crossentropy", None]},
]


@pytest.mark.parametrize("settings", SETTINGS)
def test_training_with_several_outputs_is_kerass(settings):
    """Step by step: the weights, the losses and the metrics of each epoch."""
    mine, keras_model = two_by_two(keras), two_by_two(theirs)
    varied(keras_model)
    mine.set_weights(keras_model.get_weights())
    mine.compile(optimizers.SGD(0.01), **settings)
    keras_model.compile(theirs.optimizers.SGD(0.01), **settings)
    x = {"a": random(22, 4), "b": random(22, 4, seed=1)}
    y = [np.arange(22) % 3, random(22)]
    given = y if settings["loss"] is None or None not in settings["loss"] else y[:1]
    for _ in range(2):
        history = mine.fit(x, given, batch_size=8, epochs=2, shuffle=False, verbose=0).history
        needed = keras_model.fit(x, given, batch_size=8, epochs=2, shuffle=False, verbose=0).history
        assert sorted(history) == sorted(needed)
        for name, values in needed.items():
            np.testing.assert_allclose(history[name], values, rtol=2e-5, err_msg=name)
        assert_all_close(mine.get_weights(), keras_model.get_weights(), 1e-5)
    found = mine.evaluate(list(x.values()), given, batch_size=8)
    expected = keras_model.evaluate(list(x.values()), given, batch_size=8, verbose=0)
    np.testing.assert_allclose(found, expected, rtol=2e-5)
    for call in ("train_on_batch", "test_on_batch"):
        found = getattr(mine, call)(list(x.values()), given)
        expected = getattr(keras_model, call)(list(x.values()), given)
        np.testing.assert_allclose(found, expected, rtol=2e-5)
    outputs = mine.predict_on_batch(list(x.values()))
    assert_all_close(outputs, keras_model.predict_on_batch(list(x.values())), 1e-5)
    assert_all_close(mine.get_weights(), keras_model.get_weights(), 1e-5)


def test_targets_and_losses_may_be_dicts_of_a_dict_of_outputs():
    x = Input((2,), name="x")
    model = Model(x, {"b": layers.Dense(1, name="of_b")(x), "a": layers.Dense(3, "softmax")(x)})
    assert model.output_names == ["a", "b"]
    model.compile("sgd", {"a": "sparse_categorical_crossentropy", "b": "mse"})
    y = {"b": np.ones(6), "a": np.arange(6) % 3}
    history = model.fit({"x": random(6, 2)}, y, validation_split=0.5, verbose=0).history
    names = ["loss", "a_loss", "b_loss"]
    assert sorted(history) == sorted([*names, *(f"val_{name}" for name in names)])
    assert sorted(model.predict(random(3, 2))) == ["a", "b"]


def test_the_layers_of_a_trained_model_serve_another():
    """The program of a founding document, with a small base in place of ResNet."""
    image = Input(shape=(8, 8, 3))
    features = layers.Conv2D(4, 3, activation="relu")(image)
    base_model = Model(image, layers.Conv2D(6, 3, activation="relu")(features))

    x = base_model.output
    x = layers.GlobalAveragePooling2D()(x)
    x = layers.Dense(10, activation="relu")(x)
    predictions = layers.Dense(3, activation="softmax")(x)
    model = Model(inputs=base_model.input, outputs=predictions)
    for layer in base_model.layers:
        layer.trainable = False
    model.compile(optimizer="adam", loss="categorical_crossentropy", metrics=["accuracy"])
    assert len(model.trainable_weights) == len(model.non_trainable_weights) == 4
    before = [w.copy() for w in model.get_weights()]
    history = model.fit(random(12, 8, 8, 3), np.eye(3)[np.arange(12) % 3], epochs=2, verbose=0)
    assert sorted(history.history) == ["accuracy", "loss"]
    after = model.get_weights()
    assert_all_close(after[:4], before[:4], 0)
    assert not any(np.array_equal(a, b) for a, b in zip(after[4:], before[4:], strict=True))
    assert [layer.name for layer in model.layers[-4:]] == [
        "conv2d_1",
        "global_average_pooling2d",
        "dense",
        "dense_1",
    ]


def test_a_stack_on_a_graph_knows_its_input():
    x = Input((4,))
    base = Model(x, layers.Dense(3)(x) * 2)
    model = Sequential([base, layers.Dense(2)])
    assert model.output_shape == (None, 2)
    assert Sequential([Sequential([Input((4,)), layers.Dense(3)]), layers.Dense(2)]).built


def test_a_model_is_cut_at_any_layer():
    stack = [Input((4,)), layers.Dense(5, "relu", name="h"), layers.Dense(2, name="y")]
    model = Sequential(stack)
    head = Model(model.input, model.get_layer("h").output)
    tail = Model(model.get_layer("h").output, model.output)
    x = random(3, 4)
    assert_close(tail(head(x)).numpy(), model(x).numpy(), 1e-6)
    both = Model(model.inputs, [model.layers[0].output, model.output])
    hidden, y = both.predict(x)
    assert_close(hidden, head.predict(x), 1e-6)
    assert_close(y, model.predict(x), 1e-6)


def test_a_chain_is_one_sequential_and_images_are_transposed_once():
    x = Input((9, 9, 2))
    y = layers.Conv2D(3, 3, activation="relu")(x)
    for layer in (layers.BatchNormalization(), layers.MaxPooling2D(), layers.Flatten()):
        y = layer(y)
    model = Model(x, layers.Dense(2, "softmax")(y))
    kinds = [type(module).__name__ for module in model.module]
    assert kinds.count("ChannelsFirst") == kinds.count("ChannelsLast") == 1
    model.compile("sgd", "sparse_categorical_crossentropy")
    large = model.get_weights()
    large[-1][:] = [1000, 0]
    model.set_weights(large)
    # From logits: the logarithm of a softmax that has rounded to 0 would be clipped.
    assert model.evaluate(np.zeros((2, 9, 9, 2)), [1, 1]) == pytest.approx(1000)


def test_symbolic_tensors_calculate():
    x = Input((3,), name="x")
    numbers = random(4, 3)
    for f in (
        lambda x: x + 1,
        lambda x: 2 - x,
        lambda x: x * x / 3,
        lambda x: (-x) ** 2,
        lambda x: x[:, 0],
        lambda x: x[..., 1:] + x[:, :1],
        lambda x: x[:, [2, 0]],
        lambda x: abs(x),
        lambda x: x > 0,
        lambda x: (x <= 0) & ~(x < -1),
        lambda x: x != x[:, ::-1],
        lambda x: np.ones(3, "float32") + x,
    ):
        y = f(x)
        needed = np.asarray(f(numbers))
        found = Model(x, y)(numbers).numpy()
        assert y.shape == (None, *needed.shape[1:])
        assert y.dtype == str(found.dtype)
        assert_close(found.astype("float32"), needed.astype("float32"), 1e-6)
    assert Model(x, (x + 1) * x).layers == [x.node.layer]
    pixels = Input((2,), dtype="uint8")
    assert Model(pixels, pixels + 1)(np.array([[255, 0]], "uint8")).numpy().tolist() == [[0, 1]]


def test_summary_says_what_is_connected(capsys):
    two_by_two(keras).summary()
    lines = capsys.readouterr().out.splitlines()
    assert "connected to" in lines[1]
    assert [line.split()[-1] for line in lines if line.startswith("shared")] == ["a", "b"]
    assert any("concatenate" in line and line.endswith("shared, subtract") for line in lines)
    assert lines[-1].startswith("143 parameters: 143 trainable")


def test_weights_come_and_go(tmp_path):
    one, other = two_by_two(keras), two_by_two(keras)
    one.save_weights(tmp_path / "w.safetensors")
    other.load_weights(tmp_path / "w.safetensors")
    x = [random(3, 4), random(3, 4, seed=1)]
    assert_all_close(numpy(one.predict(x)), numpy(other.predict(x)), 0)
    with pytest.raises(MinidlError, match="missing"):
        residual_net(keras).load_weights(tmp_path / "w.safetensors")


def test_a_copy_is_a_model_of_its_own():
    x = Input((4,))
    y = layers.Dense(3, activation="softmax")(x + 1)
    model = Model(x, [y, layers.Dense(1)(y)])
    for copied in (deepcopy(model), pickle.loads(pickle.dumps(model))):
        before = model.get_weights()
        assert_all_close(copied.get_weights(), before, 0)
        for one in (model, copied):
            one.compile("sgd", ["sparse_categorical_crossentropy", "mse"])
        numbers = np.arange(24, dtype="uint8").reshape(6, 4)
        targets = [np.arange(6) % 3, np.ones(6)]
        assert copied.evaluate(numbers, targets) == model.evaluate(numbers, targets)
        copied.fit(numbers, targets, verbose=0)
        assert_all_close(model.get_weights(), before, 0)
        assert not np.array_equal(copied.get_weights()[0], before[0])


def test_a_callback_may_use_the_model():
    """And the next batch is in training again."""
    x = Input((4,))
    graph = layers.Dense(1)(layers.BatchNormalization()(x * 2))
    for model in (Sequential([layers.BatchNormalization(), layers.Dense(1)]), Model(x, graph)):
        numbers = random(8, 4) + 3

        class Use(callbacks.Callback):
            def on_train_batch_end(self, batch, logs):
                self.model.predict(self.data)
                self.model(self.data)

        use = Use()
        use.data = numbers
        model.compile(optimizers.SGD(0.0), "mse")
        model.fit(numbers, numbers[:, 0], batch_size=2, callbacks=[use], verbose=0, shuffle=False)
        norm = next(layer for layer in model.layers if "batch" in layer.name)
        mean = np.zeros(4)
        for i in range(0, 8, 2):
            factor = 1 if isinstance(model, Sequential) else 2
            mean = 0.99 * mean + 0.01 * factor * numbers[i : i + 2].mean(axis=0)
        assert_close(norm.get_weights()[2].astype("float64"), mean, 1e-6)


def test_training_may_be_said_in_the_graph():
    """A frozen base stays in inference, also while the model is trained."""
    x = Input((4,))
    base = Model(x, layers.Dropout(0.5)(layers.BatchNormalization()(x)))
    model = Model(x, base(x, training=False) + 0)
    numbers = random(8, 4) + 3
    np.testing.assert_array_equal(model(numbers, training=True).numpy(), model(numbers).numpy())
    assert not base.get_weights()[2].any()
    model = Model(x, base(x))
    assert not np.array_equal(model(numbers, training=True).numpy(), model(numbers).numpy())
    assert base.get_weights()[2].any()


@pytest.mark.parametrize("mask_zero", [False, True])
def test_ids_keep_their_values(mask_zero):
    """Those above 2²⁴ would not, as float32: the error names the id that is not in the table."""
    ids = Input((1,))
    model = Model(ids, layers.Dense(1)(layers.Embedding(3, 1, mask_zero=mask_zero)(ids)))
    with pytest.raises(MinidlError, match=str(2**24 + 1)):
        model.predict(np.array([[2**24 + 1]]))


def test_outputs_of_one_layer_have_different_names():
    x = Input((4, 2))
    y, h, c = layers.LSTM(3, return_sequences=True, return_state=True)(x)
    shared = layers.Dense(1, name="d")
    model = Model(x, [y, h, c, shared(h), shared(c)])
    assert model.output_names == ["lstm", "lstm_1", "lstm_2", "d", "d_1"]
    model.compile("sgd", {"d": "mse", "d_1": "mse"})
    history = model.fit(random(3, 4, 2), [np.ones(3), np.zeros(3)], verbose=0).history
    assert sorted(history) == ["d_1_loss", "d_loss", "loss"]


def test_a_layer_may_give_what_is_no_tensor():
    class Pair(layers.Layer):
        def call(self, inputs):
            return inputs * 2, None

    x = Input((2,))
    y, nothing = Pair()(x)
    assert nothing is None
    np.testing.assert_array_equal(Model(x, y).predict([[1.0, 2.0]]), [[2, 4]])


def test_a_deep_graph_needs_no_recursion():
    x = y = Input((2,))
    for _ in range(1200):
        y = layers.Activation("linear")(y) + 1
    model = Model(x, y)
    np.testing.assert_array_equal(model(np.zeros((1, 2))).numpy(), np.full((1, 2), 1200))
    assert len(model.layers) == 1201


def mistakes():
    x, y = Input((3,), name="x"), Input((4,), name="y")
    dense = layers.Dense(2)
    made = Model([x, y], layers.concatenate([x, y]))
    one = Model(x, dense(x))
    return [
        (lambda: Model(x, dense(x) + Input((2,), name="z")), "'z'.*inputs x.*add it to inputs"),
        (lambda: Model(x, y), "'y' comes from no input"),
        (lambda: Model([x, x], dense(x)), "twice"),
        (lambda: Model(inputs=x), "needs inputs and outputs"),
        (lambda: Model(dense, dense(x)), r"inputs are symbolic.*call it: layer\(x\)"),
        (lambda: Model(np.ones(3), dense(x)), "Input"),
        (lambda: Model(x, []), "needs outputs"),
        (lambda: np.asarray(x), "symbolic and has no numbers"),
        (lambda: minidl.exp(x), "is <KerasTensor x.*needs a tensor"),
        (lambda: bool(x > 0), "symbolic"),
        (lambda: [*x], "symbolic"),
        (lambda: if_(x), "symbolic"),
        (lambda: layers.Dense(2)([x, y]), "takes one tensor"),
        (lambda: Sequential([layers.Dense(2)])([x, y]), "takes one tensor"),
        (lambda: layers.Add()(x), "list of at least 2"),
        (lambda: layers.Add()([x]), "list of at least 2"),
        (lambda: layers.Add()([x, y]), r"\(3,\), \(4,\) do not broadcast"),
        (lambda: layers.Subtract()([x, x, x]), "list of 2 tensors; got 3"),
        (lambda: layers.Concatenate(axis=0)([x, Input((3, 1))]), "cannot join"),
        (lambda: layers.Concatenate(axis=2)([Input((3, 1)), Input((4, 1))]), "alone"),
        (lambda: layers.Dot(axes=1)([x, y]), "lengths 3 and 4"),
        (lambda: layers.Dot(axes=0)([x, x]), "batch"),
        (lambda: made(random(2, 3)), "needs 2 inputs \\(x, y\\); got 1"),
        (lambda: made({"x": random(2, 3)}), r"without \['y'\]"),
        (lambda: made([random(2, 4), random(2, 4)]), r"x needs inputs \(N, 3\); got \(2, 4\)"),
        (lambda: made.predict([random(2, 3), random(3, 4)]), "as many samples"),
        (lambda: one.fit(random(2, 3), random(2, 2)), r"compile\("),
        (lambda: one.get_layer("nothing"), "no layer 'nothing'"),
        (lambda: layers.Dense(3).output, "was not called with a symbolic"),
        (lambda: dense(Input((5,))), r"was built for inputs \(N, 3\); got \(N, 5\)"),
        (lambda: Model(x, [layers.Dense(2, name="a")(x), layers.Dense(2, name="a")(x)]), "'a'"),
        (lambda: compiled(loss=["mse"] * 3), "list of 2"),
        (lambda: compiled(loss={"classes": "mse", "valu": "mse"}), "called"),
        (lambda: compiled(loss=[None, None]), "at least one"),
        (lambda: compiled(loss="mse", metrics=["mae"]), "metrics of several outputs"),
        (lambda: compiled(loss=["mse", None], metrics=[[], ["mae"]]), "metrics, but no loss"),
        (lambda: compiled(loss=["mse", "mso"]), "'mso'"),
        (lambda: compiled([np.ones((4, 3))], loss="mse"), "list of 2"),
        (lambda: compiled({"classes": np.ones((4, 3))}, loss="mse"), "not \\['value'\\]"),
        (lambda: compiled([np.ones((4, 3)), np.ones(5)], loss="mse"), "as many samples"),
    ]


def if_(x):
    return 1 if x[0] else 0


def compiled(y=None, **settings):
    model = two_by_two(keras)
    model.compile("sgd", **settings)
    y = [np.ones((4, 3)), np.ones(4)] if y is None else y
    return model.fit([random(4, 4), random(4, 4)], y, verbose=0)


@pytest.mark.parametrize("index", range(40))
def test_mistakes_are_named(index):
    cases = mistakes()
    assert len(cases) == 40
    mistake, message = cases[index]
    with pytest.raises(MinidlError, match=message):
        mistake()
