"""Machine code that is shipped gives the same bits as what is compiled on the spot."""

import json
import os
import re
import shutil
import subprocess
import sys

import pytest

from minidl.backends import threads
from minidl.backends.kernels.compiler import build
from minidl.backends.kernels.compiler.declared import compile_all, declared
from minidl.backends.kernels.runtime import cache, machine_code
from minidl.backends.kernels.runtime import level as levels
from tests.packaging.support import ALLOWED, ROOT, needs_compiler, undefined_symbols

HERE = [found.name for found in levels.available() if found.name != "x86-64"]
ELSEWHERE = [
    found.name
    for found in levels.LEVELS.values()
    if found.name != "x86-64" and found.architecture != levels.level().architecture
]
SOME = 40  # of a fixed slice of the cases, every so many

# The cases of tests.bits, with the libraries in a folder and no others.
COMPUTE = """
import json, sys
from pathlib import Path
from minidl.backends.kernels.runtime import compiler_process, machine_code
named = machine_code.library_path
machine_code.library_path = lambda level: Path(sys.argv[1], named(level).name)
from tests import bits
found = {"digests": bits.digests(int(sys.argv[2])), "reached": sorted(bits.reached())}
found["compilers"] = [name for name in ("numba", "llvmlite.binding") if name in sys.modules]
found["processes"] = len(compiler_process._foreground) + len(compiler_process._background)
json.dump(found, sys.stdout)
"""


def computed(libraries, level, every=1):
    done = subprocess.run(
        [sys.executable, "-c", COMPUTE, libraries, str(every)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "MINIDL_LEVEL": level},
        stdout=subprocess.PIPE,
        check=True,
    )
    return json.loads(done.stdout)


def assert_same(shipped, compiled):
    assert shipped["digests"].keys() == compiled["digests"].keys()
    assert [
        name for name, digest in shipped["digests"].items() if compiled["digests"][name] != digest
    ] == []
    assert shipped["reached"] == compiled["reached"]
    assert (shipped["compilers"], shipped["processes"]) == ([], 0), "nothing was compiled"
    assert compiled["compilers"] == ["llvmlite.binding"], "which loads object files"


@needs_compiler
def test_some_kernels(tmp_path):
    compiled = computed(tmp_path, HERE[0], SOME)
    items = [item for item in declared() if machine_code.symbol_of(*item) in compiled["reached"]]
    assert len(items) > 30
    library = build.build(HERE[0], tmp_path / "native", items)
    assert_same(computed(library.parent, HERE[0], SOME), compiled)


OTHERS = [
    name for name in [*build.levels_named(["all"]), *ELSEWHERE] if name != levels.level().name
]
MACHINES = {"x86_64": 62, "aarch64": 183}  # as ELF numbers them
PARTS = 4


@needs_compiler
@pytest.mark.full
@pytest.mark.parametrize("name", sorted(OTHERS))
def test_a_part_of_the_kernels_is_compiled_and_linked_for_other_levels(name, tmp_path):
    """A quarter, another one after each change of their sources, and what they all may call."""
    linked_for(name)
    turn = int(cache.source_digest(), 16) % PARTS
    items = [
        (item, signature)
        for i, (item, signature) in enumerate(declared())
        if signature is None or i % PARTS == turn
    ]
    library = build.build(name, tmp_path, items)
    machine = MACHINES[levels.LEVELS[name].architecture]
    assert int.from_bytes(library.read_bytes()[18:20], "little") == machine
    names, needed, versions = undefined_symbols(library)
    assert (names - ALLOWED, needed, versions) == (set(), [], False)


def linked_for(name):
    """Skip the test where there is nothing that links for a level."""
    try:
        build.linker(levels.LEVELS[name].architecture)
    except SystemExit as reason:
        pytest.skip(str(reason))


# All kernels: a minute or two for each level, unless they are in the cache.


@pytest.fixture(scope="module", params=HERE)
def library(request, tmp_path_factory):
    """The library for a level of this machine."""
    return build.build(request.param, tmp_path_factory.mktemp("native"), declared())


@needs_compiler
@pytest.mark.full
def test_all_kernels(library, tmp_path):
    compiled = computed(tmp_path, library.stem)
    assert_same(computed(library.parent, library.stem), compiled)
    left_out = set(machine_code.contents(library).functions) - set(compiled["reached"])
    if threads.cores() == 1:  # no threads are started
        left_out -= {f"runtime.thread_pool:{name}" for name in ("work", "stop", "spin")}
    assert left_out == set()


