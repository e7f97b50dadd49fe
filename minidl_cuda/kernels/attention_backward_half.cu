// Attention backward in float16 on tensor cores: FlashAttention-2, algorithm 2, in the two passes of
// attention_backward.cu, whose statistics it reads.
//
//     T. Dao.  FlashAttention-2.  2023, arXiv:2307.08691.
//
// Both passes are one: a block owns 64 rows of two operands, and goes through tiles of two others:
//
//     s = own₀·other₀ᵀ,  dp = own₁·other₁ᵀ      own: q and dy, others: k and v; or own: k and v …
//     p = exp(scale·s − m) / l,  ds = p·(dp − D)
//     sum₀ += ds·other₀                         dq; or dk
//     sum₁ += p·other₁                          of keys: dv
//
// so that with keys for rows, p and ds come out transposed, as the left factors that they must be.
// p and ds are rounded to halves, sums are float: see attention_forward_half.cu.
//
// Floor: 2·(4·E + 3·Ev) flops and two exp for each query and key.  Dynamic shared memory, 37 KB for
// heads of up to 64 numbers with tiles of 64, 52 KB for up to 128 with tiles of 32, which a T4 has
// once.  128 threads of up to 255 registers: sums of dk and dv take SIZE of them.  ptxas: 195 to 255,
// no spills; 96 to 128 HMMA a tile to 56 to 80 LDSM.

#include "attention_tensor_core.cuh"

namespace {

constexpr int OWN = 64;  // rows of a block

struct Operands {
  const __half *query, *key, *value, *dy;
  const void* mask;
  const float* statistics;
};

// m, 1 / l and D of some queries, in shared memory; see Statistics in attention_backward.cu.
struct Statistics {
  float *maximum, *reciprocal, *mean;

  __device__ void load(const float* statistics, const Problem& p, const Place& at, int count) const {
    if (threadIdx.x >= count) return;
    const long long head = static_cast<long long>(at.batch) * p.heads + at.head;
    const float* own = statistics + 3 * head * p.length + at.query + threadIdx.x;
    const bool exists = at.query + static_cast<int>(threadIdx.x) < p.length;
    maximum[threadIdx.x] = exists ? own[0] : 0.f;
    reciprocal[threadIdx.x] = exists ? own[p.length] : 0.f;
    mean[threadIdx.x] = exists ? own[2ll * p.length] : 0.f;
  }

