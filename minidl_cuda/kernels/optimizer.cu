// SGD, Adam and AdamW: the whole formula in one pass over all parameters (multi_tensor.cuh).
//
//     D. Kingma, J. Ba.  Adam: A method for stochastic optimization.  ICLR 2015.
//     I. Loshchilov, F. Hutter.  Decoupled weight decay regularization (AdamW).  ICLR 2019.
//     S. Reddi, S. Kale, S. Kumar.  On the convergence of Adam and beyond (AMSGrad).  ICLR 2018.
//     I. Sutskever, J. Martens, G. Dahl, G. Hinton.  On the importance of initialization and
//     momentum in deep learning (Nesterov momentum as here).  ICML 2013.
//
// Floor, in float32: 28 bytes an element for Adam (read g, θ, m, v; write θ, m, v), 36 with AMSGrad,
// 12 for SGD, 20 with momentum.  All are bound by memory: Adam's square root and divisions are some
// 40 instructions.  256 threads of up to 64 registers, as they hold 16 bytes of five arrays: a
// multiprocessor has 1024 of them, with two vectors each of every array under way.
//
// skip    null, or one number: unless it is 0, nothing is updated, as some gradient is not finite
#include "multi_tensor.cuh"

template <class T>
__device__ T smallest();
template <>
__device__ float smallest<float>() { return 1.1754943508222875e-38f; }
template <>
__device__ double smallest<double>() { return 2.2250738585072014e-308; }

template <class T>
__device__ bool skipped(const T* skip) {
  return skip && *skip != T(0);
}

// x: the gradient, the parameter, and its state.

// θ ← θ − (rate · m / (√v / correction + ε) + shrink · θ),   m ← β₁·m + (1 − β₁)·g,
// v ← β₂·v + (1 − β₂)·g²,   rate = lr/(1 − β₁ᵗ),   correction = √(1 − β₂ᵗ).
// As on the CPU, m and v that have decayed to denormal numbers are flushed to 0.
template <class T>
struct Adam {
  T beta1, rest1, beta2, rest2, rate, correction, eps, decay, shrink, sign;

  template <int ARRAYS>
  __device__ void operator()(T (&x)[ARRAYS]) const {
    const T g = sign * x[0] + decay * x[1];
    T m = beta1 * x[2] + rest1 * g;
    T v = beta2 * x[3] + rest2 * (g * g);
    x[2] = m = fabs(m) < smallest<T>() ? T(0) : m;
    x[3] = v = v < smallest<T>() ? T(0) : v;
    if constexpr (ARRAYS == 5) {
      const T largest = x[4];
      x[4] = v = largest >= v || largest != largest ? largest : v;
    }
    x[1] -= rate * m / (sqrt(v) / correction + eps) + shrink * x[1];
  }
};

// θ ← θ − lr·g.
template <class T>
struct Descent {
  T lr, decay, sign;

  __device__ void operator()(T (&x)[2]) const { x[1] -= lr * (sign * x[0] + decay * x[1]); }
};

// v ← μ·v + (1 − dampening)·g;   θ ← θ − lr·v, or θ − lr·(g + μ·v) with nesterov.
template <class T>
struct Momentum {
  T lr, decay, sign, momentum, weight, nesterov;

  __device__ void operator()(T (&x)[3]) const {
    const T g = sign * x[0] + decay * x[1];
    const T v = momentum * x[2] + weight * g;
    x[2] = v;
    x[1] -= lr * (nesterov != T(0) ? g + momentum * v : v);
  }
};

// Distinct rows of a parameter and its state, a block for `THREADS` columns of one of them.
template <class T, int ARRAYS, class Rule>
__device__ void update_row(const long long* rows, const T* gradient, T* const (&table)[ARRAYS],
                           long long width, int blocks, const Rule& rule) {
  const long long i = blockIdx.x / blocks;
  const long long column = (long long)(blockIdx.x % blocks) * blockDim.x + threadIdx.x;
  if (column >= width) return;
  const long long place = rows[i] * width + column;
  T x[ARRAYS + 1];
  x[0] = gradient[i * width + column];
#pragma unroll
  for (int a = 0; a < ARRAYS; a++) x[a + 1] = table[a][place];
  rule(x);
#pragma unroll
  for (int a = 0; a < ARRAYS; a++) table[a][place] = x[a + 1];
}

#define RULE(name, suffix, T, Rule, ARRAYS, COUNT)                                            \
  extern "C" __global__ void __launch_bounds__(THREADS, 4)                                    \
      name##_##suffix(Tensors<ARRAYS, COUNT> tensors, Rule<T> rule, const T* skip) {          \
    if (!skipped(skip)) for_each<T, 1>(tensors, blockIdx.x, rule);                            \
  }
#define RULES(suffix, T)                                                                      \
  RULE(descent, suffix, T, Descent, 2, 139)                                                   \
  RULE(momentum, suffix, T, Momentum, 3, 107)                                                 \
  RULE(adam, suffix, T, Adam, 4, 87)                                                          \
  RULE(amsgrad, suffix, T, Adam, 5, 75)                                                       \
  extern "C" __global__ void __launch_bounds__(THREADS)                                       \
      descent_rows_##suffix(const long long* rows, const T* gradient, T* value,               \
                            long long width, int blocks, Descent<T> rule, const T* skip) {    \
    T* const table[1] = {value};                                                              \
    if (!skipped(skip)) update_row<T>(rows, gradient, table, width, blocks, rule);            \
  }                                                                                           \
  extern "C" __global__ void __launch_bounds__(THREADS)                                       \
      adam_rows_##suffix(const long long* rows, const T* gradient, T* value, T* m, T* v,      \
                         long long width, int blocks, Adam<T> rule, const T* skip) {          \
    T* const table[3] = {value, m, v};                                                        \
    if (!skipped(skip)) update_row<T>(rows, gradient, table, width, blocks, rule);            \
  }                                                                                           \
  extern "C" __global__ void __launch_bounds__(THREADS)                                       \
      amsgrad_rows_##suffix(const long long* rows, const T* gradient, T* value, T* m, T* v,   \
                            T* largest, long long width, int blocks, Adam<T> rule,            \
                            const T* skip) {                                                  \
    T* const table[4] = {value, m, v, largest};                                               \
    if (!skipped(skip)) update_row<T>(rows, gradient, table, width, blocks, rule);            \
  }
RULES(f32, float)
RULES(f64, double)
