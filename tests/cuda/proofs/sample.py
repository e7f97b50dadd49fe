"""sample.json: a few quick tests that together launch every kernel, which `--quick` runs.

It is written by `python -m tests.cuda.proofs --update-sample`, which tries a few tests of each
function, and all of them where these leave a kernel out. A kernel that no test of the sample
launches is a red cell: then it is time to write it anew.
"""

import json
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from . import executed, sources

EXAMPLES = 40  # that Hypothesis tries at most in a test of the sample: fewer leave kernels out
SLOW = "attention"  # files whose kernels take as long as a third of the others together
_FILE = Path(__file__).with_name("sample.json")


def _kept() -> dict[str, list[str]]:
    return json.loads(_FILE.read_text()) if _FILE.exists() else {}


def tests_of(kernels: list[str]) -> list[str]:
    """Tests of the sample that launch some of these kernels."""
    return sorted(test for test, launched in _kept().items() if set(launched) & set(kernels))


def quick_tests(kernels: dict[str, str]) -> tuple[list[str], frozenset[str]]:
    """The tests of the sample that CI has the time for, and which of these kernels they launch."""
    slow = {name for name, path in sources.all_kernels().items() if path.name.startswith(SLOW)}
    tests = [test for test in tests_of(list(kernels)) if slow.isdisjoint(_kept()[test])]
    return tests, frozenset(name for name in kernels if name not in slow)


def few_tests_of(kernels: list[str]) -> list[str]:
    """A few tests of the sample that launch all of these kernels, and little of other sources."""
    where = sources.all_kernels()
    tests = {test: _kept()[test] for test in tests_of(kernels)}
    foreign = {
        test: len({where.get(name) for name in launched}) for test, launched in tests.items()
    }
    missing, chosen = set(kernels), []
    while any(missing & set(launched) for launched in tests.values()):
        best = max(tests, key=lambda test: len(missing & set(tests[test])) / foreign[test])
        chosen.append(best)
        missing -= set(tests[best])
    return chosen


def files_of(kernels: list[str]) -> list[tuple[str, ...]]:
    """The files of tests in which these kernels are launched, each by itself."""
    return [(file,) for file in sorted({test.split("::")[0] for test in tests_of(kernels)})]


def parts_of(tests: list[str], workers: int) -> list[tuple[str, ...]]:
    """The files of these tests, in so many parts of which each takes about as long.

    Compiling takes longest: a file is as large as the sources of the kernels that it launches.
    """
    where, launched = sources.all_kernels(), _kept()
    compiled: dict[str, set[Path]] = {}
    for test in tests:
        own = {where[name] for name in launched.get(test, ()) if name in where}
        compiled.setdefault(test.split("::")[0], set()).update(own)
    parts: list[list[str]] = [[] for _ in range(workers)]
    size = {file: sum(p.stat().st_size for p in paths) for file, paths in compiled.items()}
    for file in sorted(size, key=size.__getitem__, reverse=True):
        min(parts, key=lambda part: sum(size[f] for f in part)).append(file)
    return [tuple(part) for part in parts if part]


def update(console: Console, workers: int) -> int:
    """Choose anew, by running tests under gcc; 1 if a kernel is launched by none.

    What was chosen before stays. Of files of which nothing was, a few tests of each function run,
    and all tests only where that leaves a kernel out.
    """
    kernels = list(sources.all_kernels())
    there = (executed.ROOT / executed.KERNEL_TESTS).glob("test_*.py")
    names = {f"{executed.KERNEL_TESTS}/{path.name}" for path in there}
    known = {t: k for t, k in _kept().items() if t.split("::")[0] in names}
    files = executed.files_of_tests()
    new = [part for part in files if not any(t.split("::")[0] in part for t in known)]
    done = executed.run("gcc", new, executed.Choice(thin=6, examples=EXAMPLES), workers, console)
    for test, launched in known.items():
        row = {"outcome": "passed", "message": "", "seconds": 0.1}
        done.tests[test] = {**row, "kernels": dict.fromkeys(launched, 1)}
    if any(not done.launched(kernel) for kernel in kernels):
        choice = executed.Choice(examples=EXAMPLES)
        done.add(executed.run("gcc", files, choice, workers, console))
    return _keep(done, kernels, console)


def _keep(done: executed.Run, kernels: list[str], console: Console) -> int:
    tests = executed.cover(done, kernels)
    chosen = {test: sorted(done.tests[test]["kernels"]) for test in tests}
    _FILE.write_text(json.dumps(dict(sorted(chosen.items())), indent=1) + "\n")
    missing = sorted(set(kernels) - {k for launched in chosen.values() for k in launched})
    console.print(f"{len(chosen)} of {len(done.tests)} tests launch {len(kernels)} kernels")
    for trouble in done.trouble:
        console.print(f"[red]{escape(trouble)}[/]")
    if missing:
        console.print(f"[red]no passing test launches {', '.join(missing)}[/]")
    return int(bool(missing))