  // Whether a query contributes anything.
  __device__ bool operator()(int query) const { return reciprocal[query] != 0.f; }
};

// Query and key, in the tile, of element e of s[n].
template <bool OF_KEYS>
__device__ int query_of(int n, int e) {
  return OF_KEYS ? column_of_element(n, e) : row_of_element(e);
}
template <bool OF_KEYS>
__device__ int key_of(int n, int e) {
  return OF_KEYS ? row_of_element(e) : column_of_element(n, e);
}

// The bits of the logits that count, 4·n + e.
template <bool OF_KEYS, int COLUMNS>
__device__ unsigned live_bits(const Problem& p, const void* mask, const Place& at,
                              const Statistics& of) {
  unsigned bits = 0;
#pragma unroll 4
  for (int n = 0; n < COLUMNS * 4; n++) {
    const int query = query_of<OF_KEYS>(n / 4, n % 4), key = key_of<OF_KEYS>(n / 4, n % 4);
    const bool counts = of(query) && is_visible(p, mask, at, at.query + query, at.key + key);
    bits |= (counts ? 1u : 0u) << n;
  }
  return bits;
}

// The bits of the weights that dropout keeps.
template <bool OF_KEYS, int COLUMNS>
__device__ unsigned kept_bits_of_lane(const Problem& p, const Place& at) {
  if (p.dropped == 0.f) return ~0u;
  unsigned kept = 0;
  constexpr int step = OF_KEYS ? 1 : 2;  // two numbers in a row are two keys of a query, or not
#pragma unroll 1
  for (int n = 0; n < COLUMNS * 4; n += step) {
    const int query = at.query + query_of<OF_KEYS>(n / 4, n % 4);
    const int key = at.key + key_of<OF_KEYS>(n / 4, n % 4);
    kept |= (kept_pair(p, at, query, key) & (OF_KEYS ? 1u : 3u)) << n;
  }
  return kept;
}

// s becomes the weights after dropout, dp the gradients of the logits.
template <bool OF_KEYS, int COLUMNS>
__device__ void weigh(const Problem& p, const void* mask, const Place& at, const Statistics& of,
                      unsigned bits, float (&s)[COLUMNS][4], float (&dp)[COLUMNS][4]) {
  const unsigned kept = kept_bits_of_lane<OF_KEYS, COLUMNS>(p, at);
  const float keeping = p.dropped > 0.f ? p.kept : 1.f;
#pragma unroll
  for (int n = 0; n < COLUMNS * 4; n++) {
    const int query = query_of<OF_KEYS>(n / 4, n % 4), key = key_of<OF_KEYS>(n / 4, n % 4);
    float &weight = s[n / 4][n % 4], &dlogit = dp[n / 4][n % 4];
    const bool visible = bits >> n & 1;  // else the products may be NaN
    float logit = weight * p.scale;
    if (p.mask_kind > OF_BOOLS && visible)
      logit += mask_value(p.mask_kind, mask, mask_offset(p, at, at.query + query, at.key + key));
    const float factor = kept >> n & 1 ? keeping : 0.f;
    const float probability = expf(logit - of.maximum[query]) * of.reciprocal[query];
    weight = visible ? probability * factor : 0.f;
    dlogit = visible ? probability * (dlogit * factor - of.mean[query]) : 0.f;
  }
}

template <bool OF_KEYS, int SIZE, int OTHER>
__device__ void backward(const Operands& of, __half* first, __half* second, const Problem& p) {
  constexpr int COLUMNS = OTHER / 8;
  extern __shared__ __align__(16) __half memory[];
  __shared__ float statistics_memory[3][OWN];
  __shared__ __align__(8) unsigned short seen_memory[WARPS][4];
  const Matrix<SIZE> own0 = {memory}, own1 = {own0.at(OWN, 0)}, other0 = {own1.at(OWN, 0)};
  const Matrix<SIZE> other1 = {other0.at(OTHER, 0)};
  const Statistics live = {statistics_memory[0], statistics_memory[1], statistics_memory[2]};
  const int tiles = ((OF_KEYS ? p.keys : p.length) + OWN - 1) / OWN, index = blockIdx.x / tiles;
  const int tile = blockIdx.x % tiles, heads = OF_KEYS ? p.heads / p.group : p.heads;
  const int own = (OF_KEYS ? tile : tiles - 1 - tile) * OWN, own_head = index % heads;
  Place at = {index / heads, OF_KEYS ? own_head * p.group : own_head, OF_KEYS ? 0 : own,
              OF_KEYS ? own : 0};
  const int key_head = at.head / p.group, warp_row = threadIdx.x / LANES * 16;
  const auto all = [](int) { return true; };
  const auto queries = [&] {
    return rows_of(of.query, p.query, at.batch, at.head, at.query, p.length, p.size, true);
  };
  const auto dys = [&] {
    return rows_of(of.dy, p.dy, at.batch, at.head, at.query, p.length, p.value_size, true);
  };
  const auto keys = [&] {
    return rows_of(of.key, p.key, at.batch, key_head, at.key, p.keys, p.size, true);
  };
  const auto values = [&] {
    return rows_of(of.value, p.value, at.batch, key_head, at.key, p.keys, p.value_size, true);
  };
  if (OF_KEYS) {
    own0.copy(keys(), OWN, all);
    own1.copy(values(), OWN, all);
  } else {
    live.load(of.statistics, p, at, OWN);
    __syncthreads();
    own0.copy(queries(), OWN, live);
    own1.copy(dys(), OWN, live);
  }
  commit_copies();
  float sums0[SIZE / 8][4] = {}, sums1[SIZE / 8][4] = {};
  bool seen_rows[2] = {false, false};  // of keys: whether a query so far saw them
  const int begin = OF_KEYS && p.is_causal ? own : 0;
  const int end = OF_KEYS ? p.length : p.is_causal ? min(p.keys, own + OWN) : p.keys;
  const int last_head = at.head + (OF_KEYS ? p.group : 1);
  for (; at.head < last_head; at.head++)
    for (int other = begin; other < end; other += OTHER) {
      (OF_KEYS ? at.query : at.key) = other;
      __syncthreads();  // nobody reads the tile before any more
      if (OF_KEYS) {
        live.load(of.statistics, p, at, OTHER);
        __syncthreads();
      }
      const unsigned bits = live_bits<OF_KEYS, COLUMNS>(p, of.mask, at, live);
      const Seen seen = find_seen_keys(bits, seen_memory);  // of keys: the queries that count
      if (!seen.parts) continue;
      if (OF_KEYS) {
        other0.copy(queries(), OTHER, live);
        other1.copy(dys(), OTHER, live);
#pragma unroll
        for (int i = 0; i < 2; i++) seen_rows[i] |= (bits & 0x33333333u << 2 * i) != 0;
      } else {
        other0.copy(keys(), OTHER, seen);
        other1.copy(values(), OTHER, all);
      }
      commit_copies();
      wait_for_copies<0>();
      __syncthreads();
      float s[COLUMNS][4], dp[COLUMNS][4];
      dot_rows(own0, warp_row, other0, s);
      dot_rows(own1, warp_row, other1, dp);
      weigh<OF_KEYS, COLUMNS>(p, of.mask, at, live, bits, s, dp);
      if (OF_KEYS) add_product<COLUMNS, SIZE>(s, other1, sums1);
      add_product<COLUMNS, SIZE>(dp, other0, sums0);
    }
  float scales[2] = {p.scale, p.scale}, ones[2] = {1.f, 1.f};
  if (OF_KEYS) {
#pragma unroll
    for (int i = 0; i < 2; i++) {
      unsigned any = seen_rows[i];
      any |= __shfl_xor_sync(0xffffffffu, any, 1);
      any |= __shfl_xor_sync(0xffffffffu, any, 2);
#pragma unroll
      for (int n = 0; n < SIZE / 8 * 2; n++) {
        if (any) continue;  // a key that nobody sees gets no gradient, whatever the queries are
        sums0[n / 2][2 * i + n % 2] = 0.f;
        sums1[n / 2][2 * i + n % 2] = 0.f;
      }
    }
  }
  const Strides& to = OF_KEYS ? p.dkey : p.dquery;
  const int count = min(OWN, (OF_KEYS ? p.keys : p.length) - own);
  store_halves<SIZE>(first + at.batch * to.batch + own_head * to.head + own * to.row, to.row, count,
                     p.size, sums0, scales);
  if (OF_KEYS)
    store_halves<SIZE>(
        second + at.batch * p.dvalue.batch + own_head * p.dvalue.head + own * p.dvalue.row,
        p.dvalue.row, count, p.value_size, sums1, ones);
}

}  // namespace

#define BACKWARD(size, other)                                                                    \
  extern "C" __global__ void __launch_bounds__(WARPS* LANES, 2)                                  \
      attention_queries_half_##size(const __half* query, const __half* key, const __half* value, \
                                    const __half* dy, const void* mask, const float* statistics, \
                                    __half* dquery, const Problem p) {                           \
    backward<false, size, other>(Operands{query, key, value, dy, mask, statistics}, dquery,      \
                                 nullptr, p);                                                    \
  }                                                                                              \
  extern "C" __global__ void __launch_bounds__(WARPS* LANES, 2)                                  \
      attention_keys_half_##size(const __half* query, const __half* key, const __half* value,    \
                                 const __half* dy, const void* mask, const float* statistics,    \
                                 __half* dkey, __half* dvalue, const Problem p) {                \
    backward<true, size, other>(Operands{query, key, value, dy, mask, statistics}, dkey, dvalue, \
                                p);                                                              \
  }

BACKWARD(64, 64)
BACKWARD(128, 32)
