// Checks of values: a slot of 64 bits keeps the smallest of what is written into it, by atomicMin, so
// that what is reported does not depend on the order of the threads.  Each element is read once; a
// grid-stride loop, with 256 threads a block, enough of them to hide the latency of the reads.

#include "checks.cuh"

template <class T>
__device__ long long wide(T index) {
  return index;
}
__device__ long long wide(unsigned long long index) {  // none beyond 2⁶³ − 1 becomes negative
  const unsigned long long largest = 0x7fffffffffffffffULL;
  return (long long)min(index, largest);
}

template <class T>
__device__ void within(const T* indices, long long count, long long lowest, long long size,
                       Slot* slots, int slot) {
  const long long step = (long long)gridDim.x * blockDim.x;
  for (long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x; i < count; i += step) {
    const long long index = wide(indices[i]);
    if (index < lowest || index >= size) {
      atomicMin(&slots[slot], packed(i, index));
      return;  // later ones of this thread are larger
    }
  }
}

#define WITHIN(suffix, T)                                                                     \
  extern "C" __global__ void __launch_bounds__(256)                                           \
      within_##suffix(const T* __restrict__ indices, long long count, long long lowest,       \
                      long long size, Slot* __restrict__ slots, int slot) {                   \
    within(indices, count, lowest, size, slots, slot);                                        \
  }
WITHIN(i8, signed char)
WITHIN(i16, short)
WITHIN(i32, int)
WITHIN(i64, long long)
WITHIN(u8, unsigned char)
WITHIN(u16, unsigned short)
WITHIN(u32, unsigned)
WITHIN(u64, unsigned long long)

extern "C" __global__ void __launch_bounds__(256)
    all_true(const unsigned char* __restrict__ valid, long long count, Slot* __restrict__ slots,
             int slot) {
  const long long step = (long long)gridDim.x * blockDim.x;
  for (long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x; i < count; i += step)
    if (!valid[i]) {
      atomicMin(&slots[slot], Slot(i));
      return;
    }
}
