"""Whether memory grows while a network is trained."""

from bench import libraries
from bench.child import status_bytes
from bench.workloads import WORKLOADS, Workload

MEGABYTE = 1e6
SETTLED = 100  # the steps after which everything that is cached exists


def resident(steps: int) -> tuple[int, int]:
    """The bytes resident after SETTLED training steps of the cnn, and after `steps` of them."""
    workload = WORKLOADS["cnn"]
    assert isinstance(workload, Workload)
    step = libraries.task(libraries.load("minidl"), workload.task)(**workload.arguments())
    for _ in range(SETTLED):
        step()
    settled = status_bytes("VmRSS")
    for _ in range(steps - SETTLED):
        step()
    return settled, status_bytes("VmRSS")
