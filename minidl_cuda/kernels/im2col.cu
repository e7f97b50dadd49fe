// Convolution as matrix products, which cuBLAS computes, and what is around them: the matrix of
// patches (im2col; Chellapilla, Puri, Simard 2006), its transpose for the gradient of the images
// (col2im), and bias and ReLU.
//
// Floor: the bytes, of patches KH·KW / stride² times those of x.
#include "window.cuh"

namespace {

// One element of the patches (images, groups·channels, rows, columns, out_height, out_width).
__device__ void im2col(const float* __restrict__ x, float* __restrict__ patches,
                       const Convolution& p, long long count) {
  const long long e = blockIdx.x * (long long)blockDim.x + threadIdx.x;
  if (e >= count) return;
  const int plane = p.out_height * p.out_width, place = int(e % plane);
  const long long line = e / plane;  // (image, channel, tap)
  const int taps = p.rows * p.columns, tap = int(line % taps);
  const int row = place / p.out_width * p.stride_h - p.padding_h + tap / p.columns * p.dilation_h;
  const int column =
      place % p.out_width * p.stride_w - p.padding_w + tap % p.columns * p.dilation_w;
  const bool in = unsigned(row) < unsigned(p.height) && unsigned(column) < unsigned(p.width);
  patches[e] = in ? __ldg(x + (line / taps * p.height + row) * p.width + column) : 0.f;
}

// One element of dx: the sum of what came of it in the patches, tap by tap.
__device__ void col2im(const float* __restrict__ patches, const float* __restrict__ bias,
                       float* __restrict__ dx, const Convolution& p, long long count) {
  const long long e = blockIdx.x * (long long)blockDim.x + threadIdx.x;
  if (e >= count) return;
  const int plane = p.height * p.width, place = int(e % plane);
  const long long map = e / plane;  // (image, channel)
  float sum = 0.f;
  for (int a = 0; a < p.rows; a++) {
    const int down = place / p.width + p.padding_h - a * p.dilation_h, i = down / p.stride_h;
    if (down < 0 || i * p.stride_h != down || i >= p.out_height) continue;
    for (int b = 0; b < p.columns; b++) {
      const int right = place % p.width + p.padding_w - b * p.dilation_w, j = right / p.stride_w;
      if (right < 0 || j * p.stride_w != right || j >= p.out_width) continue;
      const long long line = (map * p.rows + a) * p.columns + b;
      sum += __ldg(patches + (line * p.out_height + i) * p.out_width + j);
    }
  }
  dx[e] = bias ? sum + __ldg(bias + map % (p.groups * p.channels)) : sum;
}

}  // namespace

// Bound by memory: no shared memory, blocks of 256 threads, at least 4 on a multiprocessor: 32 warps
// to hide its latency, of at most 64 registers a thread.
extern "C" __global__ void __launch_bounds__(256, 4)
    im2col_f32(const float* x, float* patches, Convolution p, long long count) {
  im2col(x, patches, p, count);
}

extern "C" __global__ void __launch_bounds__(256, 4)
    col2im_f32(const float* patches, const float* bias, float* dx, Convolution p, long long count) {
  col2im(patches, bias, dx, p, count);
}

// y (images, channels, plane) + b, at least 0 with relu, in place.
extern "C" __global__ void __launch_bounds__(256, 4)
    bias_relu_f32(float* __restrict__ y, const float* __restrict__ bias, int channels, int plane,
                  long long count, int relu) {
  const long long e = blockIdx.x * (long long)blockDim.x + threadIdx.x;
  if (e >= count) return;
  const float z = bias ? y[e] + __ldg(bias + e / plane % channels) : y[e];
  y[e] = relu && !(z > 0.f) && z == z ? 0.f : z;
}
