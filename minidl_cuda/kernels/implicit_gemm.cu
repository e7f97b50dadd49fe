// 2-D convolution in float32, and its input gradient: implicit GEMM (Chetlur et al. 2014,
// arXiv:1410.0759).
//
//     y[o, (n, i, j)] = Σ w[o, (c, a, b)] · patches[(c, a, b), (n, i, j)]
//
// where the matrix of patches (im2col) is gathered into shared memory as it is needed.  Its rows
// come from an offset table (Dukhan 2019, arXiv:1907.02129), of which a block keeps the next
// entries in shared memory: no thread divides in the loop.  The input gradient of stride s is s·s
// such convolutions of dy, one for each phase of the image.
//
// Floor: the operations, 2·N·OH·OW·O·C·KH·KW, at the rate of FFMA; the bytes of x, w and y where
// windows are 1 × 1 or channels few.  Tiles of the result are computed by outer products from
// shared memory (Volkov, Demmel 2008) with two buffers: while a step of BK terms is multiplied, the
// next is on its way from global memory.
//
// Each sum is in one accumulator, term by term in the order (c, a, b): |error| ≤ n·u·Σ|x||w|.
#include "window.cuh"

namespace {

constexpr int BK = 8;                // terms in a step
constexpr int OUTSIDE = -(1 << 30);  // a row that is in no image, whatever is added to it

struct alignas(16) Entry {
  int offset, row, column;  // of a tap from the first one of its window; `offset` in memory
  int weight;  // its offset among the weights of an output; negative: there is no such term
};

// The entries of terms k, k + BK, k + 2·BK …, one after another.
struct Term {
  int channel, row, column;

  __device__ void start(int k, const Axis& v, const Axis& h) {
    const int taps = max(v.taps * h.taps, 1);
    channel = k / taps;
    row = k % taps / max(h.taps, 1);
    column = k % max(h.taps, 1);
  }

  __device__ Entry entry(int channels, const Axis& v, const Axis& h, int of_channel,
                         int columns) const {
    if (channel >= channels) return {0, OUTSIDE, 0, -1};
    const int down = row * v.dilation, right = column * h.dilation;
    return {(channel * v.length + down) * h.length + right, down, right,
            channel * of_channel + (v.tap_start + row * v.tap_step) * columns + h.tap_start +
                column * h.tap_step};
  }

