/* Arithmetic where C's is not PTX's. */
#define CLAMP_TO_S32(x) ({ s64 c_ = (x); c_ > INT32_MAX ? INT32_MAX : c_ < INT32_MIN ? INT32_MIN : c_; })
#define SATURATE(x) ({ __typeof__(x) s_ = (x); s_ > 0 ? (s_ < 1 ? s_ : (__typeof__(x))1) : (__typeof__(x))0; })
static inline f32 flush(f32 x) { return fabsf(x) < 0x1p-126f ? copysignf(0, x) : x; }
#define RELU(x) ({ __typeof__(x) r_ = (x); r_ > 0 || r_ != r_ ? r_ : (__typeof__(x))0; })

/* Directed rounding: `volatile` keeps the operation between the changes of the mode. */
#define DIRECTED __attribute__((noinline, optimize("rounding-math")))
#define IN_MODE(T, expression) { fesetround(mode); volatile T r = (expression); fesetround(FE_TONEAREST); return r; }
#define DIRECTED_OF(T, s) \
  DIRECTED static T add_##T(volatile T a, volatile T b, int mode) IN_MODE(T, a + b) \
  DIRECTED static T sub_##T(volatile T a, volatile T b, int mode) IN_MODE(T, a - b) \
  DIRECTED static T mul_##T(volatile T a, volatile T b, int mode) IN_MODE(T, a * b) \
  DIRECTED static T div_##T(volatile T a, volatile T b, int mode) IN_MODE(T, a / b) \
  DIRECTED static T sqrt_##T(volatile T a, int mode) IN_MODE(T, sqrt##s(a)) \
  DIRECTED static T fma_##T(volatile T a, volatile T b, volatile T c, int mode) IN_MODE(T, fma##s(a, b, c)) \
  DIRECTED static T from_signed_##T(volatile s64 a, int mode) IN_MODE(T, (T)a) \
  DIRECTED static T from_unsigned_##T(volatile u64 a, int mode) IN_MODE(T, (T)a)
DIRECTED_OF(f32, f)
DIRECTED_OF(f64, )
DIRECTED static f32 narrow_f32(volatile f64 a, int mode) IN_MODE(f32, (f32)a)
/* float64 → float16 in one rounding, whatever the mode; all of float32 and of the products of halves is exact in float64 */
static f16 narrow_f16(f64 x, int mode) {
  f16 near = (f16)x;
  f64 back = (f64)near;
  if (mode == FE_TONEAREST || back == x || x != x) return near;
  int down = mode == FE_DOWNWARD || (mode == FE_TOWARDZERO && x > 0), up = mode == FE_UPWARD || (mode == FE_TOWARDZERO && x < 0);
  u16 bits = BITS(u16, near);
  if (down && back > x) bits = bits == 0 ? 0x8001 : bits & 0x8000 ? bits + 1 : bits - 1;
  if (up && back < x) bits = bits == 0x8000 ? 1 : bits & 0x8000 ? bits - 1 : bits + 1;
  return BITS(f16, bits);
}
static u16 bfloat_of(f32 x, int mode) {  /* nearest even, or toward zero */
  u32 bits = BITS(u32, x);
  if (x != x) return 0x7fff;
  if (mode != FE_TOWARDZERO) bits += 0x7fff + (bits >> 16 & 1);
  return bits >> 16;
}
static u32 tf32_of(f32 x) {  /* nearest, halves away from zero */
  u32 bits = BITS(u32, x);
  if (x != x || isinf(x)) return x != x ? 0x7fffffff : bits;
  return (bits + 0x1000) & 0xffffe000u;
}
/* Float → integer: clamped; a NaN is 0, or the smallest number where 64 bits are involved (PTX manual, cvt). */
static f64 integral(f64 x, int mode) {
  return mode == FE_TONEAREST ? nearbyint(x) : mode == FE_TOWARDZERO ? trunc(x) : mode == FE_DOWNWARD ? floor(x) : ceil(x);
}
static s64 to_signed(f64 x, int mode, int bits, int wide_source) {
  s64 least = bits == 64 ? INT64_MIN : -(1ll << (bits - 1)), most = -(least + 1);
  if (x != x) return bits == 64 || wide_source ? least : 0;
  x = integral(x, mode);
  return x <= (f64)least ? least : x >= -(f64)least ? most : (s64)x;
}
static u64 to_unsigned(f64 x, int mode, int bits, int wide_source) {
  u64 most = bits == 64 ? ~0ull : (1ull << bits) - 1;
  if (x != x) return bits == 64 || wide_source ? 1ull << (bits - 1) : 0;
  x = integral(x, mode);
  return x <= 0 ? 0 : x >= ldexp(1, bits) ? most : (u64)x;
}
/* min and max: of a NaN and a number the number, −0 below +0; with .NaN, a NaN */
#define MINMAX_OF(T, signbit_of) \
  static inline T min_##T(T a, T b) { return a != a ? b : b != b ? a : a == b ? (signbit_of(a) ? a : b) : a < b ? a : b; } \
  static inline T max_##T(T a, T b) { return a != a ? b : b != b ? a : a == b ? (signbit_of(a) ? b : a) : a > b ? a : b; } \
  static inline T min_nan_##T(T a, T b) { return a != a || b != b ? (T)NAN : min_##T(a, b); } \
  static inline T max_nan_##T(T a, T b) { return a != a || b != b ? (T)NAN : max_##T(a, b); }
