// Words
//   A chunk is 16 MiB, aligned to its size, so that a block's chunk, slab and header follow from its
//   address. Its first slab has no blocks: the chunk's header and its slabs' headers stand there, so
//   that a slab's 64 KiB are all blocks and can be forgotten whole.
//   A block is home (on its slab's list, or beyond what the slab has carved), or out.
// Invariants
//   I1  A slab is of a class, or on the store's list `warm` (empty, keeps its pages) or `cold` (empty
//       and bare), or in one thread's hands on the way between them. The class's lock guards what a
//       slab of a class says, the store's lock what an empty one says. No thread has both locks.
//   I2  Of a class's slabs those are on `partial` that have a block to give: home != null or
//       carved < capacity. A slab with blocks out only is on no list: their way home finds it.
//   I3  home_count == carved only outside of the class: who brings the last block home takes the slab
//       away under the same lock. So a block that is out keeps its slab, and its slab's class.
//   I4  A chunk is unmapped when all its slabs are on `cold`, which nobody else can see change: they
//       are taken off it under the lock that found that.
// Orderings: all by the two locks (P1 of spin_lock); `came_home` is a hint.
//
// Fullest first: a slab that was all out goes to the front of `partial` when one block comes home,
// and blocks are taken from the front. So slabs that are nearly empty are left to become so.
//
// Rejected
//   Headers in the slabs: forgetting pages would leave one page each, and headers 64 KiB apart share
//     a few sets of the cache.
//   Lists of blocks without locks: one lock for 64 blocks is 0.3 ns a block.
//   Huge pages: forgetting 64 KiB of one gives nothing back before all of it is forgotten, and a burst
//     of 4 * 10^6 tasks was no faster with them (1 to 2 % of 135 ns).
#include "weft/task/frame_slabs.hpp"

#include <new>

#include "weft/base/assert.hpp"
#include "weft/base/atomic.hpp"
#include "weft/base/cache_line.hpp"
#include "weft/base/intrusive_list.hpp"
#include "weft/base/spin_lock.hpp"
#include "weft/os/memory.hpp"

#if WEFT_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/lsan_interface.h>
#endif