  __device__ void advance(const Term& by, const Axis& v, const Axis& h) {
    column += by.column;
    row += by.row;
    channel += by.channel;
    if (column >= h.taps) column -= h.taps, row++;
    if (row >= v.taps) row -= v.taps, channel++;
  }
};

// Where column number `column` of the patches is: its image, and its window (i, j), or number of a
// result in a phase.
struct Place {
  int image, i, j;
};

template <bool POOLED>
__device__ Place place_of(unsigned column, int height, int width) {
  if (!POOLED)
    return {int(column / (height * width)), int(column / width % height), int(column % width)};
  const unsigned window = column / 4,
                 tap = column % 4;  // 2 × 2 of them side by side, for the pooling
  height /= 2, width /= 2;
  return {int(window / (height * width)), int(window / width % height * 2 + tap / 2),
          int(window % width * 2 + tap % 2)};
}

// max of four, NaN if one is; of equal ones the first, of NaNs the last
__device__ float max_of_four(const float* z, unsigned char& tap) {
  float best = z[0];
  tap = 0;
#pragma unroll
  for (int i = 1; i < 4; i++)
    if (z[i] > best || z[i] != z[i]) best = z[i], tap = i;
  return best;
}

__device__ float relu_of(float z) { return z > 0.f || z != z ? z : 0.f; }

// One tile, BM outputs × BN columns, of one group and phase (blockIdx.z); each thread has TM × TN
// of it.
//
// backward  y is the gradient of the image, x is dy, and the roles of channels and outputs are
// exchanged MASKED    x counts as 0 where the mask, which is y of a ReLU, is not positive POOLED y
// is the maximum of each 2 × 2 window, and `argmax` says where it was, or 255 where the ReLU gave 0
template <int BM, int BN, int TM, int TN, bool MASKED, bool POOLED>
__device__ void convolve(const float* __restrict__ x, const float* __restrict__ mask,
                         const float* __restrict__ w, const float* __restrict__ bias,
                         float* __restrict__ y, unsigned char* __restrict__ argmax,
                         const Convolution& p, int backward, int relu) {
  constexpr int THREADS = BM / TM * (BN / TN), ACROSS = BN / TN, QUADS = TN / 4;
  constexpr int LOADS_A = BM * BK / THREADS, LOADS_B = BN * BK / THREADS;
  static_assert(TM == 4 && TN % 4 == 0 && THREADS % BN == 0 && THREADS % BK == 0, "");
  static_assert(BM * BK % THREADS == 0, "");
  // 4 columns more: threads of a warp write to different banks.
  __shared__ __align__(16) float a[2][BK][BM + 4];
  __shared__ __align__(16) float b[2][BK][BN + 4];
  __shared__ Entry table[2][BK];

  const int t = threadIdx.x, tx = t % ACROSS, ty = t / ACROSS;
  const int group = blockIdx.z % p.groups, phase = blockIdx.z / p.groups;
  const int m0 = blockIdx.y * BM;
  const unsigned n0 = blockIdx.x * unsigned(BN);
  const int taps = p.rows * p.columns;
  const int outputs = backward ? p.channels : p.outputs,
            channels = backward ? p.outputs : p.channels;
  const int of_output = backward ? taps : p.channels * taps,
            of_channel = backward ? p.channels * taps : taps;
  const int height = backward ? p.height : p.out_height,
            width = backward ? p.width : p.out_width;  // of y
  const Axis v = rows_of(p, backward, phase), h = columns_of(p, backward, phase);
  const unsigned columns =
      unsigned(p.images) * (POOLED ? v.count / 2 * (h.count / 2) * 4 : v.count * h.count);
  if (n0 >= columns) return;
  const int steps = (channels * v.taps * h.taps + BK - 1) / BK;

  // What this thread gathers: column t % BN of the patches, rows t / BN + THREADS / BN · q.
  const bool inside = n0 + t % BN < columns;
  const Place mine = place_of<POOLED>(inside ? n0 + t % BN : 0, v.count, h.count);
  const int row0 = inside ? v.start + mine.i * v.step : OUTSIDE,
            column0 = h.start + mine.j * h.step;
  const int place0 = inside ? row0 * h.length + column0 : 0;
  const size_t image0 = (size_t(mine.image) * p.groups + group) * channels * v.length * h.length;
  const float* xs = x + image0;
  const float* masks = MASKED ? mask + image0 : nullptr;
  // And numbers t, t + THREADS … of the weights, BK side by side.
  const float* ws = w + size_t(group) * p.outputs * p.channels * taps;

  Term term, by;
  term.start(t % BK, v, h);
  by.start(BK, v, h);
  auto prepare = [&](int stage) {
    if (t < BK) {
      table[stage][t] = term.entry(channels, v, h, of_channel, p.columns);
      term.advance(by, v, h);
    }
  };
  float ra[LOADS_A], rb[LOADS_B];
  auto fetch = [&](int stage) {
#pragma unroll
    for (int q = 0; q < LOADS_A; q++) {
      const int e = t + q * THREADS, m = m0 + e / BK, weight = table[stage][e % BK].weight;
      ra[q] = weight >= 0 && m < outputs ? __ldg(ws + size_t(m) * of_output + weight) : 0.f;
    }
#pragma unroll
    for (int q = 0; q < LOADS_B; q++) {
      const Entry at = table[stage][t / BN + THREADS / BN * q];
      const bool in = unsigned(row0 + at.row) < unsigned(v.length) &&
                      unsigned(column0 + at.column) < unsigned(h.length);
      rb[q] = in ? __ldg(xs + (place0 + at.offset)) : 0.f;
      if (MASKED) rb[q] = in && __ldg(masks + (place0 + at.offset)) > 0.f ? rb[q] : 0.f;
    }
  };
  auto keep = [&](int stage) {
#pragma unroll
    for (int q = 0; q < LOADS_A; q++)
      a[stage][(t + q * THREADS) % BK][(t + q * THREADS) / BK] = ra[q];
#pragma unroll
    for (int q = 0; q < LOADS_B; q++) b[stage][t / BN + THREADS / BN * q][t % BN] = rb[q];
  };

  float acc[TM][TN] = {};
  if (steps) {
    prepare(0);
    __syncthreads();
    fetch(0);
    prepare(1);
    keep(0);
    __syncthreads();
  }
  for (int step = 0; step < steps; step++) {
    const int stage = step & 1;
    const bool more = step + 1 < steps;
    if (more) fetch(stage ^ 1);
#pragma unroll
    for (int k = 0; k < BK; k++) {
      const float4 u = *reinterpret_cast<const float4*>(&a[stage][k][ty * TM]);
      const float um[TM] = {u.x, u.y, u.z, u.w};
      float vn[TN];
#pragma unroll
      for (int q = 0; q < QUADS; q++) {
        const float4 z = *reinterpret_cast<const float4*>(&b[stage][k][(q * ACROSS + tx) * 4]);
        vn[4 * q] = z.x, vn[4 * q + 1] = z.y, vn[4 * q + 2] = z.z, vn[4 * q + 3] = z.w;
      }
#pragma unroll
      for (int i = 0; i < TM; i++)
#pragma unroll
        for (int j = 0; j < TN; j++) acc[i][j] = fmaf(um[i], vn[j], acc[i][j]);
    }
    if (more) {
      prepare(stage);  // of the step after the next
      keep(stage ^ 1);
      __syncthreads();
    }
  }

  const int plane = POOLED ? height / 2 * (width / 2) : height * width;
  const bool in_quads = !backward && !POOLED && plane % 4 == 0;
#pragma unroll
  for (int q = 0; q < QUADS; q++) {
    const unsigned column = n0 + (q * ACROSS + tx) * 4;
    if (column >= columns) continue;
    const Place first = place_of<POOLED>(column, v.count, h.count);
#pragma unroll
    for (int i = 0; i < TM; i++) {
      const int m = m0 + ty * TM + i;
      if (m >= outputs) continue;
      float z[4];
      const float own = bias ? __ldg(bias + group * outputs + m) : 0.f;
#pragma unroll
      for (int j = 0; j < 4; j++)
        z[j] = relu && !POOLED ? relu_of(acc[i][4 * q + j] + own) : acc[i][4 * q + j] + own;
      if (POOLED) {
        unsigned char tap;
        float best = max_of_four(z, tap);
        if (relu && !(best > 0.f)) best = relu_of(best), tap = 255;
        const size_t at =
            ((size_t(first.image) * p.groups + group) * outputs + m) * plane + column / 4 % plane;
        y[at] = best;
        argmax[at] = tap;
      } else if (in_quads) {
        float* target =
            y + ((size_t(first.image) * p.groups + group) * outputs + m) * plane + column % plane;
        *reinterpret_cast<float4*>(target) = make_float4(z[0], z[1], z[2], z[3]);
      } else {
#pragma unroll
        for (int j = 0; j < 4; j++) {
          if (column + j >= columns) continue;
          const Place at = place_of<false>(column + j, v.count, h.count);
          y[((size_t(at.image) * p.groups + group) * outputs + m) * plane +
            (v.out_start + at.i * v.out_step) * width + h.out_start + at.j * h.out_step] = z[j];
        }
      }
    }
  }
}

}  // namespace

