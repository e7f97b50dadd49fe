// Embedding bags: the rows of each bag are gathered and reduced in one pass; and the part of dy that
// each id gets.
//
// A block has a bag; consecutive threads have consecutive columns, and go through the ids of the bag in
// order.  Sums are compensated.  The parts are added up by row as embedding's are (embedding.cu).
//
// Floor: each used row is read once; back, each is written once.  256 threads, or as many warps as a
// row needs.
#include <cuda_fp16.h>
#include "checks.cuh"
#include "compensated.cuh"
#include "element.cuh"

enum Mode { SUM, MEAN, MAX };

struct Bags {
  long long ids, rows, padding;  // how many ids; of the table; no row is padding −1
  int bags, width, mode, each;   // ids of each bag, where there are no offsets
  int last_included;             // whether the last offset is the end of the last bag
};

// The ids of a bag: offsets tell where it begins and where the next one does.  Offsets that are no
// bags are in the slot, and this one is empty.
struct Bag {
  long long begin, end;
  __device__ Bag(const long long* offsets, const Bags& at, Slot* slots, int slot) {
    const long long which = blockIdx.x;
    begin = which * at.each;
    end = begin + at.each;
    if (!offsets) return;
    begin = offsets[which];
    end = which + 1 < at.bags || at.last_included ? offsets[which + 1] : at.ids;
    const bool last_right = !at.last_included || which + 1 < at.bags || end == at.ids;
    const bool right = 0 <= begin && begin <= end && end <= at.ids && (which || !begin);
    if (right && last_right) return;
    if (slots && threadIdx.x == 0) atomicMin(&slots[slot], packed(which, 0));
    begin = end = 0;
  }
};

// Whether the row of an id is in a bag: not padding; an id that does not exist is in the slot.
__device__ bool counts(long long id, long long place, const Bags& at, Slot* slots, int slot) {
  if (0 <= id && id < at.rows) return id != at.padding;
  if (slots && threadIdx.x == 0) atomicMin(&slots[slot], packed(place, id));
  return false;
}

// y (bags, width): the sum, the mean or the maximum of the rows, 0 for an empty bag.
template <class T>
__device__ void reduce(const T* table, const long long* ids, const long long* offsets,
                       const T* factors, T* y, const Bags& at, Slot* slots, int bags_slot,
                       int ids_slot) {
  const Bag bag(offsets, at, slots, bags_slot);
  for (int column = threadIdx.x; column - (int)threadIdx.x < at.width; column += blockDim.x) {
    TwoFloat total;
    float largest = 0.f;
    int size = 0;
    for (long long i = bag.begin; i < bag.end; i++) {
      if (!counts(ids[i], i, at, slots, ids_slot)) continue;
      size++;
      if (column >= at.width) continue;
      const float x = load(table + ids[i] * at.width + column);
      if (at.mode == MAX)
        largest = size == 1 || x > largest || x != x ? x : largest;
      else
        total.add(factors ? load(factors + i) * x : x);
    }
    if (column >= at.width) continue;
    const float sum = at.mode == MAX ? largest : total.value();
    const float result = at.mode == MEAN ? sum / max(size, 1) : sum;
    y[(long long)blockIdx.x * at.width + column] = from_float<T>(result);
  }
}

// parts (ids, width): what each id gets of dy.  It is multiplied by its factor, divided by the size of
// its bag, or, if its row has the maximum, by how many have.
template <class T>
__device__ void share(const T* table, const long long* ids, const long long* offsets,
                      const T* factors, const T* y, const T* dy, T* parts, const Bags& at) {
  const Bag bag(offsets, at, nullptr, 0);
  for (int column = threadIdx.x; column < at.width; column += blockDim.x) {
    const long long place = (long long)blockIdx.x * at.width + column;
    const float largest = at.mode == MAX ? load(y + place) : 0.f;
    const auto has = [&](long long i) {
      if (!counts(ids[i], i, at, nullptr, 0)) return false;
      return at.mode != MAX || load(table + ids[i] * at.width + column) == largest;
    };
    int many = at.mode == SUM;
    if (at.mode != SUM)
      for (long long i = bag.begin; i < bag.end; i++) many += has(i);
    const float own = load(dy + place) / max(many, 1);
    for (long long i = bag.begin; i < bag.end; i++) {
      const float part = factors ? own * load(factors + i) : own;
      parts[i * at.width + column] = from_float<T>(has(i) ? part : 0.f);
    }
  }
}

// dfactors (ids,): Σ dy·row; a warp an id, in the block of its bag.
template <class T>
__device__ void factor_gradients(const T* table, const long long* ids, const long long* offsets,
                                 const T* dy, T* dfactors, const Bags& at) {
  const Bag bag(offsets, at, nullptr, 0);
  const int lane = threadIdx.x % 32;
  for (long long i = bag.begin + threadIdx.x / 32; i < bag.end; i += blockDim.x / 32) {
    TwoFloat total;
    const bool own = ids[i] != at.padding && 0 <= ids[i] && ids[i] < at.rows;
    if (own)
      for (int column = lane; column < at.width; column += 32)
        total.add(load(dy + (long long)blockIdx.x * at.width + column) *
                  load(table + ids[i] * at.width + column));
    total.add_lanes();
    if (lane == 0) dfactors[i] = from_float<T>(total.value());
  }
}

#define EMBEDDING_BAG(suffix, T)                                                                  \
  extern "C" __global__ void __launch_bounds__(256) embedding_bag_##suffix(                       \
      const T* __restrict__ table, const long long* __restrict__ ids, const long long* offsets,   \
      const T* factors, T* __restrict__ y, Bags at, Slot* slots, int bags_slot, int ids_slot) {   \
    reduce(table, ids, offsets, factors, y, at, slots, bags_slot, ids_slot);                      \
  }                                                                                               \
  extern "C" __global__ void __launch_bounds__(256) embedding_bag_back_##suffix(                  \
      const T* __restrict__ table, const long long* __restrict__ ids, const long long* offsets,   \
      const T* factors, const T* y, const T* __restrict__ dy, T* __restrict__ parts, Bags at) {   \
    share(table, ids, offsets, factors, y, dy, parts, at);                                        \
  }                                                                                               \
  extern "C" __global__ void __launch_bounds__(256) embedding_bag_factors_##suffix(               \
      const T* __restrict__ table, const long long* __restrict__ ids, const long long* offsets,   \
      const T* __restrict__ dy, T* __restrict__ dfactors, Bags at) {                              \
    factor_gradients(table, ids, offsets, dy, dfactors, at);                                      \
  }
EMBEDDING_BAG(f32, float)
EMBEDDING_BAG(f16, __half)