@needs_compiler
@pytest.mark.full
def test_what_is_compiled_again_is_linked_to_the_same_bytes(library, tmp_path, monkeypatch):
    """In any order, by any process, with nothing in the cache."""
    monkeypatch.setenv("MINIDL_CACHE", str(tmp_path))
    again = compile_all(declared()[::-1], library.stem)
    assert build.link(reversed(again.values()), library.stem) == library.read_bytes()


@pytest.fixture(scope="module", params=ELSEWHERE)
def objects(request):
    """The object files for a level of other machines, and the level."""
    return compile_all(declared(), request.param), levels.LEVELS[request.param]


@pytest.mark.full
def test_kernels_are_compiled_for_machines_of_another_kind(objects):
    codes, level = objects
    machine = MACHINES[level.architecture]
    for code in codes.values():
        assert code[:4] == b"\x7fELF"
        assert int.from_bytes(code[18:20], "little") == machine


@pytest.mark.full
def test_their_library_refers_to_nothing_that_is_not_there(objects, tmp_path):
    codes, level = objects
    linked_for(level.name)
    path = tmp_path / "library.so"
    path.write_bytes(build.link(codes.values(), level.name))
    names, needed, versions = undefined_symbols(path)
    assert (names - ALLOWED, needed, versions) == (set(), [], False)


# Instructions.

# Those that have different results on different processors: approximations, the transcendental
# functions of the x87, and what a processor says about itself.
DIFFERENT = re.compile(
    r"v?r(cp|sqrt)[0-9ps].*|f(sin|cos|sincos|ptan|patan|2xm1|yl2x|yl2xp1|prem|prem1)"
    r"|cpuid|rdtscp?|rdrand|rdseed|rdpid|xgetbv|rdfsbase|rdgsbase"
)
# Those of no level.
BEYOND = re.compile(
    r"v?(aes|sha\d|pclmul|gf2p8).*|vpdp.*|vpmadd52.*|vpopcnt.*|v(?!cvtps2ph).*(bf16|ph|sh)|vp2intersect.*"
    r"|v?p(shld|shrd|multishift|compress[bw]|expand[bw]).*|vperm([it]2)?b|tdp.*|xbegin|adcx|adox"
)
ENCODINGS = {
    "x86-64-v2": {"legacy"},
    "x86-64-v3": {"legacy", "VEX"},
    "x86-64-v4": {"legacy", "VEX", "EVEX"},
}
WITHOUT_VECTORS = {"x86-64-v2": re.compile("lzcnt|movbe")}  # in legacy encoding, but of v3
SEGMENT_OR_ADDRESS_SIZE = 0x26, 0x2E, 0x36, 0x3E, 0x64, 0x65, 0x67


def instructions(library):
    """The encoding and the name of each instruction; EVEX, of AVX-512, and VEX have a first byte.

    Intel 64 and IA-32 Architectures Software Developer's Manual, volume 2, 2.3 and 2.7.
    """
    lines = subprocess.run(
        ["objdump", "--disassemble", "--wide", library], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    for line in lines:
        _, *fields = line.split("\t")
        if len(fields) == 2:
            code, text = bytes.fromhex(fields[0]), fields[1].split()
            first = next((byte for byte in code if byte not in SEGMENT_OR_ADDRESS_SIZE), 0)
            prefix = {"rep", "repz", "repnz", "lock", "cs", "ds", "data16", "notrack"}
            name = next((word for word in text if word not in prefix), "")
            yield {0x62: "EVEX", 0xC4: "VEX", 0xC5: "VEX"}.get(first, "legacy"), name


@needs_compiler
@pytest.mark.full
@pytest.mark.skipif(not shutil.which("objdump"), reason="needs objdump")
@pytest.mark.skipif(levels.level().architecture != "x86_64", reason="is about x86-64")
def test_the_instructions_are_those_of_the_level(library):
    found = set(instructions(library))
    names = {name for _, name in found}
    assert {encoding for encoding, _ in found} == ENCODINGS[library.stem]
    assert "(bad)" not in names
    wrong = DIFFERENT, BEYOND, *filter(None, [WITHOUT_VECTORS.get(library.stem)])
    assert [name for name in names for pattern in wrong if pattern.fullmatch(name)] == []
    assert any("fmadd" in name for name in names) == (library.stem != "x86-64-v2")
