// The geometry of sliding windows, as in minidl/backends/window.py: along an axis, tap a of window
// i is at index i·stride − padding + a·dilation of the image, and in the padding if that is outside
// it.
#pragma once

struct Convolution {
  int images, groups, channels, outputs;  // the last two: of one group
  int height, width;                      // of the image
  int rows, columns;                      // of the window
  int stride_h, stride_w, padding_h, padding_w, dilation_h, dilation_w;
  int out_height, out_width;  // the number of windows
};

// A convolution along one axis, or what one phase of its input gradient is: result number u, which
// is at `out_start + u·out_step`, is the sum over t of the input at `start + u·step + t·dilation`
// times the weight of tap `tap_start + t·tap_step`.
struct Axis {
  int length;  // of the input
  int taps, tap_start, tap_step;
  int start, step, dilation;
  int count, out_start, out_step;
};

__device__ Axis forward_axis(int length, int window, int stride, int padding, int dilation,
                             int windows) {
  return {length, window, 0, 1, -padding, stride, dilation, windows, 0, 1};
}

// The elements i = phase + u·stride of the gradient of the image.  Tap a of window j is at element
// i if j·stride = i + padding − a·dilation.  Of the taps that meet these elements, each is stride /
// gcd(stride, dilation) after the one before, and its windows are dilation / gcd before those.
// (Polyphase decomposition: no product with a zero between windows.)
__device__ Axis backward_axis(int length, int window, int stride, int padding, int dilation,
                              int windows, int phase) {
  const int count = length > phase ? (length - phase + stride - 1) / stride : 0;
  int first = 0, second = window;
  while (first < window && (phase + padding - first * dilation) % stride) first++;
  if (first < window) {
    second = first + 1;
    while (second < window && (second - first) * dilation % stride) second++;
  }
  const int step =
      second - first;  // as far as it matters: there is no second tap if second = window
  const int taps = first < window ? (window - first + step - 1) / step : 0;
  return {windows,
          taps,
          first,
          step,
          (phase + padding - first * dilation) / stride,
          1,
          -(step * dilation / stride),
          count,
          phase,
          stride};
}

// Along the rows and along the columns of a convolution; or, `backward`, of one phase of its input
// gradient.
__device__ Axis rows_of(const Convolution& p, bool backward, int phase) {
  if (!backward)
    return forward_axis(p.height, p.rows, p.stride_h, p.padding_h, p.dilation_h, p.out_height);
  return backward_axis(p.height, p.rows, p.stride_h, p.padding_h, p.dilation_h, p.out_height,
                       phase / p.stride_w);
}

__device__ Axis columns_of(const Convolution& p, bool backward, int phase) {
  if (!backward)
    return forward_axis(p.width, p.columns, p.stride_w, p.padding_w, p.dilation_w, p.out_width);
  return backward_axis(p.width, p.columns, p.stride_w, p.padding_w, p.dilation_w, p.out_width,
                       phase % p.stride_w);
}

// A window among those of all images, and the steps from one to another.
struct Position {
  int image, i, j;

  __device__ void start(int k, int height, int width) {
    image = k / (height * width);
    i = k / width % height;
    j = k % width;
  }

  __device__ void advance(const Position& by, int height, int width) {
    j += by.j;
    i += by.i;
    image += by.image;
    if (j >= width) j -= width, i++;
    if (i >= height) i -= height, image++;
  }
};
