"""What one stream does after what another one did: the stand-in does everything at once, a GPU not.

Events and waits are written down, and tests look at their order.
"""

import cupy
import numpy as np
import pytest

import minidl
import minidl_cuda as backend
from minidl.errors import BoundsError
from minidl_cuda import checks
from tests.cuda.stand_in import arrays, devices


@pytest.fixture
def order(counters, monkeypatch):
    """The kinds of what was done, in order, with marks and waits."""
    record, wait = devices.Stream.record, devices.Stream.wait_event

    def recorded(self, event=None):
        counters._note("record", "")
        event = record(self, event)
        event.stream = self
        return event

    def waited(self, event):
        counters._note("wait", event)
        wait(self, event)

    monkeypatch.setattr(devices.Stream, "record", recorded)
    monkeypatch.setattr(devices.Stream, "wait_event", waited)
    monkeypatch.setattr(counters, "trace", True)
    return lambda: [event.kind for event in counters.events]


def test_a_copy_to_another_gpu_waits_for_what_it_reads_and_is_waited_for(order, counters):
    x = cupy.arange(6).reshape(2, 3).T
    counters.reset()
    backend.to_device(x, "cuda:1")
    kinds = [kind for kind in order() if kind != "launch"]
    assert order()[0] == "launch"  # x in contiguous memory, which is what is copied
    assert kinds == ["record", "wait", "peer", "record", "wait"]


def test_memory_of_an_upload_that_nobody_wants_is_kept_until_it_arrived(monkeypatch):
    under_way = devices.Event.__init__

    def not_done(self, *arguments, **settings):
        under_way(self, *arguments, **settings)
        self.done = False

    with monkeypatch.context() as patch:
        patch.setattr(devices.Event, "__init__", not_done)
        copies = backend.upload([np.zeros(1 << 16)], "cuda:1")
        del copies
    assert backend.memory("cuda:1")["allocated"] >= 1 << 19


def test_checks_of_another_stream_are_waited_for(order, counters, monkeypatch):
    monkeypatch.setitem(arrays.settings, "wrap", True)
    monkeypatch.setattr(checks, "_immediate", False)
    checks._of_device.clear()
    wrong, side = cupy.asarray(np.array([7])), minidl.cuda.Stream("cuda:0")
    with minidl.cuda.stream(side):
        backend.check_indices(wrong, 3)
    counters.reset()
    with pytest.raises(BoundsError, match="index 7"):
        backend.to_numpy(wrong)
    waits = [event.what for event in counters.events if event.kind == "wait"]
    assert [event.stream for event in waits] == [side.cupy]
    assert order().index("wait") < order().index("d2h")
    checks._of_device.clear()


def test_an_event_is_of_the_gpu_whose_stream_it_marks():
    """CUDA refuses to mark a stream of another GPU."""
    event, stream = minidl.cuda.Event(), minidl.cuda.Stream("cuda:1")
    event.record(stream)
    assert event.cupy.device_id == 1
    with pytest.raises(RuntimeError, match="cudaErrorInvalidResourceHandle"):
        cupy.cuda.Event().record(stream.cupy)
    stream.wait_event(event)
