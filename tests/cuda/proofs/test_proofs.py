"""The proofs themselves: each can fail, and the table says so."""

import io
import json

import numpy as np
import pytest
from rich.console import Console

from tests.cuda.ptx import program
from tests.cuda.ptx.nvrtc import compile_cuda, is_installed

from . import executed, kept, offline, roofline, seeded, sources, table

pytestmark = pytest.mark.skipif(not is_installed(), reason="NVRTC is missing: minidl[proofs]")


def _compiled(code, target="80"):
    return offline.compile_ptx(compile_cuda(code, f"compute_{target}").decode(), target)[0]


SCALE = """extern "C" __global__ void __launch_bounds__(256) scale_f32(float* x, float a, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x; if (i < n) x[i] = BODY; }"""


@pytest.mark.parametrize("target", offline.TARGETS)
def test_a_plain_kernel_passes_the_gates(target):
    found = _compiled(SCALE.replace("BODY", "x[i] * a"), target)
    assert found.kernel == "scale_f32"
    assert found.instructions > 8
    assert 0 < found.registers < 32
    assert found.threads == 256
    assert found.occupancy == 1
    assert found.faults() == []


@pytest.mark.parametrize("target", offline.TARGETS)
@pytest.mark.parametrize("body", ["x[i] * 1.0000001", "a / 3.0 + x[i]", "float(sin(double(x[i])))"])
def test_float64_is_seen(body, target):
    assert "float64" in _compiled(SCALE.replace("BODY", body), target).faults()[0]


def test_float64_is_allowed_where_the_name_says_so():
    code = SCALE.replace("BODY", "x[i] * 1.0000001")
    for name in ("scale_f64", "scale_f64_parts"):
        assert _compiled(code.replace("scale_f32", name)).faults() == []


def test_spills_are_seen():
    lines = "".join(f"float v{i} = x[{i} * n + threadIdx.x];" for i in range(80))
    adds = "".join(f"x[{i} * n] += v{i} * v{(i * 7 + 3) % 80};" for i in range(80))
    code = f"""extern "C" __global__ void __launch_bounds__(1024, 2) f(volatile float* x, int n) {{
    {lines} __syncthreads(); {adds} }}"""
    assert "spilled" in _compiled(code).faults()[0]


def test_occupancy():
    one = offline.Compiled("k", "80", registers=32, threads=256, instructions=1)
    assert one.occupancy == 1
    assert offline.Compiled("k", "80", registers=128, threads=256).occupancy == 0.25
    assert offline.Compiled("k", "80", registers=32, threads=256, shared=80 << 10).occupancy == 0.25
    assert offline.Compiled("k", "75", registers=32, threads=1024, shared=1).occupancy == 1
    assert offline.Compiled("k", "75", registers=32, threads=64, shared=40 << 10).faults() == [
        "no instruction was seen"
    ]
    assert "a block does not fit" in offline.Compiled("k", "75", shared=80 << 10).faults()


def test_a_kernel_that_no_test_launched_is_red():
    ran = executed.Run("ptx", {"t::a": {"outcome": "passed", "message": "", "kernels": {"one": 2}}})
    ran.kernels = {"one": {"launches": 2, "fault": "", "fault_kind": "", "order_dependent": 0}}
    proofs = table.Proofs({"ptx": ran}, asked=("values", "races"))
    assert {c.state for c in proofs.row("one").values()} == {"green"}
    assert {c.state for c in proofs.row("two").values()} == {"red"}
    rows = {name: proofs.row(name) for name in ("one", "two")}
    assert table.summary(rows)["red_cells"] == 2
    console = Console(record=True, width=120, file=io.StringIO())
    table.show(rows, {"one": "a.cu", "two": "b.cu"}, console)
    assert "no test launched it" in console.export_text()


def test_a_failed_test_is_red_for_the_kernel_at_fault():
    row = {"outcome": "failed", "message": "Fault: race …: kernel one, block", "kernels": {}}
    row["kernels"] = {"one": 1, "other": 1}
    ran = executed.Run("ptx", {"t::a": row})
    proofs = table.Proofs({"ptx": ran}, asked=("values",))
    assert proofs.row("one")["values"].state == "red"
    assert proofs.row("other")["values"].state == "green"
    row["message"] = "wrong values"
    assert proofs.row("other")["values"].state == "red"


def test_bits_that_depend_on_the_order_of_threads_are_red():
    ran = executed.Run("ptx", kernels={"k": {"launches": 1, "fault": "", "order_dependent": 1}})
    assert table.Proofs({"ptx": ran}, asked=("races",)).row("k")["races"].state == "red"


