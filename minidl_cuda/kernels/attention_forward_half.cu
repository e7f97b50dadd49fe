// Attention forward in float16 on tensor cores: FlashAttention-2, as in attention_forward.cu, with
// products of halves that are summed in float.
//
//     T. Dao.  FlashAttention-2.  2023, arXiv:2307.08691.
//
// A warp has 16 queries, whose logits, weights and sums stay in its registers.  Values are copied
// to shared memory while the logits are computed.  Weights are rounded to halves, as are operands
// and results; their sum is not.  A product adds 16 keys at a time, so a sum over 65,536 keys has
// 4096 roundings of 2⁻²⁴, less than the rounding of the result: totals are not needed.
//
// Floor: 2·(E + Ev) flops and an exp for each query and key.  A key and a value in shared memory,
// 4·SIZE bytes, serve 64 queries.  128 threads of up to 255 registers (SIZE / 2 for sums, 32 for
// logits): two blocks a multiprocessor, one of which computes while the other waits.  ptxas: 167
// registers for heads of up to 64 numbers, 227 for up to 128, no spills; 64 and 128 HMMA a tile to 36
// and 72 LDSM (twice the HMMA on sm_75).

#include "attention_tensor_core.cuh"

constexpr float MARGIN = 8.f;  // by which the maximum may lag behind; p ≤ e⁸ is far from the largest half
constexpr int KEYS = 64;  // of a tile

namespace {

__device__ float row_max(float x) {
  x = fmaxf(x, __shfl_xor_sync(0xffffffffu, x, 1));
  return fmaxf(x, __shfl_xor_sync(0xffffffffu, x, 2));
}

__device__ float row_sum(float x) {
  x += __shfl_xor_sync(0xffffffffu, x, 1);
  return x + __shfl_xor_sync(0xffffffffu, x, 2);
}

// The bits of the logits that count, 4·n + e, and which keys are seen.
__device__ unsigned visible_bits_of_lane(const Problem& p, const void* mask, const Place& at) {
  unsigned bits = 0;
#pragma unroll 4
  for (int n = 0; n < 32; n++) {
    const int query = at.query + row_of_element(n % 4), key = at.key + column_of_element(n / 4, n);
    bits |= (is_visible(p, mask, at, query, key) ? 1u : 0u) << n;
  }
  return bits;
}

// What a thread knows of its two queries.
struct Softmax {
  float maximum[2];
  TwoFloat sum[2];

  // Raises m where a tile exceeds it by far, and gives the factors of what was summed so far.
  __device__ bool raise(const float (&s)[KEYS / 8][4], float (&factors)[2]) {
    bool raised = false;
#pragma unroll
    for (int i = 0; i < 2; i++) {
      float largest = NEVER;
#pragma unroll
      for (int n = 0; n < KEYS / 8; n++) largest = fmaxf(largest, fmaxf(s[n][2 * i], s[n][2 * i + 1]));
      largest = row_max(largest);
      const bool raises = largest > maximum[i] + MARGIN;
      factors[i] = !raises ? 1.f : maximum[i] == NEVER ? 0.f : expf(maximum[i] - largest);
      maximum[i] = raises ? largest : maximum[i];
      sum[i].sum *= factors[i];
      sum[i].rounded *= factors[i];
      raised |= raises;
    }
    return raised;
  }

  __device__ void exponentiate(float (&s)[KEYS / 8][4]) {
#pragma unroll
    for (int i = 0; i < 2; i++) {
      const float shift = maximum[i] == NEVER ? 0.f : maximum[i];
      float own = 0.f;
#pragma unroll
      for (int n = 0; n < KEYS / 8; n++) {
        s[n][2 * i] = expf(s[n][2 * i] - shift);
        s[n][2 * i + 1] = expf(s[n][2 * i + 1] - shift);
        own += s[n][2 * i] + s[n][2 * i + 1];
      }
      sum[i].add(row_sum(own));
    }
  }

