// __half and __half2 of cuda_fp16.h: stored in 16 bits, computed in float, rounded to nearest even.
#pragma once

namespace minidl {
#ifdef __F16C__
inline float from_half(uint16_t bits) { return _cvtsh_ss(bits); }
inline uint16_t to_half(float value) { return _cvtss_sh(value, _MM_FROUND_TO_NEAREST_INT); }
#else
inline float from_half(uint16_t bits) {
  const uint32_t sign = uint32_t(bits & 0x8000) << 16, rest = bits & 0x7fff;
  float value;
  uint32_t wide;
  if (rest >= 0x7c00) {
    wide = sign | 0x7f800000 | (rest & 0x3ff) << 13;
  } else if (rest >= 0x400) {
    wide = sign | ((rest << 13) + (112u << 23));
  } else {
    value = float(rest) * 0x1p-24f;
    memcpy(&wide, &value, 4);
    wide |= sign;
  }
  memcpy(&value, &wide, 4);
  return value;
}
inline uint16_t to_half(float value) {
  uint32_t bits;
  memcpy(&bits, &value, 4);
  const uint16_t sign = uint16_t(bits >> 16 & 0x8000);
  bits &= 0x7fffffff;
  if (bits > 0x7f800000) return uint16_t(sign | 0x7e00);
  if (bits >= 0x477ff000) return uint16_t(sign | 0x7c00);  // at least 65520: infinite
  if (bits < 0x38800000) {                                 // subnormal: in units of 2⁻²⁴
    float magnitude;
    memcpy(&magnitude, &bits, 4);
    return uint16_t(sign | uint16_t(lrintf(magnitude * 0x1p24f)));
  }
  bits += 0xfff + (bits >> 13 & 1);
  return uint16_t(sign | (bits - 0x38000000) >> 13);
}
#endif
}  // namespace minidl

struct __half {
  uint16_t bits;
  __half() = default;
  __half(float value) : bits(minidl::to_half(value)) {}
  operator float() const { return minidl::from_half(bits); }
};
typedef __half half;
struct __align__(4) __half2 {
  __half x, y;
};
typedef __half2 half2;

inline __half __float2half(float v) { return __half(v); }
inline __half __float2half_rn(float v) { return __half(v); }
inline float __half2float(__half v) { return float(v); }
inline __half2 __floats2half2_rn(float x, float y) { return {__half(x), __half(y)}; }
inline __half2 __float22half2_rn(float2 v) { return {__half(v.x), __half(v.y)}; }
inline float2 __half22float2(__half2 v) { return {float(v.x), float(v.y)}; }
inline __half2 __halves2half2(__half x, __half y) { return {x, y}; }
inline __half2 __half2half2(__half v) { return {v, v}; }
inline __half __low2half(__half2 v) { return v.x; }
inline __half __high2half(__half2 v) { return v.y; }
inline float __low2float(__half2 v) { return float(v.x); }
inline float __high2float(__half2 v) { return float(v.y); }
inline unsigned short __half_as_ushort(__half v) { return v.bits; }
inline __half __ushort_as_half(unsigned short bits) {
  __half v;
  v.bits = bits;
  return v;
}
