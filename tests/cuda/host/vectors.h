// The vector types, with the alignment that the GPU wants.
#pragma once

#define MINIDL_VECTORS(T, name, full)                                                       \
  struct name##1 { T x; };                                                                  \
  struct __align__(2 * sizeof(T)) name##2 { T x, y; };                                      \
  struct name##3 { T x, y, z; };                                                            \
  struct __align__(full) name##4 { T x, y, z, w; };                                         \
  inline name##1 make_##name##1(T x) { return {x}; }                                        \
  inline name##2 make_##name##2(T x, T y) { return {x, y}; }                                \
  inline name##3 make_##name##3(T x, T y, T z) { return {x, y, z}; }                        \
  inline name##4 make_##name##4(T x, T y, T z, T w) { return {x, y, z, w}; }
MINIDL_VECTORS(signed char, char, 4)
MINIDL_VECTORS(unsigned char, uchar, 4)
MINIDL_VECTORS(short, short, 8)
MINIDL_VECTORS(unsigned short, ushort, 8)
MINIDL_VECTORS(int, int, 16)
MINIDL_VECTORS(unsigned, uint, 16)
MINIDL_VECTORS(long long, longlong, 16)
MINIDL_VECTORS(unsigned long long, ulonglong, 16)
MINIDL_VECTORS(float, float, 16)
MINIDL_VECTORS(double, double, 16)
#undef MINIDL_VECTORS
