"""Operations with an epilogue, by the kernels of the GPU."""

from tests.every_backend.epilogues import *  # noqa: F403
