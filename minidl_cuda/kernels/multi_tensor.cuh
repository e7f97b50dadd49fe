// Multi-tensor apply (NVIDIA Apex 2018; PyTorch's foreach kernels): one launch for many arrays.
//
// Their addresses and sizes travel by value, as an argument of the kernel of at most 4 KB, so that
// nothing is uploaded.  Each array is cut into chunks; the chunks of all arrays are numbered in one
// sequence, and the block of a chunk finds its array by bisection: 7 reads from constant memory.
//
// Elements are loaded 16 bytes at a time where all arrays of a chunk are aligned and it is whole;
// views into one flat array need not be aligned, and are read one by one, still side by side.
#pragma once

constexpr int THREADS = 256;  // 2048 threads fit into a multiprocessor with up to 32 registers each
constexpr int CHUNK = 2048;   // elements: two vectors a thread, so that enough reads are under way

template <int ARRAYS, int COUNT>
struct Tensors {
  void* address[ARRAYS][COUNT];
  long long size[COUNT];
  int first[COUNT];  // the number of its first chunk, ascending
  int count;
};

template <class T>
struct alignas(16) Vector {
  static constexpr int WIDTH = 16 / sizeof(T);
  T at[WIDTH];
};

// The elements begin … end − 1 of a tensor.
struct Part {
  int tensor;
  long long begin, end;

  template <int ARRAYS, int COUNT>
  __device__ Part(const Tensors<ARRAYS, COUNT>& tensors, int chunk) {
    int low = 0, high = tensors.count;
    while (high - low > 1) {
      const int middle = (low + high) / 2;
      if (tensors.first[middle] <= chunk)
        low = middle;
      else
        high = middle;
    }
    tensor = low;
    begin = (long long)(chunk - tensors.first[low]) * CHUNK;
    end = min(begin + CHUNK, tensors.size[low]);
  }
};

// Calls rule(x) for each element of a chunk, where x[i] is that of the i-th array.  What the rule
// changes is written, from the array FIRST_WRITTEN on.
template <class T, int FIRST_WRITTEN, int ARRAYS, int COUNT, class Rule>
__device__ void for_each(const Tensors<ARRAYS, COUNT>& tensors, int chunk, Rule& rule) {
  const Part part(tensors, chunk);
  T* from[ARRAYS];
  bool whole = part.end - part.begin == CHUNK;
#pragma unroll
  for (int a = 0; a < ARRAYS; a++) {
    from[a] = (T*)tensors.address[a][part.tensor] + part.begin;
    whole = whole && (unsigned long long)from[a] % sizeof(Vector<T>) == 0;
  }
  if (whole) {
    constexpr int WIDTH = Vector<T>::WIDTH;
    for (int i = WIDTH * threadIdx.x; i < CHUNK; i += WIDTH * THREADS) {
      Vector<T> vector[ARRAYS];
#pragma unroll
      for (int a = 0; a < ARRAYS; a++) vector[a] = *(const Vector<T>*)(from[a] + i);
#pragma unroll
      for (int k = 0; k < WIDTH; k++) {
        T x[ARRAYS];
#pragma unroll
        for (int a = 0; a < ARRAYS; a++) x[a] = vector[a].at[k];
        rule(x);
#pragma unroll
        for (int a = FIRST_WRITTEN; a < ARRAYS; a++) vector[a].at[k] = x[a];
      }
#pragma unroll
      for (int a = FIRST_WRITTEN; a < ARRAYS; a++) *(Vector<T>*)(from[a] + i) = vector[a];
    }
    return;
  }
  const int length = int(part.end - part.begin);
  for (int i = threadIdx.x; i < length; i += THREADS) {
    T x[ARRAYS];
#pragma unroll
    for (int a = 0; a < ARRAYS; a++) x[a] = from[a][i];
    rule(x);
#pragma unroll
    for (int a = FIRST_WRITTEN; a < ARRAYS; a++) from[a][i] = x[a];
  }
}
