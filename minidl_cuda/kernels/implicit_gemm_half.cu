// 2-D convolution and its gradients in float16 on tensor cores, with sums in float32: implicit GEMM
// (Chetlur et al. 2014, arXiv:1410.0759), multistage pipelines of asynchronous copies (CUTLASS).
//
// Images and weights are first laid out with the channels of a group side by side ("channels
// last"), filled up with zeros to a multiple of 8: a chunk, 16 bytes, is what one copy takes.  The
// terms of a sum are then (tap, channel). Tiles in shared memory have chunks of a row exchanged by
// an exclusive or with the row's number, so that the 8 rows of a matrix that `load_matrices` reads
// are in different banks.
//
// Floor: the operations, 2·N·OH·OW·O·C·KH·KW, at the rate of the tensor cores; the bytes of x, w
// and y where channels are few.  Products of halves are exact in float32.
#include "element.cuh"
#include "tensor_core.cuh"
#include "window.cuh"

namespace {

constexpr int CHUNK = 8;      // halves
constexpr int THREADS = 128;  // 4 warps, 2 × 2 of them on a tile

// Layout: the channels of a group side by side.

// (images, groups·channels, plane) → (images, plane, groups, chunks·8); where the mask, if there is
// one, is not positive, 0.  A block takes 32 channels × 64 elements of a plane, through shared
// memory: both sides are read in order.
__device__ void channels_last(const __half* __restrict__ x, const __half* __restrict__ mask,
                              __half* __restrict__ y, int groups, int channels, int chunks,
                              int plane, int blocks) {
  constexpr int ELEMENTS = 64, CHANNELS = 32;
  __shared__ __half tile[CHANNELS][ELEMENTS + 2];
  const int t = threadIdx.x, first = blockIdx.x % blocks * ELEMENTS,
            channel0 = blockIdx.y * CHANNELS;
  const int image = blockIdx.x / blocks / groups, group = blockIdx.x / blocks % groups,
            width = chunks * CHUNK;
#pragma unroll 4
  for (int e = t; e < CHANNELS * ELEMENTS; e += THREADS) {
    const int channel = channel0 + e / ELEMENTS, place = first + e % ELEMENTS;
    float value = 0.f;
    if (channel < channels && place < plane) {
      const size_t at = ((size_t(image) * groups + group) * channels + channel) * plane + place;
      value = load(x + at);
      if (mask && !(load(mask + at) > 0.f)) value = 0.f;
    }
    tile[e / ELEMENTS][e % ELEMENTS] = from_float<__half>(value);
  }
  __syncthreads();
#pragma unroll 4
  for (int e = t; e < CHANNELS * ELEMENTS; e += THREADS) {
    const int channel = channel0 + e % CHANNELS, place = first + e / CHANNELS;
    if (channel < width && place < plane)
      y[((size_t(image) * plane + place) * groups + group) * width + channel] =
          tile[e % CHANNELS][e / CHANNELS];
  }
}

// (groups·outputs, channels, taps) → (groups, results, taps, chunks·8): results are the outputs, or
// `backward` the channels, and then what is side by side are the outputs.
__device__ void pack_weights(const __half* __restrict__ w, __half* __restrict__ packed, int outputs,
                             int channels, int taps, int chunks, int backward, long long count) {
  const long long e = blockIdx.x * (long long)blockDim.x + threadIdx.x;
  if (e >= count) return;
  const int inner = int(e % (chunks * CHUNK)), tap = int(e / (chunks * CHUNK) % taps);
  const long long row = e / (chunks * CHUNK) / taps;
  const int results = backward ? channels : outputs, result = int(row % results);
  const long long group = row / results;
  const int output = backward ? inner : result, channel = backward ? result : inner;
  const bool in = output < outputs && channel < channels;
  packed[e] = in ? w[((group * outputs + output) * channels + channel) * taps + tap]
                 : from_float<__half>(0.f);
}

// y from x, and dx from dy.

constexpr int BM = 64, BN = 128, ROW = 4;  // a tile's outputs, positions, and chunks: 32 terms
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ < 800
constexpr int STAGES = 2, BLOCKS = 2;  // copies are not asynchronous there
#else
constexpr int STAGES = 3,
              BLOCKS = 3;  // of the pipeline: two steps are on their way while one is multiplied
#endif

__device__ int swizzled(int row, int chunk) {
  return (row * ROW + (chunk ^ (row / 2 % ROW))) * CHUNK;
}

// Chunk number 4·step + own of the terms: its tap, and where in the tap.
struct Term {
  int row, column, chunk;

