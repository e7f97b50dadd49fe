"""Settings of every test run."""

from hypothesis import settings

# The same examples in every run and on every machine, however slow it is.
settings.register_profile("minidl", derandomize=True, deadline=None, database=None, max_examples=40)
settings.load_profile("minidl")
