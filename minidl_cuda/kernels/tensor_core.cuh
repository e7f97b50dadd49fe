// Tensor cores, and what feeds them: the instructions of PTX that C++ has no name for, and what
// they do, for compilers of the host (MINIDL_HOST).  NVIDIA, PTX ISA: mma.sync, ldmatrix, cp.async.
//
// All lanes of a warp call these together.  Before sm_80, a product is two of half the depth, and
// copies to shared memory are done when they are asked for.
#pragma once
#include <cuda_fp16.h>

// d (16 × 8) += a (16 × 16) · b (16 × 8).  Lane l has the rows l / 4 and l / 4 + 8 of d, columns l
// % 4 · 2 and the next: d[0], d[1] of the first row, d[2], d[3] of the second.
__device__ void multiply_add_16x8x16(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2]);

// Four matrices of 8 × 8 halves; lane l gives the address of row l % 8 of matrix l / 8, a multiple
// of 16 bytes.  It gets two numbers of each: of row l / 4, columns l % 4 · 2 and the next; or,
// transposed, of the columns and rows so named.
__device__ void load_matrices(unsigned (&r)[4], const __half* row);
__device__ void load_matrices_transposed(unsigned (&r)[4], const __half* row);

// 16 bytes from global to shared memory; zeros, and nothing is read, unless `copies`.
__device__ void copy_16_bytes(__half* to, const __half* from, bool copies);
__device__ void commit_copies();  // those since the last time are a group
template <int N>
__device__ void wait_for_copies();  // of all groups but the last N

#ifdef MINIDL_HOST

namespace tensor_core {

inline float part(unsigned pair, int which) {
  const unsigned short bits = which ? pair >> 16 : pair & 0xffff;
  __half value;
  memcpy(&value, &bits, 2);
  return __half2float(value);
}

inline unsigned lane() { return threadIdx.x % 32; }

inline const __half* row_of(const __half* row, int owner) {
  return (const __half*)__shfl_sync(0xffffffffu, (unsigned long long)row, owner);
}

}  // namespace tensor_core

inline void multiply_add_16x8x16(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
  const int row = tensor_core::lane() / 4, column = tensor_core::lane() % 4 * 2;
  for (int q = 0; q < 4; q++) {  // the lanes with k = 2·q, 2·q + 1, and 8 more
    unsigned rows[4], columns[2][2];
    for (int i = 0; i < 4; i++) rows[i] = __shfl_sync(0xffffffffu, a[i], row * 4 + q);
    for (int c = 0; c < 2; c++)
      for (int i = 0; i < 2; i++)
        columns[c][i] = __shfl_sync(0xffffffffu, b[i], (column + c) * 4 + q);
    for (int e = 0; e < 4; e++)
      for (int k = 0; k < 4; k++)
        d[e] += tensor_core::part(rows[e / 2 + k / 2 * 2], k % 2) *
                tensor_core::part(columns[e % 2][k / 2], k % 2);
  }
}

inline void load_matrices(unsigned (&r)[4], const __half* row) {
  const int lane = tensor_core::lane();
  for (int m = 0; m < 4; m++)
    memcpy(&r[m], tensor_core::row_of(row, m * 8 + lane / 4) + lane % 4 * 2, 4);
}

inline void load_matrices_transposed(unsigned (&r)[4], const __half* row) {
  const int lane = tensor_core::lane();
  for (int m = 0; m < 4; m++) {
    unsigned short pair[2];
    for (int e = 0; e < 2; e++)
      memcpy(&pair[e], tensor_core::row_of(row, m * 8 + lane % 4 * 2 + e) + lane / 4, 2);
    r[m] = pair[0] | unsigned(pair[1]) << 16;
  }
}

inline void copy_16_bytes(__half* to, const __half* from, bool copies) {
  if (copies)
    memcpy(to, from, 16);
  else
    memset(to, 0, 16);
}
inline void commit_copies() {}
template <int N>
inline void wait_for_copies() {}

#else

namespace tensor_core {

__device__ unsigned shared_address(const void* p) { return unsigned(__cvta_generic_to_shared(p)); }

}  // namespace tensor_core

__device__ void multiply_add_16x8x16(float (&d)[4], const unsigned (&a)[4],
                                     const unsigned (&b)[2]) {
#if __CUDA_ARCH__ >= 800
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
      "{%0,%1,%2,%3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#else
#pragma unroll
  for (int i = 0; i < 2; i++)
    asm volatile(
        "mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5}, {%6}, "
        "{%0,%1,%2,%3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[2 * i]), "r"(a[2 * i + 1]), "r"(b[i]));
#endif
}

__device__ void load_matrices(unsigned (&r)[4], const __half* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(tensor_core::shared_address(row))
               : "memory");
}

__device__ void load_matrices_transposed(unsigned (&r)[4], const __half* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(tensor_core::shared_address(row))
               : "memory");
}

__device__ void copy_16_bytes(__half* to, const __half* from, bool copies) {
#if __CUDA_ARCH__ >= 800
  asm volatile(
      "cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(tensor_core::shared_address(to)),
      "l"(from), "r"(copies ? 16 : 0)
      : "memory");
#else
  uint4 value = make_uint4(0, 0, 0, 0);
  if (copies) value = __ldg(reinterpret_cast<const uint4*>(from));
  *reinterpret_cast<uint4*>(to) = value;
#endif
}

__device__ void commit_copies() {
#if __CUDA_ARCH__ >= 800
  asm volatile("cp.async.commit_group;" ::: "memory");
#endif
}

template <int N>
__device__ void wait_for_copies() {
#if __CUDA_ARCH__ >= 800
  asm volatile("cp.async.wait_group %0;" ::"n"(N) : "memory");
#endif
}

#endif