  __device__ float reciprocal(int i) const {
    const float total = sum[i].value();
    return total == 0.f ? 0.f : 1.f / total;
  }
};

// Dropout of the weights.
__device__ void drop(const Problem& p, const Place& at, float (&s)[KEYS / 8][4]) {
  unsigned kept = 0;
#pragma unroll 1  // the generator's registers, once
  for (int n = 0; n < 32; n += 2)
    kept |= kept_pair(p, at, at.query + row_of_element(n % 4), at.key + column_of_element(n / 4, 0)) << n;
#pragma unroll
  for (int n = 0; n < 32; n++) s[n / 4][n % 4] *= dropout_factor(p, kept, n);
}

template <int SIZE>
__device__ void forward(const __half* query, const __half* key, const __half* value,
                        const void* mask, __half* y, float* statistics, const Problem& p) {
  __shared__ __align__(16) __half memory[2][KEYS * (SIZE + 8)];
  __shared__ __align__(8) unsigned short seen_memory[WARPS][4];
  const Matrix<SIZE> k_rows = {memory[0]}, v_rows = {memory[1]};
  const int tiles = (p.length + TILE - 1) / TILE, index = blockIdx.x / tiles;
  Place at = {index / p.heads, index % p.heads, 0, 0};
  at.query = (tiles - 1 - static_cast<int>(blockIdx.x % tiles)) * TILE;
  const int end = p.is_causal ? min(p.keys, at.query + TILE) : p.keys, group = at.head / p.group;
  const Rows<__half> queries =
      rows_of(query, p.query, at.batch, at.head, at.query, p.length, p.size, true);
  const auto all = [](int) { return true; };
  k_rows.copy(queries, TILE, all);
  commit_copies();
  wait_for_copies<0>();
  __syncthreads();
  Left own[SIZE / 16];  // the queries of this warp
#pragma unroll
  for (int depth = 0; depth < SIZE; depth += 16)
    k_rows.load_left(own[depth / 16], threadIdx.x / LANES * 16, depth);
  Softmax softmax = {{NEVER, NEVER}, {}};
  float sums[SIZE / 8][4] = {};
  for (; at.key < end; at.key += KEYS) {
    __syncthreads();  // nobody reads the tile before any more
    const unsigned bits = visible_bits_of_lane(p, mask, at);
    const Seen seen = find_seen_keys(bits, seen_memory);
    if (!seen.parts) continue;
    k_rows.copy(rows_of(key, p.key, at.batch, group, at.key, p.keys, p.size, true), KEYS, all);
    commit_copies();
    v_rows.copy(rows_of(value, p.value, at.batch, group, at.key, p.keys, p.value_size, true), KEYS,
                seen);
    commit_copies();
    wait_for_copies<1>();
    __syncthreads();
    float s[KEYS / 8][4] = {}, factors[2];
#pragma unroll
    for (int depth = 0; depth < SIZE; depth += 16)
#pragma unroll
      for (int n = 0; n < KEYS / 8; n += 2) {
        unsigned b[2][2];
        k_rows.load_rows_as_columns(b, n * 8, depth);
        multiply_add_16x8x16(s[n], own[depth / 16], b[0]);
        multiply_add_16x8x16(s[n + 1], own[depth / 16], b[1]);
      }
#pragma unroll
    for (int n = 0; n < 32; n++) {
      float& logit = s[n / 4][n % 4];
      logit = bits >> n & 1 ? logit * p.scale : NEVER;
      if (p.mask_kind > OF_BOOLS && bits >> n & 1) {
        const int i = at.query + row_of_element(n % 4), j = at.key + column_of_element(n / 4, n);
        logit += mask_value(p.mask_kind, mask, mask_offset(p, at, i, j));
      }
    }
    if (softmax.raise(s, factors))
#pragma unroll
      for (int n = 0; n < SIZE / 8 * 4; n++) sums[n / 4][n % 4] *= factors[n / 2 % 2];
    softmax.exponentiate(s);
    if (p.dropped > 0.f) drop(p, at, s);
    wait_for_copies<0>();
    __syncthreads();
    add_product<KEYS / 8, SIZE>(s, v_rows, sums);
  }
  float reciprocals[2];
  float* saved = statistics + 2ll * index * p.length;
#pragma unroll
  for (int i = 0; i < 2; i++) {
    const int row = at.query + row_of_element(2 * i);
    reciprocals[i] = softmax.reciprocal(i);
    if (row >= p.length || threadIdx.x % 4) continue;
    saved[row] = softmax.maximum[i] == NEVER ? 0.f : softmax.maximum[i];
    saved[p.length + row] = reciprocals[i];
  }
  __half* result = y + at.batch * p.y.batch + at.head * p.y.head + at.query * p.y.row;
  store_halves<SIZE>(result, p.y.row, queries.count, p.value_size, sums, reciprocals);
}

}  // namespace

#define FORWARD(size)                                                                         \
  extern "C" __global__ void __launch_bounds__(WARPS* LANES, 2)                               \
      attention_forward_half_##size(const __half* query, const __half* key,                   \
                                    const __half* value, const void* mask, __half* y,         \
                                    float* statistics, const Problem p) {                     \
    forward<size>(query, key, value, mask, y, statistics, p);                                 \
  }

FORWARD(64)
FORWARD(128)