namespace weft::detail {
namespace {

struct alignas(cache_line) slab : list_hook<> {
  frame_block* home = nullptr;   // those that came back, the last one first
  std::uint32_t home_count = 0;  // of them
  std::uint32_t carved = 0;      // blocks that were ever taken since the slab has its class
  std::uint32_t capacity = 0;    // blocks of its class
  std::uint32_t index = 0;       // its class
};
static_assert(sizeof(slab) == cache_line);

constexpr std::size_t slabs_of_chunk =
    frame_chunk_bytes / frame_slab_bytes - 1;  // the first is ours

struct alignas(cache_line) chunk {
  std::size_t cold = slabs_of_chunk;  // of its slabs
  slab slabs[slabs_of_chunk];         // slabs[i] is at (i + 1) * frame_slab_bytes
};
static_assert(sizeof(chunk) <= frame_slab_bytes);

struct alignas(cache_line) slab_class {
  spin_lock lock;
  intrusive_list<slab> partial;  // I2
  std::size_t slabs = 0;
  std::size_t out = 0;  // blocks
};

struct alignas(cache_line) slab_store {
  spin_lock lock;
  intrusive_list<slab> warm;  // the last one to become empty first
  intrusive_list<slab> cold;
  std::size_t warm_count = 0;
  std::size_t warm_least = 0;  // since note_empty_slabs()
  std::size_t chunks = 0;
};

struct all_slabs {
  slab_class classes[frame_class_count];
  slab_store store;
};

// Never destroyed: frames may be freed by static destructors and by threads that outlive main().
all_slabs& everything() noexcept {
  alignas(all_slabs) static unsigned char storage[sizeof(all_slabs)];
  static all_slabs* const made = new (storage) all_slabs;
  return *made;
}

atomic<bool> came_home{false};

char* chunk_of(const void* inside) noexcept {
  auto* const p = static_cast<const char*>(inside);
  return const_cast<char*>(p) - (reinterpret_cast<std::uintptr_t>(p) & (frame_chunk_bytes - 1));
}
slab& slab_of(frame_block* block) noexcept {
  char* const base = chunk_of(block);
  const auto number =
      static_cast<std::size_t>(reinterpret_cast<char*>(block) - base) / frame_slab_bytes;
  return reinterpret_cast<chunk*>(base)->slabs[number - 1];
}
chunk& chunk_of(slab& s) noexcept {
  return *reinterpret_cast<chunk*>(chunk_of(static_cast<const void*>(&s)));
}
char* blocks_of(slab& s) noexcept {
  chunk& c = chunk_of(s);
  return reinterpret_cast<char*>(&c) +
         (static_cast<std::size_t>(&s - c.slabs) + 1) * frame_slab_bytes;
}
constexpr std::size_t block_bytes(std::size_t index) noexcept { return frame_class_bytes(index); }

// --- the store: slabs without a class -----------------------------------------------------------

void unmap_chunk(chunk& bare) noexcept {
#if WEFT_ASAN
  __asan_unpoison_memory_region(&bare, frame_chunk_bytes);
  __lsan_unregister_root_region(&bare, frame_chunk_bytes);
#endif
  os::unmap_pages(&bare, frame_chunk_bytes);
}

/// False: there is no memory.
bool map_chunk() noexcept {
  const auto mapped = os::map_pages_aligned(frame_chunk_bytes, frame_chunk_bytes);
  if (!mapped) return false;
#if WEFT_ASAN
  // Frames point to what else is alive. Free ones are poisoned, and not looked into.
  __lsan_register_root_region(*mapped, frame_chunk_bytes);
#endif
  auto* const made = new (*mapped) chunk;
  intrusive_list<slab> slabs;
  for (slab& s : made->slabs) slabs.push_back(s);
  slab_store& store = everything().store;
  {
    spin_guard guard(store.lock);
    if (store.cold.empty()) {
      store.cold.splice_back(slabs);
      ++store.chunks;
      return true;
    }
  }
  // Another thread was first. One that nobody takes slabs of would never become bare (I4).
  while (!slabs.empty()) slabs.pop_front();
  unmap_chunk(*made);
  return true;
}

/// nullptr: there is no memory.
slab* take_slab() noexcept {
  slab_store& store = everything().store;
  for (;;) {
    {
      spin_guard guard(store.lock);
      if (!store.warm.empty()) {
        slab& s = store.warm.pop_front();
        --store.warm_count;
        if (store.warm_count < store.warm_least) store.warm_least = store.warm_count;
        return &s;
      }
      store.warm_least = 0;
      if (!store.cold.empty()) {
        slab& s = store.cold.pop_front();
        --chunk_of(s).cold;
        return &s;
      }
    }
    // Not under the lock: it is a system call.
    if (!map_chunk()) return nullptr;
  }
}

void keep_slabs(intrusive_list<slab>& emptied) noexcept {
  slab_store& store = everything().store;
  spin_guard guard(store.lock);
  while (!emptied.empty()) {
    store.warm.push_front(emptied.pop_front());
    ++store.warm_count;
  }
}

// --- the classes --------------------------------------------------------------------------------

/// I3: as if no block had ever been taken.
void give_class(slab& s, std::size_t index) noexcept {
  s.home = nullptr;
  s.home_count = 0;
  s.carved = 0;
  s.capacity = static_cast<std::uint32_t>(frame_slab_bytes / block_bytes(index));
  s.index = static_cast<std::uint32_t>(index);
#if WEFT_ASAN
  __asan_unpoison_memory_region(blocks_of(s), frame_slab_bytes);
#endif
}

bool has_blocks(const slab& s) noexcept { return s.home != nullptr || s.carved < s.capacity; }

/// Moves up to `wanted` blocks that came home before `chain`.
void take_home(slab& s, std::uint32_t wanted, frame_chain& chain) noexcept {
  if (s.home == nullptr) return;
  frame_block* last = s.home;
  std::uint32_t n = 1;
  for (; n < wanted && last->next != nullptr; ++n) last = last->next;
  frame_block* const rest = last->next;
  last->next = chain.first;
  chain = {s.home, chain.count + n};
  s.home = rest;
  s.home_count -= n;
}

/// Blocks that were never touched, so no page is touched under a lock either.
struct carving {
  char* first = nullptr;
  std::uint32_t count = 0;
};
carving carve(slab& s, std::uint32_t wanted) noexcept {
  const std::uint32_t left = s.capacity - s.carved;
  const std::uint32_t n = wanted < left ? wanted : left;
  char* const first = blocks_of(s) + s.carved * block_bytes(s.index);
  s.carved += n;
  return {first, n};
}

void link(carving cut, std::size_t bytes, frame_chain& chain) noexcept {
  for (std::uint32_t i = cut.count; i-- > 0;) {  // so that the lowest address is taken first
    auto* const b = reinterpret_cast<frame_block*>(cut.first + i * bytes);
    b->next = chain.first;
    chain.first = b;
  }
  chain.count += cut.count;
}

/// Of all slabs that could be.
std::uintptr_t slab_number(const frame_block* block) noexcept {
  return reinterpret_cast<std::uintptr_t>(block) / frame_slab_bytes;
}

/// Neighbours on a chain that are of one slab, already linked.
struct homecoming {
  slab* to;
  frame_block* first;
  frame_block* last;
  std::uint32_t count;
};

/// I2, I3. The slab goes to `emptied` when all its blocks are home.
void bring_home(slab_class& c, const homecoming& blocks, intrusive_list<slab>& emptied) noexcept {
  slab& s = *blocks.to;
  blocks.last->next = s.home;
  s.home = blocks.first;
  s.home_count += blocks.count;
  WEFT_ASSERT(s.home_count <= s.carved,
              "a frame was freed twice, or with a size that is not its own");
  if (s.home_count == s.carved) {
    if (s.is_linked()) s.unlink();
    --c.slabs;
    emptied.push_back(s);
  } else if (!s.is_linked()) {
    c.partial.push_front(s);
  }
}

}  // namespace

frame_chain take_blocks(std::size_t index, std::uint32_t wanted) noexcept {
  slab_class& c = everything().classes[index];
  frame_chain taken{nullptr, 0};
  carving cut;
  slab* fresh = nullptr;
  for (;;) {
    {
      spin_guard guard(c.lock);
      if (fresh != nullptr) {
        c.partial.push_front(*fresh);
        ++c.slabs;
      }
      while (taken.count < wanted && cut.count == 0 && !c.partial.empty()) {
        slab& s = c.partial.front();
        take_home(s, wanted - taken.count, taken);
        if (taken.count < wanted) cut = carve(s, wanted - taken.count);
        if (!has_blocks(s)) s.unlink();  // I2
      }
      c.out += taken.count + cut.count;
    }
    if (taken.count + cut.count != 0) break;
    fresh = take_slab();
    if (fresh == nullptr) return taken;
    give_class(*fresh, index);
  }
  link(cut, block_bytes(index), taken);
  return taken;
}

void return_blocks(std::size_t index, frame_block* first) noexcept {
  constexpr int at_once_max = 64;  // slabs that are looked up before the lock is taken
  slab_class& c = everything().classes[index];
  while (first != nullptr) {
    homecoming blocks[at_once_max];
    int n = 0;
    std::size_t count = 0;
    for (; first != nullptr && n < at_once_max; ++n) {
      homecoming& h = blocks[n];
      h = {&slab_of(first), first, first, 1};
      const std::uintptr_t number = slab_number(first);
      for (first = first->next; first != nullptr && slab_number(first) == number;
           first = first->next) {
        h.last = first;
        ++h.count;
      }
      count += h.count;
    }
    intrusive_list<slab> emptied;
    {
      spin_guard guard(c.lock);
      c.out -= count;
      for (int i = 0; i < n; ++i) {
        WEFT_CHECK_SLOW(blocks[i].to->index == index, "a frame was freed with another size");
        bring_home(c, blocks[i], emptied);
      }
    }
    if (!emptied.empty()) keep_slabs(emptied);
  }
  if (!came_home.load(order::relaxed)) came_home.store(true, order::relaxed);
}

bool have_blocks_come_home() noexcept { return came_home.load(order::relaxed); }
void forget_homecoming() noexcept { came_home.store(false, order::relaxed); }

empty_slabs count_empty_slabs() noexcept {
  slab_store& store = everything().store;
  spin_guard guard(store.lock);
  return {store.warm_count, store.warm_least};
}

void note_empty_slabs() noexcept {
  slab_store& store = everything().store;
  spin_guard guard(store.lock);
  store.warm_least = store.warm_count;
}

std::size_t forget_empty_slabs(std::size_t most) noexcept {
  slab_store& store = everything().store;
  std::size_t n = 0;
  for (; n < most; ++n) {
    slab* s = nullptr;
    {
      spin_guard guard(store.lock);
      if (store.warm.empty()) break;
      s = &store.warm.back();  // the one that was empty for longest
      s->unlink();
      --store.warm_count;
      if (store.warm_count < store.warm_least) store.warm_least = store.warm_count;
    }
    os::forget_pages(blocks_of(*s), frame_slab_bytes);
    chunk* const its = &chunk_of(*s);
    {
      spin_guard guard(store.lock);
      store.cold.push_front(*s);
      if (++its->cold < slabs_of_chunk) continue;
      for (slab& bare : its->slabs) bare.unlink();  // I4
      --store.chunks;
    }
    unmap_chunk(*its);
  }
  return n;
}

slab_figures count_slabs() noexcept {
  slab_figures sum{};
  all_slabs& all = everything();
  for (std::size_t i = 0; i < frame_class_count; ++i) {
    spin_guard guard(all.classes[i].lock);
    sum.used_bytes += all.classes[i].slabs * frame_slab_bytes;
    sum.out_bytes += all.classes[i].out * block_bytes(i);
  }
  spin_guard guard(all.store.lock);
  sum.mapped_bytes = all.store.chunks * frame_chunk_bytes;
  sum.empty_bytes = all.store.warm_count * frame_slab_bytes;
  return sum;
}

}  // namespace weft::detail
