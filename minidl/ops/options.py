"""Options of an operation that are carried out around it: on its inputs, or on its gradient."""

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Any


def extends(operation: Any) -> Callable[[Callable[..., Any]], Any]:
    """Decorate the public form of an operation, which takes more options and calls it.

    It has the operation's name, text and body, and a signature of its own.
    """

    def decorate(function: Callable[..., Any]) -> Any:
        parameters = inspect.signature(function).parameters.values()
        public: Any = wraps(operation)(function)
        plain = [p.replace(annotation=p.empty) for p in parameters]
        public.__signature__ = inspect.Signature(plain)
        return public

    return decorate
