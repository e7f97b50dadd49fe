// Max pooling of any window.  Forward keeps the argmax as the number of its tap, in a byte if there
// are at most 255 taps.  Backward gathers: an element of dx looks up the windows that it is in, and
// takes the dy of those whose argmax it is, in order; no atomics, the same bits each time.
//
// Floor: the bytes of x, y and the argmax, each from memory once; windows overlap in the
// first-level cache.
#include "compensated.cuh"
#include "element.cuh"

namespace {

struct Pooling {
  int height, width;  // of x
  int rows, columns;  // of the window
  int stride_h, stride_w, padding_h, padding_w, dilation_h, dilation_w;
  int out_height, out_width;  // the number of windows
  int blocks;                 // for one feature map
};

// One window.  Of equal elements the first is the maximum, of NaNs the last.  The padding is never
// chosen. RELU     y is at least 0, and the tap is that after the last one where y is 0 indices  of
// the maximum in its feature map; may be null
template <class T, class Tap, bool RELU>
__device__ void max_pool(const T* __restrict__ x, T* __restrict__ y, Tap* __restrict__ taps,
                         long long* __restrict__ indices, const Pooling& p) {
  const int map = blockIdx.x / p.blocks, window = blockIdx.x % p.blocks * blockDim.x + threadIdx.x;
  if (window >= p.out_height * p.out_width) return;
  const T* xs = x + size_t(map) * p.height * p.width;
  const int top = window / p.out_width * p.stride_h - p.padding_h;
  const int left = window % p.out_width * p.stride_w - p.padding_w;
  float best = 0.f;
  int tap = -1, index = 0;
  for (int a = 0; a < p.rows; a++) {
    const int row = top + a * p.dilation_h;
    if (unsigned(row) >= unsigned(p.height)) continue;
    for (int b = 0; b < p.columns; b++) {
      const int column = left + b * p.dilation_w;
      if (unsigned(column) >= unsigned(p.width)) continue;
      const float value = load(xs + row * p.width + column);
      if (tap < 0 || value > best || value != value)
        best = value, tap = a * p.columns + b, index = row * p.width + column;
    }
  }
  if (RELU && !(best > 0.f)) best = best != best ? best : 0.f, tap = sizeof(Tap) == 1 ? 255 : -1;
  const size_t at = size_t(map) * p.out_height * p.out_width + window;
  y[at] = from_float<T>(best);
  taps[at] = Tap(tap);
  if (indices) indices[at] = index;
}

__device__ int first_window(int at, int size,
                            int stride) {  // that ends behind element `at` of the padded axis
  return at < size ? 0 : (at - size) / stride + 1;
}

// One element of dx.
template <class T, class Tap>
__device__ void max_pool_backward(const T* __restrict__ dy, const Tap* __restrict__ taps,
                                  T* __restrict__ dx, const Pooling& p) {
  const int map = blockIdx.x / p.blocks, element = blockIdx.x % p.blocks * blockDim.x + threadIdx.x;
  if (element >= p.height * p.width) return;
  const size_t first = size_t(map) * p.out_height * p.out_width;
  const int row = element / p.width + p.padding_h, column = element % p.width + p.padding_w;
  const int last_i = min(row / p.stride_h, p.out_height - 1),
            last_j = min(column / p.stride_w, p.out_width - 1);
  const int first_i = first_window(row, (p.rows - 1) * p.dilation_h + 1, p.stride_h);
  const int first_j = first_window(column, (p.columns - 1) * p.dilation_w + 1, p.stride_w);
  TwoFloat sum;
  for (int i = first_i; i <= last_i; i++) {
    const int down = row - i * p.stride_h;
    if (down % p.dilation_h) continue;
    for (int j = first_j; j <= last_j; j++) {
      const int right = column - j * p.stride_w;
      if (right % p.dilation_w) continue;
      const size_t at = first + i * p.out_width + j;
      if (int(__ldg(taps + at)) == down / p.dilation_h * p.columns + right / p.dilation_w)
        sum.add(load(dy + at));
    }
  }
  dx[size_t(map) * p.height * p.width + element] = from_float<T>(sum.value());
}

}  // namespace

// Bound by memory: no shared memory, blocks of up to 256 threads, at least 4 on a multiprocessor: 32
// warps to hide its latency, of at most 64 registers a thread.
#define MAX_POOL(SUFFIX, T, Tap)                                                             \
  extern "C" __global__ void __launch_bounds__(256, 4)                                          \
      max_pool2d_##SUFFIX(const T* x, T* y, Tap* taps, long long* indices, Pooling p) {      \
    max_pool<T, Tap, false>(x, y, taps, indices, p);                                         \
  }                                                                                          \
  extern "C" __global__ void __launch_bounds__(256, 4)                                          \
      max_pool2d_relu_##SUFFIX(const T* x, T* y, Tap* taps, long long* indices, Pooling p) { \
    max_pool<T, Tap, true>(x, y, taps, indices, p);                                          \
  }                                                                                          \
  extern "C" __global__ void __launch_bounds__(256, 4)                                          \
      max_pool2d_backward_##SUFFIX(const T* dy, const Tap* taps, T* dx, Pooling p) {         \
    max_pool_backward<T, Tap>(dy, taps, dx, p);                                              \
  }

MAX_POOL(f32, float, unsigned char)
MAX_POOL(wide_f32, float, int)
MAX_POOL(f16, __half, unsigned char)
MAX_POOL(wide_f16, __half, int)
