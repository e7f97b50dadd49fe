// Attention forward: FlashAttention-2, a block for each 64 queries of a head.
//
//     for each tile of keys:
//         s = scale·q·kᵀ + mask
//         m′ = max s if that exceeds m by more than 8, else m
//         l = l·exp(m − m′),  y = y·exp(m − m′),  m = m′
//         p = exp(s − m),  l = l + Σ p,  y = y + p·v
//     y = y / l
//
//     T. Dao.  FlashAttention-2.  2023, arXiv:2307.08691.
//     M. Milakov, N. Gimelshein.  Online normalizer calculation for softmax.  2018, arXiv:1805.02867.
//
// Saved are m and 1 / l of each query, so that backward finds the same p, bit by bit; they say as
// much as the logarithm m + log l.  Rescaling rounds, so m is raised only where it lags far behind;
// p may be as large as e⁸.  With causality, tiles above the diagonal are left out, and the longest
// blocks begin first.
//
// Floor: 2·(E + Ev) flops and an exp for each query and key.  A step of a product reads 32 bytes of
// shared memory for 32 flops of a thread, so that a multiprocessor's shared memory, 128 bytes a
// clock, and its 128 lanes are about equally busy.  256 threads, as a tile has; two blocks a
// multiprocessor, so that one computes while the other waits: at most 128 registers a thread, 255
// for heads of more than 128 numbers.  ptxas for sm_75, 80 and 90: no spills, no float64; a step of
// the loop is 16 FFMA to 2 vector LDS.

#include "attention.cuh"

constexpr float MARGIN = 8.f;  // by which the maximum may lag behind

namespace {

// Maximum and sum over the 16 threads that have the same queries.
__device__ float row_max(float x) {
#pragma unroll
  for (int lanes = 8; lanes > 0; lanes /= 2) x = fmaxf(x, __shfl_xor_sync(0xffffffffu, x, lanes));
  return x;
}

__device__ float row_sum(float x) {
#pragma unroll
  for (int lanes = 8; lanes > 0; lanes /= 2) x += __shfl_xor_sync(0xffffffffu, x, lanes);
  return x;
}

// What a thread knows of its four queries.
struct Softmax {
  float maximum[4];
  TwoFloat sum[4];

  __device__ Softmax() {
#pragma unroll
    for (int i = 0; i < 4; i++) maximum[i] = NEVER;
  }

  // Raises m where a tile exceeds it by far; whether there is a query of which it was raised.
  __device__ bool raise(const float (&s)[4][4], float (&factors)[4]) {
    bool raised = false;
#pragma unroll
    for (int i = 0; i < 4; i++) {
      const float largest = row_max(fmaxf(fmaxf(s[i][0], s[i][1]), fmaxf(s[i][2], s[i][3])));
      const bool raises = largest > maximum[i] + MARGIN;
      factors[i] = !raises ? 1.f : maximum[i] == NEVER ? 0.f : expf(maximum[i] - largest);
      maximum[i] = raises ? largest : maximum[i];
      sum[i].sum *= factors[i];
      sum[i].rounded *= factors[i];
      raised |= raises;
    }
    return raised;
  }

  // s becomes p = exp(s − m), whose sum is added.
  __device__ void exponentiate(float (&s)[4][4]) {
#pragma unroll
    for (int i = 0; i < 4; i++) {
      const float shift = maximum[i] == NEVER ? 0.f : maximum[i];
#pragma unroll
      for (int j = 0; j < 4; j++) s[i][j] = expf(s[i][j] - shift);
      sum[i].add(row_sum((s[i][0] + s[i][1]) + (s[i][2] + s[i][3])));
    }
  }

