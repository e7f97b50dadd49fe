// Cross-entropy of logits z with class numbers or probabilities, forward and backward.
//
//     loss = Σ t′ⱼ·(log s − (zⱼ − m)),  s = Σ exp(zⱼ − m);   dz = (A·p − t′)·dy,  A = Σ t′ⱼ
//
// t′ is the target: 1 for the class, or the probabilities; spread by label smoothing, ε, and times
// the weights of the classes.  A row is read once forward, by the online softmax (online.cuh), and
// again, from a cache, where t′ has more than one element; two numbers a row are saved, m and s.
// The losses of a block are added up, compensated, and those of all blocks by a second kernel.
//
// Floor: 4 bytes an element forward and 8 back (float32).
//
// A thread, a warp or a block has a row: where the classes are not the last axis; up to 1024 classes;
// beyond.  256 threads a block, of which enough fit into a multiprocessor to hide latency.
#include <cuda_fp16.h>
#include "checks.cuh"
#include "online.cuh"

struct Settings {
  long long rows, columns, ignored;
  int classes;
  float smoothing;
};

// The target of a row: a class number, or probabilities.
template <class T>
struct Target {
  const long long* labels;
  const T* probabilities;
  const T* weight;

  __device__ float weight_of(int j) const { return weight ? load(weight + j) : 1.f; }
};

// A row, of a team: where it starts, and its target.
template <class T, int TEAM>
struct Problem {
  const T* logits;
  Target<T> target;
  Settings at;
  long long row, start;
  long long label = -1;

  __device__ Problem(const T* z, const Target<T>& t, const Settings& s, long long r)
      : logits(z), target(t), at(s), row(r) {
    start = r / s.columns * s.classes * s.columns + r % s.columns;
    if (t.labels) label = t.labels[r];
  }

  __device__ bool is_ignored() const { return target.labels && label == at.ignored; }
  __device__ bool is_wrong() const {
    return target.labels && !is_ignored() && (label < 0 || label >= at.classes);
  }
  __device__ long long place(int j) const { return start + j * at.columns; }
  __device__ float logit(int j) const { return load(logits + place(j)); }

  // t′ⱼ.
  __device__ float share(int j) const {
    float share = target.labels ? float(j == label) : load(target.probabilities + place(j));
    if (at.smoothing > 0.f) share = share * (1.f - at.smoothing) + at.smoothing / at.classes;
    return share * target.weight_of(j);
  }
  __device__ bool has_one_share() const { return target.labels && at.smoothing == 0.f; }

  // Σ f(j) over the classes.
  template <class F>
  __device__ float sum(F f) const {
    TwoFloat part;
    for (int j = Team<TEAM>::lane(); j < at.classes; j += TEAM) part.add(f(j));
    return Team<TEAM>::sum(part).value();
  }
  __device__ float sum_of_shares() const {
    if (has_one_share()) return target.weight_of(label);
    return sum([&](int j) { return share(j); });
  }
};

// stats (rows, 2): m and s.  Either each loss, or for each block the sum of its losses and of what
// divides them: the weights of the targets, or the number of rows.
template <class T, int TEAM>
__device__ void forward(const T* logits, Target<T> target, float* stats, T* losses,
                        TwoFloat* parts, Settings at, Slot* slots, int slot) {
  TwoFloat loss_of_block, total_of_block;
  for (long long r = Team<TEAM>::first(); r < at.rows; r += Team<TEAM>::count()) {
    const Problem<T, TEAM> row(logits, target, at, r);
    if (row.is_wrong() && Team<TEAM>::lane() == 0)
      atomicMin(&slots[slot], packed(r, row.label));
    const bool counts = !row.is_ignored() && !row.is_wrong();
    Online part;
    for (int j = Team<TEAM>::lane(); j < at.classes; j += TEAM) part.add(row.logit(j));
    const Online all = part.template of_team<TEAM>();
    const float sum = all.sum.value(), logarithm = logf(sum);
    float loss = 0.f;
    if (counts && row.has_one_share())
      loss = target.weight_of(row.label) * (logarithm - (row.logit(row.label) - all.reference));
    else if (counts)
      loss = row.sum(
          [&](int j) { return row.share(j) * (logarithm - (row.logit(j) - all.reference)); });
    if (Team<TEAM>::lane() > 0) continue;
    stats[2 * r] = all.reference;
    stats[2 * r + 1] = sum;
    if (losses) losses[r] = from_float<T>(loss);
    loss_of_block.add(loss);
    if (counts) total_of_block.add(target.labels ? target.weight_of(row.label) : 1.f);
  }
  if (!parts) return;
  loss_of_block = Team<BLOCK>::sum(loss_of_block);
  total_of_block = Team<BLOCK>::sum(total_of_block);
  if (threadIdx.x > 0) return;
  parts[2 * blockIdx.x] = loss_of_block;
  parts[2 * blockIdx.x + 1] = total_of_block;
}

