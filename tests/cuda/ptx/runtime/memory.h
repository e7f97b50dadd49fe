/* The spaces.  A global address is a host address inside a range that the launch knows; shared, local and
 * parameter addresses are offsets, and generic addresses of these carry the number of a window on top. */
enum Access { READ, READ_ONLY, WRITE, STRONG_READ, STRONG_WRITE, ATOMIC };
#define IS_READ(access) ((access) == READ || (access) == READ_ONLY || (access) == STRONG_READ)
#define WINDOW(n) ((u64)(n) << 56)
#define SHARED_WINDOW WINDOW(1)
#define LOCAL_WINDOW WINDOW(2)
#define PARAM_WINDOW WINDOW(3)
#define OFFSET(a) ((a) & 0x00ffffffffffffffull)
enum { BASE = 1024 };  /* of offsets, so that a null pointer is none */

typedef struct Range { u64 low, high; u32 read_only, fresh; void *cells; } Range;
enum { MAX_RANGES = 1 << 16 };
static Range ranges[MAX_RANGES], nowhere;
static u32 range_count;
static u8 *shared; static u32 shared_size;
static u8 *parameters; static u32 parameter_size;
static u64 bytes_read, bytes_written, operations, matrix_operations;

static const char *const doing[] = {"read", "read-only read", "write", "read", "write", "atomic operation"};

#ifdef CHECKED
#include "races.h"
#else
#define touch_global(range, address, bytes, access, line) ((void)0)
#define touch_shared(offset, bytes, access, line) ((void)0)
#define touch_local(offset, bytes, access, line) ((void)0)
#define COUNT(flops) ((void)0)
#define COUNT_BYTES(bytes, access) ((void)0)
#define release_clock(thread) ((void)0)
#define order_threads(members, count) ((void)0)
#endif


/* The range of an address, by bisection; ranges are sorted. */
static __attribute__((noinline)) Range *find_range(u64 address, u32 bytes, int access, int line) {
  u32 low = 0, high = range_count;
  while (low < high) {
    u32 middle = (low + high) / 2;
    if (ranges[middle].high <= address) low = middle + 1; else high = middle;
  }
  if (low < range_count && address >= ranges[low].low && address + bytes <= ranges[low].high) return &ranges[low];
  const Range *near = low < range_count && address + bytes > ranges[low].low ? &ranges[low] : low ? &ranges[low - 1] : &nowhere;
  fault(BOUNDS, self, line, "out-of-bounds global %s of %u bytes, %lld bytes from the start of an array of %lld",
        doing[access], bytes, (long long)(address - near->low), (long long)(near->high - near->low));
}
static __attribute__((noinline, cold)) void misaligned(const char *space, u64 address, u32 bytes, int access, int line) {
  fault(ALIGNMENT, self, line, "misaligned %s %s of %u bytes at 0x%llx", space, doing[access], bytes, (unsigned long long)address);
}

/* `site`: where the last access of this instruction landed, which is nearly always where the next does */
static inline void *global_at(u64 address, u32 bytes, int access, int line, Range **site) {
  Range *range = *site;
  if (!LIKELY(address >= range->low && address + bytes <= range->high)) range = *site = find_range(address, bytes, access, line);
  if (address & (bytes - 1)) misaligned("global", address, bytes, access, line);
  if (!IS_READ(access) && range->read_only) fault(BOUNDS, self, line, "write to constant memory");
  touch_global(range, address, bytes, access, line);
  COUNT_BYTES(bytes, access);
  return (void *)address;
}
static inline void *shared_at(u64 address, u32 bytes, int access, int line) {
  u64 offset = address - BASE;
  if (!LIKELY(offset <= shared_size && offset + bytes <= shared_size))
    fault(BOUNDS, self, line, "out-of-bounds shared %s of %u bytes at byte %lld of %u", doing[access], bytes, (long long)offset, shared_size);
  if (offset & (bytes - 1)) misaligned("shared", offset, bytes, access, line);
  touch_shared(offset, bytes, access, line);
  return shared + offset;
}
static inline void *local_at(u64 address, u32 bytes, int access, int line) {
  u64 offset = address - BASE;
  if (!LIKELY(offset <= self->local_top && offset + bytes <= self->local_top))
    fault(BOUNDS, self, line, "out-of-bounds local %s of %u bytes at byte %lld of %u", doing[access], bytes, (long long)offset, self->local_top);
  if (offset & (bytes - 1)) misaligned("local", offset, bytes, access, line);
  touch_local(offset, bytes, access, line);
  return self->local + offset;
}
static inline void *param_at(u64 address, u32 bytes, int access, int line) {
  u64 offset = address - BASE;
  if (!LIKELY(offset <= parameter_size && offset + bytes <= parameter_size))
    fault(BOUNDS, self, line, "out-of-bounds parameter %s of %u bytes at byte %lld of %u", doing[access], bytes, (long long)offset, parameter_size);
  if (offset & (bytes - 1)) misaligned("parameter", offset, bytes, access, line);
  return parameters + offset;
}
static inline void *generic_at(u64 address, u32 bytes, int access, int line, Range **site) {
  switch (address >> 56) {
    case 1: return shared_at(OFFSET(address), bytes, access, line);
    case 2: return local_at(OFFSET(address), bytes, access, line);
    case 3: return param_at(OFFSET(address), bytes, access, line);
    default: return global_at(address, bytes, access, line, site);
  }
}
static inline u64 leave_window(u64 address, u64 window, const char *space, int line) {
  if ((address & ~0x00ffffffffffffffull) != window) fault(BOUNDS, self, line, "cvta.to.%s of an address that is not in that space", space);
  return OFFSET(address);
}
/* room for a function's local variables; given back when it returns */
static u32 local_room(u32 bytes, int line) {
  u32 at = (self->local_top + 15) / 16 * 16;
  if (at + bytes > LOCAL) fault(BOUNDS, self, line, "more than %d bytes of local memory", LOCAL);
  memset(self->local + at, 0xff, bytes);
#ifdef CHECKED
  memset(self->local_written + at, 0, bytes);
#endif
  self->local_top = at + bytes;
  return at + BASE;
}
