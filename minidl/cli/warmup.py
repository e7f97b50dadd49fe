"""minidl warmup: compile all kernels now, so that nothing is compiled later."""

import argparse
import json
import time
from typing import Any

from minidl.backends.kernels.runtime import machine_code
from minidl.backends.kernels.runtime.cache import cache_folder
from minidl.backends.kernels.runtime.level import level
from minidl.errors import MinidlError


def add_to(commands: Any) -> None:
    """Add the command and its arguments."""
    parser = commands.add_parser(
        "warmup",
        help="compile all kernels now, so that nothing is compiled later",
        description="Compile all kernels for this processor that were neither shipped with minidl "
        "nor compiled before. They are kept in the folder that the environment variable "
        "MINIDL_CACHE names. What was interrupted goes on where it stopped.",
    )
    parser.add_argument("--json", action="store_true", help="print one line of JSON")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Compile what is missing, and say what was done."""
    from minidl.backends.kernels.compiler import declared

    begin = time.monotonic()
    items = declared.declared()
    missing = declared.missing(items)
    try:
        declared.compile_all(missing, level().name)
    except KeyboardInterrupt:
        done = len(missing) - len(declared.missing(missing))
        raise KeyboardInterrupt(f"{done} kernels were compiled, and are kept") from None
    if declared.missing(missing):
        raise MinidlError(f"kernels cannot be kept in {cache_folder()}")
    shipped = len(machine_code.library().functions)
    facts = {
        "level": level().name,
        "shipped": shipped,
        "compiled_before": len(items) - shipped - len(missing),
        "compiled_now": len(missing),
        "seconds": round(time.monotonic() - begin, 1),
    }
    print(json.dumps(facts) if options.json else _in_words(facts))
    return 0


def _in_words(facts: dict[str, Any]) -> str:
    done = {
        f"compiled now, in {facts['seconds']} s": facts["compiled_now"],
        "compiled before": facts["compiled_before"],
        "shipped with minidl": facts["shipped"],
    }
    parts = [f"{count} {what}" for what, count in done.items() if count]
    if not facts["compiled_now"]:
        parts.insert(0, "nothing to compile")
    return f"kernels for {facts['level']}: {'; '.join(parts)}"
