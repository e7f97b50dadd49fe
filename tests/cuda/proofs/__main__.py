"""python -m tests.cuda.proofs: every proof of every kernel that needs no GPU, as one table.

python -m tests.cuda.proofs                     all of it
python -m tests.cuda.proofs --kept              what is known of all of it from runs before
python -m tests.cuda.proofs --quick             what CI runs: a sample, which the output describes
python -m tests.cuda.proofs --json              ends with a line: kernels, cells, red cells
python -m tests.cuda.proofs --kernels softmax   kernels whose name or file contains this
python -m tests.cuda.proofs --only sm_80,races  some columns
python -m tests.cuda.proofs --mutants           seeded faults, and which proof first catches each;
                                                with --every-proof, which of them do
python -m tests.cuda.proofs --roofline          an estimate for a T4 and an H200
python -m tests.cuda.proofs --update-sample     find out anew which tests --quick runs

What a file of tests did is kept in $MINIDL_CACHE/proofs, else ~/.cache/minidl/proofs, until what
it depends on changes: a run that was stopped goes on where it was.  The exit code is 1 if a cell is
red.
"""

import argparse
import json
import sys
import time
from dataclasses import replace

from rich.console import Console
from rich.markup import escape

from tests.cuda.ptx.executor import MOST_WORK_IN_ALL_ORDERS

from . import executed, offline, roofline, sample, sources
from .table import COLUMNS, Proofs, show, summary

EXECUTED = {"ptx": ("values", "races"), "asan": ("asan",), "tsan": ("tsan",)}  # columns of each


def _arguments(given: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.cuda.proofs",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--quick", action="store_true", help="a sample of the tests")
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    parser.add_argument("--kernels", default="", help="part of a kernel's or a file's name")
    parser.add_argument("--only", default=",".join(COLUMNS), help="columns, with commas between")
    parser.add_argument("--mutants", action="store_true", help="try the seeded faults")
    parser.add_argument("--every-proof", action="store_true", help="of the faults, try every proof")
    parser.add_argument("--roofline", action="store_true", help="estimate times on GPUs")
    parser.add_argument("--update-sample", action="store_true", help="write sample.json anew")
    parser.add_argument("--kept", action="store_true", help="run nothing: show what is kept")
    parser.add_argument("--fresh", action="store_true", help="run what was kept, too")
    parser.add_argument("--workers", type=int, default=2, help="processes at a time")
    return parser.parse_args(given)


def _chosen_kernels(part: str) -> dict[str, str]:
    everything = {name: path.name for name, path in sources.all_kernels().items()}
    return {
        n: f for n, f in sorted(everything.items(), key=lambda x: x[1]) if part in n or part in f
    }


def main(given: list[str] | None = None) -> int:
    """Run the proofs that were asked for; 0 if nothing is red."""
    options = _arguments(given)
    console = Console(width=None if sys.stdout.isatty() else 200)
    columns = tuple(c for c in COLUMNS if c in options.only.split(","))
    if options.update_sample:
        return sample.update(console, options.workers)
    if options.mutants:
        from . import mutants

        return mutants.main(console, options.kernels, options)
    begin = time.monotonic()
    kernels = _chosen_kernels(options.kernels)
    if not kernels:
        console.print(f"no kernel and no file contains {options.kernels!r}")
        return 2
    if options.roofline:
        roofline.show(_largest_launches(kernels, options, console), list(kernels), console)
        return 0
    proofs = Proofs(asked=columns)
    notes = _run(proofs, kernels, columns, options, console)
    rows = {kernel: proofs.row(kernel) for kernel in kernels}
    show(rows, kernels, console)
    counts = summary(rows)
    claims = _broken_claims(proofs, kernels)
    for note in (*claims, *notes):
        console.print(note)
    counts["red_cells"] += len(claims)
    seconds = time.monotonic() - begin
    console.print(f"{counts['kernels']} kernels, {counts['cells']} cells, {seconds:.0f} s")
    if options.json:
        print(json.dumps({**counts, "sampled": options.quick, "seconds": round(seconds)}))
    return int(counts["red_cells"] > 0)


