"""The exceptions of a comparison."""


class BenchError(Exception):
    """A comparison that is impossible or meaningless."""


class MissingTaskError(BenchError):
    """A library cannot do a task, or not with these arguments."""
