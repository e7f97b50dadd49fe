// Sums whose error does not grow with their length: Knuth's TwoSum keeps what each addition rounds
// away (The Art of Computer Programming 2, 4.2.2; Neumaier 1974).  With ε = 2⁻²⁴ for float,
//
//     |error| ≤ ε·|sum| + O(n·ε²)·Σ|terms|
//
// A partial sum that overflows stays infinite: there is no wider type behind it.
#pragma once

template <class T>
struct Compensated {
  T sum = T(0), rounded = T(0);

  __device__ void add(T term) {
    const T total = sum + term, part = total - sum;
    rounded += (sum - (total - part)) + (term - part);
    sum = total;
  }

  __device__ void add(const Compensated& other) {
    add(other.sum);
    rounded += other.rounded;
  }

  // What was rounded away from an infinite sum is not a number.
  __device__ T value() const { return sum - sum == T(0) ? sum + rounded : sum; }

  // The sum over the lanes of a warp, all of which take part; in each of them.
  __device__ void add_lanes() {
#pragma unroll
    for (int distance = 16; distance; distance /= 2) {
      Compensated other;
      other.sum = __shfl_xor_sync(0xffffffffu, sum, distance);
      other.rounded = __shfl_xor_sync(0xffffffffu, rounded, distance);
      add(other);
    }
  }
};

using TwoFloat = Compensated<float>;
