// What the kernels of attention share: tiles of logits, s = scale·q·kᵀ + mask, in float32.
//
// A tile is 64 queries by 64 keys.  Its block has 16 × 16 threads; thread (ty, tx) holds the logits
// of queries 4·ty … 4·ty + 3 and keys 4·tx … 4·tx + 3 in registers, so that 16 multiply-adds need
// two vector loads from shared memory.  Rows of operands pass through shared memory in chunks of 32
// numbers of 64 rows, whatever the head's size: 35 KB a block for any.  They have any strides but
// that of the last axis, and are float32 or float16; all arithmetic is float32.
//
// Sums over keys or queries are added in runs of 32, half a tile; after 16 tiles their sum goes to
// one of two floats, in global memory: see Totals.
#pragma once

#include <cuda_fp16.h>

#include "compensated.cuh"
#include "philox.cuh"

constexpr int TILE = 64;   // queries, and keys, of a tile
constexpr int DEPTH = 32;  // of a chunk of a product; the terms of a run
constexpr int PITCH = 68;  // of a row of a chunk: rows begin in other banks, and are aligned
constexpr int THREADS = 256;
constexpr int FLUSH = 16;  // tiles after which sums go to their totals
#define NEVER (-__int_as_float(0x7f800000))

enum MaskKind { NO_MASK, OF_BOOLS, OF_FLOATS, OF_HALVES };

// In elements.
struct Strides {
  long long batch, head, row;
};

struct Problem {
  Strides query, key, value, y, dy, dquery, dkey, dvalue;
  long long mask_batch, mask_head, mask_row, mask_column;
  unsigned long long seed, offset;
  int batch, heads, group;  // `group` heads of queries share one of keys
  int length, keys;         // L and S
  int size, value_size;     // E and Ev
  int is_causal, mask_kind;
  int aligned;  // whether rows of query, key, value and dy can be read as vectors of four
  float scale, dropped, kept;  // dropout: its probability, and 1 / (1 − that)
};

// Some rows of a head, of which a tile has `count`.
template <class T>
struct Rows {
  const T* first;
  long long stride;
  int count, size;
  const unsigned char* live;  // in shared memory; rows where it is 0 count as zeros; null: all live
  bool aligned;
};

// A block's shared memory.
struct Shared {
  __align__(16) float a[DEPTH][PITCH];
  __align__(16) float b[DEPTH][PITCH];
  __align__(16) float tile[TILE][PITCH];
  __align__(16) unsigned char seen[THREADS / 32][16];  // of each warp: four keys a byte
  unsigned char live_keys[TILE], live_queries[TILE];
};

__device__ float4 load4(const float* x) { return *reinterpret_cast<const float4*>(x); }
__device__ float4 load4(const __half* x) {
  const uint2 raw = *reinterpret_cast<const uint2*>(x);
  const float2 low = __half22float2(*reinterpret_cast<const __half2*>(&raw.x));
  const float2 high = __half22float2(*reinterpret_cast<const __half2*>(&raw.y));
  return make_float4(low.x, low.y, high.x, high.y);
}
__device__ float load(const float* x) { return *x; }
__device__ float load(const __half* x) { return __half2float(*x); }
__device__ void store(float* x, float value) { *x = value; }
__device__ void store(__half* x, float value) { *x = __float2half(value); }

// Numbers column … column + 3 of a row; 0 where there are none.
template <class T>
__device__ float4 four(const Rows<T>& rows, int row, int column) {
  if (row >= rows.count || (rows.live && !rows.live[row])) return make_float4(0.f, 0.f, 0.f, 0.f);
  const T* x = rows.first + row * rows.stride + column;
  if (rows.aligned && column + 4 <= rows.size) return load4(x);
  return make_float4(column < rows.size ? load(x) : 0.f, column + 1 < rows.size ? load(x + 1) : 0.f,
                     column + 2 < rows.size ? load(x + 2) : 0.f,
                     column + 3 < rows.size ? load(x + 3) : 0.f);
}

