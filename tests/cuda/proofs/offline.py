"""Every kernel as machine code of three generations of GPUs, without one: registers, spills, gates.

PTX by NVRTC, machine code by ptxas, read back by cuobjdump: the packages nvidia-cuda-nvcc,
nvidia-cuda-cuobjdump and nvidia-cuda-nvdisasm from PyPI.
"""

import hashlib
import json
import os
import re
import subprocess
import tempfile
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass, field
from pathlib import Path

from rich.console import Console

from tests.cuda.ptx.nvrtc import cache_folder, keep, package_folder
from tests.cuda.ptx.parser import parse

from . import sources
from .progress import progress

TARGETS = ("75", "80", "90")


@dataclass(frozen=True)
class Processor:
    """What blocks of a streaming multiprocessor share (CUDA C++ Programming Guide, table 30)."""

    warps: int
    blocks: int
    shared: int  # bytes
    reserved: int  # bytes of shared memory that each block loses


PROCESSORS = {
    "75": Processor(32, 16, 64 << 10, 0),
    "80": Processor(64, 32, 164 << 10, 1 << 10),
    "90": Processor(64, 32, 228 << 10, 1 << 10),
}
_REGISTERS = 64 << 10
_DOUBLE = re.compile(r"D(ADD|MUL|FMA|SETP|MNMX|MMA)\b|\w+(\.\w+)*\.F64|MUFU\.\w+64H")
_VECTOR = re.compile(r"(LDG|STG|LDS|STS|LDGSTS)\S*\.128")


def is_double(kernel: str) -> bool:
    """Whether a kernel says by its name that it computes in float64."""
    return bool(re.search(r"_f64(_|$)", kernel))


