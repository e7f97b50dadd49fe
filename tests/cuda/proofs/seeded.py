"""Faults put into kernels on purpose: each must be caught."""

from dataclasses import dataclass

from .sources import FOLDER

_KERNEL_TESTS = "tests/cuda/kernels/"


@dataclass(frozen=True)
class Mutant:
    """A fault: in which file, what text becomes what, and which tests run what it breaks."""

    name: str
    file: str
    old: str
    new: str
    tests: str  # a file of tests
    select: str = ""  # pytest -k
    which: int = 0  # of several places with this text

    def apply(self) -> str:
        """The mutated source.

        Raises ValueError if its text is no longer there: then the mutant must be written anew.
        """
        text = (FOLDER / self.file).read_text()
        parts = text.split(self.old)
        if len(parts) < self.which + 2:
            raise ValueError(f"mutant {self.name!r}: {self.file} no longer contains {self.old!r}")
        before, after = parts[: self.which + 1], parts[self.which + 1 :]
        return self.old.join(before) + self.new + self.old.join(after)

    @property
    def test_file(self) -> str:
        """The file of tests."""
        return _KERNEL_TESTS + self.tests


MUTANTS = (
    Mutant(
        "dropped barrier after a tile is stored",
        "gemm.cu",
        "    __syncthreads();\n    if (k0 + DEPTH < end) {",
        "    if (k0 + DEPTH < end) {",
        "test_gemm.py",
    ),
    Mutant(
        "dropped barrier before a tile is overwritten",
        "gemm.cu",
        "total[i][j].add(run[i][j]);\n    __syncthreads();",
        "total[i][j].add(run[i][j]);",
        "test_gemm.py",
    ),
    Mutant(
        "dropped barrier before partial sums are added",
        "sum.cu",
        "  parts[line][lane] = total;\n  __syncthreads();",
        "  parts[line][lane] = total;",
        "test_sum.py",
    ),
    Mutant(
        "bound of rows off by one",
        "sum.cu",
        "if (which >= sums) return;",
        "if (which > sums) return;",
        "test_sum.py",
    ),
    Mutant(
        "return before a barrier",
        "depthwise.cu",
        "  __syncthreads();\n  const int s = threadIdx.x;\n  if (s > TAPS) return;",
        "  const int s = threadIdx.x;\n  if (s > TAPS) return;\n  __syncthreads();",
        "test_conv.py",
        "depthwise",
    ),
    Mutant(
        "float64 literal",
        "depthwise.cu",
        "sums[TAPS] += gradient;",
        "sums[TAPS] += gradient * 1.0000000001;",
        "test_conv.py",
        "depthwise",
    ),
    Mutant(
        "row bound missing",
        "depthwise.cu",
        "const bool in = unsigned(row) < unsigned(p.height) && unsigned(column)",
        "const bool in = unsigned(column)",
        "test_conv.py",
        "depthwise",
        which=0,
    ),
    Mutant(
        "wrong stride",
        "im2col.cu",
        "down < 0 || i * p.stride_h != down",
        "down < 0 || i * p.stride_w != down",
        "test_conv.py",
    ),
    Mutant(
        "bound of elements off by one",
        "im2col.cu",
        "if (e >= count) return;\n  const int plane = p.height * p.width,",
        "if (e > count) return;\n  const int plane = p.height * p.width,",
        "test_conv.py",
    ),
    Mutant(
        "one buffer instead of two",
        "implicit_gemm.cu",
        "      keep(stage ^ 1);",
        "      keep(stage);",
        "test_conv.py",
    ),
    Mutant(
        "dropped barrier in the loop",
        "weight_gradient.cu",
        "      keep(stage ^ 1);\n      __syncthreads();",
        "      keep(stage ^ 1);",
        "test_conv.py",
    ),
    Mutant(
        "a missing wait for cp.async",
        "implicit_gemm_half.cu",
        "wait_for_copies<STAGES - 2>();",
        "wait_for_copies<STAGES - 1>();",
        "test_conv.py",
        "half or float16",
    ),
    Mutant(
        "a write where the last is not told by an atomic",
        "scatter.cu",
        "if (i < n) atomicMax(&last[places[i]], int(i));",
        "if (i < n) last[places[i]] = max(last[places[i]], int(i));",
        "test_scatter.py",
    ),
    Mutant(
        "a slot written without an atomic",
        "checks.cu",
        "atomicMin(&slots[slot], packed(i, index));",
        "slots[slot] = min(slots[slot], packed(i, index));",
        "test_gemm.py",
    ),
    Mutant(
        "bound of windows off by one",
        "max_pool2d.cu",
        "if (window >= p.out_height * p.out_width) return;",
        "if (window > p.out_height * p.out_width) return;",
        "test_pool.py",
        "max",
    ),
    Mutant(
        "column bound off by one",
        "max_pool2d.cu",
        "if (unsigned(column) >= unsigned(p.width)) continue;",
        "if (unsigned(column) > unsigned(p.width)) continue;",
        "test_pool.py",
        "max",
    ),
    Mutant(
        "window of a gradient too short",
        "avg_pool2d.cu",
        "sum.add(load(dys + i * p.columns.count + j) / p.divisor_of(i, j));",
        "sum.add(load(dys + i * p.rows.count + j) / p.divisor_of(i, j));",
        "test_pool.py",
        "avg",
    ),
    Mutant(
        "old state forgotten where there is no step",
        "recurrent.cu",
        "c_after[e.at] = e.live ? c : c_before[e.at];",
        "if (e.live) c_after[e.at] = c;",
        "test_recurrent.py",
        "lstm",
    ),
    Mutant(
        "dropped barrier before a chunk is overwritten",
        "attention.cuh",
        "    __syncthreads();  // nobody reads the chunks any more\n",
        "",
        "test_attention.py",
    ),
    Mutant(
        "dropped barrier before the sums of warps are added",
        "rows.cuh",
        "    if (threadIdx.x % 32 == 0) parts[threadIdx.x / 32] = part;\n    __syncthreads();\n"
        "    TwoFloat total",
        "    if (threadIdx.x % 32 == 0) parts[threadIdx.x / 32] = part;\n    TwoFloat total",
        "test_softmax.py",
        "values",
    ),
    Mutant(
        "a reference that never rises",
        "online.cuh",
        "if (x > reference + HEADROOM) rise_to(x);",
        "if (x > 1e38f) rise_to(x);",
        "test_softmax.py",
        "values",
    ),
    Mutant(
        "sums of a chunk read from the wrong row",
        "channel.cuh",
        "parts[((long long)i * at.channels + which) * kinds + k]",
        "parts[((long long)i * at.chunks + which) * kinds + k]",
        "test_norm.py",
        "batch_norm",
    ),
    Mutant(
        "an id that does not exist is gathered",
        "embedding.cu",
        "const bool exists = 0 <= id && id < rows;",
        "const bool exists = 0 <= id && id <= rows;",
        "test_embedding.py",
        "exist",
    ),
    Mutant(
        "an odd element gets the number of its neighbour",
        "random.cu",
        "u[1] = fraction<T>(words.z);",
        "u[1] = fraction<T>(words.y);",
        "test_random.py",
    ),
)
