// What a check writes into its slot: the smallest of what is wrong, by atomicMin.
#pragma once

typedef unsigned long long Slot;

// The place of a wrong index, and the index, limited to 32 bits: 2³² elements can be told apart.
__device__ Slot packed(long long place, long long index) {
  const long long lowest = -2147483648LL, highest = 2147483647LL;
  const long long limited = index < lowest ? lowest : index > highest ? highest : index;
  return Slot(place) << 32 | Slot(unsigned(limited + 2147483648LL));
}
