// Attention backward: the weights are computed again, tile by tile, from what forward saved.
//
//     p = exp(s − m) / l
//     dv += p·dy
//     ds  = p·(dy·vᵀ − D),          D = Σ dy·y of a query, which is Σₖ p·dp
//     dq += ds·k·scale,   dk += ds·q·scale
//
//     T. Dao.  FlashAttention-2.  2023, arXiv:2307.08691, algorithm 2.
//
// Two passes: a block for each 64 queries sums dq over the keys; a block for each 64 keys of a head
// of keys sums dk and dv over the queries of all heads that share it.  So no two blocks add to the
// same number: there are no atomics, and the same bits come in every run, for 7 products instead of
// 5.  A third pass sums ds for a mask that is trained.
//
// Queries whose dy is 0, and those that see no key, contribute nothing, whatever they are: neither
// their own rows nor those of dy are read, which would turn NaN · 0 into NaN.  So are keys that no
// query of the tile sees.
//
// Floor: 2·(4·E + 3·Ev) flops and two exp for each query and key.  256 threads, as a tile has; the
// sums of 128 columns of dk and dv take 64 registers, so such blocks are alone on a multiprocessor.
// ptxas: 123 to 201 registers, no spills, no float64.

#include "attention.cuh"

namespace {

// What each query needs: m, and 1 / l or 0 for those that contribute nothing, and D; three rows of
// L numbers for each head.
struct Statistics {
  float maximum[4], reciprocal[4], mean[4];

