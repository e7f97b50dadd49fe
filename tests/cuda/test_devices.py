"""GPUs of the backend: names, memory, transfers, and checks that are read later."""

import cupy
import numpy as np
import pytest

import minidl
import minidl_cuda as backend
from minidl.errors import BoundsError, DeviceMemoryError
from minidl_cuda import checks, launch
from tests.cuda.stand_in import arrays, devices


@pytest.fixture
def wrapping(monkeypatch):
    """Indices wrap around, as on the GPU, until somebody reads what the check found."""
    monkeypatch.setitem(arrays.settings, "wrap", True)
    monkeypatch.setattr(checks, "_immediate", False)
    yield
    checks._of_device.clear()


def test_two_gpus_are_told_apart():
    assert backend.devices() == ["cuda:0", "cuda:1"]
    x = backend.to_device(cupy.arange(3), "cuda:1")
    assert backend.device_of(x) == "cuda:1"
    assert backend.current_device() == "cuda:0"
    with pytest.raises(ValueError, match="array device = 1 while current = 0"):
        x + 1


def test_values_move_between_gpus_without_the_host(counters):
    x = cupy.arange(6).reshape(2, 3)
    before = counters.h2d, counters.d2h
    y = backend.to_device(x.T, "cuda:1")
    assert (counters.h2d, counters.d2h, counters.peer) == (*before, 1)
    np.testing.assert_array_equal(backend.to_numpy(y), np.arange(6).reshape(2, 3).T)


def test_memory_is_counted():
    backend.reset_peak_memory("cuda:0")
    before = backend.memory("cuda:0")
    x = cupy.empty(1 << 18, "float32")
    during = backend.memory("cuda:0")
    del x
    after = backend.memory("cuda:0")
    assert during["allocated"] - before["allocated"] == 1 << 20
    assert after["allocated"] == before["allocated"]
    assert after["peak"] == during["allocated"]
    assert during["free"] + during["allocated"] <= during["total"] == devices.CAPACITY


def test_an_error_says_what_was_asked_for_and_what_is_free():
    pool = cupy.get_default_memory_pool()
    with cupy.cuda.Device(1):
        pool.set_limit(3 << 20)
        try:
            kept = cupy.empty(1 << 20, "uint8")
            with pytest.raises(
                DeviceMemoryError, match=r"cuda:1 has no room for 4\.0 MiB: of 16\.0 GiB"
            ):
                cupy.empty(1 << 20, "float32")
            assert issubclass(DeviceMemoryError, MemoryError)
            assert kept.size
        finally:
            pool.set_limit(0)


def test_uploads_arrive_in_buffers_that_are_used_again():
    rng = np.random.default_rng(0)
    batches = [(rng.standard_normal((4, 3)), np.arange(i, i + 5)) for i in range(4)]
    waiting = [backend.upload(batch, "cuda:1") for batch in batches[:2]]
    for i, batch in enumerate(batches):
        copies = waiting.pop(0)()
        if i + 2 < len(batches):
            waiting.append(backend.upload(batches[i + 2], "cuda:1"))
        for copy, x in zip(copies, batch, strict=True):
            assert backend.device_of(copy) == "cuda:1"
            np.testing.assert_array_equal(copy.get(), x)


def test_pinned_arrays_have_the_same_values():
    x = np.arange(12, dtype="float32").reshape(3, 4)[:, ::2]
    np.testing.assert_array_equal(backend.pinned(x), x)
    assert backend.pinned(np.empty((0, 2))).shape == (0, 2)


# Checks.


def test_a_check_of_indices_waits_for_nobody(counters, wrapping):
    indices = cupy.asarray(np.array([[1, 2], [9, -3]]))
    counters.reset()
    assert backend.check_indices(indices, 4) is indices
    assert (counters.h2d, counters.d2h, counters.sync) == (0, 0, 0)
    with pytest.raises(BoundsError, match=r"index 9 is outside 0 … 3"):
        backend.to_numpy(indices)
    backend.to_numpy(indices)  # it is raised once


def test_the_first_error_is_raised_and_says_where_it_came_from(wrapping):
    weight = minidl.asarray(np.eye(3), device="cuda:0")
    minidl.embedding(weight, minidl.tensor([0, 5], device="cuda:0"))
    minidl.embedding(weight, minidl.tensor([7], device="cuda:0"))
    with pytest.raises(
        BoundsError, match=r"index 5 is outside 0 … 2 .*embedding.*test_devices\.py"
    ):
        backend.synchronize("cuda:0")


