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

using detail::frame_block;
using detail::frame_class_count;
using detail::frame_list;
using detail::pooled_frame_bytes_max;
using detail::this_thread_state;

constexpr std::size_t class_bytes = std::size_t{1} << detail::frame_class_shift;
static_assert(class_bytes == cache_line);
constexpr unsigned batch_blocks = 64;
constexpr unsigned depot_batches_max = 1024;  // of a class: 64 Ki blocks

struct depot_class {
  spin_lock lock;
  frame_block* batches = nullptr;
  unsigned count = 0;
};

// Never destroyed: frames may be freed by static destructors and by threads that outlive main().
depot_class& depot(std::size_t index) noexcept {
  alignas(depot_class) static unsigned char storage[frame_class_count * sizeof(depot_class)];
  static depot_class* const classes = [] {
    auto* first = reinterpret_cast<depot_class*>(storage);
    for (std::size_t i = 0; i < frame_class_count; ++i) new (first + i) depot_class;
    return first;
  }();
  return classes[index];
}

void poison(void* p, std::size_t bytes) noexcept {
#if WEFT_ASAN
  __asan_poison_memory_region(static_cast<char*>(p) + sizeof(frame_block),
                              bytes - sizeof(frame_block));
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

// I2. Says whether the depot took it.
void give_batch(std::size_t index, frame_list& list) noexcept {
  frame_block* const first = list.head;
  frame_block* last = first;
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
  for (frame_block* b = first; b != nullptr;) {  // I2: the depot is full
    frame_block* const next = b->next;
    unpoison(b, (index + 1) * class_bytes);
    system_free(b);
    b = next;
  }
}

bool take_batch(std::size_t index, frame_list& list) noexcept {
  depot_class& d = depot(index);
  {
    spin_guard guard(d.lock);
    if (d.batches == nullptr) return false;
    list.head = d.batches;
    d.batches = d.batches->next_batch;
    --d.count;
  }
  list.count = 0;  // a batch that came from flush() may be a short one
  for (frame_block* b = list.head; b != nullptr; b = b->next) ++list.count;
  return true;
}

void flush() noexcept {
  for (std::size_t i = 0; i < frame_class_count; ++i) {
    frame_list& list = this_thread_state().frames[i];
    while (list.head != nullptr) give_batch(i, list);
  }
}

/// Makes the calling thread keep frames until it ends. thread_local destructors that run after this
/// one may still free frames: the lists are closed by then, and those frames go to the system.
// Not a member of the keeper: what a destructor writes to its own object is a dead store.
constinit thread_local bool keeper_ended = false;

class keeper {
 public:
  keeper() noexcept {
    for (frame_list& list : this_thread_state().frames) list.limit = 2 * batch_blocks;  // I2
  }
  ~keeper() {
    flush();
    for (frame_list& list : this_thread_state().frames) list.limit = 0;
    keeper_ended = true;
  }
  void stay() noexcept {}
};

/// Whether the thread keeps frames from now on.
WEFT_NOINLINE bool keep_frames() noexcept {
  if (!pool_enabled() || keeper_ended) return false;
  static thread_local keeper mine;
  mine.stay();
  return true;
}

/// From the lists, the depot or the system.
void* allocate_block(std::size_t bytes) {
  if (WEFT_UNLIKELY(bytes > pooled_frame_bytes_max || !pool_enabled()))
    return system_allocate(bytes);
  const std::size_t index = (bytes - 1) / class_bytes;
  frame_list& list = this_thread_state().frames[index];
  if (list.head == nullptr && !(keep_frames() && take_batch(index, list))) {
    return system_allocate((index + 1) * class_bytes);
  }
  frame_block* const b = list.head;
  list.head = b->next;
  --list.count;
  unpoison(b, (index + 1) * class_bytes);
  return b;
}

}  // namespace

namespace detail {

WEFT_NOINLINE void* allocate_frame_slowly(std::size_t bytes) {
  WEFT_CHECK_SLOW(bytes > 0, "a frame has at least one byte");
  void* const frame = allocate_block(bytes);
  census_add(census_kind::frames, 1);  // not before: there may be no memory
  return frame;
}

WEFT_NOINLINE void free_frame_slowly(void* frame, std::size_t bytes) noexcept {
  census_add(census_kind::frames, -1);
  if (WEFT_UNLIKELY(bytes > pooled_frame_bytes_max || !keep_frames())) return system_free(frame);
  const std::size_t index = (bytes - 1) / class_bytes;
  frame_list& list = this_thread_state().frames[index];
  if (list.count >= list.limit) give_batch(index, list);  // I2
  auto* const b = static_cast<frame_block*>(frame);
  b->next = list.head;
  list.head = b;
  poison(b, (index + 1) * class_bytes);
  ++list.count;
}

}  // namespace detail

void flush_frame_cache() noexcept { flush(); }

}  // namespace weft
