"""How many examples Hypothesis tries: fewer where an executor is slow.

MINIDL_CUDA_EXAMPLES in the environment is another limit.
"""

import os

from hypothesis import settings

from tests.cuda.stand_in.modules import executor

_LIMITS = {"ptx": 20, "asan": 12, "tsan": 8}
LIMIT = int(os.environ.get("MINIDL_CUDA_EXAMPLES") or _LIMITS.get(executor(), 1000))


def examples(most: int) -> settings:
    """Hypothesis's settings for a test: so many examples, or what the limit leaves of them."""
    return settings(max_examples=min(most, LIMIT))