@pytest.mark.parametrize("dtype", ["int8", "int16", "int32", "int64", "uint8", "uint64"])
def test_checks_of_all_integers(dtype, wrapping):
    good = cupy.arange(100).astype(dtype)
    backend.check_indices(good, 100)
    backend.synchronize("cuda:0")
    backend.check_indices(good, 99)
    with pytest.raises(BoundsError, match="index 99 is outside 0 … 98"):
        backend.synchronize("cuda:0")


def test_huge_indices_are_named_within_32_bits(wrapping):
    backend.check_indices(cupy.asarray(np.array([2**40])), 3)
    with pytest.raises(BoundsError, match="index ≥ 2147483647 is outside"):
        backend.synchronize("cuda:0")


def test_indices_of_all_kinds_are_checked_at_their_axis(wrapping):
    x = minidl.asarray(np.zeros((3, 4, 5)), device="cuda:0")
    for index in ((2, np.array([3, -4])), (..., np.array([4])), (None, np.array([-3]), 0)):
        x[index]
    backend.synchronize("cuda:0")
    x[:, np.array([4])]
    with pytest.raises(BoundsError, match="index 4 is out of bounds for axis 1 with size 4"):
        backend.synchronize("cuda:0")


def test_checks_of_any_condition(wrapping):
    backend.check(cupy.ones((3, 3), bool), lambda: ValueError("never"))
    backend.check(cupy.asarray(np.array([True, False])), lambda: ValueError("a lazy error"))
    with pytest.raises(ValueError, match="a lazy error"):
        backend.synchronize("cuda:0")


def test_more_checks_than_there_are_slots_wait_once(counters, wrapping, monkeypatch):
    monkeypatch.setattr(checks, "_SLOTS", 8)
    checks._of_device.clear()
    indices = cupy.zeros(3, "int64")
    counters.reset()
    for _ in range(20):
        backend.check_indices(indices, 1)
    assert counters.d2h == 2


# Launches.


def test_an_empty_grid_launches_nothing(launches):
    launch.Module("checks.cu").kernel("all_true")(0, 256, ())
    assert not launches


def test_a_grid_that_no_gpu_has_is_an_error():
    """CuPy would cut the first number off at 32 bits."""
    kernel = launch.Module("checks.cu").kernel("all_true")
    for grid in (2**31, (1, 65536), (1, 1, 65536)):
        with pytest.raises(ValueError, match="all_true: a grid has at most"):
            kernel(grid, 256, ())


def test_a_source_changes_with_its_headers_and_has_any_encoding(tmp_path, monkeypatch):
    """CuPy's cache on disk would give the kernels of old headers."""
    monkeypatch.setattr(launch, "FOLDER", tmp_path)
    (tmp_path / "x.cu").write_text("// Σ\n", encoding="utf-8")
    texts = []
    for header in ("int x;", "int y;"):
        (tmp_path / "x.cuh").write_text(header)
        launch._digest_of_headers.cache_clear()
        texts.append(launch.source("x.cu"))
    launch._digest_of_headers.cache_clear()
    assert texts[0] != texts[1]
    assert all(text.isascii() and text.startswith("// ~\n") for text in texts)


def test_dynamic_shared_memory_is_aligned_for_vectors():
    """On the host it always is."""
    lines = [line for path in launch.FOLDER.glob("*.cu*") for line in path.read_text().splitlines()]
    dynamic = [line for line in lines if "extern __shared__" in line]
    assert dynamic
    assert all("extern __shared__ __align__(16) " in line for line in dynamic)


def test_deterministic_mode_is_of_a_block():
    assert not launch.deterministic()
    with launch.use_deterministic():
        assert launch.deterministic()
        with launch.use_deterministic(False):
            assert not launch.deterministic()
    assert not launch.deterministic()


def test_copies_for_other_libraries_are_made_here():
    """CuPy's arrays refuse to make them."""
    x = cupy.arange(3)
    copy = backend.imported(x, copy=True)
    copied = cupy.from_dlpack(_Exported(minidl.asarray(x), copy=True))
    x[0] = 9
    assert backend.imported(x, copy=False).get().tolist() == [9, 1, 2]
    assert copy.get().tolist() == copied.get().tolist() == [0, 1, 2]


class _Exported:
    """A tensor of which the consumer asks for a copy."""

    def __init__(self, x, copy):
        self.x, self.copy = x, copy

    def __dlpack_device__(self):
        return self.x.__dlpack_device__()

    def __dlpack__(self, **settings):
        return self.x.__dlpack__(**settings | {"copy": self.copy})
