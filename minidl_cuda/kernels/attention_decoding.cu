// Attention of few queries, as in generating text token by token: split over the keys.
//
// A tile of 64 queries would be empty but for one, and a head would have one block.  So a block
// takes 256 keys of a query, each of its 8 warps 32 of them: a lane has the logit of one key, and
// then some columns of the sum.  A second kernel combines what the blocks found.
//
//     T. Dao, D. Haziza, F. Massa, G. Sizov.  Flash-Decoding for long-context inference.  2023.
//
// Floor: keys and values are read once for each query: 4·(E + Ev) bytes a key (2· in float16); heads
// that share a key find it in the second-level cache.  Their rows are read by whole warps, number by
// number.  A run of a sum has 32 terms; those of runs are combined in pairs of a block, and of
// blocks in two floats, which also keep the sum of many thousand keys exact.  256 threads, one for
// each key, of 32 to 54 registers (ptxas: no spills, no float64).

#include "attention.cuh"

namespace {

constexpr int WARPS = 8, LANES = 32;
constexpr int SPLIT = WARPS * LANES;  // keys of a block
constexpr int MOST = 8;               // columns of a lane: heads have up to 256 numbers

__device__ float warp_max(float x) {
#pragma unroll
  for (int lanes = 16; lanes > 0; lanes /= 2) x = fmaxf(x, __shfl_xor_sync(0xffffffffu, x, lanes));
  return x;
}

__device__ float warp_sum(float x) {
#pragma unroll
  for (int lanes = 16; lanes > 0; lanes /= 2) x += __shfl_xor_sync(0xffffffffu, x, lanes);
  return x;
}

// exp(m − largest), which is 0 where no key was seen.
__device__ float factor_of(float maximum, float largest) {
  return maximum == NEVER ? 0.f : expf(maximum - largest);
}

// The logit of the key that this lane has; keys that the query does not see are not read.
template <class T>
__device__ float logit_of_lane(const Problem& p, const T* query, const T* keys, const void* mask,
                               const Place& at) {
  const int lane = threadIdx.x % LANES, own = at.key + lane;
  const unsigned visible =
      __ballot_sync(0xffffffffu, is_visible(p, mask, at, at.query, own));
  float q[MOST], logit = NEVER;
#pragma unroll
  for (int i = 0; i < MOST; i++) {
    const int column = lane + i * LANES;
    q[i] = visible && column < p.size ? load(query + column) : 0.f;
  }
  for (int k = 0; k < LANES; k++) {
    if (!(visible >> k & 1)) continue;
    const T* key = keys + (at.key + k) * p.key.row;
    float dot = 0.f;
#pragma unroll
    for (int i = 0; i < MOST; i++) {
      const int column = lane + i * LANES;
      if (column < p.size) dot = fmaf(q[i], load(key + column), dot);
    }
    dot = warp_sum(dot);
    if (lane == k) logit = dot * p.scale;
  }
  if (p.mask_kind > OF_BOOLS && visible >> lane & 1)
    logit += mask_value(p.mask_kind, mask, mask_offset(p, at, at.query, own));
  return logit;
}

// The maximum, Σ p and Σ p·v of a block of keys: `width` = Ev + 2 numbers of `parts`.
template <class T>
__device__ void decode(const T* query, const T* key, const T* value, const void* mask, float* parts,
                       int splits, const Problem& p) {
  __shared__ float maxima[WARPS], totals[WARPS], sums[WARPS][MOST * LANES];
  const int row = blockIdx.x / splits, split = blockIdx.x % splits, head = row / p.length;
  const int warp = threadIdx.x / LANES, lane = threadIdx.x % LANES;
  const Place at = {head / p.heads, head % p.heads, row % p.length, split * SPLIT + warp * LANES};
  const int group = at.head / p.group;
  const T* own_query = query + at.batch * p.query.batch + at.head * p.query.head + at.query * p.query.row;
  const T* values = value + at.batch * p.value.batch + group * p.value.head;
  const float logit = logit_of_lane(
      p, own_query, key + at.batch * p.key.batch + group * p.key.head, mask, at);
  const float maximum = warp_max(logit);
  float weight = expf(logit - (maximum == NEVER ? 0.f : maximum));  // NaN where a logit is
  const float total = warp_sum(weight);
  if (p.dropped > 0.f) weight *= dropout_factor(p, kept_pair(p, at, at.query, at.key + lane), 0);
  float own[MOST] = {};
  for (int k = 0; k < LANES; k++) {
    const float factor = __shfl_sync(0xffffffffu, weight, k);
    if (__shfl_sync(0xffffffffu, logit, k) == NEVER) continue;  // a value that nobody sees may be NaN
    const T* row_of_values = values + (at.key + k) * p.value.row;
#pragma unroll
    for (int i = 0; i < MOST; i++) {
      const int column = lane + i * LANES;
      if (column < p.value_size) own[i] = fmaf(factor, load(row_of_values + column), own[i]);
    }
  }
  if (lane == 0) maxima[warp] = maximum, totals[warp] = total;
#pragma unroll
  for (int i = 0; i < MOST; i++) sums[warp][lane + i * LANES] = own[i];
  __syncthreads();
  float largest = NEVER, all = 0.f, sum = 0.f;
#pragma unroll
  for (int w = 0; w < WARPS; w++) largest = fmaxf(largest, maxima[w]);
#pragma unroll
  for (int w = 0; w < WARPS; w++) {
    const float factor = factor_of(maxima[w], largest);
    all += totals[w] * factor;
    sum += sums[w][threadIdx.x] * factor;
  }
  float* result = parts + static_cast<long long>(blockIdx.x) * (p.value_size + 2);
  if (threadIdx.x == 0) result[0] = largest, result[1] = all;
  if (threadIdx.x < p.value_size) result[2 + threadIdx.x] = sum;
}

// y of a query from the parts of all splits, and m and 1 / l.
template <class T>
__device__ void combine(const float* parts, T* y, float* statistics, int splits, const Problem& p) {
  const int row = blockIdx.x, head = row / p.length, query = row % p.length, width = p.value_size + 2;
  const float* own = parts + static_cast<long long>(row) * splits * width;
  float largest = NEVER;
  for (int s = 0; s < splits; s++) largest = fmaxf(largest, own[static_cast<long long>(s) * width]);
  TwoFloat total, sum;
  for (int s = 0; s < splits; s++) {
    const float* part = own + static_cast<long long>(s) * width;
    const float factor = factor_of(part[0], largest);
    total.add(part[1] * factor);
    if (threadIdx.x < p.value_size) sum.add(part[2 + threadIdx.x] * factor);
  }
  const float reciprocal = total.value() == 0.f ? 0.f : 1.f / total.value();
  T* result = y + head / p.heads * p.y.batch + head % p.heads * p.y.head + query * p.y.row;
  if (threadIdx.x < p.value_size) store(result + threadIdx.x, sum.value() * reciprocal);
  if (threadIdx.x) return;
  float* saved = statistics + 2ll * head * p.length + query;
  saved[0] = largest == NEVER ? 0.f : largest;
  saved[p.length] = reciprocal;
}

}  // namespace

#define DECODING(suffix, T)                                                                       \
  extern "C" __global__ void __launch_bounds__(SPLIT) attention_decode_##suffix(                  \
      const T* query, const T* key, const T* value, const void* mask, float* parts, int splits,   \
      const Problem p) {                                                                          \
    decode(query, key, value, mask, parts, splits, p);                                            \
  }                                                                                               \
  extern "C" __global__ void __launch_bounds__(SPLIT) attention_combine_##suffix(                 \
      const float* parts, T* y, float* statistics, int splits, const Problem p) {                 \
    combine(parts, y, statistics, splits, p);                                                     \
  }

DECODING(f32, float)
DECODING(f16, __half)
