// Functions of numbers, loads, atomics.
#pragma once

namespace minidl {
// A value whose computation is not contracted with others to a fused multiply-add.
template <class T> T rounded(T value) {
  volatile T kept = value;
  return kept;
}
template <class To, class From> To same_bits(From value) {
  static_assert(sizeof(To) == sizeof(From), "sizes differ");
  To result;
  memcpy(&result, &value, sizeof result);
  return result;
}
}  // namespace minidl

template <class A, class B> constexpr auto min(A a, B b) {
  using T = std::common_type_t<A, B>;
  if constexpr (std::is_floating_point_v<T>) return T(fmin(T(a), T(b)));  // the number, if one is NaN
  else return T(b) < T(a) ? T(b) : T(a);
}
template <class A, class B> constexpr auto max(A a, B b) {
  using T = std::common_type_t<A, B>;
  if constexpr (std::is_floating_point_v<T>) return T(fmax(T(a), T(b)));
  else return T(a) < T(b) ? T(b) : T(a);
}

inline float rsqrtf(float x) { return 1.0f / sqrtf(x); }
inline double rsqrt(double x) { return 1.0 / sqrt(x); }
inline float __fadd_rn(float a, float b) { return minidl::rounded(a + b); }
inline float __fsub_rn(float a, float b) { return minidl::rounded(a - b); }
inline float __fmul_rn(float a, float b) { return minidl::rounded(a * b); }
inline float __fdiv_rn(float a, float b) { return minidl::rounded(a / b); }
inline float __frcp_rn(float a) { return minidl::rounded(1.0f / a); }
inline float __fsqrt_rn(float a) { return minidl::rounded(sqrtf(a)); }
inline float __fmaf_rn(float a, float b, float c) { return fmaf(a, b, c); }
inline double __dadd_rn(double a, double b) { return minidl::rounded(a + b); }
inline double __dmul_rn(double a, double b) { return minidl::rounded(a * b); }

inline unsigned __umulhi(unsigned a, unsigned b) {
  return unsigned(uint64_t(a) * uint64_t(b) >> 32);
}
inline int __mulhi(int a, int b) { return int(int64_t(a) * int64_t(b) >> 32); }
inline unsigned long long __umul64hi(unsigned long long a, unsigned long long b) {
  return (unsigned long long)((unsigned __int128)a * b >> 64);
}
inline int __popc(unsigned x) { return __builtin_popcount(x); }
inline int __popcll(unsigned long long x) { return __builtin_popcountll(x); }
inline int __clz(int x) { return x ? __builtin_clz(unsigned(x)) : 32; }
inline int __clzll(long long x) { return x ? __builtin_clzll((unsigned long long)x) : 64; }
inline int __ffs(int x) { return __builtin_ffs(x); }
inline int __ffsll(long long x) { return __builtin_ffsll(x); }
inline unsigned __brev(unsigned x) {
  unsigned y = 0;
  for (int i = 0; i < 32; i++) y |= (x >> i & 1) << (31 - i);
  return y;
}

inline int __float_as_int(float x) { return minidl::same_bits<int>(x); }
inline unsigned __float_as_uint(float x) { return minidl::same_bits<unsigned>(x); }
inline float __int_as_float(int x) { return minidl::same_bits<float>(x); }
inline float __uint_as_float(unsigned x) { return minidl::same_bits<float>(x); }
inline long long __double_as_longlong(double x) { return minidl::same_bits<long long>(x); }
inline double __longlong_as_double(long long x) { return minidl::same_bits<double>(x); }
inline int __float2int_rn(float x) { return int(lrintf(x)); }
inline int __float2int_rz(float x) { return int(x); }
inline int __float2int_rd(float x) { return int(floorf(x)); }
inline float __int2float_rn(int x) { return float(x); }
inline float __uint2float_rn(unsigned x) { return float(x); }

template <class T> T __ldg(const T* p) { return *p; }
template <class T> T __ldcs(const T* p) { return *p; }
template <class T> T __ldcg(const T* p) { return *p; }
template <class T> void __stcs(T* p, T v) { *p = v; }
template <class T> void __stcg(T* p, T v) { *p = v; }

inline void __threadfence() {}  // orders nothing unless atomics say so too, which no kernel does
inline void __threadfence_block() { __threadfence(); }

// Atomics in the order of nothing but themselves, as on the GPU.
namespace minidl {
template <class T, class F> T atomically(T* at, F change) {
  using Bits = std::conditional_t<sizeof(T) == 4, uint32_t, uint64_t>;
  Bits* place = reinterpret_cast<Bits*>(at);
  Bits old = __atomic_load_n(place, __ATOMIC_RELAXED);
  for (;;) {
    const T before = same_bits<T>(old);
    const Bits after = same_bits<Bits>(T(change(before)));
    if (__atomic_compare_exchange_n(place, &old, after, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
      return before;
  }
}
template <class T> struct Same { using type = T; };
}  // namespace minidl

#define MINIDL_ATOMIC(name, expression)                                                    \
  template <class T> T name(T* at, typename minidl::Same<T>::type value) {                 \
    return minidl::atomically(at, [=](T old) { return expression; });                      \
  }
MINIDL_ATOMIC(atomicAdd, old + value)
MINIDL_ATOMIC(atomicSub, old - value)
MINIDL_ATOMIC(atomicExch, value)
MINIDL_ATOMIC(atomicMax, old < value ? value : old)
MINIDL_ATOMIC(atomicMin, value < old ? value : old)
MINIDL_ATOMIC(atomicAnd, old & value)
MINIDL_ATOMIC(atomicOr, old | value)
MINIDL_ATOMIC(atomicXor, old ^ value)
#undef MINIDL_ATOMIC
template <class T>
T atomicCAS(T* at, typename minidl::Same<T>::type expected, typename minidl::Same<T>::type value) {
  return minidl::atomically(at, [=](T old) { return old == expected ? value : old; });
}
