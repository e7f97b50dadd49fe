// The sum of exponentials in one pass: Σ exp(x − reference), with a reference near the maximum.
//
//     M. Milakov, N. Gimelshein.  Online normalizer calculation for softmax.  2018.
//
// The reference rises only when an x is more than HEADROOM above it, and the sum shrinks by a factor
// of e⁸ then: the roundings of rescaling are a geometric series, whatever the order of the x.
#pragma once
#include "rows.cuh"

struct Online {
  static constexpr float HEADROOM = 8.f;
  float reference = -3.4028235e38f;  // not −∞: that would be subtracted from −∞
  TwoFloat sum;

  __device__ void rise_to(float x) {
    const float factor = expf(reference - x);
    sum.sum *= factor;
    sum.rounded *= factor;
    reference = x;
  }

  __device__ void add(float x) {
    if (x > reference + HEADROOM) rise_to(x);
    sum.add(expf(x - reference));
  }

  // That of all threads of a team, relative to the largest reference.
  template <int TEAM>
  __device__ Online of_team() const {
    Online own = *this;
    const float largest = Team<TEAM>::max(reference);
    if (own.reference < largest) own.rise_to(largest);
    own.sum = Team<TEAM>::sum(own.sum);
    return own;
  }
};
