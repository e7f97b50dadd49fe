"""Operations with an epilogue, by the kernels of the CPU."""

from tests.every_backend.epilogues import *  # noqa: F403
