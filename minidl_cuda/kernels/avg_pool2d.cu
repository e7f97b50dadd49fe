// Average pooling, with windows of one size or adaptive ones (global average pooling: M. Lin et al.
// 2013, arXiv:1312.4400).  Backward gathers, as that of max pooling.
//
// Floor: the bytes of x and y, each from memory once; windows overlap in the first-level cache.
//
// Sums keep their rounding errors (compensated.cuh): a mean is exact to a few units of the last
// place.
#include "compensated.cuh"
#include "element.cuh"

namespace {

// The windows along an axis: one of `size` each `stride` elements, or if size is 0, adaptive ones,
// window i being ⌊i·length / count⌋ … ⌈(i + 1)·length / count⌉.
struct Windows {
  int length, count, size, stride, padding;

  __device__ bool adaptive() const { return size == 0; }
  __device__ int begin(int i) const {
    return adaptive() ? i * length / count : max(0, i * stride - padding);
  }
  __device__ int end(int i) const {
    return adaptive() ? ((i + 1) * length + count - 1) / count
                      : min(length, i * stride - padding + size);
  }
  // The number of its taps, with those in the padding or without.
  __device__ int taps(int i, int count_padding) const {
    return count_padding ? min(size, length + 2 * padding - i * stride) : end(i) - begin(i);
  }
  // The first and the last window that element `at` is in.
  __device__ int first(int at) const {
    if (adaptive()) return at * count / length;
    return at + padding < size ? 0 : (at + padding - size) / stride + 1;
  }
  __device__ int last(int at) const {
    return adaptive() ? ((at + 1) * count + length - 1) / length - 1
                      : min(count - 1, (at + padding) / stride);
  }
};

struct Pooling {
  Windows rows, columns;
  int count_padding;
  int divisor;  // 0: the number of taps
  int blocks;   // for one feature map

  __device__ float divisor_of(int i, int j) const {
    return divisor ? divisor : float(rows.taps(i, count_padding)) * columns.taps(j, count_padding);
  }
};

// One window, by LANES threads: one, or a warp where windows are large.
template <class T, int LANES>
__device__ void avg_pool(const T* __restrict__ x, T* __restrict__ y, const Pooling& p) {
  const int map = blockIdx.x / p.blocks, lane = threadIdx.x % LANES;
  const int window = (blockIdx.x % p.blocks * blockDim.x + threadIdx.x) / LANES;
  if (window >= p.rows.count * p.columns.count) return;
  const T* xs = x + size_t(map) * p.rows.length * p.columns.length;
  const int i = window / p.columns.count, j = window % p.columns.count;
  const int top = p.rows.begin(i), bottom = p.rows.end(i), left = p.columns.begin(j),
            right = p.columns.end(j);
  TwoFloat sum;
  if (LANES == 1) {
    for (int row = top; row < bottom; row++)
      for (int column = left; column < right; column++)
        sum.add(load(xs + row * p.columns.length + column));
  } else {
    const int width = right - left, size = (bottom - top) * width;
    for (int e = lane; e < size; e += LANES)
      sum.add(load(xs + (top + e / width) * p.columns.length + left + e % width));
    sum.add_lanes();
  }
  if (lane) return;
  y[size_t(map) * p.rows.count * p.columns.count + window] =
      from_float<T>(sum.value() / p.divisor_of(i, j));
}

// One element of dx: the sum of dy / n over the windows that it is in.
template <class T>
__device__ void avg_pool_backward(const T* __restrict__ dy, T* __restrict__ dx, const Pooling& p) {
  const int map = blockIdx.x / p.blocks, element = blockIdx.x % p.blocks * blockDim.x + threadIdx.x;
  if (element >= p.rows.length * p.columns.length) return;
  const T* dys = dy + size_t(map) * p.rows.count * p.columns.count;
  const int row = element / p.columns.length, column = element % p.columns.length;
  const int first_j = p.columns.first(column), last_j = p.columns.last(column),
            last_i = p.rows.last(row);
  TwoFloat sum;
  for (int i = p.rows.first(row); i <= last_i; i++)
    for (int j = first_j; j <= last_j; j++)
      sum.add(load(dys + i * p.columns.count + j) / p.divisor_of(i, j));
  dx[size_t(map) * p.rows.length * p.columns.length + element] = from_float<T>(sum.value());
}

}  // namespace

// Bound by memory: no shared memory, blocks of up to 256 threads, at least 4 on a multiprocessor: 32
// warps to hide its latency, of at most 64 registers a thread.
#define AVG_POOL(SUFFIX, T)                                         \
  extern "C" __global__ void __launch_bounds__(256, 4)                 \
      avg_pool2d_##SUFFIX(const T* x, T* y, Pooling p) {            \
    avg_pool<T, 1>(x, y, p);                                        \
  }                                                                 \
  extern "C" __global__ void __launch_bounds__(256, 4)                 \
      avg_pool2d_large_##SUFFIX(const T* x, T* y, Pooling p) {      \
    avg_pool<T, 32>(x, y, p);                                       \
  }                                                                 \
  extern "C" __global__ void __launch_bounds__(256, 4)                 \
      avg_pool2d_backward_##SUFFIX(const T* dy, T* dx, Pooling p) { \
    avg_pool_backward<T>(dy, dx, p);                                \
  }

AVG_POOL(f32, float)
AVG_POOL(f16, __half)
