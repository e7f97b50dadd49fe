// The gradients of the weights and of the bias of a 2-D convolution in float32, by implicit GEMM
// split over k (Chetlur et al. 2014, arXiv:1410.0759; CUTLASS: serial split-k):
//
//     dw[o, (c, a, b)] = Σ dy[o, k] · patches[(c, a, b), k]        db[o] = Σ dy[o, k]
//
// over all positions k = (n, i, j).  A part of them is a block's (split, blockIdx.z); the parts are
// added in order by a second kernel, so that the same bits come out each time.  The bias is one
// more row of patches, of ones.
//
// Floor: the operations, 2·N·OH·OW·O·C·KH·KW, at the rate of FFMA.
//
// The error grows like log n: runs of 16 terms are added up in one register, 32 of these sums in a
// second, and those in a third (the superblock family of Castaldo, Whaley, Chronopoulos 2008), up
// to 16384 positions in a part; that costs one FADD for 16 FFMA.  The parts are added with their
// rounding errors.
#include "compensated.cuh"
#include "element.cuh"
#include "window.cuh"

namespace {

constexpr int BK = 16;    // positions in a step, which is a run
constexpr int RUNS = 32;  // that are added up

constexpr int OUTSIDE = -(1 << 30);  // a row that is in no image, whatever is added to it

struct alignas(16) Row {
  int offset, down, right;  // of a tap from the first one of its window; `offset` in memory
  float otherwise;          // what counts where the tap is outside the image
};

// One tile, BM outputs × BN rows of patches, of one group and part; each thread has TM × TN of it.
//
// MASKED  dy counts as 0 where the mask, which is y of a ReLU, is not positive
// dw, db  of the first part; those of the next one are `apart` elements behind.  db may be null
template <int BM, int BN, int TM, int TN, bool MASKED>
__device__ void weight_gradient(const float* __restrict__ x, const float* __restrict__ dy,
                                const float* __restrict__ mask, float* __restrict__ dw,
                                float* __restrict__ db, const Convolution& p, int part_length,
                                long long apart) {
  constexpr int THREADS = BM / TM * (BN / TN), ACROSS = BN / TN, QUADS = TN / 4,
                APART = THREADS / BK;
  constexpr int LOADS_A = BM * BK / THREADS, LOADS_B = BN * BK / THREADS;
  static_assert(TM == 4 && TN % 4 == 0 && THREADS % BK == 0, "");
  __shared__ __align__(16) float a[2][BK][BM + 4];
  __shared__ __align__(16) float b[2][BK][BN + 4];
  __shared__ Row rows[BN];
  __shared__ Position by;  // from step to step; registers are scarce

  const int t = threadIdx.x, tx = t % ACROSS, ty = t / ACROSS;
  const int group = blockIdx.z % p.groups, part = blockIdx.z / p.groups;
  const int m0 = blockIdx.y * BM, n0 = blockIdx.x * BN;
  const int taps = p.rows * p.columns, depth = p.channels * taps;
  const int plane = p.out_height * p.out_width, image = p.height * p.width,
            positions = p.images * plane;
  const int begin = part * part_length, end = min(begin + part_length, positions);
  const int steps = (end - begin + BK - 1) / BK;

  for (int r = t; r < BN; r += THREADS) {
    const int n = n0 + r, channel = n / taps, row = n % taps / p.columns, column = n % p.columns;
    const int down = row * p.dilation_h, right = column * p.dilation_w;
    const bool is_patch = n < depth;
    rows[r] = {channel * image + down * p.width + right, is_patch ? down : OUTSIDE, right,
               n == depth && db ? 1.f : 0.f};
  }
  if (t == 0) by.start(BK, p.out_height, p.out_width);
  __syncthreads();

  // This thread gathers position t % BK of each step: rows t / BK + APART · q of dy and of the
  // patches.
  int k = begin + t % BK;
  Position at;
  at.start(k, p.out_height, p.out_width);
  float ra[LOADS_A], rb[LOADS_B];
  auto fetch = [&] {
    const bool inside = k < end;
    const size_t first = size_t(at.image) * p.groups + group;
    size_t place = (first * p.outputs + m0 + t / BK) * plane + at.i * p.out_width + at.j;
#pragma unroll
    for (int q = 0; q < LOADS_A; q++) {
      const bool in = inside && m0 + t / BK + q * APART < p.outputs;
      ra[q] = in ? __ldg(dy + place) : 0.f;
      if (MASKED) ra[q] = in && __ldg(mask + place) > 0.f ? ra[q] : 0.f;
      place += size_t(APART) * plane;
    }
    const int row0 = at.i * p.stride_h - p.padding_h, column0 = at.j * p.stride_w - p.padding_w;
    const float* xs = x + first * p.channels * image;
    const int place0 = row0 * p.width + column0;
#pragma unroll
    for (int q = 0; q < LOADS_B; q++) {
      const Row row = rows[t / BK + q * APART];
      const bool in = inside && unsigned(row0 + row.down) < unsigned(p.height) &&
                      unsigned(column0 + row.right) < unsigned(p.width);
      rb[q] = in ? __ldg(xs + unsigned(place0 + row.offset)) : inside ? row.otherwise : 0.f;
    }
    k += BK;
    at.advance(by, p.out_height, p.out_width);
  };
  auto keep = [&](int stage) {
#pragma unroll
    for (int q = 0; q < LOADS_A; q++) a[stage][t % BK][t / BK + q * APART] = ra[q];
#pragma unroll
    for (int q = 0; q < LOADS_B; q++) b[stage][t % BK][t / BK + q * APART] = rb[q];
  };

  float run[TM][TN] = {}, runs[TM][TN] = {}, total[TM][TN] = {};
  auto go_up = [](float (&from)[TM][TN], float (&to)[TM][TN]) {
#pragma unroll
    for (int i = 0; i < TM; i++)
#pragma unroll
      for (int j = 0; j < TN; j++) to[i][j] += from[i][j], from[i][j] = 0.f;
  };
  if (steps > 0) {
    fetch();
    keep(0);
    __syncthreads();
  }
  for (int step = 0; step < steps; step++) {
    const int stage = step & 1;
    const bool more = step + 1 < steps;
    if (more) fetch();
#pragma unroll 8  // all 16 take registers that sm_90 does not have
    for (int kk = 0; kk < BK; kk++) {
      const float4 u = *reinterpret_cast<const float4*>(&a[stage][kk][ty * TM]);
      const float um[TM] = {u.x, u.y, u.z, u.w};
      float vn[TN];
#pragma unroll
      for (int q = 0; q < QUADS; q++) {
        const float4 z = *reinterpret_cast<const float4*>(&b[stage][kk][(q * ACROSS + tx) * 4]);
        vn[4 * q] = z.x, vn[4 * q + 1] = z.y, vn[4 * q + 2] = z.z, vn[4 * q + 3] = z.w;
      }
#pragma unroll
      for (int i = 0; i < TM; i++)
#pragma unroll
        for (int j = 0; j < TN; j++) run[i][j] = fmaf(um[i], vn[j], run[i][j]);
    }
    go_up(run, runs);
    if (step % RUNS == RUNS - 1) go_up(runs, total);
    if (more) {
      keep(stage ^ 1);
      __syncthreads();
    }
  }
  go_up(runs, total);

#pragma unroll
  for (int i = 0; i < TM; i++) {
    const int m = m0 + ty * TM + i;
    if (m >= p.outputs) continue;
    const size_t output = size_t(group) * p.outputs + m;
#pragma unroll
    for (int j = 0; j < TN; j++) {
      const int n = n0 + (j / 4 * ACROSS + tx) * 4 + j % 4;
      if (n < depth)
        dw[part * apart + output * depth + n] = total[i][j];
      else if (n == depth && db)
        db[part * apart + output] = total[i][j];
    }
  }
}

// The sums of the parts, in order: of their first `count` elements to dw, of the others to db.
template <class T>
__device__ void sum_parts(const float* __restrict__ parts, T* __restrict__ dw, T* __restrict__ db,
                          long long count, long long length, int number) {
  const long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x;
  if (i >= length) return;
  TwoFloat total;
  for (int part = 0; part < number; part++) total.add(__ldg(parts + part * length + i));
  (i < count ? dw[i] : db[i - count]) = from_float<T>(total.value());
}

}  // namespace