// chunk[c][row] = x[row][column + c].  A warp takes 16 rows of 8 numbers: whole sectors of global
// memory, and all banks of shared memory.
template <class T>
__device__ void load_transposed(float (*chunk)[PITCH], const Rows<T>& rows, int column) {
  const int row = threadIdx.x / 2 % TILE;
#pragma unroll
  for (int c = threadIdx.x / 128 * 8 + threadIdx.x % 2 * 4, n = 0; n < 2; c += 16, n++) {
    const float4 x = four(rows, row, column + c);
    chunk[c][row] = x.x;
    chunk[c + 1][row] = x.y;
    chunk[c + 2][row] = x.z;
    chunk[c + 3][row] = x.w;
  }
}

// chunk[row][c] = x[first + row][column + c].
template <class T>
__device__ void load_rows(float (*chunk)[PITCH], const Rows<T>& rows, int first, int column) {
  const int c = threadIdx.x % 16 * 4;
#pragma unroll
  for (int row = threadIdx.x / 16, n = 0; n < 2; row += 16, n++)
    *reinterpret_cast<float4*>(&chunk[row][c]) = four(rows, first + row, column + c);
}

// sums[i][j] += Σ a[k][4·ty + i]·b[k][4·tx + j], k = 0 … 31.
__device__ void multiply(const float (*a)[PITCH], const float (*b)[PITCH],
                                float (&sums)[4][4]) {
  const int i0 = threadIdx.x / 16 * 4, j0 = threadIdx.x % 16 * 4;
#pragma unroll 2
  for (int k = 0; k < DEPTH; k++) {
    const float4 x = load4(&a[k][i0]), y = load4(&b[k][j0]);
    const float xs[4] = {x.x, x.y, x.z, x.w}, ys[4] = {y.x, y.y, y.z, y.w};
#pragma unroll
    for (int i = 0; i < 4; i++)
#pragma unroll
      for (int j = 0; j < 4; j++) sums[i][j] = fmaf(xs[i], ys[j], sums[i][j]);
  }
}

// sums[i][j] = the product of rows 4·ty + i of x and 4·tx + j of y.
template <class T>
__device__ void dots(Shared& shared, const Rows<T>& x, const Rows<T>& y,
                            float (&sums)[4][4]) {
#pragma unroll
  for (int i = 0; i < 16; i++) sums[i / 4][i % 4] = 0.f;
  for (int column = 0; column < x.size; column += DEPTH) {
    __syncthreads();  // nobody reads the chunks any more
    load_transposed(shared.a, x, column);
    load_transposed(shared.b, y, column);
    __syncthreads();
    multiply(shared.a, shared.b, sums);
  }
}

// sums[c][i][j] += Σ tile[k][4·ty + i]·rows[k][column + 64·c + 4·tx + j], in runs of 32.
template <int COLUMNS, class T>
__device__ void accumulate(Shared& shared, const Rows<T>& rows, int column,
                                  float (&sums)[COLUMNS][4][4]) {
#pragma unroll
  for (int c = 0; c < COLUMNS; c++) {
    for (int k = 0; k < TILE; k += DEPTH) {
      if (k >= rows.count || column + c * TILE >= rows.size) break;
      __syncthreads();  // the tile is there, and nobody reads the chunk any more
      load_rows(shared.b, rows, k, column + c * TILE);
      __syncthreads();
      float run[4][4] = {};
      multiply(shared.tile + k, shared.b, run);
#pragma unroll
      for (int i = 0; i < 16; i++) sums[c][i / 4][i % 4] += run[i / 4][i % 4];
    }
  }
}

// The sums of a block's threads over more than 16 tiles, in global memory; each thread has its own.
struct Totals {
  TwoFloat* first;
  bool begun;

