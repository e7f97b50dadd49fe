"""A process that compiles kernels for a program: requests come by its input.

    request    a line of JSON: the name of a kernel or an outlined function, and a signature or null
    answer     a line of JSON: the size of what follows, and whether it is an error message

In the background nobody reads the answers: machine code is left in the cache.
"""

import json
import os
import signal
import sys
import warnings
from collections.abc import Iterator
from typing import Any, BinaryIO

from minidl.backends.kernels.compiler import emit
from minidl.backends.kernels.runtime import cache, machine_code
from minidl.backends.kernels.runtime.compiler_process import ANSWER
from minidl.backends.kernels.runtime.functions import Outlined
from minidl.backends.kernels.runtime.kernel import Kernel, find
from minidl.backends.kernels.runtime.signature import parse

_IDLE = 20  # seconds


def main(answering: bool) -> None:
    """Compile until there are no more requests."""
    if not answering and hasattr(os, "nice"):
        os.nice(5)
    warnings.simplefilter("ignore")  # the program warns, if it cannot store what it gets
    # What anybody prints must not come between the answers.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    try:
        for line in _requests():
            _serve(answers, json.loads(line))
    except SystemExit:
        os._exit(0)  # at once, without what Numba does at the end


def _serve(answers: BinaryIO, request: dict[str, Any]) -> None:
    """Compile what is asked for."""
    try:
        _answer(answers, _object_file(request["name"], request["signature"]), error=False)
    except Exception as error:
        _answer(answers, f"{request['name']}: {error}".encode(), error=True)


def _requests() -> Iterator[bytes]:
    """What is asked for; the process ends when there was nothing for a while."""
    while True:
        if hasattr(signal, "alarm"):
            signal.alarm(_IDLE)
        line = sys.stdin.buffer.readline()
        if hasattr(signal, "alarm"):
            signal.alarm(0)
        if not line:
            return
        yield line


def _answer(answers: BinaryIO, content: bytes, *, error: bool) -> None:
    header = json.dumps({"size": len(content), "error": error}).encode()
    answers.write(ANSWER + header + b"\n" + content)
    answers.flush()


def _object_file(name: str, signature: str | None) -> bytes:
    item: Kernel | Outlined = find(name)
    types: Any = None if signature is None else parse(signature)
    return stored_object_file(item, types)


def stored_object_file(item: Any, signature: Any) -> bytes:
    """The object file from the cache, or compiled and stored there."""
    symbol = machine_code.symbol_of(item, signature)
    with cache.lock(symbol):
        found = cache.load(symbol)
        if found is None:
            found = emit.object_file(item, signature)
            cache.store(symbol, found)
    return found
