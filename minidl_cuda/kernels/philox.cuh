// Philox4x32-10: random numbers as a function of a seed and a counter.
//
//     J. Salmon, M. Moraes, R. Dror, D. Shaw.  Parallel random numbers: as easy as 1, 2, 3.  SC 2011.
//
// The numbers are those of minidl.backends.philox, bit by bit: element i of a float32 array has the
// first word of block `offset + i / 2` if i is even, and the third if it is odd.
#pragma once

// The four words of a block: ten rounds of two products of 32 × 32 bits.
__device__ uint4 philox(unsigned long long seed, unsigned long long counter) {
  uint4 c = make_uint4(static_cast<unsigned>(counter), static_cast<unsigned>(counter >> 32), 0, 0);
  unsigned k0 = static_cast<unsigned>(seed), k1 = static_cast<unsigned>(seed >> 32);
#pragma unroll
  for (int round = 0; round < 10; round++) {
    const unsigned high0 = __umulhi(0xD2511F53u, c.x), low0 = 0xD2511F53u * c.x;
    const unsigned high1 = __umulhi(0xCD9E8D57u, c.z), low1 = 0xCD9E8D57u * c.z;
    c = make_uint4(high1 ^ c.y ^ k0, low1, high0 ^ c.w ^ k1, low0);
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  return c;
}

// A word as a number in [0, 1): its leading 24 bits, as a fraction.
__device__ float uniform(unsigned word) { return static_cast<float>(word >> 8) * 0x1p-24f; }
