// c = a·b whose error does not grow with the length of the sums: runs of 16 products are added by
// fused multiply-adds, and the runs compensated (compensated.cuh).  With ε = 2⁻²³ that is within
// 4.3·ε·Σ|terms| for any k, where cuBLAS, adding one product after the other, is within k·ε/2.
//
// Tiles of 64 × 64 of c, 4 × 4 for each of 256 threads, in the way of Volkov and Demmel (2008): a tile
// of a and of b is in shared memory while the next one is read into registers.  For every k, a warp
// reads 2 + 16 vectors of 4 floats there (3 cycles of the memory's) for 16 FMA a thread (4 cycles).
// The compensated additions are 7 for 16 FMA: at most 70 % of the peak.  Floor: 2·m·n·k operations.
// 48 sums and 16 operands a thread are in registers, of which there are 128 for each of two blocks: 16
// warps with 16 independent additions each hide the latencies.  (In double, one block with all 255.)
//
// Long k, where there are few tiles, is split among blocks; their sums are pairs for sum.cu.
#include "compensated.cuh"

constexpr int TILE = 64, DEPTH = 16, PART = 4, LINES = 256 / DEPTH;

struct Shape {
  long long m, n, k;
  long long a_row, a_column, a_matrix;  // strides
  long long b_row, b_column, b_matrix;
  long long depth;  // of k, for each block; a multiple of DEPTH
};

template <class T>
__device__ void write(T* c, const Compensated<T>& total) {
  *c = total.value();
}
template <class T>
__device__ void write(Compensated<T>* c, const Compensated<T>& total) {
  *c = total;
}

// Neighbouring threads read neighbours in memory: along k, or along the other axis of the matrix.
template <class T, bool ALONG_K>
struct Reader {
  const T* from;
  long long line, step, lines, depth;  // strides of the line and of k; how many there are of both
  T held[PART];

  __device__ void fetch(long long first, long long k0) {
#pragma unroll
    for (int q = 0; q < PART; q++) {
      const long long i = first + line_of(q), k = k0 + k_of(q);
      held[q] = i < lines && k < depth ? from[i * line + k * step] : T(0);
    }
  }
  __device__ void store(T (*tile)[TILE]) const {
#pragma unroll
    for (int q = 0; q < PART; q++) tile[k_of(q)][line_of(q)] = held[q];
  }
  __device__ static int line_of(int q) {
    return ALONG_K ? threadIdx.x / DEPTH + q * LINES : threadIdx.x % TILE;
  }
  __device__ static int k_of(int q) {
    return ALONG_K ? threadIdx.x % DEPTH : threadIdx.x / TILE + q * (256 / TILE);
  }
};

template <class T, class Out, bool A_ALONG_K, bool B_ALONG_K>
__device__ void product(const T* a, const T* b, Out* c, const Shape& p) {
  __shared__ __align__(16) T a_tile[DEPTH][TILE];
  __shared__ __align__(16) T b_tile[DEPTH][TILE];
  const long long across = (p.n + TILE - 1) / TILE, down = (p.m + TILE - 1) / TILE;
  const long long matrix = blockIdx.x / (across * down), tile = blockIdx.x % (across * down);
  const long long m0 = tile / across * TILE, n0 = tile % across * TILE;
  const long long begin = blockIdx.y * p.depth, end = min(begin + p.depth, p.k);
  Reader<T, A_ALONG_K> left = {a + matrix * p.a_matrix, p.a_row, p.a_column, p.m, end};
  Reader<T, B_ALONG_K> right = {b + matrix * p.b_matrix, p.b_column, p.b_row, p.n, end};
  const int row = threadIdx.x / 16 * PART, column = threadIdx.x % 16 * PART;
  Compensated<T> total[PART][PART];

  left.fetch(m0, begin);
  right.fetch(n0, begin);
  for (long long k0 = begin; k0 < end; k0 += DEPTH) {
    left.store(a_tile);
    right.store(b_tile);
    __syncthreads();
    if (k0 + DEPTH < end) {
      left.fetch(m0, k0 + DEPTH);
      right.fetch(n0, k0 + DEPTH);
    }
    T run[PART][PART] = {};
#pragma unroll
    for (int k = 0; k < DEPTH; k++)
#pragma unroll
      for (int i = 0; i < PART; i++)
#pragma unroll
        for (int j = 0; j < PART; j++)
          run[i][j] = fma(a_tile[k][row + i], b_tile[k][column + j], run[i][j]);
#pragma unroll
    for (int i = 0; i < PART; i++)
#pragma unroll
      for (int j = 0; j < PART; j++) total[i][j].add(run[i][j]);
    __syncthreads();
  }

  const long long matrices = gridDim.x / (across * down);
  c += (blockIdx.y * matrices + matrix) * p.m * p.n;
#pragma unroll
  for (int i = 0; i < PART; i++)
#pragma unroll
    for (int j = 0; j < PART; j++)
      if (m0 + row + i < p.m && n0 + column + j < p.n)
        write(&c[(m0 + row + i) * p.n + n0 + column + j], total[i][j]);
}

#define PRODUCT(suffix, T, Out, A_ALONG_K, B_ALONG_K)                                        \
  extern "C" __global__ void __launch_bounds__(256, sizeof(T) == 4 ? 2 : 1)                  \
      product_##suffix(const T* __restrict__ a, const T* __restrict__ b, Out* __restrict__ c, \
                       Shape p) {                                                            \
    product<T, Out, A_ALONG_K, B_ALONG_K>(a, b, c, p);                                       \
  }
#define PRODUCTS(suffix, T, Out)               \
  PRODUCT(nn_##suffix, T, Out, true, false)    \
  PRODUCT(nt_##suffix, T, Out, true, true)     \
  PRODUCT(tn_##suffix, T, Out, false, false)   \
  PRODUCT(tt_##suffix, T, Out, false, true)
PRODUCTS(f32, float, float)
PRODUCTS(f64, double, double)
PRODUCTS(f32_parts, float, Compensated<float>)
PRODUCTS(f64_parts, double, Compensated<double>)
