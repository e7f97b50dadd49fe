"""Datasets and collate functions that the worker processes of tests import.

In a module of their own, so that a process does not import PyTorch and the tests with them.
"""

import multiprocessing
import os
import signal
import time

import minidl
from minidl.data import Dataset, sample_generator
from minidl.ops import random


class Noisy(Dataset):
    """A number, and the number with noise."""

    def __init__(self, length):
        self.length = length

    def __len__(self):
        return self.length

    def __getitem__(self, index):
        return index, index + random.uniform((), generator=sample_generator())


class NoisyBatches(Noisy):
    """The same in whole batches."""

    def batch(self, indices):
        return indices, indices + random.uniform(len(indices), generator=sample_generator())


class Broken(Noisy):
    """One sample of it fails, in a way of its own."""

    def __init__(self, length, error=ZeroDivisionError, at=7):
        super().__init__(length)
        self.error, self.at = error, at

    def __getitem__(self, index):
        if index == self.at:
            raise self.error("sample is broken")
        return index


class NotForPickle(Exception):  # noqa: N818
    """An exception that pickle makes, but cannot make again."""

    def __init__(self, text, *, cause="none"):
        super().__init__(text)
        self.cause = lambda: cause


class Deadly(Noisy):
    """One sample ends the process that asks for it."""

    def __getitem__(self, index):
        if index == 5:
            os.kill(os.getpid(), signal.SIGKILL)
        return index


class Slow(Noisy):
    """In processes, samples after the fourth take a minute, and leave a file when they are done."""

    def __init__(self, length, done):
        super().__init__(length)
        self.done = done

    def __getitem__(self, index):
        if multiprocessing.parent_process() and index > 3:
            time.sleep(60)
            self.done.touch()
        return index


class Counted(Noisy):
    """Notes which samples were asked for."""

    def __init__(self, length):
        super().__init__(length)
        self.asked = []

    def __getitem__(self, index):
        self.asked.append(index)
        return index


def with_default_noise(samples):
    """A collate_fn that draws from the default generator, too."""
    return [*minidl.data.collate(samples), random.uniform(()).item()]


def first_two(samples):
    """A collate_fn that can be sent to processes."""
    return samples[:2], random.uniform((), generator=sample_generator()).item()
