#include "weft/runtime/registry.hpp"

#include "weft/os/membarrier.hpp"

namespace weft::detail {

registry::registry(unsigned shards, bool asymmetric)
    : asymmetric_(asymmetric), shard_count_(shards + 1), shards_(new shard[shards + 1]) {
  for (unsigned i = 0; i < shard_count_; ++i) shards_[i].number_ = i;
}

registry::~registry() {
  while (slabs_ != nullptr) {
    slab* const next = slabs_->next;
    delete slabs_;
    slabs_ = next;
  }
}

registry::slab* registry::slabs() noexcept {
  spin_guard guard(lock_);
  return slabs_;
}

registry::entry* registry::refill(shard& mine) noexcept {
  {
    spin_guard guard(lock_);
    if (!spare_.empty()) {
      mine.free_ = spare_.back();
      spare_.pop_back();
      mine.count_ = batch;
      return mine.free_;
    }
  }
  auto* const made = new slab;
  for (std::uint32_t i = 0; i < batch; ++i) {
    made->entries[i].next_free = i + 1 < batch ? &made->entries[i + 1] : nullptr;
  }
  {
    spin_guard guard(lock_);
    made->next = slabs_;
    slabs_ = made;
    spare_.reserve(++slab_count_);  // so that give_some() needs no memory
  }
  mine.free_ = &made->entries[0];
  mine.count_ = batch;
  return mine.free_;
}

void registry::give_some(shard& mine) noexcept {
  entry* const first = mine.free_;
  entry* last = first;
  for (std::uint32_t i = 1; i < batch; ++i) last = last->next_free;
  mine.free_ = last->next_free;
  mine.count_ -= batch;
  last->next_free = nullptr;
  spin_guard guard(lock_);
  spare_.push_back(first);
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
      1, WEFT_MUTATE("registry.looked.relaxed", order::release, order::relaxed));  // P3
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
