// The point-wise part of a step of a recurrent network: gates, states and masks, forward and back.
//
// The products are cuBLAS's: W_ih·x of all steps at once, W_hh·h of each step.  What is left of a
// step is one kernel each way, a thread for each element of the state, so that neighbouring threads
// read neighbouring numbers.  J. Appleyard, T. Kočiský, P. Blunsom.  Optimizing performance of
// recurrent neural networks on GPUs.  2016, arXiv:1604.01946, sections 3.1 and 3.2.
//
// Floor, bytes a step for each element of the state, forward and back: LSTM 56 and 60, GRU 48 and
// 68, RNN 16 and 16.  At the usual sizes (N·H of some ten thousand) a launch takes longer than that.
//
// A mask (T, N) says where there is a step; where there is none, the state goes on, y is 0, and dh
// is carried to the step before.  Pointers that may be null: biases, the mask, y (the states after
// the steps are y where there is no mask), dy (no gradient of y), carry (nothing is carried).
//
// 256 threads of 16 to 32 registers (ptxas for sm_75, 80 and 90: no spills, no float64), so
// that all 2048 threads of a multiprocessor are there to hide the latency of memory.

#define THREADS 256

namespace {

struct Element {
  long long at;      // of the element in an array (N, H)
  long long row;     // its sequence
  long long column;  // its place in the state
  bool exists, live;
};

__device__ Element element_of_thread(const unsigned char* mask, int rows, int size) {
  Element e;
  e.at = static_cast<long long>(blockIdx.x) * THREADS + threadIdx.x;
  e.row = e.at / size;
  e.column = e.at - e.row * size;
  e.exists = e.row < rows;
  e.live = e.exists && (!mask || mask[e.row]);
  return e;
}

__device__ float sigmoid(float x) { return 1.f / (1.f + expf(-x)); }

// b_ih + b_hh of a gate.
__device__ float bias(const float* ih, const float* hh, long long gate) {
  return (ih ? ih[gate] : 0.f) + (hh ? hh[gate] : 0.f);
}

// The new state where there is a step, else the old one; and y.
__device__ void store_state(const Element& e, float state, const float* before, float* after,
                            float* y) {
  after[e.at] = e.live ? state : before[e.at];
  if (y) y[e.at] = e.live ? state : 0.f;
}

// dh of the state after a step: from the step behind it, from what that carried, and from y.
__device__ float state_gradient(const Element& e, const float* product, const float* carry,
                                const float* dy) {
  float dh = product[e.at];
  if (carry) dh += carry[e.at];
  if (dy && e.live) dh += dy[e.at];
  return dh;
}

}  // namespace

// y = x in the rows that the mask has, else 0: whatever is in padding, even NaN, goes nowhere.
// x and y may be the same.
extern "C" __global__ void __launch_bounds__(THREADS)
masked_rows_f32(const float* x, const unsigned char* mask, float* y, int rows, int size) {
  const Element e = element_of_thread(mask, rows, size);
  if (e.exists) y[e.at] = e.live ? x[e.at] : 0.f;
}

// h′ = h where there is no step, else `state`; and y.
extern "C" __global__ void __launch_bounds__(THREADS)
keep_state_f32(const float* state, const float* before, float* after, float* y,
               const unsigned char* mask, int rows, int size) {
  const Element e = element_of_thread(mask, rows, size);
  if (e.exists) store_state(e, state[e.at], before, after, y);
}

// dh = product + carry + dy where there is a step, else 0, and all of it is carried.
extern "C" __global__ void __launch_bounds__(THREADS)
state_gradient_f32(const float* product, float* carry, const float* dy, const unsigned char* mask,
                   float* result, int rows, int size) {
  const Element e = element_of_thread(mask, rows, size);
  if (!e.exists) return;
  const float dh = state_gradient(e, product, carry, dy);
  result[e.at] = e.live ? dh : 0.f;
  if (carry) carry[e.at] = e.live ? 0.f : dh;
}

