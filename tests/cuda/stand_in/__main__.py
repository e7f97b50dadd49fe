"""Run a program on the stand-in, as `python` would run it, and print what its device did.

    python -m tests.cuda.stand_in examples/feed_forward_net.py
    python -m tests.cuda.stand_in -m minidl train mlp --epochs 1

The default device is "cuda", unless MINIDL_DEVICE is set.  Before the program may stand

    --steps N       stop it after N calls of `backward`
    --json FILE     write there what `tests.cuda.programs.record` records, the losses among it
    --quiet         print nothing beside what the program prints
"""

import argparse
import json
import os
import runpy
import sys
from pathlib import Path

os.environ.setdefault("MINIDL_DEVICE", "cuda")  # before minidl is imported

from tests.cuda import stand_in


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.cuda.stand_in",
        description="Run a program on the stand-in for a GPU, and print what the device did.",
    )
    parser.add_argument("--steps", type=int, metavar="N", help="stop after N calls of `backward`")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write what was recorded")
    parser.add_argument("--quiet", action="store_true", help="print no table")
    parser.add_argument("-m", dest="module", action="store_true", help="the program is a module")
    parser.add_argument("program", help="a file, or a module after -m")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help="those of the program")
    return parser.parse_args()


def main() -> int:
    """Run the program; its exit status."""
    options = _options()
    stand_in.install()
    from tests.cuda.programs import record, table

    sys.argv[:] = [options.program, *options.arguments]
    with record.recording(options.steps) as found:
        status = _run(options.program, options.module)
    if not options.quiet:
        table.show(found)
    if options.json:
        options.json.write_text(json.dumps(found.as_dict()))
    return status


def _run(program: str, is_module: bool) -> int:
    from tests.cuda.programs.record import Enough

    try:
        if is_module:
            runpy.run_module(program, run_name="__main__", alter_sys=True)
        else:
            sys.path[0] = str(Path(program).resolve().parent)
            runpy.run_path(program, run_name="__main__")
    except Enough:
        return 0
    except SystemExit as exit_:
        return exit_.code if isinstance(exit_.code, int) else int(exit_.code is not None)
    return 0


if __name__ == "__main__":
    sys.exit(main())
