"""The default number of threads in containers: quotas of processor time, from a made-up /proc."""

import math

import pytest

from minidl.backends import threads

VERSION_1 = "12:pids:/a\n4:cpu,cpuacct:/docker/4f\n0::/\n"
# What is in the files of control groups, and how many processors that are.
QUOTAS = {
    "no limit": ("0::/\n", {"cpu.max": "max 100000\n"}, math.inf),
    "a container": ("0::/\n", {"cpu.max": "150000 100000\n"}, 1.5),
    "a group in a group": (
        "0::/a/b.slice/c\n",
        {"a/b.slice/c/cpu.max": "400000 100000", "a/b.slice/cpu.max": "100000 50000"},
        2,
    ),
    "the inner one is smaller": ("0::/a/b\n", {"a/b/cpu.max": "5000 10000", "cpu.max": "9 1"}, 0.5),
    "a path that is not seen here": ("0::/out/side\n", {"cpu.max": "300000 100000"}, 3),
    "a path from another root": ("0::/../../a\n", {"cpu.max": "300000 100000"}, 3),
    "both versions": (VERSION_1, {"unified/cpu.max": "700000 100000"}, 7),
    "version 1": (
        VERSION_1,
        {
            "cpu,cpuacct/docker/4f/cpu.cfs_quota_us": "250000",
            "cpu,cpuacct/docker/4f/cpu.cfs_period_us": "100000",
        },
        2.5,
    ),
    "version 1, seen from inside": (
        VERSION_1,
        {"cpu/cpu.cfs_quota_us": "600000\n", "cpu/cpu.cfs_period_us": "100000\n"},
        6,
    ),
    "version 1, no limit": (
        VERSION_1,
        {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"},
        math.inf,
    ),
    "nothing there": ("0::/\n", {}, math.inf),
    "not even groups": (None, {"cpu.max": "100000 100000"}, math.inf),
    "no group": ("", {}, math.inf),
    "nonsense": ("0::/a\n", {"cpu.max": "1 0", "a/cpu.max": "a lot"}, math.inf),
    "another kind of nonsense": ("hello\n", {"cpu.max": "1 1"}, math.inf),
}


@pytest.mark.parametrize("name", QUOTAS)
def test_a_quota_of_processor_time_is_read(name, tmp_path):
    own, files, expected = QUOTAS[name]
    if own is not None:
        write(tmp_path / "proc/self/cgroup", own)
    for path, content in files.items():
        write(tmp_path / "sys/fs/cgroup" / path, content)
    assert threads._cpu_quota(tmp_path) == expected


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)


@pytest.mark.parametrize(
    ("cores", "quota", "count"),
    [(8, math.inf, 8), (8, 1.5, 2), (8, 2, 2), (8, 0.1, 1), (2, 7.5, 2), (1, 0.5, 1), (4, 3.01, 4)],
)
def test_there_are_as_many_threads_as_can_run_all_the_time(cores, quota, count, monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(threads, "cores", lambda: cores)
    monkeypatch.setattr(threads, "_cpu_quota", lambda root: quota)
    assert threads._default() == count
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    assert threads._default() == 5
