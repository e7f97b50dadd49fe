"""What can go wrong in a comparison."""


class BenchError(Exception):
    """A comparison that cannot be made, or would mean nothing."""


class MissingTaskError(BenchError):
    """A library cannot do a task, or not with these arguments."""