  template <int COLUMNS>
  __device__ void add(float (&sums)[COLUMNS][4][4]) {
#pragma unroll
    for (int i = 0; i < COLUMNS * 16; i++) {
      TwoFloat total;
      if (begun) total = first[i * THREADS];
      total.add(sums[i / 16][i / 4 % 4][i % 4]);
      first[i * THREADS] = total;
      sums[i / 16][i / 4 % 4][i % 4] = 0.f;
    }
    begun = true;
  }

  template <int COLUMNS>
  __device__ void scale(const float (&factors)[4]) {
    for (int i = 0; i < COLUMNS * 16; i++) {
      TwoFloat total = first[i * THREADS];
      total.sum *= factors[i / 4 % 4];
      total.rounded *= factors[i / 4 % 4];
      first[i * THREADS] = total;
    }
  }

  template <int COLUMNS>
  __device__ void finish(float (&sums)[COLUMNS][4][4]) {
    if (!begun) return;
    add(sums);
#pragma unroll
    for (int i = 0; i < COLUMNS * 16; i++)
      sums[i / 16][i / 4 % 4][i % 4] = first[i * THREADS].value();
  }
};

// Of this block's totals, COLUMNS·16 for each thread.
__device__ Totals totals_of_block(TwoFloat* totals, int columns) {
  const long long block = blockIdx.x + static_cast<long long>(gridDim.x) * blockIdx.y;
  return {totals ? totals + block * columns * 16 * THREADS + threadIdx.x : nullptr, false};
}

// x[row][column + 64·c + 4·tx + j] = factors[i]·sums[c][i][j] for rows 4·ty + i of a tile.
template <int COLUMNS, class T>
__device__ void store_sums(T* x, long long stride, int count, int size, int column,
                                  const float (&sums)[COLUMNS][4][4], const float (&factors)[4]) {
#pragma unroll
  for (int i = 0; i < COLUMNS * 16; i++) {
    const int row = threadIdx.x / 16 * 4 + i / 4 % 4;
    const int at = column + i / 16 * TILE + threadIdx.x % 16 * 4 + i % 4;
    if (row < count && at < size)
      store(x + row * stride + at, sums[i / 16][i / 4 % 4][i % 4] * factors[i / 4 % 4]);
  }
}

// What the mask adds to a logit: 0 or −inf if it is one of bools.
__device__ float mask_value(int kind, const void* mask, long long at) {
  if (kind == OF_BOOLS) return static_cast<const unsigned char*>(mask)[at] ? 0.f : NEVER;
  if (kind == OF_FLOATS) return static_cast<const float*>(mask)[at];
  return __half2float(static_cast<const __half*>(mask)[at]);
}

// A tile: batch, head of queries, and where its queries and keys begin.
struct Place {
  int batch, head, query, key;
};

__device__ long long mask_offset(const Problem& p, const Place& at, int query, int key) {
  return at.batch * p.mask_batch + at.head * p.mask_head + query * p.mask_row +
         key * p.mask_column;
}

// Whether a query sees a key.
__device__ bool is_visible(const Problem& p, const void* mask, const Place& at, int query, int key) {
  if (query >= p.length || key >= p.keys || (p.is_causal && key > query)) return false;
  return p.mask_kind == NO_MASK ||
         mask_value(p.mask_kind, mask, mask_offset(p, at, query, key)) != NEVER;
}

// Which of this thread's 16 logits count: bit 4·i + j of query 4·ty + i and key 4·tx + j.
__device__ unsigned visible_bits(const Problem& p, const void* mask, const Place& at) {
  const int query = at.query + threadIdx.x / 16 * 4, key = at.key + threadIdx.x % 16 * 4;
  unsigned bits = 0;
#pragma unroll 4
  for (int n = 0; n < 16; n++) {
    const bool visible = is_visible(p, mask, at, query + n / 4, key + n % 4);
    bits |= (visible ? 1u : 0u) << n;
  }
  return bits;
}

// Whether a tile may have keys that none of its queries sees.
__device__ bool hides_keys(const Problem& p, const Place& at) {
  return p.mask_kind != NO_MASK || (p.is_causal && at.key + TILE > at.query);
}

