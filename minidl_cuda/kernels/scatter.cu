// table[ids[i], :] += terms[i, :], exact to one rounding and the same bits in every run.
//
// Atomics would add in whatever order threads arrive, one rounding for each.  So the ids are sorted
// first (order: where each came from; stable), and the terms of an id lie side by side: a segmented
// sum (Blelloch 1990), in two kernels.  `add_runs` sums the segments in chunks of CHUNK sorted terms,
// a thread for each chunk and column.  Segments inside a chunk are added to the table at once; what
// belongs to one that crosses a border is kept as a pair (sum, rounded), and `add_borders` sums those.
//
// Floor: each term is read once and each row that occurs is read and written once.  Consecutive
// threads have consecutive columns; 256 of them with at most 40 registers fill a multiprocessor.
#include <cuda_fp16.h>
#include "compensated.cuh"

constexpr int CHUNK = 32;

__device__ float wide(float x) { return x; }
__device__ float wide(__half x) { return __half2float(x); }
__device__ double wide(double x) { return x; }

template <class T, class E>
__device__ void add_to(E* place, Compensated<T> total) {
  total.add(T(wide(*place)));
  *place = E(total.value());
}

// The sorted ids of a chunk: whether its first id is also the last of the chunk before, and so on.
struct Chunk {
  long long begin, end;
  bool continues, goes_on, whole;  // the first segment began before; the last goes on; they are one
  __device__ Chunk(const long long* ids, long long n, long long which) {
    begin = which * CHUNK;
    end = min(begin + CHUNK, n);
    continues = begin > 0 && ids[begin - 1] == ids[begin];
    goes_on = end < n && ids[end] == ids[end - 1];
    whole = ids[begin] == ids[end - 1];
  }
};

// heads, tails (chunks, width): sums of the segments that cross the borders of a chunk.
template <class T, class E>
__device__ void add_runs(E* table, const long long* ids, const long long* order, const E* terms,
                         Compensated<T>* heads, Compensated<T>* tails, long long n,
                         long long width) {
  const long long thread = (long long)blockIdx.x * blockDim.x + threadIdx.x;
  const long long which = thread / width, column = thread - which * width;
  if (which * CHUNK >= n) return;
  const Chunk chunk(ids, n, which);
  bool first = true;
  Compensated<T> total;
  for (long long i = chunk.begin; i < chunk.end; i++) {
    total.add(T(wide(terms[order[i] * width + column])));
    const bool last = i + 1 == chunk.end;
    if (!last && ids[i + 1] == ids[i]) continue;
    if (first && chunk.continues)
      heads[thread] = total;
    else if (last && chunk.goes_on)
      tails[thread] = total;
    else
      add_to(&table[ids[i] * width + column], total);
    first = false;
    total = Compensated<T>();
  }
}

template <class T, class E>
__device__ void add_borders(E* table, const long long* ids, const Compensated<T>* heads,
                            const Compensated<T>* tails, long long n, long long width) {
  const long long thread = (long long)blockIdx.x * blockDim.x + threadIdx.x;
  const long long which = thread / width, column = thread % width;
  if (which * CHUNK >= n) return;
  const Chunk chunk(ids, n, which);
  if (!chunk.goes_on || (chunk.whole && chunk.continues)) return;  // it begins in an earlier chunk
  Compensated<T> total = tails[thread];
  const long long id = ids[chunk.end - 1];
  for (long long next = which + 1;; next++) {
    total.add(heads[next * width + column]);
    const Chunk other(ids, n, next);
    if (!other.whole || !other.goes_on) break;
  }
  add_to(&table[id * width + column], total);
}

#define SCATTER(suffix, T, E)                                                                      \
  extern "C" __global__ void __launch_bounds__(256)                                                \
      add_runs_##suffix(E* __restrict__ table, const long long* __restrict__ ids,                  \
                        const long long* __restrict__ order, const E* __restrict__ terms,          \
                        Compensated<T>* __restrict__ heads, Compensated<T>* __restrict__ tails,    \
                        long long n, long long width) {                                            \
    add_runs<T, E>(table, ids, order, terms, heads, tails, n, width);                              \
  }                                                                                                \
  extern "C" __global__ void __launch_bounds__(256)                                                \
      add_borders_##suffix(E* __restrict__ table, const long long* __restrict__ ids,               \
                           const Compensated<T>* __restrict__ heads,                               \
                           const Compensated<T>* __restrict__ tails, long long n,                  \
                           long long width) {                                                      \
    add_borders<T, E>(table, ids, heads, tails, n, width);                                         \
  }
SCATTER(f16, float, __half)
SCATTER(f32, float, float)
SCATTER(f64, double, double)

// table[ids[i], :] = values[order[i], :], for sorted ids; of those for one row, the last stays, which is
// the last of its run, since the sort is stable.  Elements are moved as words of their size.
template <class Word>
__device__ void write_last(Word* table, const long long* ids, const long long* order,
                           const Word* values, long long n, long long width) {
  const long long thread = (long long)blockIdx.x * blockDim.x + threadIdx.x;
  const long long i = thread / width, column = thread % width;
  if (i < n && (i + 1 == n || ids[i + 1] != ids[i]))
    table[ids[i] * width + column] = values[order[i] * width + column];
}

#define WRITE(suffix, Word)                                                                     \
  extern "C" __global__ void __launch_bounds__(256)                                             \
      write_last_##suffix(Word* __restrict__ table, const long long* __restrict__ ids,          \
                          const long long* __restrict__ order, const Word* __restrict__ values, \
                          long long n, long long width) {                                       \
    write_last(table, ids, order, values, n, width);                                            \
  }
WRITE(1, unsigned char)
WRITE(2, unsigned short)
WRITE(4, unsigned)
WRITE(8, unsigned long long)
