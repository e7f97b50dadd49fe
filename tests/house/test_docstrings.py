"""Every public name says what it is, and shows it: the examples of all docstrings run."""

import doctest
import inspect

import numpy as np
import pytest

import minidl
from minidl import data, fft, io, keras, linalg, models, nn, optim, recommend, testing, train
from minidl.recommend import evaluation

NAMESPACES = {
    "minidl": minidl,
    "minidl.random": minidl.random,
    "minidl.linalg": linalg,
    "minidl.fft": fft,
    "minidl.nn": nn,
    "minidl.nn.init": nn.init,
    "minidl.nn.utils": nn.utils,
    "minidl.nn.utils.rnn": nn.utils.rnn,
    "minidl.optim": optim,
    "minidl.data": data,
    "minidl.data.text": data.text,
    "minidl.io": io,
    "minidl.train": train,
    "minidl.models": models,
    "minidl.train.metrics": train.metrics,
    "minidl.recommend": recommend,
    "minidl.recommend.evaluation": evaluation,
    "minidl.recommend.evaluation.metrics": evaluation.metrics,
    "minidl.testing": testing,
    "minidl.keras": keras,
    "minidl.keras.activations": keras.activations,
    "minidl.keras.callbacks": keras.callbacks,
    "minidl.keras.initializers": keras.initializers,
    "minidl.keras.layers": keras.layers,
    "minidl.keras.losses": keras.losses,
    "minidl.keras.metrics": keras.metrics,
    "minidl.keras.models": keras.models,
    "minidl.keras.optimizers": keras.optimizers,
    "minidl.keras.utils": keras.utils,
}
SETTINGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def public_names():
    """Functions and classes that a user finds in a namespace, each under its first name."""
    seen = set()
    for namespace, module in NAMESPACES.items():
        for name in sorted(getattr(module, "__all__", None) or vars(module)):
            value = getattr(module, name)
            documented = inspect.isclass(value) or callable(value)
            own = getattr(value, "__module__", "").startswith("minidl")
            if not name.startswith("_") and documented and own and id(value) not in seen:
                seen.add(id(value))
                yield f"{namespace}.{name}", value


PUBLIC = dict(public_names())


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_name_has_an_example_that_runs(name, tmp_path, monkeypatch):
    text = inspect.getdoc(PUBLIC[name]) or ""
    names = {"minidl": minidl, "nn": nn, "optim": optim, "np": np}
    test = doctest.DocTestParser().get_doctest(text, names, name, None, 0)
    assert test.examples, f"{name} shows no example: add one to its docstring, after >>>\n{text}"
    monkeypatch.chdir(tmp_path)  # what an example writes, it writes there
    minidl.manual_seed(0)
    failures = []
    doctest.DocTestRunner(optionflags=SETTINGS, verbose=False).run(test, out=failures.append)
    assert not failures, "".join(failures)