// The loss, a sum or a mean, from those of the blocks; and what divides it.
template <class T>
__device__ void finish(const TwoFloat* parts, int count, int is_mean, T* loss, float* total) {
  TwoFloat loss_part, total_part;
  for (int i = threadIdx.x; i < count; i += BLOCK) {
    loss_part.add(parts[2 * i]);
    total_part.add(parts[2 * i + 1]);
  }
  const float sum = Team<BLOCK>::sum(loss_part).value();
  const float divisor = is_mean ? Team<BLOCK>::sum(total_part).value() : 1.f;
  if (threadIdx.x > 0) return;
  *loss = from_float<T>(sum / divisor);
  *total = divisor;
}

// dlogits; and for probabilities the gradient of these, if it is wanted.  dy is one number, or, if
// `every` is 1, one a row; it is divided by the total.
template <class T, int TEAM>
__device__ void backward(const T* logits, Target<T> target, const float* stats, const T* dy,
                         const float* total, T* dlogits, T* dtarget, Settings at, int every) {
  for (long long r = Team<TEAM>::first(); r < at.rows; r += Team<TEAM>::count()) {
    const Problem<T, TEAM> row(logits, target, at, r);
    float factor = load(dy + r * every);
    if (total) factor /= *total;
    const bool counts = factor != 0.f && !row.is_ignored() && !row.is_wrong();
    const float reference = stats[2 * r], sum = stats[2 * r + 1];
    const float scale = 1.f / sum, logarithm = logf(sum);
    const float all = counts ? row.sum_of_shares() : 0.f;
    for (int j = Team<TEAM>::lane(); j < at.classes; j += TEAM) {
      const float shifted = row.logit(j) - reference;
      if (dlogits) {
        const float difference = all * (expf(shifted) * scale) - row.share(j);
        dlogits[row.place(j)] = from_float<T>(counts ? factor * difference : 0.f);
      }
      if (dtarget) {
        const float own = factor * (1.f - at.smoothing) * target.weight_of(j);
        dtarget[row.place(j)] = from_float<T>(own == 0.f ? 0.f : own * (logarithm - shifted));
      }
    }
  }
}

#define CROSS_ENTROPY_BY(team, TEAM, suffix, T)                                                   \
  extern "C" __global__ void __launch_bounds__(BLOCK) cross_entropy_##team##_##suffix(            \
      const T* __restrict__ logits, const long long* labels, const T* probabilities,              \
      const T* weight, float* stats, T* losses, TwoFloat* parts, Settings at, Slot* slots,        \
      int slot) {                                                                                 \
    forward<T, TEAM>(logits, {labels, probabilities, weight}, stats, losses, parts, at, slots,    \
                     slot);                                                                       \
  }                                                                                               \
  extern "C" __global__ void __launch_bounds__(BLOCK) cross_entropy_##team##_back_##suffix(       \
      const T* __restrict__ logits, const long long* labels, const T* probabilities,              \
      const T* weight, const float* stats, const T* dy, const float* total, T* dlogits,           \
      T* dtarget, Settings at, int every) {                                                       \
    backward<T, TEAM>(logits, {labels, probabilities, weight}, stats, dy, total, dlogits,         \
                      dtarget, at, every);                                                        \
  }
#define CROSS_ENTROPY(suffix, T)                                                                  \
  CROSS_ENTROPY_BY(columns, 1, suffix, T)                                                         \
  CROSS_ENTROPY_BY(rows, 32, suffix, T)                                                           \
  CROSS_ENTROPY_BY(long_rows, BLOCK, suffix, T)                                                   \
  extern "C" __global__ void __launch_bounds__(BLOCK)                                             \
      cross_entropy_total_##suffix(const TwoFloat* __restrict__ parts, int count, int is_mean,    \
                                   T* __restrict__ loss, float* __restrict__ total) {             \
    finish(parts, count, is_mean, loss, total);                                                   \
  }
CROSS_ENTROPY(f32, float)
CROSS_ENTROPY(f16, __half)
