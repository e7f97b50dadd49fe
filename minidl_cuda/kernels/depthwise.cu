// Convolution of each channel by itself (groups of one channel; Sifre 2014, Chollet 2017,
// arXiv:1610.02357), and its gradients, in float32 and in float16 with float32 sums: direct
// convolution, for implicit GEMM would fill a tile of 64 outputs with one.
//
// Floor: the bytes of x and y (dy and dx; x and dy), each from memory once: KH·KW products are less
// than what a multiprocessor multiplies while it reads a number.  The windows overlap in the
// first-level cache.
#include "compensated.cuh"
#include "element.cuh"
#include "window.cuh"

namespace {

constexpr int STRIP =
    4;  // results side by side for a thread: they share the tests of the rows and the weights
constexpr int TAPS = 9;      // of the gradient of the weights that a thread adds up together
constexpr int WARPS = 8;     // of a block that adds up weights
constexpr int LONGEST = 16;  // terms that one thread adds up

// One strip of y; or, BACKWARD, of the gradient of the image: then x is dy, which counts as 0 where
// the mask is not positive, and the sum is over the outputs of the channel.  `blocks` of them are
// for one feature map of the result.
template <class T, bool BACKWARD>
__device__ void depthwise(const T* __restrict__ x, const T* __restrict__ mask,
                          const T* __restrict__ w, const T* __restrict__ bias, T* __restrict__ y,
                          const Convolution& p, int relu, int blocks) {
  const int height = BACKWARD ? p.height : p.out_height, width = BACKWARD ? p.width : p.out_width;
  const Axis v = rows_of(p, BACKWARD, blockIdx.y), h = columns_of(p, BACKWARD, blockIdx.y);
  const int strips = (h.count + STRIP - 1) / STRIP, map = blockIdx.x / blocks;
  const int own = blockIdx.x % blocks * blockDim.x + threadIdx.x;
  if (own >= v.count * strips) return;
  const int i = own / strips, j = own % strips * STRIP;
  const int results = p.groups * (BACKWARD ? 1 : p.outputs), image = map / results,
            result = map % results;

  float sums[STRIP] = {};
  for (int source = 0; source < (BACKWARD ? p.outputs : 1); source++) {
    const int output = BACKWARD ? result * p.outputs + source : result;
    const int input = BACKWARD ? output : result / p.outputs,
              inputs = p.groups * (BACKWARD ? p.outputs : 1);
    const T* lines = x + (size_t(image) * inputs + input) * v.length * h.length;
    const T* masks = mask ? mask + (lines - x) : nullptr;
    for (int a = 0; a < v.taps; a++) {
      const int row = v.start + i * v.step + a * v.dilation;
      if (unsigned(row) >= unsigned(v.length)) continue;
      const T* own_weights =
          w + (output * p.rows + v.tap_start + a * v.tap_step) * p.columns + h.tap_start;
      for (int b = 0; b < h.taps; b++) {
        const float weight = load(own_weights + b * h.tap_step);
#pragma unroll
        for (int q = 0; q < STRIP; q++) {
          const int column = h.start + (j + q) * h.step + b * h.dilation,
                    at = row * h.length + column;
          bool in = unsigned(column) < unsigned(h.length);
          if (BACKWARD && masks) in = in && load(masks + at) > 0.f;
          if (in) sums[q] = fmaf(weight, load(lines + at), sums[q]);
        }
      }
    }
  }
  const float more = bias ? load(bias + result) : 0.f;
  T* line = y + (size_t(map) * height + v.out_start + i * v.out_step) * width + h.out_start;
#pragma unroll
  for (int q = 0; q < STRIP; q++) {
    if (j + q >= h.count) continue;
    const float z = sums[q] + more;
    line[(j + q) * h.out_step] = from_float<T>(relu && !(z > 0.f) && z == z ? 0.f : z);
  }
}

// dw of TAPS taps (blockIdx.y) of an output, and db, over the positions of one of its parts
// (blockIdx.x): LONGEST for each thread, whose sums are then added in a tree.  The error grows like
// log n.  With windows of no taps, db alone: the sum of each channel over the batch.
template <class T>
__device__ void depthwise_weights(const T* __restrict__ x, const T* __restrict__ dy,
                                  const T* __restrict__ mask, float* __restrict__ dw,
                                  float* __restrict__ db, const Convolution& p, int parts,
                                  long long apart) {
  __shared__ float shared[WARPS][TAPS + 1];
  const int output = blockIdx.x / parts, part = blockIdx.x % parts;
  const int channel = output / p.outputs, outputs = p.groups * p.outputs;
  const int taps = p.rows * p.columns, first_tap = blockIdx.y * TAPS;
  const int plane = p.out_height * p.out_width, positions = p.images * plane;
  const int begin = part * (WARPS * 32 * LONGEST);

  float sums[TAPS + 1] = {};
  for (int q = 0; q < LONGEST; q++) {
    const int k = begin + q * (WARPS * 32) + threadIdx.x;
    if (k >= positions) break;
    const int image = k / plane, place = k % plane, i = place / p.out_width,
              j = place % p.out_width;
    const size_t at = (size_t(image) * outputs + output) * plane + place;
    const float gradient = mask && !(load(mask + at) > 0.f) ? 0.f : load(dy + at);
    sums[TAPS] += gradient;
    const T* xs = x + (size_t(image) * p.groups + channel) * p.height * p.width;
#pragma unroll
    for (int s = 0; s < TAPS; s++) {
      const int tap = first_tap + s;
      if (tap >= taps) continue;
      const int row = i * p.stride_h - p.padding_h + tap / p.columns * p.dilation_h;
      const int column = j * p.stride_w - p.padding_w + tap % p.columns * p.dilation_w;
      const bool in = unsigned(row) < unsigned(p.height) && unsigned(column) < unsigned(p.width);
      sums[s] = fmaf(in ? load(xs + row * p.width + column) : 0.f, gradient, sums[s]);
    }
  }
#pragma unroll
  for (int s = 0; s <= TAPS; s++) {
#pragma unroll
    for (int distance = 16; distance; distance /= 2)
      sums[s] += __shfl_xor_sync(0xffffffffu, sums[s], distance);
    if (threadIdx.x % 32 == 0) shared[threadIdx.x / 32][s] = sums[s];
  }
  __syncthreads();
  const int s = threadIdx.x;
  if (s > TAPS) return;
  float total = 0.f;
  for (int warp = 0; warp < WARPS; warp++) total += shared[warp][s];
  if (s < TAPS && first_tap + s < taps) dw[part * apart + output * taps + first_tap + s] = total;
  if (s == TAPS && db && blockIdx.y == 0) db[part * apart + output] = total;
}

}  // namespace