def test_every_kernel_has_a_name_of_its_own():
    names = [name for path in sources.files() for name in sources.kernels_of(path)]
    assert len(names) == len(set(names)) > 0


def test_claims_are_kept(tmp_path):
    path = tmp_path / "claims.cu"
    path.write_text("// loads float4\n" + SCALE.replace("BODY", "x[i]"))
    plain = _compiled(path.read_text())
    assert offline.missing_claims(path, [plain]) == [
        "claims.cu speaks of vector, and no kernel of it has it"
    ]
    plain.seen = {"vector": 1}
    assert offline.missing_claims(path, [plain]) == []


@pytest.mark.parametrize("mutant", seeded.MUTANTS, ids=lambda m: f"{m.file}: {m.name}")
def test_every_seeded_fault_fits_its_source(mutant):
    assert mutant.apply() != (sources.FOLDER / mutant.file).read_text()
    assert mutant.tests()


def test_a_seeded_fault_whose_text_is_gone_is_an_error():
    gone = seeded.Mutant("gone", seeded.MUTANTS[0].file, "no such text", "")
    with pytest.raises(ValueError, match="no longer contains"):
        gone.apply()


def test_roofline():
    work = {"unique_read": 3_200_000, "unique_written": 0, "operations": 10, "matrix_operations": 0}
    assert roofline.seconds(roofline.CARDS[0], work) == (1e-5, "bytes")
    assert roofline.seconds(roofline.CARDS[1], {**work, "operations": 1e12})[1] == "float32"
    slow = {**work, "operations": 5e7}
    assert roofline.seconds(roofline.CARDS[0], slow, "sum_rows_f64") == (2e-4, "float64")


ADDED = """
extern "C" __global__ void added(const float* x, const float* bias, float* y, int n, int width) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) y[i] = fmaf(x[i], 2.f, bias[i % width]);
}"""


def test_what_a_launch_needs_is_counted():
    """Different bytes, each once; a multiply-add is two operations."""
    made = program.Program(compile_cuda(ADDED).decode(), checked=True)
    x, bias, y = (np.zeros(n, "float32") for n in (1000, 7, 1000))
    for order in program.ORDERS:
        done = made.launch(
            "added", (8,), (128,), (x, bias, y, np.int32(1000), np.int32(7)), order=order
        )
        assert (done.unique_read, done.unique_written) == (4 * 1007, 4 * 1000)
        assert (done.bytes_read, done.bytes_written) == (4 * 2000, 4 * 1000)
        assert (done.operations, done.matrix_operations) == (2000, 0)


def test_the_sample_is_of_kernels_and_tests():
    from . import sample

    kept = json.loads(sample._FILE.read_text())
    assert all((executed.ROOT / test.split("::")[0]).exists() for test in kept)


def test_what_is_kept_is_found_until_a_source_changes(tmp_path, monkeypatch):
    monkeypatch.setenv("MINIDL_CACHE", str(tmp_path))
    depends = kept.dependencies(["sum_rows_f32"])
    assert {"minidl_cuda/kernels/sum.cu", "minidl_cuda/kernels/compensated.cuh"} <= set(depends)
    assert not any(name.startswith("tests/cuda/proofs") for name in depends)
    found = {"tests": {"t::a": {"outcome": "passed"}}, "kernels": {}, "depends": depends}
    assert kept.find("ptx", "t") is None
    kept.keep(found, "ptx", "t")
    assert kept.find("ptx", "t") == found
    assert kept.find("asan", "t") is None
    kept.keep({**found, "depends": {**depends, "minidl_cuda/kernels/sum.cu": "other"}}, "ptx", "t")
    assert kept.find("ptx", "t") is None


def test_what_failed_is_not_kept(tmp_path, monkeypatch):
    monkeypatch.setenv("MINIDL_CACHE", str(tmp_path))
    kept.keep({"tests": {"t::a": {"outcome": "failed"}}, "depends": {}}, "ptx", "t")
    assert kept.find("ptx", "t") is None


def test_the_sample_is_in_parts_of_equal_work():
    from . import sample

    tests = sample.tests_of(list(sources.all_kernels()))
    parts = sample.parts_of(tests, 2)
    files = [file for part in parts for file in part]
    assert sorted(files) == sorted({test.split("::")[0] for test in tests})
    assert len(parts) == 2


@pytest.mark.parametrize("mutant", seeded.MUTANTS, ids=lambda m: f"{m.file}: {m.name}")
def test_the_tests_of_a_fault_launch_all_of_its_kernels(mutant):
    from . import sample

    launched = {name for test in mutant.tests() for name in sample._kept()[test]}
    assert set(sources.kernels_of(sources.FOLDER / (mutant.source or mutant.file))) <= launched