  __device__ void advance(int by, const Axis& h, int chunks) {
    chunk += by;
    while (chunk >= chunks) {
      chunk -= chunks;
      if (++column == h.taps) column = 0, row++;
    }
  }
};

__device__ void convolve(const __half* __restrict__ x, const __half* __restrict__ w,
                         const __half* __restrict__ bias, __half* __restrict__ y,
                         const Convolution& p, int backward, int relu) {
  __shared__ __align__(16) __half a[STAGES][BM * ROW * CHUNK];
  __shared__ __align__(16) __half b[STAGES][BN * ROW * CHUNK];
  constexpr int LOADS_A = BM * ROW / THREADS, LOADS_B = BN * ROW / THREADS;

  const int t = threadIdx.x, lane = t % 32, warp = t / 32;
  const int group = blockIdx.z % p.groups, phase = blockIdx.z / p.groups;
  const int m0 = blockIdx.y * BM;
  const unsigned n0 = blockIdx.x * unsigned(BN);
  const int taps = p.rows * p.columns;
  const int outputs = backward ? p.channels : p.outputs,
            channels = backward ? p.outputs : p.channels;
  const int height = backward ? p.height : p.out_height, width = backward ? p.width : p.out_width;
  const Axis v = rows_of(p, backward, phase), h = columns_of(p, backward, phase);
  const unsigned columns = unsigned(p.images) * v.count * h.count;
  if (n0 >= columns) return;
  const int chunks = (channels + CHUNK - 1) / CHUNK;
  const int steps = (v.taps * h.taps * chunks + ROW - 1) / ROW;

  // This thread copies chunk t % 4 of rows t / 4, t / 4 + 32 … of both tiles.
  constexpr int APART = THREADS / ROW;
  int row0[LOADS_B], column0[LOADS_B];
  const __half* from[LOADS_B];
#pragma unroll
  for (int q = 0; q < LOADS_B; q++) {
    const unsigned n = n0 + t / ROW + q * APART, own = n < columns ? n : 0;
    const int image = own / (v.count * h.count), i = own / h.count % v.count, j = own % h.count;
    row0[q] = n < columns ? v.start + i * v.step : -(1 << 30);
    column0[q] = h.start + j * h.step;
    from[q] = x + (size_t(image) * v.length * h.length * p.groups + group) * chunks * CHUNK;
  }
  const __half* ws = w + size_t(group) * outputs * taps * chunks * CHUNK;
  Term term = {0, 0, 0};
  if (steps) term.advance(t % ROW, h, chunks);
  auto fetch = [&](int stage) {
    const bool any = term.row < v.taps;
    const int tap =
        (v.tap_start + term.row * v.tap_step) * p.columns + h.tap_start + term.column * h.tap_step;
#pragma unroll
    for (int q = 0; q < LOADS_A; q++) {
      const int row = t / ROW + q * APART;
      const bool in = any && m0 + row < outputs;
      const size_t at = ((size_t(m0 + row) * taps + tap) * chunks + term.chunk) * CHUNK;
      copy_16_bytes(&a[stage][swizzled(row, t % ROW)], in ? ws + at : ws, in);
    }
#pragma unroll
    for (int q = 0; q < LOADS_B; q++) {
      const int row = row0[q] + term.row * v.dilation,
                column = column0[q] + term.column * h.dilation;
      const bool in =
          any && unsigned(row) < unsigned(v.length) && unsigned(column) < unsigned(h.length);
      const size_t at =
          ((size_t(row) * h.length + column) * p.groups * chunks + term.chunk) * CHUNK;
      copy_16_bytes(&b[stage][swizzled(t / ROW + q * APART, t % ROW)], in ? from[q] + at : from[q],
                    in);
    }
    term.advance(ROW, h, chunks);
  };

  // Each warp has 32 × 64 of the tile: 2 × 8 products of 16 × 8.
  const int m_warp = warp / 2 * 32, n_warp = warp % 2 * 64;
  float acc[2][8][4] = {};
  for (int s = 0; s < STAGES - 1; s++) {
    if (s < steps) fetch(s);
    commit_copies();
  }
  for (int step = 0; step < steps; step++) {
    wait_for_copies<STAGES - 2>();
    __syncthreads();  // what all threads copied is there, and the stage of the step before is free
    if (step + STAGES - 1 < steps) fetch((step + STAGES - 1) % STAGES);
    commit_copies();
    const __half* as = a[step % STAGES];
    const __half* bs = b[step % STAGES];
#pragma unroll
    for (int k = 0; k < ROW; k += 2) {
      unsigned fa[2][4], fb[4][4];
#pragma unroll
      for (int i = 0; i < 2; i++)
        load_matrices(fa[i], as + swizzled(m_warp + i * 16 + lane % 16, k + lane / 16));
#pragma unroll
      for (int j = 0; j < 4; j++)
        load_matrices(fb[j],
                      bs + swizzled(n_warp + j * 16 + lane / 16 * 8 + lane % 8, k + lane / 8 % 2));
#pragma unroll
      for (int i = 0; i < 2; i++)
#pragma unroll
        for (int j = 0; j < 8; j++) {
          const unsigned pair[2] = {fb[j / 2][j % 2 * 2], fb[j / 2][j % 2 * 2 + 1]};
          multiply_add_16x8x16(acc[i][j], fa[i], pair);
        }
    }
  }
  wait_for_copies<0>();

#pragma unroll
  for (int j = 0; j < 8; j++)
#pragma unroll
    for (int e = 0; e < 2; e++) {
      const unsigned column = n0 + n_warp + j * 8 + lane % 4 * 2 + e;
      if (column >= columns) continue;
      const int image = column / (v.count * h.count), row = column / h.count % v.count,
                at = column % h.count;
      const int place = (v.out_start + row * v.out_step) * width + h.out_start + at * h.out_step;
#pragma unroll
      for (int i = 0; i < 4; i++) {
        const int m = m0 + m_warp + i * 8 + lane / 4;
        if (m >= outputs) continue;
        float z = acc[i / 2][j][i % 2 * 2 + e];
        if (bias) z += load(bias + group * outputs + m);
        if (relu && !(z > 0.f) && z == z) z = 0.f;
        y[((size_t(image) * p.groups + group) * outputs + m) * height * width + place] =
            from_float<__half>(z);
      }
    }
}

// dw and db from x and dy, in parts: see weight_gradient.cu, of which this is the same on tensor
// cores.  Both operands lie with the terms, positions, in rows, and are transposed as they are
// read.

constexpr int SIDE = 64, WIDE = 8,
              DEEP = 32;  // of a tile: outputs and weights, chunks in a row, positions
constexpr int RUN = 2,
              RUNS = 32 * RUN;  // steps after which sums go up a level: a run has 64 positions

__device__ int swizzled_wide(int row, int chunk) {
  return (row * WIDE + (chunk ^ (row % WIDE))) * CHUNK;
}

__device__ void weight_gradient(const __half* __restrict__ x, const __half* __restrict__ dy,
                                float* __restrict__ dw, float* __restrict__ db,
                                const Convolution& p, int part_length, long long apart) {
  __shared__ __align__(16) __half a[STAGES][DEEP * WIDE * CHUNK];
  __shared__ __align__(16) __half b[STAGES][DEEP * WIDE * CHUNK];
  constexpr int LOADS = DEEP * WIDE / THREADS, APART = THREADS / WIDE;

  const int t = threadIdx.x, lane = t % 32, warp = t / 32;
  const int group = blockIdx.z % p.groups, part = blockIdx.z / p.groups;
  const int m0 = blockIdx.y * SIDE, n0 = blockIdx.x * SIDE;
  const int taps = p.rows * p.columns, positions = p.images * p.out_height * p.out_width;
  const int chunks = (p.channels + CHUNK - 1) / CHUNK, out_chunks = (p.outputs + CHUNK - 1) / CHUNK;
  const int begin = part * part_length, end = min(begin + part_length, positions);
  const int steps = (end - begin + DEEP - 1) / DEEP;

  // This thread copies chunk t % 8 of rows t / 8 and t / 8 + 16 of both tiles.
  const int out_chunk = m0 / CHUNK + t % WIDE, n_chunk = n0 / CHUNK + t % WIDE;
  const int tap = n_chunk / chunks, chunk = n_chunk % chunks;
  const int down = tap / p.columns * p.dilation_h, right = tap % p.columns * p.dilation_w;
  const bool of_ones = db && n_chunk == taps * chunks;  // one row more, of ones: the bias
  int k[LOADS];
  Position at[LOADS], by;
  by.start(DEEP, p.out_height, p.out_width);
#pragma unroll
  for (int q = 0; q < LOADS; q++) {
    k[q] = begin + t / WIDE + q * APART;
    at[q].start(k[q], p.out_height, p.out_width);
  }
  auto fetch = [&](int stage) {
#pragma unroll
    for (int q = 0; q < LOADS; q++) {
      const int target = swizzled_wide(t / WIDE + q * APART, t % WIDE);
      const bool inside = k[q] < end, out = inside && out_chunk < out_chunks;
      const size_t own = ((size_t(k[q]) * p.groups + group) * out_chunks + out_chunk) * CHUNK;
      copy_16_bytes(&a[stage][target], out ? dy + own : dy, out);
      const int row = at[q].i * p.stride_h - p.padding_h + down,
                column = at[q].j * p.stride_w - p.padding_w + right;
      const bool in = inside && tap < taps && unsigned(row) < unsigned(p.height) &&
                      unsigned(column) < unsigned(p.width);
      if (of_ones) {
        const uint4 one = make_uint4(inside ? 0x3c00u : 0u, 0, 0, 0);  // 1, 0, 0 …
        *reinterpret_cast<uint4*>(&b[stage][target]) = one;
      } else {
        const size_t from =
            (((size_t(at[q].image) * p.height + row) * p.width + column) * p.groups + group) *
                chunks +
            chunk;
        copy_16_bytes(&b[stage][target], in ? x + from * CHUNK : x, in);
      }
      k[q] += DEEP;
      at[q].advance(by, p.out_height, p.out_width);
    }
  };

  // Each warp has 32 × 32 of the tile: 2 × 4 products of 16 × 8.
  const int m_warp = warp / 2 * 32, n_warp = warp % 2 * 32;
  float run[2][4][4] = {}, runs[2][4][4] = {}, total[2][4][4] = {};
  auto go_up = [](float (&from)[2][4][4], float (&to)[2][4][4]) {
#pragma unroll
    for (int i = 0; i < 2; i++)
#pragma unroll
      for (int j = 0; j < 4; j++)
#pragma unroll
        for (int e = 0; e < 4; e++) to[i][j][e] += from[i][j][e], from[i][j][e] = 0.f;
  };
  for (int s = 0; s < STAGES - 1; s++) {
    if (s < steps) fetch(s);
    commit_copies();
  }
  for (int step = 0; step < steps; step++) {
    wait_for_copies<STAGES - 2>();
    __syncthreads();
    if (step + STAGES - 1 < steps) fetch((step + STAGES - 1) % STAGES);
    commit_copies();
    const __half* as = a[step % STAGES];
    const __half* bs = b[step % STAGES];
#pragma unroll
    for (int kk = 0; kk < DEEP; kk += 16) {
      unsigned fa[2][4], fb[2][4];
#pragma unroll
      for (int i = 0; i < 2; i++)
        load_matrices_transposed(fa[i],
                                 as + swizzled_wide(kk + lane / 16 * 8 + lane % 8,
                                                    (m_warp + i * 16) / CHUNK + lane / 8 % 2));
#pragma unroll
      for (int j = 0; j < 2; j++)
        load_matrices_transposed(fb[j], bs + swizzled_wide(kk + lane / 8 % 2 * 8 + lane % 8,
                                                           (n_warp + j * 16) / CHUNK + lane / 16));
#pragma unroll
      for (int i = 0; i < 2; i++)
#pragma unroll
        for (int j = 0; j < 4; j++) {
          const unsigned pair[2] = {fb[j / 2][j % 2 * 2], fb[j / 2][j % 2 * 2 + 1]};
          multiply_add_16x8x16(run[i][j], fa[i], pair);
        }
    }
    if (step % RUN == RUN - 1) go_up(run, runs);
    if (step % RUNS == RUNS - 1) go_up(runs, total);
  }
  go_up(run, runs);
  go_up(runs, total);
  wait_for_copies<0>();

  const int depth = p.channels * taps;
#pragma unroll
  for (int i = 0; i < 4; i++) {
    const int m = m0 + m_warp + i * 8 + lane / 4;
    if (m >= p.outputs) continue;
    const long long output = (long long)group * p.outputs + m;
#pragma unroll
    for (int j = 0; j < 4; j++)
#pragma unroll
      for (int e = 0; e < 2; e++) {
        const int n = n0 + n_warp + j * 8 + lane % 4 * 2 + e;
        const int of_tap = n / (chunks * CHUNK), channel = n % (chunks * CHUNK);
        const float value = total[i / 2][j][i % 2 * 2 + e];
        if (of_tap < taps && channel < p.channels)
          dw[part * apart + output * depth + channel * taps + of_tap] = value;
        else if (db && of_tap == taps && channel == 0)
          db[part * apart + output] = value;
      }
  }
}

}  // namespace