// RNN: h′ = tanh(W_ih·x + b_ih + W_hh·h + b_hh), or relu, of NaN NaN.
extern "C" __global__ void __launch_bounds__(THREADS)
rnn_forward_f32(const float* inputs, const float* product, const float* bias_ih, const float* bias_hh,
                const float* before, float* after, float* y, const unsigned char* mask, int rows,
                int size, int relu) {
  const Element e = element_of_thread(mask, rows, size);
  if (!e.exists) return;
  const float z = inputs[e.at] + product[e.at] + bias(bias_ih, bias_hh, e.column);
  const float state = relu ? (z < 0.f ? 0.f : z) : tanhf(z);
  store_state(e, state, before, after, y);
}

// dz = dh·(1 − h²), or dh where h > 0.
extern "C" __global__ void __launch_bounds__(THREADS)
rnn_backward_f32(const float* after, const float* product, float* carry, const float* dy,
                 const unsigned char* mask, float* dgates, int rows, int size, int relu) {
  const Element e = element_of_thread(mask, rows, size);
  if (!e.exists) return;
  const float dh = state_gradient(e, product, carry, dy), h = after[e.at];
  const float dz = relu ? (h > 0.f ? dh : 0.f) : dh * (1.f - h * h);
  dgates[e.at] = e.live ? dz : 0.f;
  if (carry) carry[e.at] = e.live ? 0.f : dh;
}

// LSTM: c′ = σ(f)·c + σ(i)·tanh g;   h′ = σ(o)·tanh c′.
//
// gates      (N, 4·H): W_ih·x, and after this σ(i), σ(f), tanh g, σ(o)
// projected  null; or it gets σ(o)·tanh c′, and neither h′ nor y is written
extern "C" __global__ void __launch_bounds__(THREADS)
lstm_forward_f32(float* gates, const float* product, const float* bias_ih, const float* bias_hh,
                 const float* c_before, float* c_after, const float* before, float* after, float* y,
                 float* projected, const unsigned char* mask, int rows, int size) {
  const Element e = element_of_thread(mask, rows, size);
  if (!e.exists) return;
  float z[4];
  const long long first = 4 * e.row * size + e.column;
#pragma unroll
  for (int k = 0; k < 4; k++) {
    const long long at = first + static_cast<long long>(k) * size;
    z[k] = gates[at] + product[at] + bias(bias_ih, bias_hh, e.column + k * size);
    z[k] = k == 2 ? tanhf(z[k]) : sigmoid(z[k]);
    gates[at] = z[k];
  }
  const float c = z[1] * c_before[e.at] + z[0] * z[2];
  const float h = z[3] * tanhf(c);
  c_after[e.at] = e.live ? c : c_before[e.at];
  if (projected)
    projected[e.at] = h;
  else
    store_state(e, h, before, after, y);
}

// The gradients of the gates before σ and tanh.
//
// product   dh, as in state_gradient; with a projection, the gradient of σ(o)·tanh c′
// dc        of the cell after the step; becomes that of the cell before
extern "C" __global__ void __launch_bounds__(THREADS)
lstm_backward_f32(const float* gates, const float* c_before, const float* c_after,
                  const float* product, float* carry, const float* dy, const unsigned char* mask,
                  float* dc, float* dgates, int rows, int size) {
  const Element e = element_of_thread(mask, rows, size);
  if (!e.exists) return;
  const float dh = state_gradient(e, product, carry, dy);
  if (carry) carry[e.at] = e.live ? 0.f : dh;
  const long long h = size, first = 4 * e.row * h + e.column;
  if (!e.live) {
#pragma unroll
    for (int k = 0; k < 4; k++) dgates[first + k * h] = 0.f;
    return;
  }
  const float i = gates[first], f = gates[first + h];
  const float g = gates[first + 2 * h], o = gates[first + 3 * h];
  const float tanh_c = tanhf(c_after[e.at]);
  const float d = dc[e.at] + dh * o * (1.f - tanh_c * tanh_c);
  dgates[first] = d * g * (i * (1.f - i));
  dgates[first + h] = d * c_before[e.at] * (f * (1.f - f));
  dgates[first + 2 * h] = d * i * (1.f - g * g);
  dgates[first + 3 * h] = dh * tanh_c * (o * (1.f - o));
  dc[e.at] = d * f;
}

