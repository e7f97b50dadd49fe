// Shared memory, and how a kernel is called: what build.py writes at the end of a source uses these.
#pragma once

namespace minidl {

// Each __shared__ variable, in each instance of a template, has a slot; a block has memory for each.
// It is filled with NaN before a block begins.
struct Slot {
  char* memory;
  size_t bytes;
};
inline std::vector<Slot> slots;
inline Slot dynamic_shared;
constexpr size_t SHARED_LIMIT = 232448;  // bytes of a block, of compute capability 9.0

inline void allocate(Slot& slot, size_t bytes) {
  free(slot.memory);
  slot.memory = static_cast<char*>(aligned_alloc(16, bytes ? (bytes + 15) / 16 * 16 : 16));
#ifdef MINIDL_EXACT  // of exactly this size: the sanitizer sees what is read beyond it
  if (bytes % 16) {
    free(slot.memory);
    slot.memory = static_cast<char*>(malloc(bytes));
  }
#endif
  slot.bytes = bytes;
  memset(slot.memory, 0xff, bytes);
}

inline int shared_slot(size_t bytes) {
  slots.push_back({nullptr, 0});
  allocate(slots.back(), bytes);
  return int(slots.size()) - 1;
}
inline char* shared_at(int slot) { return slots[slot].memory; }
inline char* shared_dynamic() { return dynamic_shared.memory; }

inline void poison_shared() {
  for (Slot& slot : slots) memset(slot.memory, 0xff, slot.bytes);
  memset(dynamic_shared.memory, 0xff, dynamic_shared.bytes);
}

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
  if (dynamic_shared.bytes != dynamic || !dynamic_shared.memory) allocate(dynamic_shared, dynamic);
  start_grid();
  for (unsigned z = 0; z < shape[2]; z++)
    for (unsigned y = 0; y < shape[1]; y++)
      for (unsigned x = 0; x < shape[0]; x++) {
        block_index = {x, y, z};
        poison_shared();
        alive = threads;
        arrived = total = 0;
        for (size_t w = 0; w * 32 < threads; w++)
          warps[w].alive = threads - w * 32 < 32 ? (1u << (threads - w * 32)) - 1 : ~0u;
        run_block();
      }
}

}  // namespace minidl

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