  __device__ Statistics(const float* statistics, const Problem& p, const Place& at) {
    const float* own = statistics + 3ll * (static_cast<long long>(at.batch) * p.heads + at.head) * p.length;
    const int first = at.query + threadIdx.x / 16 * 4;
#pragma unroll
    for (int i = 0; i < 4; i++) {
      const bool exists = first + i < p.length;
      maximum[i] = exists ? own[first + i] : 0.f;
      reciprocal[i] = exists ? own[p.length + first + i] : 0.f;
      mean[i] = exists ? own[2ll * p.length + first + i] : 0.f;
    }
  }
};

template <class T>
struct Operands {
  const T *query, *key, *value, *dy;
  const void* mask;
  const float* statistics;
};

// A tile's weights after dropout, and the gradients of its logits.
struct Tile {
  float weights[4][4], dlogits[4][4];
};

// Which queries contribute; to be read after the next barrier.
__device__ void find_live_queries(Shared& shared, const float* statistics, const Problem& p,
                                  const Place& at) {
  __syncthreads();  // nobody reads those of the tile before
  if (threadIdx.x >= TILE) return;
  const long long head = static_cast<long long>(at.batch) * p.heads + at.head;
  const int query = at.query + threadIdx.x;
  shared.live_queries[threadIdx.x] =
      query < p.length && statistics[(3 * head + 1) * p.length + query] != 0.f;
}

// Bits of the logits that count, without those of queries that contribute nothing.
__device__ unsigned live_bits(const Problem& p, const void* mask, const Statistics& of,
                              const Place& at) {
  unsigned bits = visible_bits(p, mask, at);
#pragma unroll
  for (int i = 0; i < 4; i++)
    if (of.reciprocal[i] == 0.f) bits &= ~(15u << 4 * i);
  return bits;
}

// Rows of queries, and of dy, of which only those that contribute are read.
template <class T>
__device__ Rows<T> queries_of(Shared& shared, const Operands<T>& of, const Problem& p, const Place& at) {
  Rows<T> rows = rows_of(of.query, p.query, at.batch, at.head, at.query, p.length, p.size, p.aligned);
  rows.live = shared.live_queries;
  return rows;
}

template <class T>
__device__ Rows<T> dys_of(Shared& shared, const Operands<T>& of, const Problem& p, const Place& at) {
  Rows<T> rows = rows_of(of.dy, p.dy, at.batch, at.head, at.query, p.length, p.value_size, p.aligned);
  rows.live = shared.live_queries;
  return rows;
}

template <class T>
__device__ Rows<T> keys_of(const Operands<T>& of, const Problem& p, const Place& at) {
  return rows_of(of.key, p.key, at.batch, at.head / p.group, at.key, p.keys, p.size, p.aligned);
}

template <class T>
__device__ void compute_tile(Shared& shared, const Operands<T>& of, const Problem& p,
                             const Place& at, const Statistics& own, unsigned bits, Tile& tile) {
  const Rows<T> values = rows_of(of.value, p.value, at.batch, at.head / p.group, at.key, p.keys,
                                 p.value_size, p.aligned);
  dots(shared, queries_of(shared, of, p, at), keys_of(of, p, at), tile.weights);
  dots(shared, dys_of(shared, of, p, at), values, tile.dlogits);
  finish_logits(p, of.mask, at, bits, tile.weights);
  const unsigned kept = p.dropped > 0.f ? kept_bits(p, at) : 0u;
#pragma unroll
  for (int n = 0; n < 16; n++) {
    float &weight = tile.weights[n / 4][n % 4], &dlogit = tile.dlogits[n / 4][n % 4];
    const float factor = p.dropped > 0.f ? dropout_factor(p, kept, n) : 1.f;
    const float probability = expf(weight - own.maximum[n / 4]) * own.reciprocal[n / 4];
    const bool visible = bits >> n & 1;  // else the products may be NaN
    weight = visible ? probability * factor : 0.f;
    dlogit = visible ? probability * (dlogit * factor - own.mean[n / 4]) : 0.f;
  }
}

// tile[query][key], or transposed.
__device__ void store_tile(Shared& shared, const float (&x)[4][4]) {
  const int query = threadIdx.x / 16 * 4, key = threadIdx.x % 16 * 4;
#pragma unroll
  for (int i = 0; i < 4; i++)
    *reinterpret_cast<float4*>(&shared.tile[query + i][key]) =
        make_float4(x[i][0], x[i][1], x[i][2], x[i][3]);
}

__device__ void store_tile_transposed(Shared& shared, const float (&x)[4][4]) {
  const int query = threadIdx.x / 16 * 4, key = threadIdx.x % 16 * 4;
#pragma unroll
  for (int j = 0; j < 4; j++)
    *reinterpret_cast<float4*>(&shared.tile[key + j][query]) =
        make_float4(x[0][j], x[1][j], x[2][j], x[3][j]);
}

// Columns 64·COLUMNS·blockIdx.y … of dq, for 64 queries.
template <int COLUMNS, class T>
__device__ void backward_queries(const Operands<T>& of, T* dquery, TwoFloat* memory, const Problem& p) {
  __shared__ Shared shared;
  const int tiles = (p.length + TILE - 1) / TILE, index = blockIdx.x / tiles;
  Place at = {index / p.heads, index % p.heads, 0, 0};
  at.query = (tiles - 1 - static_cast<int>(blockIdx.x % tiles)) * TILE;
  const int column = blockIdx.y * COLUMNS * TILE;
  const int end = p.is_causal ? min(p.keys, at.query + TILE) : p.keys;
  const Statistics own(of.statistics, p, at);
  find_live_queries(shared, of.statistics, p, at);
  Totals totals = totals_of_block(memory, COLUMNS);
  float sums[COLUMNS][4][4] = {};
  int added = 0;
  for (; at.key < end; at.key += TILE) {
    const unsigned bits = live_bits(p, of.mask, own, at);
    const bool hides = hides_keys(p, at);
    if (hides && !find_seen(shared, bits)) continue;
    Tile tile;
    compute_tile(shared, of, p, at, own, bits, tile);
    store_tile_transposed(shared, tile.dlogits);
    Rows<T> keys = keys_of(of, p, at);
    keys.live = hides ? shared.live_keys : nullptr;
    accumulate(shared, keys, column, sums);
    if (++added % FLUSH == 0 && memory) totals.add(sums);
  }
  totals.finish(sums);
  const float scales[4] = {p.scale, p.scale, p.scale, p.scale};
  T* result = dquery + at.batch * p.dquery.batch + at.head * p.dquery.head + at.query * p.dquery.row;
  store_sums(result, p.dquery.row, min(TILE, p.length - at.query), p.size, column, sums, scales);
}

// Columns 64·COLUMNS·blockIdx.y … of dk and dv, for 64 keys.
template <int COLUMNS, class T>
__device__ void backward_keys(const Operands<T>& of, T* dkey, T* dvalue, TwoFloat* memory,
                              const Problem& p) {
  __shared__ Shared shared;
  const int tiles = (p.keys + TILE - 1) / TILE, index = blockIdx.x / tiles;
  const int heads = p.heads / p.group, head = index % heads, column = blockIdx.y * COLUMNS * TILE;
  Place at = {index / heads, 0, 0, static_cast<int>(blockIdx.x % tiles) * TILE};
  Totals totals_k = totals_of_block(memory, 2 * COLUMNS), totals_v = totals_k;
  totals_v.first += COLUMNS * 16 * THREADS;
  float dk[COLUMNS][4][4] = {}, dv[COLUMNS][4][4] = {};
  int added = 0;
  bool seen = false;  // whether a query so far saw key threadIdx.x: others get no gradient, not NaN
  for (at.head = head * p.group; at.head < (head + 1) * p.group; at.head++) {
    for (at.query = p.is_causal ? at.key : 0; at.query < p.length; at.query += TILE) {
      const Statistics own(of.statistics, p, at);
      const unsigned bits = live_bits(p, of.mask, own, at);
      const bool hides = hides_keys(p, at);
      if (hides && !find_seen(shared, bits)) continue;
      find_live_queries(shared, of.statistics, p, at);
      if (threadIdx.x < TILE) seen |= !hides || shared.live_keys[threadIdx.x];
      Tile tile;
      compute_tile(shared, of, p, at, own, bits, tile);
      store_tile(shared, tile.weights);
      accumulate(shared, dys_of(shared, of, p, at), column, dv);
      __syncthreads();  // nobody reads the weights any more
      store_tile(shared, tile.dlogits);
      accumulate(shared, queries_of(shared, of, p, at), column, dk);
      if (++added % FLUSH == 0 && memory) {
        totals_k.add(dk);
        totals_v.add(dv);
      }
    }
  }
  totals_k.finish(dk);
  totals_v.finish(dv);
  __syncthreads();
  if (threadIdx.x < TILE) shared.live_keys[threadIdx.x] = seen;
  __syncthreads();
  float scales[4], ones[4];
#pragma unroll
  for (int i = 0; i < 4; i++) {
    const bool own_seen = shared.live_keys[threadIdx.x / 16 * 4 + i];
    scales[i] = p.scale;
    ones[i] = 1.f;
#pragma unroll
    for (int n = 0; n < COLUMNS * 4; n++) {
      if (own_seen) continue;
      dk[n / 4][i][n % 4] = 0.f;
      dv[n / 4][i][n % 4] = 0.f;
    }
  }
  const int count = min(TILE, p.keys - at.key);
  T* own_dk = dkey + at.batch * p.dkey.batch + head * p.dkey.head + at.key * p.dkey.row;
  T* own_dv = dvalue + at.batch * p.dvalue.batch + head * p.dvalue.head + at.key * p.dvalue.row;
  store_sums(own_dk, p.dkey.row, count, p.size, column, dk, scales);
  store_sums(own_dv, p.dvalue.row, count, p.value_size, column, dv, ones);
}

// D, and which queries contribute: a warp for each query.
template <class T>
__device__ void row_means(const T* y, const T* dy, const float* saved, float* statistics,
                          const Problem& p) {
  const long long row = (static_cast<long long>(blockIdx.x) * THREADS + threadIdx.x) / 32;
  const long long head = row / p.length, lane = threadIdx.x % 32;
  const int query = static_cast<int>(row - head * p.length);
  if (head >= static_cast<long long>(p.batch) * p.heads) return;
  const long long b = head / p.heads, h = head % p.heads;
  const T* own_y = y + b * p.y.batch + h * p.y.head + query * p.y.row;
  const T* own_dy = dy + b * p.dy.batch + h * p.dy.head + query * p.dy.row;
  float sum = 0.f;
  bool any = false;
  for (long long i = lane; i < p.value_size; i += 32) {
    const float gradient = load(own_dy + i);
    any |= gradient != 0.f;
    sum += gradient == 0.f ? 0.f : gradient * load(own_y + i);
  }
#pragma unroll
  for (int lanes = 16; lanes > 0; lanes /= 2) sum += __shfl_xor_sync(0xffffffffu, sum, lanes);
  any = __any_sync(0xffffffffu, any);
  if (lane) return;
  const float* from = saved + 2 * head * p.length + query;
  float* to = statistics + 3 * head * p.length + query;
  to[0] = from[0];
  to[p.length] = any ? from[p.length] : 0.f;
  to[2ll * p.length] = sum;
}

// The gradient of a mask: where it is broadcast, a sum over batch, heads, queries or keys, of two
// floats.  A block has a tile of the mask, and goes through all tiles of logits to which that is
// added, one after the other; a mask that is the same for all queries and keys has a single block.
template <class T>
__device__ void backward_mask(const Operands<T>& of, float* dmask, int batches, int heads, int rows,
                              int columns, const Problem& p) {
  __shared__ Shared shared;
  const int row_tiles = (rows + TILE - 1) / TILE, column_tiles = (columns + TILE - 1) / TILE;
  const int tile_index = blockIdx.x % (row_tiles * column_tiles);
  const int index = blockIdx.x / (row_tiles * column_tiles);
  const int row = tile_index / column_tiles * TILE, column = tile_index % column_tiles * TILE;
  const int own_batch = index / heads, own_head = index % heads;
  TwoFloat sums[4][4];
  const int last_batch = batches > 1 ? own_batch + 1 : p.batch;
  const int last_head = heads > 1 ? own_head + 1 : p.heads;
  const int last_query = rows > 1 ? min(p.length, row + TILE) : p.length;
  const int last_key = columns > 1 ? min(p.keys, column + TILE) : p.keys;
  Place at;
  for (at.batch = own_batch; at.batch < last_batch; at.batch++)
    for (at.head = own_head; at.head < last_head; at.head++)
      for (at.query = row; at.query < last_query; at.query += TILE) {
        const Statistics own(of.statistics, p, at);
        find_live_queries(shared, of.statistics, p, at);
        const int end = p.is_causal ? min(last_key, at.query + TILE) : last_key;
        for (at.key = column; at.key < end; at.key += TILE) {
          Tile tile;
          compute_tile(shared, of, p, at, own, live_bits(p, of.mask, own, at), tile);
#pragma unroll
          for (int n = 0; n < 16; n++) sums[n / 4][n % 4].add(tile.dlogits[n / 4][n % 4]);
        }
      }
  float tile[4][4];
#pragma unroll
  for (int n = 0; n < 16; n++) tile[n / 4][n % 4] = sums[n / 4][n % 4].value();
  __syncthreads();
  store_tile(shared, tile);
  __syncthreads();
  // What is left is to sum the rows of the tile, or its columns, where the mask has only one.
  const int count = rows > 1 ? min(TILE, rows - row) : 1, width = columns > 1 ? min(TILE, columns - column) : 1;
  for (int n = threadIdx.x; n < count * width; n += THREADS) {
    const int i = n / width, j = n % width;
    TwoFloat sum;
    for (int a = i; a < (rows > 1 ? i + 1 : TILE); a++)
      for (int b = j; b < (columns > 1 ? j + 1 : TILE); b++) sum.add(shared.tile[a][b]);
    dmask[(static_cast<long long>(index) * rows + row + i) * columns + column + j] = sum.value();
  }
}

}  // namespace