def _run(
    proofs: Proofs, kernels: dict, columns: tuple, options: argparse.Namespace, console: Console
) -> list[str]:
    """Fill the proofs; what the reader should know of them."""
    notes = ["No GPU has run any of this."]
    if options.quick:
        tests = sample.tests_of(list(kernels))
        if not options.kernels:
            tests, proofs.executed = sample.quick_tests(kernels)
        proofs.runs["ptx"], told = _execute_sample(tests, options, console)
        notes += told
    else:
        notes += _execute(proofs, kernels, columns, options, console)
    targets = [t for t in offline.TARGETS if f"sm_{t}" in columns]
    if targets:
        targets = ["80"] if options.quick else targets
        paths = [p for p in sources.files() if p.name in kernels.values()]
        console.print(f"compiling {len(paths)} sources for sm_{', sm_'.join(targets)} …")
        proofs.compiled = offline.compile_all(paths, targets, options.workers, console)
    if "end to end" in columns and not options.quick:
        console.print("running programs on device cuda (executor gcc) …")
        files = executed.files_of_tests(executed.PROGRAMS)
        choice = executed.Choice(fresh=options.fresh, kept=options.kept)
        proofs.end_to_end = executed.run("gcc", files, choice, options.workers, console)
    return notes


def _execute_sample(
    tests: list[str], options: argparse.Namespace, console: Console
) -> tuple[executed.Run, list[str]]:
    """Execute PTX in tests of the sample; what was sampled, in words."""
    parts = sample.parts_of(tests, options.workers)
    console.print(f"executing PTX in {len(tests)} tests …")
    choice = executed.Choice(tests=tuple(tests), examples=sample.EXAMPLES, fresh=options.fresh)
    run = executed.run("ptx", parts, choice, options.workers, console)
    return run, [
        f"Sampled: {len(tests)} tests, of sample.json, execute the PTX of each kernel but those of "
        f"{sample.SLOW}, threads in one order; no sanitizers; compiled for sm_80 alone; no "
        "programs.",
        *(f"[red]{escape(trouble)}[/]" for trouble in run.trouble),
    ]


def _largest_launches(kernels: dict, options: argparse.Namespace, console: Console) -> executed.Run:
    """What is kept of the whole run, and tests of the sample for kernels that are not in it."""
    whole = executed.Choice(orders="all", kept=True)
    run = executed.run("ptx", executed.files_of_tests(), whole, 1)
    missing = [kernel for kernel in kernels if kernel not in run.kernels]
    if missing:
        run.add(_execute_sample(sample.few_tests_of(missing), options, console)[0])
    return run


def _execute(
    proofs: Proofs, kernels: dict, columns: tuple, options: argparse.Namespace, console: Console
) -> list[str]:
    """Run the tests of kernels under each executor that a column asks for."""
    files = executed.files_of_tests()
    if options.kernels:
        files = sample.files_of(list(kernels)) or files
    most = MOST_WORK_IN_ALL_ORDERS // 10**6
    notes = [
        "Sampled: Hypothesis tries fewer examples than in the test-suite (kernels/examples.py); "
        f"a launch of more than {most} million operations and bytes of PTX runs in one order of "
        "threads, others in three."
    ]
    for executor, asked in EXECUTED.items():
        if set(asked) & set(columns):
            console.print(f"running the tests of kernels, executor {executor} …")
            choice = executed.Choice(orders="all", fresh=options.fresh, kept=options.kept)
            run = executed.run(executor, files, choice, options.workers, console)
            # Few examples launch not every kernel: tests that do, with all examples.
            missing = [kernel for kernel in kernels if not run.launched(kernel)]
            if missing and not run.left_out:
                tests = sample.few_tests_of(missing)
                more = replace(choice, tests=tuple(tests), examples=sample.EXAMPLES)
                parts = sample.parts_of(tests, options.workers)
                run.add(executed.run(executor, parts, more, options.workers, console))
            proofs.runs[executor] = run
            notes += [f"[red]{executor}: {escape(trouble)}[/]" for trouble in run.trouble]
            if run.left_out:
                notes.append(f"{executor}: not run yet: {', '.join(run.left_out)}")
    return notes


def _broken_claims(proofs: Proofs, kernels: dict) -> list[str]:
    if not proofs.compiled:
        return []
    found = []
    for path in sources.files():
        if path.name in kernels.values():
            rows = [
                c for k in sources.kernels_of(path) for c in proofs.compiled.get(k, {}).values()
            ]
            found += [f"[bold red]{text}[/]" for text in offline.missing_claims(path, rows)]
    return found


if __name__ == "__main__":
    sys.exit(main())
