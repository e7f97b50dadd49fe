// A program around the kernels of a source, for the sanitizers: it reads launches from its input, runs
// them on copies of the arrays, each in memory of exactly its size, and writes the copies to its output.
//
// A launch is: the number of the kernel, its grid and block (u32), dynamic shared memory (u64); the
// arrays: how many, and for each its address modulo 16, its size and bytes; the arguments: how many, and for each its size,
// its bytes, and how many pointers are in it: at which byte, to which array, how far into it.
#pragma once

namespace minidl {

struct Array {
  char *allocated, *memory;
  size_t bytes;
};

typedef void (*Entry)(const unsigned* shape, size_t dynamic, void** values);

inline void receive(void* to, size_t bytes) {
  if (bytes && fread(to, 1, bytes, stdin) != bytes) exit(0);  // nobody launches any more
}
inline uint64_t receive_number() {
  uint64_t number;
  receive(&number, sizeof number);
  return number;
}

// UndefinedBehaviorSanitizer's hook; the others call what __sanitizer_set_death_callback gets.
extern "C" __attribute__((visibility("default"))) void __ubsan_on_report() { say_where(); }

inline int serve(const Entry* entries) {
  __sanitizer_set_death_callback(say_where);
  for (;;) {
    const uint64_t which = receive_number();
    unsigned shape[6];
    for (unsigned& n : shape) n = unsigned(receive_number());
    const size_t dynamic = receive_number();
    std::vector<Array> arrays(receive_number());
    for (Array& array : arrays) {
      const size_t skew = receive_number();  // as aligned as on the GPU, and no better
      array.bytes = receive_number();
      array.allocated = static_cast<char*>(malloc(skew + array.bytes));
      array.memory = array.allocated + skew;
      receive(array.memory, array.bytes);
    }
    std::vector<std::vector<char>> arguments(receive_number());
    std::vector<void*> values;
    for (auto& argument : arguments) {
      argument.resize(receive_number());
      receive(argument.data(), argument.size());
      for (uint64_t pointers = receive_number(); pointers; pointers--) {
        const size_t at = receive_number(), array = receive_number(), offset = receive_number();
        char* pointer = arrays[array].memory + offset;
        memcpy(argument.data() + at, &pointer, sizeof pointer);
      }
      values.push_back(argument.data());
    }
    entries[which](shape, dynamic, values.data());
    for (const Array& array : arrays) {
      fwrite(array.memory, 1, array.bytes, stdout);
      free(array.allocated);
    }
    fputc('.', stdout);  // done, also where there are no arrays
    fflush(stdout);
  }
}

}  // namespace minidl
