"""Thread count, and splitting work into chunks for threads.

BLAS has threads of its own, which know nothing of those that kernels run on: when both are at work,
each waits for cores on which the other spins, and a matrix product takes ten times as long.  So
kernels run on one pool only, minidl's (`kernels.runtime.thread_pool`), with the number of chunks
from here; they call BLAS only for products so small that it uses no threads.  The chunks depend on
the sizes and the number of threads alone, so that the same program gives the same bits.
"""

import math
import os
from contextlib import suppress
from pathlib import Path, PurePosixPath

from minidl.errors import ArgumentError

_WORTH = 10_000  # nanoseconds of work that justify waking a thread


def _default() -> int:
    """OMP_NUM_THREADS, else every core that this process may use, for all of the time."""
    requested = os.environ.get("OMP_NUM_THREADS", "")
    if requested.isdecimal() and int(requested):
        return int(requested)
    return max(1, math.ceil(min(cores(), _cpu_quota(Path("/")))))


def cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


# Containers have all cores of their machine, and a quota of processor time.  Whoever runs more
# threads than that has used it up before the period is over, and is stopped until the next.


def _cpu_quota(root: Path) -> float:
    """The processors that the control groups of this process may use; infinity: all.

    Linux, Documentation/admin-guide/cgroup-v2.rst and Documentation/scheduler/sched-bwc.rst.
    """
    mounts = root / "sys/fs/cgroup"
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
        return min([_quota_of_hierarchy(mounts, line) for line in lines], default=math.inf)
    except (OSError, ValueError):  # another system
        return math.inf


def _quota_of_hierarchy(mounts: Path, line: str) -> float:
    """The quota of one hierarchy of groups: `0::/path`, or of version 1 `4:cpu,cpuacct:/path`."""
    _, controllers, path = line.split(":", 2)
    if not controllers:
        groups = [*_groups(mounts, path), *_groups(mounts / "unified", path)]
        return min(map(_quota, groups))
    if "cpu" in controllers.split(","):
        groups = [*_groups(mounts / "cpu", path), *_groups(mounts / controllers, path)]
        return min(map(_quota_of_version_1, groups))
    return math.inf


def _groups(mount: Path, path: str) -> list[Path]:
    """The folders of a group and of those around it.

    In a container, its own group may be at the top, and the path one that exists outside only.
    """
    group = PurePosixPath(path.lstrip("/"))
    if ".." in group.parts:
        return [mount]
    return [mount / folder for folder in (group, *group.parents)]


def _quota(group: Path) -> float:
    with suppress(OSError, ValueError, ZeroDivisionError):
        quota, period = (group / "cpu.max").read_text().split()
        return int(quota) / int(period)  # "max" is no number: there is no limit
    return math.inf


def _quota_of_version_1(group: Path) -> float:
    with suppress(OSError, ValueError, ZeroDivisionError):
        quota = int((group / "cpu.cfs_quota_us").read_text())
        period = int((group / "cpu.cfs_period_us").read_text())
        return quota / period if quota > 0 else math.inf
    return math.inf


_threads = _default()


def get_num_threads() -> int:
    """The maximum number of threads that a kernel uses.

    >>> minidl.get_num_threads() >= 1
    True
    """
    return _threads


def set_num_threads(n: int) -> None:
    """Use at most n threads in kernels; the default is OMP_NUM_THREADS, else every core.

    Of a container that has a quota of processor time, it is what the quota suffices for.

    >>> before = minidl.get_num_threads()
    >>> minidl.set_num_threads(1)  # leave the other cores to other programs
    >>> minidl.get_num_threads()
    1
    >>> minidl.set_num_threads(before)
    """
    global _threads
    if type(n) is not int or n < 1:
        raise ArgumentError(f"set_num_threads: needs an integer ≥ 1; got {n!r}")
    _threads = n


def chunks(nanoseconds: float) -> int:
    """The number of chunks into which to split work that takes one thread about this long."""
    return max(1, min(_threads, int(nanoseconds) // _WORTH))
