"""Backends: the devices that arrays are stored on, and the functions that compute there."""

from minidl.backends import cpu
from minidl.backends.device import device
from minidl.backends.registry import backend_of, by_type, device_backend, device_of, register

__all__ = ["backend_of", "by_type", "device", "device_backend", "device_of", "register"]

register(cpu)
