// Embedding: rows of a table, gathered; and the gradient, in which rows of one id are added up.
//
// The gradient is the same bits in every run and exact to one rounding (compensated.cuh): atomic
// additions would come in any order, with a rounding each, and a frequent id would lose digits.
// Without them and without sorting, `add_equal` has a block for each place: the block of the first
// place of an id finds the others, and adds up their rows.  It compares n² / 2 ids at most, which for
// up to some ten thousand takes less time than the launches of a sort; beyond, scatter.cu sorts.
//
// Floor: each row that is used is read and written once.  Gathered are words of up to 16 bytes.
//
// 256 threads a block: rows are of a few hundred elements, and neighbours read side by side.
#include <cuda_fp16.h>
#include "checks.cuh"
#include "compensated.cuh"
#include "element.cuh"

constexpr int THREADS = 256, WARPS = THREADS / 32;

// y[i, :] = table[ids[i], :], in words; 0 for an id that does not exist, which the slot tells.
template <class Word>
__device__ void gather(const Word* table, const long long* ids, Word* y, long long n, int words,
                       long long rows, Slot* slots, int slot) {
  const long long thread = (long long)blockIdx.x * THREADS + threadIdx.x;
  const long long place = thread / words;
  const int word = thread % words;
  if (place >= n) return;
  const long long id = ids[place];
  const bool exists = 0 <= id && id < rows;
  if (!exists && word == 0) atomicMin(&slots[slot], packed(place, id));
  y[thread] = exists ? table[id * words + word] : Word{};
}

#define GATHER(bytes, Word)                                                                      \
  extern "C" __global__ void __launch_bounds__(THREADS) embedding_gather_##bytes(                \
      const Word* __restrict__ table, const long long* __restrict__ ids, Word* __restrict__ y,   \
      long long n, int words, long long rows, Slot* slots, int slot) {                           \
    gather(table, ids, y, n, words, rows, slots, slot);                                          \
  }
GATHER(2, unsigned short)
GATHER(4, unsigned)
GATHER(8, uint2)
GATHER(16, uint4)

// The places among `begin` … `begin` + 255, before `end`, whose id is this one: they are in `found`,
// ascending; returns how many.  For all threads of a block.
__device__ int find(const long long* ids, long long id, int begin, int end, int* found) {
  __shared__ int counts[WARPS];
  const int place = begin + threadIdx.x, warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  const bool same = place < end && ids[place] == id;
  const unsigned all = __ballot_sync(0xffffffffu, same);
  if (lane == 0) counts[warp] = __popc(all);
  __syncthreads();  // and those found before have been used
  int before = 0, total = 0;
  for (int i = 0; i < WARPS; i++) {
    if (i < warp) before += counts[i];
    total += counts[i];
  }
  if (same) found[before + __popc(all & ((1u << lane) - 1))] = place;
  __syncthreads();
  return total;
}

// dtable[id, :] = Σ dy[i, :] where ids[i] is id; other rows are not written.
template <class T>
__device__ void add_equal(const T* dy, const long long* ids, T* dtable, int n, int width,
                          long long rows, long long padding) {
  __shared__ int found[THREADS];
  const int first = blockIdx.x;
  const long long id = ids[first];
  if (id < 0 || id >= rows || id == padding) return;
  for (int begin = 0; begin < first; begin += THREADS)
    if (find(ids, id, begin, first, found)) return;  // another block has the first place
  for (int column = threadIdx.x; column - (int)threadIdx.x < width; column += THREADS) {
    TwoFloat total;
    for (int begin = first; begin < n; begin += THREADS) {
      const int count = find(ids, id, begin, n, found);
      if (column < width)
        for (int i = 0; i < count; i++) total.add(load(dy + (long long)found[i] * width + column));
    }
    if (column < width) dtable[id * width + column] = from_float<T>(total.value());
  }
}

#define ADD_EQUAL(suffix, T)                                                                     \
  extern "C" __global__ void __launch_bounds__(THREADS)                                          \
      embedding_add_equal_##suffix(const T* __restrict__ dy, const long long* __restrict__ ids,  \
                                   T* __restrict__ dtable, int n, int width, long long rows,     \
                                   long long padding) {                                          \
    add_equal(dy, ids, dtable, n, width, rows, padding);                                         \
  }
ADD_EQUAL(f32, float)
ADD_EQUAL(f16, __half)
