// The threads of a block as threads of the operating system, for ThreadSanitizer.
//
// A thread runs a place in one block after the other, without waiting for the others: as on the GPU,
// nothing but barriers puts accesses into an order.  Two that conflict are reported even if they
// happen to run one after the other, within a block and between blocks.
#pragma once

namespace minidl {

inline void leave();
inline char* new_memory(size_t bytes);
inline void (*body)(void*);
inline void* body_arguments;

struct Lock : std::unique_lock<std::mutex> {
  explicit Lock(Place& place) : std::unique_lock<std::mutex>(place.mutex) {}
};

constexpr int PATIENCE = 60;  // seconds; nothing here takes as long

inline void suspend(Lock& lock, Place& place) {
  Thread* self = current;
  self->released = false;
  if (!place.changed.wait_for(lock, std::chrono::seconds(PATIENCE), [=] { return self->released; }))
    fail("a thread waits at a barrier or exchange that others never reach");
}

inline void resume(Thread* thread, Place& place) {
  thread->released = true;
  place.changed.notify_all();
}

// What one of the threads runs: in each block another place, since what it does itself is in order.
inline void run_thread(unsigned which, unsigned teams, std::deque<Block>& blocks) {
  Thread self{};
  current = &self;
  for (size_t b = which / threads; b < blocks.size(); b += teams) {
    block = &blocks[b];
    const unsigned number = unsigned((which + b) % threads);
    self.number = number;
    self.index = {number % block_shape.x, number / block_shape.x % block_shape.y,
                  number / (block_shape.x * block_shape.y)};
    body(body_arguments);
    leave();
  }
}

inline void run_grid() {
  std::deque<Block> blocks;  // all of them exist before any thread does
  for (unsigned z = 0; z < grid_shape.z; z++)
    for (unsigned y = 0; y < grid_shape.y; y++)
      for (unsigned x = 0; x < grid_shape.x; x++) {
        blocks.emplace_back(threads);
        blocks.back().begin({x, y, z}, threads);
      }
  const unsigned teams = threads == 1 ? 2 : 1;  // blocks of one thread take turns between two
  std::vector<std::thread> all;
  for (unsigned t = 0; t < teams * threads; t++)
    all.emplace_back(run_thread, t, teams, std::ref(blocks));
  for (std::thread& thread : all) thread.join();
}

// Memory for shared variables, of which ThreadSanitizer does not hear who made it: its first access is
// as unordered as all others.
__attribute__((no_sanitize("thread"), noinline)) inline char* new_memory(size_t bytes) {
  const size_t whole = (bytes + 4095) / 4096 * 4096;
  void* memory = reinterpret_cast<void*>(syscall(SYS_mmap, nullptr, whole, PROT_READ | PROT_WRITE,
                                                 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  volatile char* at = static_cast<char*>(memory);
  for (size_t i = 0; i < bytes; i++) at[i] = char(0xff);
  return static_cast<char*>(memory);
}
inline void forget(char* memory, size_t bytes) {
  if (memory) syscall(SYS_munmap, memory, (bytes + 4095) / 4096 * 4096);
}

}  // namespace minidl