  __device__ float reciprocal(int i) const {
    const float total = sum[i].value();
    return total == 0.f ? 0.f : 1.f / total;
  }
};

// Multiplies the weights by the factors of dropout, where there is any, and puts them in the tile.
__device__ void store_weights(Shared& shared, const Problem& p, const Place& at, float (&s)[4][4]) {
  const int query = threadIdx.x / 16 * 4, key = threadIdx.x % 16 * 4;
  if (p.dropped > 0.f) {
    const unsigned kept = kept_bits(p, at);
#pragma unroll
    for (int n = 0; n < 16; n++) s[n / 4][n % 4] *= dropout_factor(p, kept, n);
  }
#pragma unroll
  for (int j = 0; j < 4; j++)
    *reinterpret_cast<float4*>(&shared.tile[key + j][query]) =
        make_float4(s[0][j], s[1][j], s[2][j], s[3][j]);
}

// Columns 64·COLUMNS·blockIdx.y … of y, for the queries of a tile.
template <int COLUMNS, class T>
__device__ void forward(const T* query, const T* key, const T* value, const void* mask, T* y,
                        float* statistics, TwoFloat* memory, const Problem& p) {
  __shared__ Shared shared;
  const int tiles = (p.length + TILE - 1) / TILE, index = blockIdx.x / tiles;
  Place at = {index / p.heads, index % p.heads, 0, 0};
  at.query = (tiles - 1 - static_cast<int>(blockIdx.x % tiles)) * TILE;
  const int column = blockIdx.y * COLUMNS * TILE;
  const int end = p.is_causal ? min(p.keys, at.query + TILE) : p.keys, shared_head = at.head / p.group;
  const Rows<T> queries =
      rows_of(query, p.query, at.batch, at.head, at.query, p.length, p.size, p.aligned);
  Totals totals = totals_of_block(memory, COLUMNS);
  Softmax softmax;
  float sums[COLUMNS][4][4] = {};
  int added = 0;
  for (; at.key < end; at.key += TILE) {
    const unsigned bits = visible_bits(p, mask, at);
    const bool hides = hides_keys(p, at);
    if (hides && !find_seen(shared, bits)) continue;
    const Rows<T> keys =
        rows_of(key, p.key, at.batch, shared_head, at.key, p.keys, p.size, p.aligned);
    Rows<T> values =
        rows_of(value, p.value, at.batch, shared_head, at.key, p.keys, p.value_size, p.aligned);
    values.live = hides ? shared.live_keys : nullptr;
    float s[4][4], factors[4];
    dots(shared, queries, keys, s);
    finish_logits(p, mask, at, bits, s);
    if (softmax.raise(s, factors)) {
#pragma unroll
      for (int i = 0; i < COLUMNS * 16; i++) sums[i / 16][i / 4 % 4][i % 4] *= factors[i / 4 % 4];
      if (totals.begun) totals.scale<COLUMNS>(factors);
    }
    softmax.exponentiate(s);
    store_weights(shared, p, at, s);
    accumulate(shared, values, column, sums);
    if (++added % FLUSH == 0 && memory) totals.add(sums);
  }
  totals.finish(sums);
  float reciprocals[4];
  float* own = statistics + 2ll * index * p.length;
#pragma unroll
  for (int i = 0; i < 4; i++) {
    const int row = at.query + threadIdx.x / 16 * 4 + i;
    reciprocals[i] = softmax.reciprocal(i);
    if (row >= p.length || threadIdx.x % 16 || column) continue;
    own[row] = softmax.maximum[i] == NEVER ? 0.f : softmax.maximum[i];
    own[p.length + row] = reciprocals[i];
  }
  T* result = y + at.batch * p.y.batch + at.head * p.y.head + at.query * p.y.row;
  store_sums(result, p.y.row, queries.count, p.value_size, column, sums, reciprocals);
}

}  // namespace

#define FORWARD(columns, suffix, T, blocks)                                                      \
  extern "C" __global__ void __launch_bounds__(THREADS, blocks)                                  \
      attention_forward_##suffix(const T* query, const T* key, const T* value, const void* mask, \
                                 T* y, float* statistics, TwoFloat* totals, const Problem p) {     \
    forward<columns>(query, key, value, mask, y, statistics, totals, p);                         \
  }

FORWARD(1, 64_f32, float, 2)
FORWARD(2, 128_f32, float, 2)
FORWARD(4, 256_f32, float, 1)
FORWARD(1, 64_f16, __half, 2)
FORWARD(2, 128_f16, __half, 2)
FORWARD(4, 256_f16, __half, 1)
