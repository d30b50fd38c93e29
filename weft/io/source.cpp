#include "weft/io/source.hpp"

#include <new>

#include "weft/base/spin_lock.hpp"

namespace weft::io {
namespace {

constexpr std::uint32_t chunk_sources = 256;
constexpr std::uint32_t chunks_max = 65536;  // 16 million descriptors; 512 KB, untouched

atomic<source*> chunks[chunks_max];
spin_lock slab_lock;  // guards the two below and the making of chunks
source* first_free = nullptr;
std::uint32_t chunks_made = 0;

source* take_free() noexcept {
  source* s = first_free;
  if (s != nullptr) first_free = s->next_free;
  return s;
}

}  // namespace

source* allocate_source() noexcept {
  {
    spin_guard held(slab_lock);
    if (source* s = take_free()) return s;
  }
  source* made = new (std::nothrow) source[chunk_sources];  // not under the lock: it may map memory
  if (made == nullptr) return nullptr;
  spin_guard held(slab_lock);
  if (chunks_made == chunks_max) {
    delete[] made;
    return take_free();
  }
  for (std::uint32_t i = 0; i < chunk_sources; ++i) {
    made[i].index = chunks_made * chunk_sources + i;
    made[i].next_free = i + 1 < chunk_sources ? &made[i + 1] : first_free;
  }
  chunks[chunks_made++].store(made, order::release);  // P3 -> find_source: the chunk's contents
  first_free = made;
  return take_free();
}

void free_source(source& s) noexcept {
  s.reading.reset();
  s.writing.reset();
  s.short_means_empty.store(false, order::relaxed);
  s.generation.fetch_add(1, order::relaxed);  // a hint: a late event that misses it is a vain try
  spin_guard held(slab_lock);
  s.next_free = first_free;
  first_free = &s;
}

source* find_source(std::uint64_t tag) noexcept {
  const auto index = static_cast<std::uint32_t>(tag);
  WEFT_ASSERT(index / chunk_sources < chunks_max, "epoll reported an event that nobody asked for");
  source* chunk = chunks[index / chunk_sources].load(order::acquire);  // P3
  source& s = chunk[index % chunk_sources];
  return s.generation.load(order::relaxed) == tag >> 32 ? &s : nullptr;
}

}  // namespace weft::io
