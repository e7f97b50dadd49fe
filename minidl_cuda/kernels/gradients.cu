// What is done to all gradients between backward and the optimiser's step: multi_tensor.cuh.
//
// Norm.  J. Blue, A portable Fortran program to find the Euclidean norm of a vector, 1978; E.
// Anderson, Algorithm 978, 2017: squares of large and of small numbers are added up scaled by powers
// of two, apart from the others, so that none over- or underflows, without a wider type.  Each of the
// three sums is compensated (compensated.cuh): the norm is exact to a few roundings.
//
// Two kernels: `norm_parts`, of which each block adds up every G-th chunk, and `clip`, of which each
// block adds up the G parts by itself, in the same order, before it scales its chunks.  G ≤ 512: the
// parts, 12 KB, come from the L2 cache.  Nothing depends on which block is first.
//
// Floor, in float32: 4 bytes an element for the norm; 8 for each of the others, which write new
// arrays, as others may hold the old ones.
#include "compensated.cuh"
#include "multi_tensor.cuh"

constexpr int WARPS = THREADS / 32;
constexpr float LARGE = 1099511627776.0f;                  // 2⁴⁰
constexpr float SMALL = 1.0842021724855044e-19f;           // 2⁻⁶³
constexpr float OF_LARGE = 8.0779356694631609e-28f;        // 2⁻⁹⁰: 2⁴⁰ … 2¹²⁸ to 2⁻⁵⁰ … 2³⁸
constexpr float OF_SMALL = 37778931862957161709568.0f;     // 2⁷⁵: 2⁻¹²⁶ … 2⁻⁶³ to 2⁻⁵¹ … 2¹²

struct Squares {
  TwoFloat large, medium, small;

  __device__ void operator()(float (&x)[1]) {
    const float size = fabsf(x[0]);
    if (size > LARGE) {
      large.add((size * OF_LARGE) * (size * OF_LARGE));
    } else if (size < SMALL) {
      small.add((size * OF_SMALL) * (size * OF_SMALL));
    } else {
      medium.add(size * size);  // of NaN, too
    }
  }

  __device__ void add(const Squares& other) {
    large.add(other.large);
    medium.add(other.medium);
    small.add(other.small);
  }

  // The sum over all threads of the block; in the first warp.
  __device__ void add_block(Squares (&shared)[WARPS]) {
    add_lanes();
    if (threadIdx.x % 32 == 0) shared[threadIdx.x / 32] = *this;
    __syncthreads();
    if (threadIdx.x >= 32) return;
    *this = threadIdx.x < WARPS ? shared[threadIdx.x] : Squares();
    add_lanes();
  }

  __device__ void add_lanes() {
    large.add_lanes();
    medium.add_lanes();
    small.add_lanes();
  }

  // √ of the sum of all squares.
  __device__ float root() const {
    const float a = sqrtf(large.value()) * (1 / OF_LARGE), b = sqrtf(medium.value());
    const float c = sqrtf(small.value()) * (1 / OF_SMALL);
    const float largest = fmaxf(a, fmaxf(b, c)), sum = a + b + c;
    if (largest == 0 || !(sum - sum == 0)) return sum;  // infinite, or NaN
    const float x = a / largest, y = b / largest, z = c / largest;
    return largest * sqrtf(x * x + y * y + z * z);
  }
};

extern "C" __global__ void __launch_bounds__(THREADS)
    norm_parts_f32(Tensors<1, 195> tensors, int chunks, Squares* __restrict__ parts) {
  __shared__ Squares shared[WARPS];
  Squares total;
  for (int chunk = blockIdx.x; chunk < chunks; chunk += gridDim.x)
    for_each<float, 1>(tensors, chunk, total);
  total.add_block(shared);
  if (threadIdx.x == 0) parts[blockIdx.x] = total;
}

// g · min(1, most / (norm + 1e-6)) from g; NaN if the norm is.
struct Scale {
  float factor;
  __device__ void operator()(float (&x)[2]) const { x[1] = x[0] * factor; }
};

extern "C" __global__ void __launch_bounds__(THREADS)
    clip_f32(Tensors<2, 139> tensors, int chunks, const Squares* __restrict__ parts, int count,
             float most, float* __restrict__ norm) {
  __shared__ Squares shared[WARPS];
  __shared__ float found;
  Squares total;
  for (int i = threadIdx.x; i < count; i += THREADS) total.add(parts[i]);
  total.add_block(shared);
  if (threadIdx.x == 0) {
    found = total.root();
    if (blockIdx.x == 0) *norm = found;
  }
  __syncthreads();
  const float factor = most / (found + 1e-6f);
  Scale scale = {factor >= 1 ? 1.0f : factor};
  for (int chunk = blockIdx.x; chunk < chunks; chunk += gridDim.x)
    for_each<float, 1>(tensors, chunk, scale);
}

// min(max(g, −most), most); NaN stays NaN.
struct Clamp {
  float most;
  __device__ void operator()(float (&x)[2]) const {
    x[1] = x[0] < -most ? -most : x[0] > most ? most : x[0];
  }
};

extern "C" __global__ void __launch_bounds__(THREADS)
    clamp_f32(Tensors<2, 139> tensors, float most) {
  Clamp clamp = {most};
  for_each<float, 1>(tensors, blockIdx.x, clamp);
}

// g / scale; *found becomes 1 if one of them is infinite or NaN.  Micikevicius et al. 2018.
struct Unscale {
  float factor;
  bool finite;
  __device__ void operator()(float (&x)[2]) {
    x[1] = x[0] * factor;
    finite = finite && x[1] - x[1] == 0;
  }
};

extern "C" __global__ void __launch_bounds__(THREADS)
    unscale_f32(Tensors<2, 139> tensors, const float* __restrict__ scale,
                float* __restrict__ found) {
  Unscale unscale = {1 / *scale, true};
  for_each<float, 1>(tensors, blockIdx.x, unscale);
  const bool wrong = __any_sync(0xffffffffu, !unscale.finite);
  if (wrong && threadIdx.x % 32 == 0) atomicExch(found, 1.0f);  // whichever comes last
}

// The scale after a step: times `backoff` if a gradient was not finite, times `growth` after
// `interval` steps without one, unless it would overflow.  One thread.
extern "C" __global__ void __launch_bounds__(32)
    update_scale(float* scale, int* steps, const float* found, float growth, float backoff,
                 int interval) {
  if (threadIdx.x) return;
  if (*found != 0) {
    *scale *= backoff;
    *steps = 0;
    return;
  }
  const float larger = *scale * growth;
  const bool due = ++*steps == interval;
  if (!due) return;
  *steps = 0;
  if (larger - larger == 0) *scale = larger;
}