@dataclass
class Compiled:
    """A kernel on one target."""

    kernel: str
    target: str
    registers: int = 0
    shared: int = 0
    stack: int = 0
    spills: int = 0
    threads: int = 0  # of a block: its launch bound
    instructions: int = 0
    double: list[str] = field(default_factory=list)
    seen: dict[str, int] = field(default_factory=dict)

    @property
    def occupancy(self) -> float:
        """The share of a processor's warps that blocks of this size can keep busy."""
        processor = PROCESSORS[self.target]
        warps = -(-(self.threads or 1024) // 32)
        per_warp = -(-max(self.registers, 1) * 32 // 256) * 256
        by_registers = _REGISTERS // per_warp // warps
        per_block = -(-(self.shared + processor.reserved) // 128) * 128
        by_shared = processor.shared // per_block if per_block else processor.blocks
        blocks = min(processor.blocks, processor.warps // warps, by_registers, by_shared)
        return blocks * warps / processor.warps

    def faults(self) -> list[str]:
        """What the gates refuse."""
        found = []
        if not self.instructions:
            found.append("no instruction was seen")
        if self.spills:
            found.append(f"{self.spills} bytes spilled")
        if self.double and not is_double(self.kernel):
            found.append(f"float64: {', '.join(sorted(set(self.double))[:3])}")
        if self.occupancy == 0:
            found.append("a block does not fit")
        return found


def _tool(name: str) -> str:
    path = package_folder() / "bin" / name
    if not path.exists():
        raise FileNotFoundError(f"{name} is missing: pip install 'minidl[proofs]'")
    return str(path)


def _run(*command: str) -> str:
    path = f"{package_folder() / 'bin'}{os.pathsep}{os.environ.get('PATH', '')}"
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PATH": path})
    if done.returncode:
        raise RuntimeError(f"{' '.join(command[:3])} failed:\n{done.stdout}{done.stderr}"[:2000])
    return done.stdout + done.stderr


def _resources(report: str) -> dict[str, dict[str, int]]:
    """Registers, spills … by kernel, of ptxas -v."""
    found: dict[str, dict[str, int]] = {}
    for text in report.split("Compiling entry function '")[1:]:
        name = text.split("'")[0]
        numbers = {
            "registers": r"Used (\d+) registers",
            "shared": r"(\d+) bytes smem",
            "stack": r"(\d+) bytes stack frame",
            "stores": r"(\d+) bytes spill stores",
            "loads": r"(\d+) bytes spill loads",
        }
        matches = {key: re.search(pattern, text) for key, pattern in numbers.items()}
        found[name] = {key: int(m[1]) if m else 0 for key, m in matches.items()}
    return found


_INSTRUCTION = re.compile(r"^\s+/\*[0-9a-f]{4,}\*/\s+(?:@!?U?P\d+\s+)?([A-Z][\w.]*)", re.M)


def _machine_code(listing: str) -> dict[str, list[str]]:
    """The instructions of each kernel, of cuobjdump -sass."""
    found = {}
    for text in listing.split("Function : ")[1:]:
        found[text.split()[0]] = _INSTRUCTION.findall(text)
    return found


def _features(instructions: list[str]) -> dict[str, int]:
    counts = Counter(
        {
            "vector": sum(bool(_VECTOR.match(i)) for i in instructions),
            "HMMA": sum(i.startswith("HMMA") for i in instructions),
            "LDGSTS": sum(i.startswith("LDGSTS") for i in instructions),
            "FFMA": sum(i.startswith("FFMA") for i in instructions),
        }
    )
    return {key: n for key, n in counts.items() if n}


def compile_ptx(text: str, target: str) -> list[Compiled]:
    """Every kernel of a PTX text on a target."""
    with tempfile.TemporaryDirectory() as folder:
        source, made = Path(folder) / "k.ptx", Path(folder) / "k.cubin"
        source.write_text(text)
        report = _run(_tool("ptxas"), "-v", f"-arch=sm_{target}", str(source), "-o", str(made))
        listing = _machine_code(_run(_tool("cuobjdump"), "-sass", str(made)))
    resources = _resources(report)
    found = []
    for function in parse(text).functions:
        if not function.is_entry:
            continue
        own, code = resources[function.name], listing.get(function.name, [])
        threads = 1
        for n in function.max_threads or function.required_threads:
            threads *= n
        found.append(
            Compiled(
                function.name,
                target,
                registers=own["registers"],
                shared=own["shared"],
                stack=own["stack"],
                spills=own["stores"] + own["loads"],
                threads=threads if function.max_threads or function.required_threads else 0,
                instructions=len(code),
                double=[i for i in code if _DOUBLE.match(i)],
                seen=_features(code),
            )
        )
    return found


def compile_file(path: Path, target: str) -> list[Compiled]:
    """Every kernel of a source on a target; kept for the next time."""
    text = sources.ptx(path, f"compute_{target}")
    tools = "".join(_tool(t) for t in ("ptxas", "cuobjdump", "nvdisasm"))
    digest = hashlib.sha256((text + target + tools + Path(__file__).read_text()).encode())
    kept = cache_folder() / f"{digest.hexdigest()[:24]}.json"
    if not kept.exists():
        rows = [asdict(c) for c in compile_ptx(text, target)]
        keep(kept, json.dumps(rows).encode())
    return [Compiled(**row) for row in json.loads(kept.read_text())]


def claims(path: Path) -> dict[str, str]:
    """What the text of a source claims to use, which its machine code must then show."""
    text = path.read_text()
    wanted = {
        "vector": r"float4|uint4|int4|16 bytes",
        "HMMA": r"\bmma|tensor core",
        "LDGSTS": r"cp_async|cp\.async|copy_async",
    }
    return {key: pattern for key, pattern in wanted.items() if re.search(pattern, text)}


def missing_claims(path: Path, compiled: list[Compiled]) -> list[str]:
    """Claims of a source that none of its kernels keeps, on targets that have the instruction."""
    least = {"vector": "75", "HMMA": "75", "LDGSTS": "80"}
    own = [c for c in compiled if c.target >= "80"]
    return [
        f"{path.name} speaks of {key}, and no kernel of it has it"
        for key in claims(path)
        if not any(c.seen.get(key) for c in own if c.target >= least[key])
    ]


def compile_all(
    paths: list[Path], targets: Sequence[str], workers: int, console: Console
) -> dict[str, dict[str, Compiled]]:
    """kernel → target → what was made of it."""
    jobs = [(path, target) for path in paths for target in targets]
    found: dict[str, dict[str, Compiled]] = {}
    with (
        progress(console, "compiling", len(jobs)) as tell,
        ThreadPoolExecutor(workers) as pool,
    ):
        futures = {pool.submit(compile_file, *job): job for job in jobs}
        for future in as_completed(futures):
            path, target = futures[future]
            for row in future.result():
                found.setdefault(row.kernel, {})[target] = row
            tell(f"{path.name} for sm_{target}")
    return found
