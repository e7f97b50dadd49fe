"""Processes that are forked after kernels have run on several threads: they go on computing."""

import hashlib
import http.client
import http.server
import multiprocessing
import os
import threading

import numpy as np
import pytest

import minidl
from minidl import nn, optim
from minidl.backends.kernels.runtime import machine_code

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are not forked here"),
    # Python 3.12 warns of any thread, such as those of the test runner and of BLAS.
    pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning"),
]
IMAGES = np.random.default_rng(0).normal(size=(64, 784)).astype("float32")
LABELS = np.random.default_rng(1).integers(0, 10, 64)


@pytest.fixture(autouse=True)
def two_threads():
    """Two threads, whose pool has worked before."""
    before = minidl.get_num_threads()
    minidl.set_num_threads(2)
    _trained()
    yield
    minidl.set_num_threads(before)


def _trained():
    """The digest of the weights after some steps of training."""
    minidl.manual_seed(0)
    model = nn.Sequential(nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 10))
    optimizer = optim.Adam(model.parameters())
    for _ in range(5):
        optimizer.zero_grad()
        loss = minidl.cross_entropy(model(minidl.asarray(IMAGES)), minidl.asarray(LABELS))
        loss.backward()
        optimizer.step()
    weights = b"".join(parameter.numpy().tobytes() for parameter in model.parameters())
    return hashlib.sha256(weights).hexdigest()


def _send_trained(connection):
    connection.send(_trained())


def test_a_child_trains_to_the_parents_bits():
    context = multiprocessing.get_context("fork")
    for _ in range(5):
        receiver, sender = context.Pipe(duplex=False)
        child = context.Process(target=_send_trained, args=(sender,))
        child.start()
        here = _trained()  # at the same time
        assert receiver.poll(60)
        assert receiver.recv() == here
        child.join()
        assert child.exitcode == 0


def test_a_pool_of_forked_processes():
    here = _trained()
    with multiprocessing.get_context("fork").Pool(3) as pool:
        assert pool.map(_trained_for, range(6)) == [here] * 6


def _trained_for(_):
    return _trained()


def test_a_child_that_is_forked_while_other_threads_compute():
    here, answer, over, answers = _trained(), _predicted(), threading.Event(), []

    def predict():
        while not over.is_set():
            answers.append(_predicted())

    threads = [threading.Thread(target=predict) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(10):
            receiver, sender = multiprocessing.get_context("fork").Pipe(duplex=False)
            child = os.fork()
            if child == 0:
                _send_trained(sender)
                os._exit(0)
            assert receiver.poll(60)
            assert receiver.recv() == here
            assert os.waitpid(child, 0) == (child, 0)
    finally:
        over.set()
        for thread in threads:
            thread.join()
    assert set(answers) == {answer}


_model = nn.Sequential(nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 10))


def _predicted():
    """The digest of what a model predicts."""
    return hashlib.sha256(_model(minidl.asarray(IMAGES)).numpy().tobytes()).hexdigest()


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        content = _predicted().encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_):
        pass


class _PreForked(http.server.ThreadingHTTPServer):
    """A web server whose worker processes are forked from one that has loaded everything."""


def test_a_forked_web_worker_answers_as_its_parent_would():
    here = _predicted()
    with _PreForked(("127.0.0.1", 0), _Handler) as server:
        worker = os.fork()
        if worker == 0:
            server.serve_forever()
            os._exit(1)
        try:
            answers = []

            def ask():
                connection = http.client.HTTPConnection(*server.server_address, timeout=60)
                connection.request("GET", "/")
                answers.append(connection.getresponse().read().decode())
                connection.close()

            asking = [threading.Thread(target=ask) for _ in range(4)]
            for thread in asking:
                thread.start()
            for thread in asking:
                thread.join()
            assert answers == [here] * 4
        finally:
            os.kill(worker, 9)
            os.waitpid(worker, 0)
    assert _predicted() == here


def test_a_child_compiles_what_another_thread_was_compiling():
    compiling, forked = threading.Event(), threading.Event()

    def compile_slowly():
        with machine_code.lock:
            compiling.set()
            forked.wait(60)

    thread = threading.Thread(target=compile_slowly)
    thread.start()
    compiling.wait(60)
    child = os.fork()
    if child == 0:
        try:
            _predicted()
            acquired = machine_code.lock.acquire(timeout=10)
        finally:
            os._exit(0 if acquired else 1)
    forked.set()
    thread.join()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