// 64 × 64 by 128 threads of 4 × 8: 96 sums and what is gathered need up to 168 registers, which
// lets 3 blocks, 12 warps, run on a multiprocessor; 32 independent FFMA hide their latency.  A step
// has 512 FFMA, 32 or 64 FADD of the levels, 48 loads of fragments, 16 from global memory.
//
// 16 × 128 by 128 threads of 4 × 4 for few outputs: 48 sums, 16 warps.
#define WEIGHTS(NAME, BM, BN, TM, TN, BLOCKS, MASKED)                                    \
  extern "C" __global__ void __launch_bounds__(128, BLOCKS)                              \
      NAME(const float* x, const float* dy, const float* mask, float* dw, float* db,     \
           Convolution p, int part_length, long long apart) {                            \
    weight_gradient<BM, BN, TM, TN, MASKED>(x, dy, mask, dw, db, p, part_length, apart); \
  }

WEIGHTS(conv2d_weights_square_f32, 64, 64, 4, 8, 3, false)
WEIGHTS(conv2d_weights_square_masked_f32, 64, 64, 4, 8, 3, true)
WEIGHTS(conv2d_weights_short_f32, 16, 128, 4, 4, 4, false)
WEIGHTS(conv2d_weights_short_masked_f32, 16, 128, 4, 4, 4, true)

// Bound by the bytes of the parts, each read once; blocks of 256 for occupancy alone.
#define SUM_PARTS(NAME, T)                                                                    \
  extern "C" __global__ void __launch_bounds__(256)                                           \
      NAME(const float* parts, T* dw, T* db, long long count, long long length, int number) { \
    sum_parts<T>(parts, dw, db, count, length, number);                                       \
  }

SUM_PARTS(sum_parts_f32, float)
SUM_PARTS(sum_parts_f16, __half)
