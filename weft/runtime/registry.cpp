#include "weft/runtime/registry.hpp"

#include <new>

#include "weft/base/assert.hpp"
#include "weft/base/spin_lock.hpp"
#include "weft/os/membarrier.hpp"
#include "weft/os/memory.hpp"

namespace weft::detail {

registry::registry(unsigned shards, bool asymmetric)
    : asymmetric_(asymmetric), shard_count_(shards + 1), shards_(new shard[shards + 1]) {
  for (unsigned i = 0; i < shard_count_; ++i) shards_[i].number_ = i;
}

registry::~registry() {
  while (slabs_ != nullptr) {
    slab* const next = slabs_->next;
    if (slabs_->is_linked()) slabs_->unlink();
    free_slab(*slabs_);
    slabs_ = next;
  }
}

registry::slab* registry::make_slab() noexcept {
  // The job is there already, and has nobody to tell an error to: what comes back in time will do.
  constexpr unsigned tries_max = WEFT_MODEL ? 1 : 100'000;  // a tenth of a second, or more
  auto mapped = os::map_pages_aligned(slab_bytes, slab_bytes);
  for (unsigned i = 0; !mapped && i < tries_max; ++i) {
    spin_wait_yield();
    mapped = os::map_pages_aligned(slab_bytes, slab_bytes);
  }
  WEFT_ASSERT(mapped.has_value(),
              "there is no memory for the list of jobs; give the process more, or let fewer jobs "
              "live at a time");
  return new (*mapped) slab;
}

void registry::free_slab(slab& s) noexcept {
  for (std::uint32_t i = s.carved.load(order::relaxed); i-- > 0;) s.at(i).~entry();
  s.~slab();
  os::unmap_pages(&s, slab_bytes);
}

registry::slab* registry::slabs() noexcept {
  spin_guard guard(lock_);
  return slabs_;
}

std::size_t registry::memory_bytes() noexcept {
  std::size_t n = 0;
  const looker guard(*this);
  for (slab* s = slabs(); s != nullptr; s = s->next) n += slab_bytes;
  return n;
}

/// Up to a batch of the entries of a slab of partial_.
registry::entry* registry::take(slab& s, std::uint32_t& count) noexcept {
  const std::uint32_t carved = s.carved.load(order::relaxed);
  if (s.home_count == carved && carved != 0) --empty_count_;
  entry* first = s.home;
  if (first != nullptr) {
    entry* last = first;
    for (count = 1; count < batch && last->next_free() != nullptr; ++count) last = last->next_free();
    s.home = last->next_free();
    s.home_count -= count;
    last->set_next_free(nullptr);
  } else {
    count = slab_entries - carved < batch ? slab_entries - carved : batch;
    for (std::uint32_t i = carved + count; i-- > carved;) {
      entry* const made = new (&s.at(i)) entry;
      made->set_next_free(first);
      first = made;
    }
    s.carved.store(carved + count, order::release);  // P6
  }
  if (s.home == nullptr && s.carved.load(order::relaxed) == slab_entries) s.unlink();  // I3
  return first;
}

registry::entry* registry::refill(shard& mine) noexcept {
  slab* made = nullptr;
  for (;;) {
    {
      spin_guard guard(lock_);
      if (made != nullptr) {
        made->next = slabs_;
        if (slabs_ != nullptr) slabs_->before = made;
        slabs_ = made;
        partial_.push_front(*made);
      } else if (spare_count_ != 0) {
        mine.count_ = batch;
        return mine.free_ = spare_[--spare_count_];
      }
      if (!partial_.empty()) return mine.free_ = take(partial_.front(), mine.count_);
    }
    made = make_slab();
  }
}

void registry::bring_home(const batch_of_entries& some) noexcept {
  for (std::uint32_t i = 0; i < some.slabs; ++i) {
    const homecoming& h = some.of[i];
    slab& s = *h.to;
    h.last->set_next_free(s.home);
    s.home = h.first;
    s.home_count += h.count;
    if (s.home_count == s.carved.load(order::relaxed)) {
      ++empty_count_;
      if (s.is_linked()) s.unlink();
      partial_.push_back(s);  // I3
    } else if (!s.is_linked()) {
      partial_.push_front(s);
    }
  }
}

/// Takes up to a batch off the shard's list.
registry::batch_of_entries registry::cut(shard& mine) noexcept {
  const auto slab_of = [](entry* e) {
    return reinterpret_cast<slab*>(reinterpret_cast<char*>(e) -
                                   (reinterpret_cast<std::uintptr_t>(e) & (slab_bytes - 1)));
  };
  batch_of_entries got;
  got.first = mine.free_;
  entry* last = nullptr;
  for (entry* e = mine.free_; e != nullptr && got.count < batch; e = e->next_free(), ++got.count) {
    if (got.slabs != 0 && got.of[got.slabs - 1].to == slab_of(e)) {
      got.of[got.slabs - 1].last = e;
      ++got.of[got.slabs - 1].count;
    } else {
      got.of[got.slabs++] = {slab_of(e), e, e, 1};
    }
    last = e;
  }
  mine.free_ = last->next_free();
  mine.count_ -= got.count;
  last->set_next_free(nullptr);
  return got;
}

void registry::give_some(shard& mine) noexcept {
  const batch_of_entries some = cut(mine);
  {
    spin_guard guard(lock_);
    if (spare_count_ < spare_max) {
      spare_[spare_count_++] = some.first;
      return;
    }
    bring_home(some);
    if (empty_count_ <= slabs_kept) return;
  }
  free_empty_slabs();
}

void registry::trim(shard& mine) noexcept {
  for (;;) {
    if (mine.free_ == nullptr) {
      spin_guard guard(lock_);
      if (spare_count_ == 0) break;
      mine.free_ = spare_[--spare_count_];
      mine.count_ = batch;
    }
    const batch_of_entries some = cut(mine);
    spin_guard guard(lock_);
    bring_home(some);
  }
  free_empty_slabs();
}

void registry::free_empty_slabs() noexcept {
  for (;;) {
    slab* gone = nullptr;
    {
      spin_guard guard(lock_);
      if (empty_count_ <= slabs_kept) return;
      if (looking_.load(order::acquire) != 0 &&  // P5
          !WEFT_MUTATE("registry.free.while_looked_at", false, true)) {
        return;  // I2: the last looker does it
      }
      gone = &partial_.back();
      gone->unlink();
      --empty_count_;
      (gone->before != nullptr ? gone->before->next : slabs_) = gone->next;
      if (gone->next != nullptr) gone->next->before = gone->before;
    }
    free_slab(*gone);
  }
}

void registry::stop_new(job& made) noexcept {
  if (!made.stopped_by_owner()) made.stop();
}

registry::looker::looker(registry& r) noexcept : registry_(r) {
  registry_.looking_.fetch_add(1, order::seq_cst);
  if (WEFT_MUTATE("registry.look.no_fence", false, true)) return;
  if (registry_.asymmetric_) {
    os::heavy_fence();  // P1, P2
  } else {
    fence(order::seq_cst);
  }
}
registry::looker::~looker() {
  registry_.looking_.fetch_sub(
      1, WEFT_MUTATE("registry.looked.relaxed", order::release, order::relaxed));  // P3, P5
  registry_.free_empty_slabs();
}

void registry::wait_for_lookers() const noexcept {
  for (int i = 0; looking_.load(order::acquire) != 0; ++i) {  // P3
    if (i < 64) {
      cpu_pause();
    } else {
      spin_wait_yield();
    }
  }
}

void registry::trim() noexcept {
  spin_guard guard(outside_lock_);
  trim(shards_[shard_count_ - 1]);
}

void registry::add(job& made) noexcept {
  spin_guard guard(outside_lock_);
  add(shards_[shard_count_ - 1], made);
}
void registry::remove(job& ended) noexcept {
  spin_guard guard(outside_lock_);
  remove(shards_[shard_count_ - 1], ended);
}
bool registry::retired() noexcept {
  spin_guard guard(outside_lock_);
  return retired(shards_[shard_count_ - 1]);
}

void registry::stop_all() noexcept {
  stopping_.store(true, order::seq_cst);
  each([](job& j) { stop_new(j); });
}

std::uint64_t registry::left() const noexcept {
  // Retired before made: a job that another one made is counted no later than its maker's end.
  const std::uint64_t retired = sum(&shard::retired_);
  return made() - retired;
}

std::uint64_t registry::sum(atomic<std::uint64_t> shard::* figure) const noexcept {
  std::uint64_t n = 0;
  for (unsigned i = 0; i < shard_count_; ++i) n += (shards_[i].*figure).load(order::acquire);
  return n;
}

}  // namespace weft::detail
