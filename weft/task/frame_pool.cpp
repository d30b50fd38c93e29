// Invariants
//   I1  A block is on one free list, or in use. Its class follows from its size alone, which both
//       sides know (sized operator delete), so there is no header.
//   I2  A thread's list of a class holds at most 2 * batch_blocks; at the limit one batch goes to
//       the depot in one lock. A class of the depot holds at most depot_batches_max; what is over
//       goes back to the system.
// Orderings: a block crosses threads only through the depot's lock (P1 of spin_lock).
#include "weft/task/frame_pool.hpp"

#include <cstdint>
#include <cstdlib>
#include <new>

#include "weft/base/assert.hpp"
#include "weft/base/cache_line.hpp"
#include "weft/base/census.hpp"
#include "weft/base/config.hpp"
#include "weft/base/spin_lock.hpp"

#if WEFT_ASAN
#include <sanitizer/asan_interface.h>
#endif

namespace weft {
namespace {

constexpr std::size_t class_bytes = cache_line;
constexpr std::size_t class_count = 32;  // up to 2 KiB
constexpr std::size_t pooled_bytes_max = class_bytes * class_count;
constexpr unsigned batch_blocks = 64;
constexpr unsigned depot_batches_max = 1024;  // of a class: 64 Ki blocks

struct block {
  block* next;
  block* next_batch;  // valid in the first block of a batch at the depot
};

struct depot_class {
  spin_lock lock;
  block* batches = nullptr;
  unsigned count = 0;
};

// Never destroyed: frames may be freed by static destructors and by threads that outlive main().
depot_class& depot(std::size_t index) noexcept {
  alignas(depot_class) static unsigned char storage[class_count * sizeof(depot_class)];
  static depot_class* const classes = [] {
    auto* first = reinterpret_cast<depot_class*>(storage);
    for (std::size_t i = 0; i < class_count; ++i) new (first + i) depot_class;
    return first;
  }();
  return classes[index];
}

void poison(void* p, std::size_t bytes) noexcept {
#if WEFT_ASAN
  __asan_poison_memory_region(static_cast<char*>(p) + sizeof(block), bytes - sizeof(block));
#else
  static_cast<void>(p), static_cast<void>(bytes);
#endif
}

void unpoison(void* p, std::size_t bytes) noexcept {
#if WEFT_ASAN
  __asan_unpoison_memory_region(p, bytes);
#else
  static_cast<void>(p), static_cast<void>(bytes);
#endif
}

void* system_allocate(std::size_t bytes) {
  return ::operator new(bytes, std::align_val_t{cache_line});
}
void system_free(void* p) noexcept { ::operator delete(p, std::align_val_t{cache_line}); }

bool pool_enabled() noexcept {
  static const bool enabled = [] {
    const char* setting = std::getenv("WEFT_FRAME_POOL");
    return setting == nullptr || __builtin_strcmp(setting, "off") != 0;
  }();
  return enabled;
}

struct free_list {
  block* head = nullptr;
  unsigned count = 0;
};

void give_batch(std::size_t index, free_list& list) noexcept {
  block* const first = list.head;
  block* last = first;
  unsigned n = 1;
  for (; n < batch_blocks && last->next; ++n) last = last->next;
  list.head = last->next;
  list.count -= n;
  last->next = nullptr;
  depot_class& d = depot(index);
  {
    spin_guard guard(d.lock);
    if (d.count < depot_batches_max) {
      first->next_batch = d.batches;
      d.batches = first;
      ++d.count;
      return;
    }
  }
  for (block* b = first; b != nullptr;) {  // I2: the depot is full
    block* const next = b->next;
    unpoison(b, (index + 1) * class_bytes);
    system_free(b);
    b = next;
  }
}

bool take_batch(std::size_t index, free_list& list) noexcept {
  depot_class& d = depot(index);
  {
    spin_guard guard(d.lock);
    if (d.batches == nullptr) return false;
    list.head = d.batches;
    d.batches = d.batches->next_batch;
    --d.count;
  }
  list.count = 0;  // a batch that came from flush() may be a short one
  for (block* b = list.head; b != nullptr; b = b->next) ++list.count;
  return true;
}

// Set once the thread's lists are gone: destructors of other thread_locals may come after theirs.
// Not a member of them: what a destructor writes to its own object is a dead store (GCC drops it).
constinit thread_local bool cache_ended = false;

struct thread_cache {
  free_list lists[class_count];

  void flush() noexcept {
    for (std::size_t i = 0; i < class_count; ++i) {
      while (lists[i].head != nullptr) give_batch(i, lists[i]);
    }
  }
  ~thread_cache() {
    flush();
    cache_ended = true;
  }
};

// Out of line: a coroutine may be resumed on another thread, and a compiler that keeps the address
// of a thread_local across that would use the wrong list.
// Result: nullptr once the lists are gone; the system serves what comes so late.
WEFT_NOINLINE thread_cache* cache() noexcept {
  static thread_local thread_cache instance;
  asm volatile("");
  return WEFT_UNLIKELY(cache_ended) ? nullptr : &instance;
}

/// From the lists, the depot or the system.
void* allocate_block(std::size_t bytes) {
  if (WEFT_UNLIKELY(bytes > pooled_bytes_max || !pool_enabled())) return system_allocate(bytes);
  const std::size_t index = (bytes - 1) / class_bytes;
  thread_cache* const mine = cache();
  if (WEFT_UNLIKELY(mine == nullptr)) return system_allocate((index + 1) * class_bytes);
  free_list& list = mine->lists[index];
  if (WEFT_UNLIKELY(list.head == nullptr)) {
    if (!take_batch(index, list)) return system_allocate((index + 1) * class_bytes);
  }
  block* const b = list.head;
  list.head = b->next;
  --list.count;
  unpoison(b, (index + 1) * class_bytes);
  return b;
}

}  // namespace

void* allocate_frame(std::size_t bytes) {
  WEFT_CHECK_SLOW(bytes > 0, "a frame has at least one byte");
  void* const frame = allocate_block(bytes);
  census_add(census_kind::frames, 1);  // not before: there may be no memory
  return frame;
}

void free_frame(void* frame, std::size_t bytes) noexcept {
  census_add(census_kind::frames, -1);
  const std::size_t index = (bytes - 1) / class_bytes;
  if (WEFT_UNLIKELY(bytes > pooled_bytes_max || !pool_enabled())) return system_free(frame);
  thread_cache* const mine = cache();
  if (WEFT_UNLIKELY(mine == nullptr)) return system_free(frame);
  free_list& list = mine->lists[index];
  auto* const b = static_cast<block*>(frame);
  b->next = list.head;
  list.head = b;
  poison(b, (index + 1) * class_bytes);
  if (WEFT_UNLIKELY(++list.count >= 2 * batch_blocks)) give_batch(index, list);  // I2
}

void flush_frame_cache() noexcept {
  if (thread_cache* const mine = cache()) mine->flush();
}

}  // namespace weft