#define HALF_SIGN(x) (BITS(u16, x) >> 15)
MINMAX_OF(f32, signbit)
MINMAX_OF(f64, signbit)
MINMAX_OF(f16, HALF_SIGN)

/* Approximations: the nearest float32.  The PTX manual promises less, so a test must allow for what it promises:
 * ex2 2^-22.5 of the value (f32; 2^-9.9 f16), lg2 2^-22 absolutely within (0.5, 2), else of the value, rsqrt 2^-22.9,
 * rcp and sqrt 1 ulp and 2^-23, sin and cos 2^-20.5 absolutely within ±π, tanh 2^-11 (f16 2^-10.987), div 2 ulp. */
static f32 approximate_div(f32 a, f32 b) {
  if (fabsf(b) > 0x1p126f && !isinf(b)) return isinf(a) || isnan(a) ? NAN : copysignf(0, a) * copysignf(1, b);
  return a / b;
}
static f32 approximate_ex2(f32 x) { return (f32)exp2((f64)x); }
static f32 approximate_lg2(f32 x) { return (f32)log2((f64)x); }
static f32 approximate_sin(f32 x) { return (f32)sin((f64)x); }
static f32 approximate_cos(f32 x) { return (f32)cos((f64)x); }
static f32 approximate_tanh(f32 x) { return (f32)tanh((f64)x); }
static f32 approximate_rsqrt(f32 x) { return (f32)(1 / sqrt((f64)x)); }
static f32 approximate_rcp(f32 x) { return 1 / x; }
static f32 approximate_sqrt(f32 x) { return sqrtf(x); }

/* Bits */
static inline u64 bits_extract(u64 a, u32 position, u32 length, int width, int is_signed) {
  u32 from = position & 255, count = length & 255, last = from + count - 1;
  if (last > (u32)width - 1) last = width - 1;
  u64 sign = !is_signed || !count ? 0 : a >> (last < 64 ? last : 63) & 1, result = 0;
  for (u32 i = 0; i < (u32)width; i++) result |= (i < count && from + i < (u32)width ? a >> (from + i) & 1 : sign) << i;
  return result;
}
static inline u64 bits_insert(u64 a, u64 b, u32 position, u32 length, int width) {
  u32 from = position & 255, count = length & 255;
  for (u32 i = 0; i < count && from + i < (u32)width; i++) b = (b & ~(1ull << (from + i))) | (a >> i & 1) << (from + i);
  return b;
}
static inline u32 find_leading(u64 a, int width, int is_signed, int as_shift) {  /* bfind */
  if (is_signed && a >> (width - 1) & 1) a = ~a & (width == 64 ? ~0ull : (1ull << width) - 1);
  if (!a) return ~0u;
  u32 at = 63 - __builtin_clzll(a);
  return as_shift ? width - 1 - at : at;
}
static inline u64 reverse_bits(u64 a, int width) {
  u64 r = 0;
  for (int i = 0; i < width; i++) r |= (a >> i & 1) << (width - 1 - i);
  return r;
}
static inline u32 lookup3(u32 a, u32 b, u32 c, int table) {
  u32 r = 0;
  for (int i = 0; i < 8; i++) if (table >> i & 1) r |= (i & 4 ? a : ~a) & (i & 2 ? b : ~b) & (i & 1 ? c : ~c);
  return r;
}
static inline u32 permute(u32 a, u32 b, u32 selection, const char *mode) {
  u64 all = (u64)b << 32 | a;
  u32 r = 0, s = selection & 3;
  for (u32 i = 0; i < 4; i++) {
    u32 from, replicate = 0;
    switch (mode[0]) {
      case 0: from = selection >> 4 * i & 7; replicate = selection >> (4 * i + 3) & 1; break;
      case 'f': from = s + i; break;                                    /* f4e */
      case 'b': from = (s - i) & 7; break;                              /* b4e */
      case 'r': from = mode[2] == '8' ? s : 2 * (s & 1) + (i & 1); break; /* rc8, rc16 */
      default: from = mode[2] == 'l' ? (i > s ? i : s) : i < s ? i : s; break; /* ecl, ecr */
    }
    u32 byte = all >> 8 * from & 255;
    r |= (replicate ? byte & 128 ? 255 : 0 : byte) << 8 * i;
  }
  return r;
}
static inline s32 dot4(u32 a, u32 b, s32 c, int a_signed, int b_signed) {
  for (int i = 0; i < 4; i++) {
    s32 x = a_signed ? (s8)(a >> 8 * i) : (u8)(a >> 8 * i), y = b_signed ? (s8)(b >> 8 * i) : (u8)(b >> 8 * i);
    c = (s32)((u32)c + (u32)(x * y));
  }
  return c;
}
static u32 carry;
