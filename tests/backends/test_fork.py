"""Forked processes: they train and predict on several threads, as their parent does."""

import json
import os
import subprocess
import sys
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import pytest

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")

# Two threads, also on a machine with one core.
BEGIN = """
import hashlib, json, multiprocessing, os, sys, threading
import numpy as np
import minidl
from minidl import nn
from minidl.backends.kernels.runtime import thread_pool

thread_pool._most_workers = lambda: 1
minidl.set_num_threads(2)
generator = np.random.default_rng(0)
images = generator.normal(size=(512, 256)).astype("float32")
labels = generator.integers(0, 10, 512)

minidl.manual_seed(0)
model = nn.Sequential(nn.Linear(256, 300), nn.ReLU(), nn.Linear(300, 10))
weights = model.state_dict()

def digest(arrays):
    return hashlib.sha256(b"".join(np.asarray(x).tobytes() for x in arrays)).hexdigest()

def trained():
    model = nn.Sequential(nn.Linear(256, 300), nn.ReLU(), nn.Linear(300, 10))
    model.load_state_dict(weights)
    optimizer = minidl.optim.Adam(model.parameters(), lr=1e-3)
    for _ in range(3):
        optimizer.zero_grad()
        minidl.cross_entropy(model(minidl.asarray(images)), minidl.asarray(labels)).backward()
        optimizer.step()
    return digest(p.detach() for p in model.parameters())

def trained_on_two_threads(_=None):
    found = trained()
    assert len(thread_pool._workers) == 1
    return found
"""


def start(program, *arguments):
    return subprocess.Popen(
        [sys.executable, "-c", BEGIN + program, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def output(program):
    """What a program prints, read as JSON."""
    with start(program) as process:
        printed, _ = process.communicate(timeout=300)
    assert process.returncode == 0
    return json.loads(printed)


TRAINING = """
context = multiprocessing.get_context("fork")
found = [trained_on_two_threads()]
with context.Pool(2) as pool:
    found += pool.map(trained_on_two_threads, range(4))
found.append(trained_on_two_threads())
with context.Pool(2) as pool:
    found += pool.map(trained_on_two_threads, range(2))
print(json.dumps(found))
"""


def test_a_forked_process_trains_to_the_same_bits():
    found = output(TRAINING)
    assert len(found) == 8
    assert len(set(found)) == 1


def test_so_does_a_process_whose_parent_has_computed_nothing():
    found = output(TRAINING.replace("found = [trained_on_two_threads()]", "found = []"))
    assert len(found) == 7
    assert len(set(found)) == 1


WHILE_OTHERS_TRAIN = """
over, others = threading.Event(), []

def train_on():
    while not over.is_set():
        others.append(trained())

found = [trained_on_two_threads()]
training = [threading.Thread(target=train_on) for _ in range(2)]
for thread in training:
    thread.start()
for _ in range(10):
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(write, trained_on_two_threads().encode())
        os._exit(0)
    assert os.waitpid(child, 0) == (child, 0)
    found.append(os.read(read, 100).decode())
over.set()
for thread in training:
    thread.join()
print(json.dumps([*found, *others]))
"""


def test_so_does_one_that_is_forked_while_other_threads_train():
    found = output(WHILE_OTHERS_TRAIN)
    assert len(found) > 11
    assert len(set(found)) == 1


SERVER = """
from http.server import BaseHTTPRequestHandler, HTTPServer
from socketserver import ForkingMixIn

class Server(ForkingMixIn, HTTPServer):
    pass

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        answer = json.dumps([predicted(), os.getpid()]).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        pass

def predicted():
    with minidl.no_grad():
        logits = model(minidl.asarray(images))
    assert len(thread_pool._workers) == 1
    return digest([logits])

before = predicted()
with Server(("127.0.0.1", 0), Handler) as server:
    threading.Thread(target=server.serve_forever).start()
    print(json.dumps([server.server_address[1], before]), flush=True)
    sys.stdin.readline()
    server.shutdown()
print(json.dumps(predicted()))
"""


def test_a_web_server_that_forks_for_each_request_predicts_the_same_bits():
    with start(SERVER) as process:
        try:
            port, before = json.loads(process.stdout.readline())

            def ask(_):
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=60) as answer:
                    return json.loads(answer.read())

            with ThreadPoolExecutor(3) as clients:
                answers = list(clients.map(ask, range(12)))
            after, _ = process.communicate("end\n", timeout=60)
        finally:
            process.kill()
    assert {digest for digest, _ in answers} == {before, json.loads(after)}
    assert len({worker for _, worker in answers}) == 12