#define OPERANDS(T)                                                                            \
  const T *query, const T *key, const T *value, const T *dy, const void *mask,                 \
      const float *statistics

#define QUERIES(columns, suffix, T, blocks)                                                    \
  extern "C" __global__ void __launch_bounds__(THREADS, blocks) attention_queries_##suffix(    \
      OPERANDS(T), T* dquery, TwoFloat* totals, const Problem p) {                               \
    backward_queries<columns>(Operands<T>{query, key, value, dy, mask, statistics}, dquery,    \
                              totals, p);                                                      \
  }

#define KEYS(columns, suffix, T)                                                               \
  extern "C" __global__ void __launch_bounds__(THREADS, 1) attention_keys_##suffix(            \
      OPERANDS(T), T* dkey, T* dvalue, TwoFloat* totals, const Problem p) {                      \
    backward_keys<columns>(Operands<T>{query, key, value, dy, mask, statistics}, dkey, dvalue, \
                           totals, p);                                                         \
  }

#define MEANS_AND_MASK(suffix, T)                                                              \
  extern "C" __global__ void __launch_bounds__(THREADS) attention_means_##suffix(              \
      const T* y, const T* dy, const float* saved, float* statistics, const Problem p) {       \
    row_means(y, dy, saved, statistics, p);                                                    \
  }                                                                                            \
  extern "C" __global__ void __launch_bounds__(THREADS, 1) attention_mask_##suffix(            \
      OPERANDS(T), float* dmask, int batches, int heads, int rows, int columns,                \
      const Problem p) {                                                                       \
    backward_mask(Operands<T>{query, key, value, dy, mask, statistics}, dmask, batches, heads, \
                  rows, columns, p);                                                           \
  }

QUERIES(1, 64_f32, float, 2)
QUERIES(2, 128_f32, float, 2)
QUERIES(4, 256_f32, float, 1)
KEYS(1, 64_f32, float)
KEYS(2, 128_f32, float)
MEANS_AND_MASK(f32, float)
QUERIES(1, 64_f16, __half, 2)
QUERIES(2, 128_f16, __half, 2)
QUERIES(4, 256_f16, __half, 1)
KEYS(1, 64_f16, __half)
KEYS(2, 128_f16, __half)
MEANS_AND_MASK(f16, __half)
