"""The parts of a module: what its attributes hold, also in lists, tuples and dicts."""

from collections.abc import Iterator, Mapping
from typing import Any

from minidl.errors import warn_once
from minidl.nn.hooks import Hooked


def named(attributes: Mapping[Any, Any], kind: Any) -> Iterator[tuple[str, Any]]:
    """Yield the values of a kind among attributes, and in lists, tuples and dicts, with paths."""
    for name, value in attributes.items():
        if isinstance(value, kind):
            yield str(name), value
        elif isinstance(value, dict | list | tuple):
            inside = value if isinstance(value, dict) else dict(enumerate(value))
            for path, found in named(inside, kind):
                yield f"{name}.{path}", found


def tell_of_foreign_parts(module: Any) -> None:
    """Warn of a module in a plain list that is not trained: programs for PyTorch hide it there."""
    for name, value in vars(module).items():
        if not isinstance(value, dict | list | tuple):
            continue
        for _, part in named({name: value}, Hooked):
            if (module.training and not part.training) or _is_frozen(part):
                owner, plain = type(module).__name__, type(value).__name__
                warn_once(
                    (type(module), name),
                    f"{owner}: {name} is a {plain} with {type(part).__name__}, which is not "
                    f"trained; it is a part of {owner} all the same, in train(), parameters() and "
                    "state_dict(); nn.ModuleList says that it is meant, functools.partial(module) "
                    f"keeps it out, as a plain {plain} does in PyTorch",
                )


def _is_frozen(module: Any) -> bool:
    """Whether a module has parameters, and none of them is trained."""
    trained = [parameter.requires_grad for parameter in module.parameters()]
    return bool(trained) and not any(trained)