// σ(o)·tanh c, of all steps: what a projection multiplied; 0 where there is no step.
extern "C" __global__ void __launch_bounds__(THREADS)
lstm_outputs_f32(const float* gates, const float* cells, const unsigned char* mask, float* result,
                 int rows, int size) {
  const Element e = element_of_thread(mask, rows, size);
  if (!e.exists) return;
  const float o = gates[(4 * e.row + 3) * size + e.column];
  result[e.at] = e.live ? o * tanhf(cells[e.at]) : 0.f;
}

// GRU: n = tanh(i_n + r·h_n), r = σ(i_r + h_r);   z = σ(i_z + h_z);   h′ = (1 − z)·n + z·h.
//
// gates      (N, 3·H): W_ih·x, and after this r, z, n
// candidate  (N, H): gets h_n = W_hn·h + b_hn
extern "C" __global__ void __launch_bounds__(THREADS)
gru_forward_f32(float* gates, float* candidate, const float* product, const float* bias_ih,
                const float* bias_hh, const float* before, float* after, float* y,
                const unsigned char* mask, int rows, int size) {
  const Element e = element_of_thread(mask, rows, size);
  if (!e.exists) return;
  const long long h = size, at_r = 3 * e.row * h + e.column, at_z = at_r + h, at_n = at_z + h;
  const float r = sigmoid(gates[at_r] + product[at_r] + bias(bias_ih, bias_hh, e.column));
  const float z = sigmoid(gates[at_z] + product[at_z] + bias(bias_ih, bias_hh, e.column + h));
  const float h_n = product[at_n] + bias(nullptr, bias_hh, e.column + 2 * h);
  const float n = tanhf(gates[at_n] + bias(bias_ih, nullptr, e.column + 2 * h) + r * h_n);
  gates[at_r] = r;
  gates[at_z] = z;
  gates[at_n] = n;
  candidate[e.at] = h_n;
  store_state(e, (1.f - z) * n + z * before[e.at], before, after, y);
}

// The gradients of W_ih·x and of W_hh·h, which differ in the last third; dh·z is carried.
extern "C" __global__ void __launch_bounds__(THREADS)
gru_backward_f32(const float* gates, const float* candidate, const float* before,
                 const float* product, float* carry, const float* dy, const unsigned char* mask,
                 float* dgates_x, float* dgates_h, int rows, int size) {
  const Element e = element_of_thread(mask, rows, size);
  if (!e.exists) return;
  const float dh = state_gradient(e, product, carry, dy);
  const long long h = size, at_r = 3 * e.row * h + e.column, at_z = at_r + h, at_n = at_z + h;
  float dr = 0.f, dz = 0.f, dn = 0.f, dh_n = 0.f, carried = dh;
  if (e.live) {
    const float r = gates[at_r], z = gates[at_z], n = gates[at_n];
    dn = dh * (1.f - z) * (1.f - n * n);
    dz = dh * (before[e.at] - n) * (z * (1.f - z));
    dh_n = dn * r;
    dr = dn * candidate[e.at] * (r * (1.f - r));
    carried = dh * z;
  }
  dgates_x[at_r] = dgates_h[at_r] = dr;
  dgates_x[at_z] = dgates_h[at_z] = dz;
  dgates_x[at_n] = dn;
  dgates_h[at_n] = dh_n;
  carry[e.at] = carried;
}
