// What the kernels of attention in float16 on tensor cores share.
//
// A block has 4 warps; each has 16 rows of a tile of logits, and all its columns.  Lane l has the
// rows l / 4 and l / 4 + 8, of every 8 columns the columns l % 4 · 2 and the next: the layout of a
// product of tensor_core.cuh.  Rounded to halves, it is that of a left factor, too, so weights go
// from one product to the next in registers.  Operands are in shared memory, row by row, in rows of
// SIZE + 8 halves, so that the 8 rows of a matrix begin in different banks.
//
// Heads have up to 128 numbers, a multiple of 8, and rows that are aligned to 16 bytes; for others
// the kernels of attention_forward.cu and attention_backward.cu do the same without tensor cores.
#pragma once

#include "attention.cuh"
#include "tensor_core.cuh"

constexpr int WARPS = 4;
constexpr int LANES = 32;

typedef unsigned Left[4];  // 16 × 16 of a left factor

template <int SIZE>
struct Matrix {  // rows in shared memory
  __half* first;

  __device__ __half* at(int row, int column) const { return first + row * (SIZE + 8) + column; }

  // Copies `count` rows, 0 where a row is not live or a column does not exist; all threads do.
  template <class Live>
  __device__ void copy(const Rows<__half>& rows, int count, Live live) const {
    for (int n = threadIdx.x; n < count * (SIZE / 8); n += WARPS * LANES) {
      const int row = n / (SIZE / 8), column = n % (SIZE / 8) * 8;
      const bool copies = row < rows.count && column < rows.size && live(row);
      copy_16_bytes(at(row, column), copies ? rows.first + row * rows.stride + column : rows.first,
                    copies);
    }
  }

  // Rows row … row + 15, columns column … column + 15, as a left factor.
  __device__ void load_left(Left& a, int row, int column) const {
    const int lane = threadIdx.x % LANES;
    load_matrices(a, at(row + lane % 16, column + lane / 16 * 8));
  }

  // Rows row … row + 15 as columns of two right factors, from depth column … column + 15.
  __device__ void load_rows_as_columns(unsigned (&b)[2][2], int row, int column) const {
    const int lane = threadIdx.x % LANES;
    unsigned r[4];
    load_matrices(r, at(row + lane / 16 * 8 + lane % 8, column + lane / 8 % 2 * 8));
    b[0][0] = r[0], b[0][1] = r[1], b[1][0] = r[2], b[1][1] = r[3];
  }

  // Columns column … column + 15 of two right factors, from depth row … row + 15.
  __device__ void load_columns(unsigned (&b)[2][2], int row, int column) const {
    const int lane = threadIdx.x % LANES;
    unsigned r[4];
    load_matrices_transposed(r, at(row + lane % 16, column + lane / 16 * 8));
    b[0][0] = r[0], b[0][1] = r[1], b[1][0] = r[2], b[1][1] = r[3];
  }
};

// s = x·yᵀ of 16 rows of x, which begin at `row`, and 8·COLUMNS rows of y.
template <int COLUMNS, int SIZE>
__device__ void dot_rows(const Matrix<SIZE>& x, int row, const Matrix<SIZE>& y,
                         float (&s)[COLUMNS][4]) {
#pragma unroll
  for (int n = 0; n < COLUMNS * 4; n++) s[n / 4][n % 4] = 0.f;
#pragma unroll
  for (int depth = 0; depth < SIZE; depth += 16) {
    Left a;
    x.load_left(a, row, depth);
#pragma unroll
    for (int n = 0; n < COLUMNS; n += 2) {
      unsigned b[2][2];
      y.load_rows_as_columns(b, n * 8, depth);
      multiply_add_16x8x16(s[n], a, b[0]);
      multiply_add_16x8x16(s[n + 1], a, b[1]);
    }
  }
}

__device__ unsigned pair_of_halves(float low, float high) {
  const __half2 pair = __floats2half2_rn(low, high);
  return *reinterpret_cast<const unsigned*>(&pair);
}

// sums += s·x: s has 16 rows, and 8·PARTS columns, as many as x has rows.
template <int PARTS, int SIZE>
__device__ void add_product(const float (&s)[PARTS][4], const Matrix<SIZE>& x,
                            float (&sums)[SIZE / 8][4]) {
#pragma unroll
  for (int k = 0; k < PARTS; k += 2) {
    const Left a = {pair_of_halves(s[k][0], s[k][1]), pair_of_halves(s[k][2], s[k][3]),
                    pair_of_halves(s[k + 1][0], s[k + 1][1]),
                    pair_of_halves(s[k + 1][2], s[k + 1][3])};
#pragma unroll
    for (int n = 0; n < SIZE / 8; n += 2) {
      unsigned b[2][2];
      x.load_columns(b, k * 8, n * 8);
      multiply_add_16x8x16(sums[n], a, b[0]);
      multiply_add_16x8x16(sums[n + 1], a, b[1]);
    }
  }
}

// Row and column, in the tile, of element e of s[n].
__device__ int row_of_element(int e) {
  return threadIdx.x / LANES * 16 + threadIdx.x % LANES / 4 + e / 2 * 8;
}
__device__ int column_of_element(int n, int e) { return n * 8 + threadIdx.x % 4 * 2 + e % 2; }

// Which keys of a tile any query sees: bit n of part q of key n / 2 · 8 + 2·q + n % 2.
struct Seen {
  unsigned long long parts;

  __device__ bool operator()(int key) const {
    return parts >> (key / 2 % 4 * 16 + key / 8 * 2 + key % 2) & 1;
  }
};

// From the bits of the logits that count, 4·n + e of s[n][e]; columns are keys.
__device__ Seen find_seen_keys(unsigned bits, unsigned short (*shared)[4]) {
  unsigned keys = 0;
#pragma unroll
  for (int n = 0; n < 16; n++) keys |= (bits >> (n / 2 * 4 + n % 2) & 5 ? 1u : 0u) << n;
#pragma unroll
  for (int lanes = 4; lanes < LANES; lanes *= 2) keys |= __shfl_xor_sync(0xffffffffu, keys, lanes);
  if (threadIdx.x % LANES < 4)
    shared[threadIdx.x / LANES][threadIdx.x % 4] = static_cast<unsigned short>(keys);
  __syncthreads();
  Seen seen = {0};
#pragma unroll
  for (int n = 0; n < WARPS * 4; n++)
    seen.parts |= static_cast<unsigned long long>(shared[n / 4][n % 4]) << n % 4 * 16;
  return seen;
}

// 16 rows of results, two numbers at a time, each row times its factor.
template <int SIZE>
__device__ void store_halves(__half* x, long long stride, int count, int size,
                             const float (&sums)[SIZE / 8][4], const float (&factors)[2]) {
#pragma unroll
  for (int n = 0; n < SIZE / 8; n++)
#pragma unroll
    for (int half = 0; half < 2; half++) {
      const int row = row_of_element(2 * half), column = column_of_element(n, 0);
      if (row >= count || column >= size) continue;
      *reinterpret_cast<__half2*>(x + row * stride + column) =
          __floats2half2_rn(sums[n][2 * half] * factors[half], sums[n][2 * half + 1] * factors[half]);
    }
}
