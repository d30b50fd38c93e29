// Invariants
//   I1  A block is on one free list, or in use. Its class follows from its size alone, which both
//       sides know (sized operator delete), so there is no header.
//   I2  A thread's list of a class holds at most 2 * batch_blocks; at the limit one batch goes to
//       the depot in one lock. A class of the depot holds at most depot_bytes_max; what is over goes
//       home to its slabs.
//       While frames are accounted for the thread has other lists, and those of thread_state stay as
//       they began, empty and closed, so that the in-line paths lead here.
//   I3  Where a block belongs is decided by its size and the environment alone: up to 2 KiB with the
//       pool on it is a slab's, also for a thread whose lists are gone; otherwise the system's.
// Orderings: a block crosses threads only through the depot's lock (P1 of spin_lock).
#include "weft/task/frame_pool.hpp"

#include <cstdint>
#include <cstdlib>
#include <new>

#include "weft/base/assert.hpp"
#include "weft/base/cache_line.hpp"
#include "weft/base/census.hpp"
#include "weft/base/config.hpp"
#include "weft/base/setting.hpp"
#include "weft/base/spin_lock.hpp"
#include "weft/task/frame_account.hpp"
#include "weft/task/frame_slabs.hpp"

#if WEFT_ASAN
#include <sanitizer/asan_interface.h>
#endif

// Link-time optimisation does not see that assembly statements name it (thread_state.hpp): it would rename it, or leave
// it out. And it stands here, in a file that every program with a task links, because that is not seen either where an archive
// is searched.
#if defined(__clang__)
#define WEFT_NAMED_IN_ASSEMBLY __attribute__((used))
#else
#define WEFT_NAMED_IN_ASSEMBLY __attribute__((used, externally_visible))
#endif

extern "C" {
WEFT_NAMED_IN_ASSEMBLY thread_local constinit weft::detail::thread_state weft_thread_state
    __attribute__((tls_model("initial-exec"))) = {};
}

namespace weft {
namespace {

using detail::frame_block;
using detail::frame_class_count;
using detail::frame_list;
using detail::pooled_frame_bytes_max;
using detail::this_thread_state;

constexpr unsigned batch_blocks = 64;
constexpr std::size_t depot_bytes_max = std::size_t{256} << 10;  // of a class

struct alignas(cache_line) depot_class {
  spin_lock lock;
  frame_block* batches = nullptr;
  std::size_t blocks = 0;
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
  static const bool enabled = [] { return !detail::is_set_to("WEFT_FRAME_POOL", "off", "on"); }();
  return enabled;
}

constexpr std::size_t block_bytes(std::size_t index) noexcept {
  return detail::frame_class_bytes(index);
}
constexpr std::size_t batch_bytes(std::size_t index) noexcept {
  return batch_blocks * block_bytes(index);
}
static_assert(depot_bytes_max >= batch_bytes(frame_class_count - 1),
              "each class has a batch there");

// I2
void give_batch(std::size_t index, frame_list& list) noexcept {
  frame_block* const first = list.head;
  frame_block* last = first;
  unsigned n = 1;
  for (; n < batch_blocks && last->next; ++n) last = last->next;
  list.head = last->next;
  list.count -= n;
  last->next = nullptr;
  first->batch_blocks = n;
  depot_class& d = depot(index);
  {
    spin_guard guard(d.lock);
    if ((d.blocks + n) * block_bytes(index) <= depot_bytes_max) {
      first->next_batch = d.batches;
      d.batches = first;
      d.blocks += n;
      return;
    }
  }
  detail::return_blocks(index, first);
}

bool take_batch(std::size_t index, frame_list& list) noexcept {
  depot_class& d = depot(index);
  {
    spin_guard guard(d.lock);
    if (d.batches == nullptr) return false;
    list.head = d.batches;
    list.count = d.batches->batch_blocks;  // of flush(): perhaps a few only
    d.batches = d.batches->next_batch;
    d.blocks -= list.count;
  }
  return true;
}

// I2. Set while frames are accounted for.
constinit thread_local frame_list* accounted_lists = nullptr;

/// Of all classes; nullptr: the thread keeps no frames yet, or any more.
frame_list* lists_of_thread() noexcept {
  return detail::frames_are_accounted() ? accounted_lists : this_thread_state().frames;
}

void flush() noexcept {
  frame_list* const lists = lists_of_thread();
  if (lists == nullptr) return;
  for (std::size_t i = 0; i < frame_class_count; ++i) {
    while (lists[i].head != nullptr) give_batch(i, lists[i]);
  }
}

/// Makes the calling thread keep frames until it ends. thread_local destructors that run after this
/// one may still free frames: the lists are closed by then, and those frames go home one by one.
// Not a member of the keeper: what a destructor writes to its own object is a dead store.
constinit thread_local bool keeper_ended = false;

class keeper {
 public:
  keeper() noexcept {
    if (detail::frames_are_accounted()) {
      accounted_lists = new (std::nothrow) frame_list[frame_class_count]{};
    }
    limit(2 * batch_blocks);  // I2
  }
  ~keeper() {
    flush();
    limit(0);
    delete[] accounted_lists;
    accounted_lists = nullptr;
    keeper_ended = true;
  }
  void stay() noexcept {}

