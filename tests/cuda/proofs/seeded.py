"""Faults put into kernels on purpose: each must be caught."""

from dataclasses import dataclass

from .sample import few_tests_of
from .sources import FOLDER, kernels_of


@dataclass(frozen=True)
class Mutant:
    """A fault: in which file, what text becomes what, and whose kernels then are wrong."""

    name: str
    file: str
    old: str
    new: str
    source: str = ""  # a .cu, where `file` is a header

    def apply(self) -> str:
        """The mutated text.

        Raises ValueError if its text is no longer there: then the mutant must be written anew.
        """
        text = (FOLDER / self.file).read_text()
        if self.old not in text:
            raise ValueError(f"mutant {self.name!r}: {self.file} no longer contains {self.old!r}")
        return text.replace(self.old, self.new, 1)

    def tests(self) -> list[str]:
        """Tests of the sample that launch the kernels of its source."""
        return few_tests_of(list(kernels_of(FOLDER / (self.source or self.file))))


MUTANTS = (
    Mutant(
        "dropped barrier after a tile is stored",
        "gemm.cu",
        "    __syncthreads();\n    if (k0 + DEPTH < end) {",
        "    if (k0 + DEPTH < end) {",
    ),
    Mutant(
        "dropped barrier before a tile is overwritten",
        "gemm.cu",
        "total[i][j].add(run[i][j]);\n    __syncthreads();",
        "total[i][j].add(run[i][j]);",
    ),
    Mutant(
        "dropped barrier before partial sums are added",
        "sum.cu",
        "  parts[line][lane] = total;\n  __syncthreads();",
        "  parts[line][lane] = total;",
    ),
    Mutant(
        "bound of rows off by one",
        "sum.cu",
        "if (which >= sums) return;",
        "if (which > sums) return;",
    ),
    Mutant(
        "one of eight partial sums forgotten",
        "sum.cu",
        "for (int i = 1; i < 8; i++) total.add(parts[i][lane]);",
        "for (int i = 1; i < 7; i++) total.add(parts[i][lane]);",
    ),
    Mutant(
        "parts of a product in each other's place",
        "gemm.cu",
        "c += (blockIdx.y * matrices + matrix) * p.m * p.n;",
        "c += (blockIdx.y + matrix) * p.m * p.n;",
    ),
    Mutant(
        "large unsigned indices become negative",
        "checks.cu",
        "return (long long)min(index, largest);",
        "return (long long)index;",
    ),
    Mutant(
        "return before a barrier",
        "depthwise.cu",
        "  __syncthreads();\n  const int s = threadIdx.x;\n  if (s > TAPS) return;",
        "  const int s = threadIdx.x;\n  if (s > TAPS) return;\n  __syncthreads();",
    ),
    Mutant(
        "float64 literal",
        "depthwise.cu",
        "sums[TAPS] += gradient;",
        "sums[TAPS] += gradient * 1.0000000001;",
    ),
    Mutant(
        "row bound missing",
        "depthwise.cu",
        "const bool in = unsigned(row) < unsigned(p.height) && unsigned(column)",
        "const bool in = unsigned(column)",
    ),
    Mutant(
        "wrong stride",
        "im2col.cu",
        "down < 0 || i * p.stride_h != down",
        "down < 0 || i * p.stride_w != down",
    ),
    Mutant(
        "bound of elements off by one",
        "im2col.cu",
        "if (e >= count) return;\n  const int plane = p.height * p.width,",
        "if (e > count) return;\n  const int plane = p.height * p.width,",
    ),
    Mutant(
        "one buffer instead of two",
        "implicit_gemm.cu",
        "      keep(stage ^ 1);",
        "      keep(stage);",
    ),
    Mutant(
        "dropped barrier in the loop",
        "weight_gradient.cu",
        "      keep(stage ^ 1);\n      __syncthreads();",
        "      keep(stage ^ 1);",
    ),
    Mutant(
        "a missing wait for cp.async",
        "implicit_gemm_half.cu",
        "wait_for_copies<STAGES - 2>();",
        "wait_for_copies<STAGES - 1>();",
    ),
    Mutant(
        "every one of equal places writes, not the last",
        "scatter.cu",
        "if (i < n && (i + 1 == n || ids[i + 1] != ids[i]))",
        "if (i < n)",
    ),
    Mutant(
        "a minimum that is not atomic",
        "embedding.cu",
        "if (!exists && word == 0) atomicMin(&slots[slot], packed(place, id));",
        "if (!exists && word == 0) slots[slot] = min(slots[slot], packed(place, id));",
    ),
    Mutant(
        "dropped barrier after a search",
        "embedding.cu",
        "  __syncthreads();\n  return total;",
        "  return total;",
    ),
    Mutant(
        "dropped barrier between a row's two sums",
        "rows.cuh",
        "    __syncthreads();  // until all have read those of the sum before\n",
        "",
        "layer_norm.cu",
    ),
    Mutant(
        "bound of a row off by one",
        "softmax.cu",
        "if (Team<32>::lane() + k * 32 >= n) break;",
        "if (Team<32>::lane() + k * 32 > n) break;",
    ),
    Mutant(
        "rows of a table of the wrong width",
        "embedding.cu",
        "y[thread] = exists ? table[id * words + word] : Word{};",
        "y[thread] = exists ? table[id * (words + 1) + word] : Word{};",
    ),
    Mutant(
        "bound of windows off by one",
        "max_pool2d.cu",
        "if (window >= p.out_height * p.out_width) return;",
        "if (window > p.out_height * p.out_width) return;",
    ),
    Mutant(
        "column bound off by one",
        "max_pool2d.cu",
        "if (unsigned(column) >= unsigned(p.width)) continue;",
        "if (unsigned(column) > unsigned(p.width)) continue;",
    ),
    Mutant(
        "window of a gradient too short",
        "avg_pool2d.cu",
        "sum.add(load(dys + i * p.columns.count + j) / p.divisor_of(i, j));",
        "sum.add(load(dys + i * p.rows.count + j) / p.divisor_of(i, j));",
    ),
    Mutant(
        "old state forgotten where there is no step",
        "recurrent.cu",
        "c_after[e.at] = e.live ? c : c_before[e.at];",
        "if (e.live) c_after[e.at] = c;",
    ),
    Mutant(
        "dropped barrier before a chunk is overwritten",
        "attention.cuh",
        "    __syncthreads();  // nobody reads the chunks any more\n",
        "",
        "attention_forward.cu",
    ),
    Mutant(
        "dropped barrier before the sums of warps are added",
        "rows.cuh",
        "    if (threadIdx.x % 32 == 0) parts[threadIdx.x / 32] = part;\n    __syncthreads();\n"
        "    TwoFloat total",
        "    if (threadIdx.x % 32 == 0) parts[threadIdx.x / 32] = part;\n    TwoFloat total",
        "layer_norm.cu",
    ),
    Mutant(
        "a reference that never rises",
        "online.cuh",
        "if (x > reference + HEADROOM) rise_to(x);",
        "if (x > 1e38f) rise_to(x);",
        "softmax.cu",
    ),
    Mutant(
        "sums of a chunk read from the wrong row",
        "channel.cuh",
        "parts[((long long)i * at.channels + which) * kinds + k]",
        "parts[((long long)i * at.chunks + which) * kinds + k]",
        "batch_norm.cu",
    ),
    Mutant(
        "an id that does not exist is gathered",
        "embedding.cu",
        "const bool exists = 0 <= id && id < rows;",
        "const bool exists = 0 <= id && id <= rows;",
    ),
    Mutant(
        "an odd element gets the number of its neighbour",
        "random.cu",
        "u[1] = fraction<T>(words.z);",
        "u[1] = fraction<T>(words.y);",
    ),
)