// Tall tiles: 64 × 128 by 256 threads of 4 × 8, 2 blocks on a multiprocessor (at most 128
// registers): 16 warps hide the latency of shared memory, and 32 independent FFMA that of FFMA.
// The loop has 414 instructions for sm_80: 256 FFMA, 24 loads of fragments, 6 from global memory.
// Where FFMA takes two cycles of a scheduler (T4, A100) the others fit in between; where it takes
// one (H100) they count.  Tiles of 128 × 128, with 512 FFMA of 703, spill registers.
//
// Short tiles, for few outputs or few positions: 16 × 128 by 128 threads of 4 × 4, as many warps
// in 4 blocks.
#define CONVOLVE(NAME, BM, BN, TM, TN, THREADS, BLOCKS, MASKED, POOLED)                       \
  extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS)                               \
      NAME(const float* x, const float* mask, const float* w, const float* bias, float* y,    \
           unsigned char* argmax, Convolution p, int backward, int relu) {                    \
    convolve<BM, BN, TM, TN, MASKED, POOLED>(x, mask, w, bias, y, argmax, p, backward, relu); \
  }

CONVOLVE(conv2d_tall_f32, 64, 128, 4, 8, 256, 2, false, false)
CONVOLVE(conv2d_tall_masked_f32, 64, 128, 4, 8, 256, 2, true, false)
CONVOLVE(conv2d_tall_pooled_f32, 64, 128, 4, 8, 256, 2, false, true)
CONVOLVE(conv2d_short_f32, 16, 128, 4, 4, 128, 4, false, false)
CONVOLVE(conv2d_short_masked_f32, 16, 128, 4, 4, 128, 4, true, false)
CONVOLVE(conv2d_short_pooled_f32, 16, 128, 4, 4, 128, 4, false, true)
