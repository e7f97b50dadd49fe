"""What the stand-in knows of the real package: `python tests/cuda/stand_in/pin.py` writes it anew.

CuPy is imported without a GPU; only arrays need one.
"""

import inspect
import json
from pathlib import Path
from typing import Any

import numpy as np

PINNED = Path(__file__).with_name("pinned.json")
_CHARS = set("?bBhHiIlLqQefdFD->")


def load() -> dict[str, Any]:
    """What was written."""
    return json.loads(PINNED.read_text(encoding="utf-8"))


def read() -> dict[str, Any]:
    """The same of the CuPy that is installed."""
    import cupy
    import cupyx.scipy.special

    modules = {"": cupy, "linalg.": cupy.linalg, "fft.": cupy.fft}
    return {
        "version": cupy.__version__,
        "names": sorted(n for n in dir(cupy) if not n.startswith("_")),
        "array": sorted(n for n in dir(cupy.ndarray) if not n.startswith("__")),
        "special": sorted(n for n in dir(cupyx.scipy.special) if not n.startswith("_")),
        "types": dict(_types(cupy)),
        "signatures": {
            prefix + name: _parameters(getattr(module, name))
            for prefix, module in modules.items()
            for name in sorted(dir(module))
            if not name.startswith("_") and inspect.isfunction(getattr(module, name))
        },
    }


def _types(cupy: Any) -> Any:
    """The loops of those ufuncs that NumPy has too."""
    for name in dir(np):
        function, theirs = getattr(np, name), getattr(cupy, name, None)
        if isinstance(function, np.ufunc) and hasattr(theirs, "types"):
            yield function.__name__, " ".join(t for t in theirs.types if set(t) <= _CHARS)


def _parameters(function: Any) -> str:
    """`a axis= *args key=!`: which have a default (=), and which are given by name only (!)."""
    marks = {inspect.Parameter.VAR_POSITIONAL: "*", inspect.Parameter.VAR_KEYWORD: "**"}
    found = []
    for p in inspect.signature(function).parameters.values():
        default = "" if p.default is p.empty else "="
        by_name = "!" if p.kind is p.KEYWORD_ONLY else ""
        found.append(f"{marks.get(p.kind, '')}{p.name}{default}{by_name}")
    return " ".join(found)


def signature(parameters: str) -> inspect.Signature:
    """The signature that was written as text."""
    return inspect.Signature(list(map(_parameter, parameters.split())))


def _parameter(text: str) -> inspect.Parameter:
    name = text.strip("*=!")
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    if text.startswith("**"):
        kind = inspect.Parameter.VAR_KEYWORD
    elif text.startswith("*"):
        kind = inspect.Parameter.VAR_POSITIONAL
    elif text.endswith("!"):
        kind = inspect.Parameter.KEYWORD_ONLY
    default = None if "=" in text else inspect.Parameter.empty
    return inspect.Parameter(name, kind, default=default)


if __name__ == "__main__":
    PINNED.write_text(json.dumps(read(), indent=0, sort_keys=True) + "\n")