// Bound by memory; 128 threads for whole rows of a tile.
extern "C" __global__ void __launch_bounds__(128)
    channels_last_f16(const __half* x, const __half* mask, __half* y, int groups, int channels,
                      int chunks, int plane, int blocks) {
  channels_last(x, mask, y, groups, channels, chunks, plane, blocks);
}

extern "C" __global__ void __launch_bounds__(256)
    pack_weights_f16(const __half* w, __half* packed, int outputs, int channels, int taps,
                     int chunks, int backward, long long count) {
  pack_weights(w, packed, outputs, channels, taps, chunks, backward, count);
}

// 64 × 128 × 32 by 4 warps: 36 KB of shared memory (before sm_80: 24), 64 sums a thread and what is
// on its way: up to 168 registers, 3 blocks on a multiprocessor (2).
extern "C" __global__ void __launch_bounds__(128, BLOCKS)
    conv2d_f16(const __half* x, const __half* w, const __half* bias, __half* y, Convolution p,
               int backward, int relu) {
  convolve(x, w, bias, y, p, backward, relu);
}

// 64 × 64 × 32 by 4 warps: 24 KB, and 96 sums a thread.
extern "C" __global__ void __launch_bounds__(128, BLOCKS)
    conv2d_weights_f16(const __half* x, const __half* dy, float* dw, float* db, Convolution p,
                       int part_length, long long apart) {
  weight_gradient(x, dy, dw, db, p, part_length, apart);
}