// Whether a query of the tile sees a key of it; live_keys[key]: whether one sees that key.
__device__ bool find_seen(Shared& shared, unsigned bits) {
  const int lane = threadIdx.x % 32;
  unsigned keys = (bits | bits >> 4 | bits >> 8 | bits >> 12) & 15;
  keys |= __shfl_xor_sync(0xffffffffu, keys, 16);  // the same keys, four other queries
  __syncthreads();                                 // nobody reads what was found before
  if (lane < 16) shared.seen[threadIdx.x / 32][lane] = static_cast<unsigned char>(keys);
  __syncthreads();
  uint4 all = make_uint4(0, 0, 0, 0);
#pragma unroll
  for (int warp = 0; warp < THREADS / 32; warp++) {
    const uint4 own = *reinterpret_cast<const uint4*>(shared.seen[warp]);
    all = make_uint4(all.x | own.x, all.y | own.y, all.z | own.z, all.w | own.w);
  }
  if (threadIdx.x < TILE) {
    const int key = threadIdx.x;
    const unsigned word = key < 16 ? all.x : key < 32 ? all.y : key < 48 ? all.z : all.w;
    shared.live_keys[key] = word >> (key / 4 % 4 * 8 + key % 4) & 1;
  }
  return (all.x | all.y | all.z | all.w) != 0;  // live_keys is read after the next barrier
}

// s = scale·s + mask, and −inf where the key is not seen.
__device__ void finish_logits(const Problem& p, const void* mask, const Place& at,
                                     unsigned bits, float (&s)[4][4]) {
  const int query = at.query + threadIdx.x / 16 * 4, key = at.key + threadIdx.x % 16 * 4;
#pragma unroll
  for (int n = 0; n < 16; n++) {
    float& own = s[n / 4][n % 4];
    own = bits >> n & 1 ? own * p.scale : NEVER;
    if (p.mask_kind > OF_BOOLS && bits >> n & 1)
      own += mask_value(p.mask_kind, mask, mask_offset(p, at, query + n / 4, key + n % 4));
  }
}

// Whether dropout keeps the weights of a query and keys key, key + 1: bits 0 and 1.
__device__ unsigned kept_pair(const Problem& p, const Place& at, int query, int key) {
  const unsigned long long row =
      (static_cast<unsigned long long>(at.batch) * p.heads + at.head) * p.length + query;
  const unsigned long long first = row * p.keys + key, block = p.offset + first / 2;
  const uint4 words = philox(p.seed, block);
  const unsigned low = first % 2 ? words.z : words.x;
  const unsigned high = first % 2 ? philox(p.seed, block + 1).x : words.z;
  return (uniform(low) < p.dropped ? 0u : 1u) | (uniform(high) < p.dropped ? 0u : 2u);
}

// Which of this thread's weights dropout keeps; bits as of visible_bits.
__device__ unsigned kept_bits(const Problem& p, const Place& at) {
  const int query = at.query + threadIdx.x / 16 * 4, key = at.key + threadIdx.x % 16 * 4;
  unsigned bits = 0;
#pragma unroll 1  // the generator's registers, once
  for (int n = 0; n < 16; n += 2) bits |= kept_pair(p, at, query + n / 4, key + n % 4) << n;
  return bits;
}

// By what dropout multiplies weight n of a thread.
__device__ float dropout_factor(const Problem& p, unsigned kept, int n) {
  return kept >> n & 1 ? p.kept : 0.f;
}

// Rows of a head, from row `first` on, of `total`.
template <class T>
__device__ Rows<T> rows_of(const T* x, const Strides& strides, int batch, int head,
                                  int first, int total, int size, int aligned) {
  const T* own = x + batch * strides.batch + head * strides.head + first * strides.row;
  return {own, strides.row, min(TILE, total - first), size, nullptr, aligned != 0};
}
