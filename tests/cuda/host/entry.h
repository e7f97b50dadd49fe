// Shared memory, and how a kernel is called: what build.py writes at the end of a source uses these.
#pragma once

namespace minidl {

inline int shared_slot(size_t bytes) {
  const int slot = __atomic_fetch_add(&slot_count, 1, __ATOMIC_RELAXED);
  if (slot >= SLOTS) fail("too many shared variables for cuda_on_host.h");
  slot_bytes[slot] = bytes;
  return slot;
}

// The memory of a shared variable in the running block, made when one of its threads first asks.
inline char* shared_at(int slot) {
  char** place = &block->shared[slot];
  char* memory = __atomic_load_n(place, __ATOMIC_RELAXED);
  if (memory) return memory;
  char* made = new_memory(slot_bytes[slot]);
  if (__atomic_compare_exchange_n(place, &memory, made, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
    return made;
  forget(made, slot_bytes[slot]);
  return memory;
}
inline char* shared_dynamic() { return shared_at(0); }

// The types of a kernel's parameters, in words for launch.py: "f4", "*f4" and "S40" (40 bytes).
template <class T> void describe(char*& at) {
  using U = std::remove_cv_t<T>;
  if constexpr (std::is_pointer_v<U>) {
    *at++ = '*';
    using V = std::remove_cv_t<std::remove_pointer_t<U>>;
    if constexpr (std::is_void_v<V>) at += sprintf(at, "V1 ");
    else describe<V>(at);
  } else {
    const char kind = std::is_same_v<U, bool> ? 'b'
                      : std::is_same_v<U, __half> || std::is_floating_point_v<U> ? 'f'
                      : std::is_integral_v<U> ? (std::is_signed_v<U> ? 'i' : 'u')
                                              : 'S';
    at += sprintf(at, "%c%zu ", kind, sizeof(U));
  }
}

template <class... A> void describe_all(void (*)(A...), char* at) {
  *at = 0;
  (describe<A>(at), ...);
}

template <class... A, size_t... I>
void call(void (*kernel)(A...), void** values, std::index_sequence<I...>) {
  kernel(*static_cast<std::remove_cv_t<A>*>(values[I])...);
}

template <class... A> struct Call {
  void (*kernel)(A...);
  void** values;
  static void run(void* self) {
    const Call* call_ = static_cast<Call*>(self);
    call(call_->kernel, call_->values, std::index_sequence_for<A...>());
  }
};

// CuPy compiles with -ftz=true: numbers below 2⁻¹²⁶ count as 0.
struct FlushToZero {
#ifdef __SSE__
  const unsigned before = _mm_getcsr();
  FlushToZero() { _mm_setcsr(before | 0x8040); }
  ~FlushToZero() { _mm_setcsr(before); }
#endif
};

template <class... A>
void launch(const char* name, void (*kernel)(A...), const unsigned* shape, size_t dynamic,
            void** values) {
  Call<A...> call{kernel, values};
  kernel_name = name;
  body = Call<A...>::run;
  body_arguments = &call;
  grid_shape = {shape[0], shape[1], shape[2]};
  block_shape = {shape[3], shape[4], shape[5]};
  threads = shape[3] * shape[4] * shape[5];
  slot_bytes[0] = dynamic;
  const FlushToZero setting;
  run_grid();
  kernel_name = nullptr;
}

}  // namespace minidl

#ifndef MINIDL_SERVER
// What went wrong in the last launch, once; an empty text otherwise.
extern "C" __attribute__((visibility("default"))) void minidl_failure(char* text) {
  strcpy(text, minidl::failure);
  *minidl::failure = 0;
}
#endif

// The names in a library are its own, but for these: several may be loaded at once.
#define MINIDL_KERNEL(name)                                                              \
  extern "C" __attribute__((visibility("default"))) void minidl_launch_##name(            \
      const unsigned* shape, size_t dynamic, void** values) {                            \
    minidl::launch(#name, name, shape, dynamic, values);                                 \
  }                                                                                      \
  extern "C" __attribute__((visibility("default"))) void minidl_describe_##name(         \
      char* text) {                                                                      \
    minidl::describe_all(name, text);                                                    \
  }
