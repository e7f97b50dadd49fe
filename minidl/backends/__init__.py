"""The backends: where arrays live, and the functions that compute on them there."""

from minidl.backends import cpu
from minidl.backends.registry import backend_of, by_type, device_backend, register

__all__ = ["backend_of", "by_type", "device_backend", "register"]

register(cpu)