// Bound by memory: blocks of up to 256 threads, at least 4 on a multiprocessor: 32 warps to hide its
// latency, of at most 64 registers a thread.
#define DEPTHWISE(SUFFIX, T)                                                                     \
  extern "C" __global__ void __launch_bounds__(256, 4) depthwise_##SUFFIX(                          \
      const T* x, const T* w, const T* bias, T* y, Convolution p, int relu, int blocks) {        \
    depthwise<T, false>(x, nullptr, w, bias, y, p, relu, blocks);                                \
  }                                                                                              \
  extern "C" __global__ void __launch_bounds__(256, 4) depthwise_backward_##SUFFIX(                 \
      const T* dy, const T* mask, const T* w, const T* bias, T* dx, Convolution p, int blocks) { \
    depthwise<T, true>(dy, mask, w, bias, dx, p, 0, blocks);                                     \
  }                                                                                              \
  extern "C" __global__ void __launch_bounds__(32 * WARPS, 4)                                    \
      depthwise_weights_##SUFFIX(const T* x, const T* dy, const T* mask, float* dw, float* db,   \
                                 Convolution p, int parts, long long apart) {                    \
    depthwise_weights<T>(x, dy, mask, dw, db, p, parts, apart);                                  \
  }

DEPTHWISE(f32, float)
DEPTHWISE(f16, __half)