 private:
  static void limit(std::uint32_t blocks) noexcept {
    frame_list* const lists = lists_of_thread();
    for (std::size_t i = 0; lists != nullptr && i < frame_class_count; ++i) lists[i].limit = blocks;
  }
};

/// From now on the thread keeps frames. nullptr: it does not.
WEFT_NOINLINE frame_list* keep_frames() noexcept {
  if (!pool_enabled() || keeper_ended) return nullptr;
  static thread_local keeper mine;
  mine.stay();
  return lists_of_thread();
}

/// The thread has none: fills its list, or gives one block to a thread that keeps none.
frame_block* more_blocks(std::size_t index) {
  frame_list* const lists = keep_frames();
  if (lists == nullptr) {
    const detail::frame_chain taken = detail::take_blocks(index, 1);
    if (taken.count == 0) throw std::bad_alloc();
    return taken.first;
  }
  frame_list& list = lists[index];
  if (!take_batch(index, list)) {
    const detail::frame_chain taken = detail::take_blocks(index, batch_blocks);
    if (taken.count == 0) throw std::bad_alloc();
    list.head = taken.first;
    list.count = taken.count;
  }
  frame_block* const b = list.head;
  list.head = b->next;
  --list.count;
  return b;
}

}  // namespace

namespace detail {

void* allocate_block(std::size_t bytes) {
  if (WEFT_UNLIKELY(bytes > pooled_frame_bytes_max || !pool_enabled()))
    return system_allocate(bytes);
  const std::size_t index = frame_class_of(bytes);
  frame_list* const lists = lists_of_thread();
  frame_block* b = lists != nullptr ? lists[index].head : nullptr;
  if (b != nullptr) {
    lists[index].head = b->next;
    --lists[index].count;
  } else {
    b = more_blocks(index);
  }
  unpoison(b, block_bytes(index));
  return b;
}

void free_block(void* block, std::size_t bytes) noexcept {
  if (WEFT_UNLIKELY(bytes > pooled_frame_bytes_max || !pool_enabled())) return system_free(block);
  const std::size_t index = frame_class_of(bytes);
  auto* const b = static_cast<frame_block*>(block);
  poison(b, block_bytes(index));
  frame_list* const lists = keep_frames();
  if (WEFT_UNLIKELY(lists == nullptr)) {
    b->next = nullptr;
    return return_blocks(index, b);
  }
  frame_list& list = lists[index];
  if (list.count >= list.limit) give_batch(index, list);  // I2
  b->next = list.head;
  list.head = b;
  ++list.count;
}

WEFT_NOINLINE void* allocate_frame_slowly(std::size_t bytes) {
  WEFT_CHECK_SLOW(bytes > 0, "a frame has at least one byte");
  void* const frame = WEFT_UNLIKELY(frames_are_accounted())
                          ? allocate_accounted(bytes, cache_line, nullptr)
                          : allocate_block(bytes);
  census_add(census_kind::frames, 1);  // not before: there may be no memory
  return frame;
}

WEFT_NOINLINE void* allocate_frame_slowly_for(const job& payer, std::size_t bytes) {
  if (WEFT_LIKELY(!frames_are_accounted())) return allocate_frame_slowly(bytes);
  void* const frame = allocate_accounted(bytes, cache_line, &payer);
  census_add(census_kind::frames, 1);
  return frame;
}

WEFT_NOINLINE void free_frame_slowly(void* frame, std::size_t bytes) noexcept {
  census_add(census_kind::frames, -1);
  if (WEFT_UNLIKELY(frames_are_accounted())) return free_accounted(frame, bytes, cache_line);
  free_block(frame, bytes);
}

void send_depot_home() noexcept {
  for (std::size_t i = 0; i < frame_class_count; ++i) {
    depot_class& d = depot(i);
    frame_block* batch = nullptr;
    {
      spin_guard guard(d.lock);
      batch = d.batches;
      d.batches = nullptr;
      d.blocks = 0;
    }
    while (batch != nullptr) {
      frame_block* const after = batch->next_batch;
      return_blocks(i, batch);
      batch = after;
    }
  }
}

std::size_t depot_bytes() noexcept {
  std::size_t sum = 0;
  for (std::size_t i = 0; i < frame_class_count; ++i) {
    depot_class& d = depot(i);
    spin_guard guard(d.lock);
    sum += d.blocks * block_bytes(i);
  }
  return sum;
}

}  // namespace detail

void* allocate_aligned_frame(std::size_t bytes, std::size_t alignment) {
  return detail::frames_are_accounted() ? detail::allocate_accounted(bytes, alignment, nullptr)
                                        : ::operator new(bytes, std::align_val_t{alignment});
}
void free_aligned_frame(void* frame, std::size_t bytes, std::size_t alignment) noexcept {
  if (detail::frames_are_accounted()) return detail::free_accounted(frame, bytes, alignment);
  ::operator delete(frame, std::align_val_t{alignment});
}

void flush_frame_cache() noexcept { flush(); }

}  // namespace weft
