// registry: which jobs are alive, for shutdown and for listings. A job is entered and struck off on
// hot paths, all are looked at seldom: so the first two are a few plain stores by the worker that
// does them, and who looks pays for the order.
//
//   Threads  with a shard: its owner; without one, and each(): any
//   Cost     add: a pop from a private list and three stores; remove: a store, a load and a push.
//            each(): membarrier, and whoever strikes off a job meanwhile waits for its end
//   Memory   8 bytes a job, in slabs of 64 KiB that go back to the system when all their jobs are gone,
//            but for slabs_kept, and what free entries of the shards pin until their owners are idle
//
// Protocol
//   An entry belongs to a job from add() to remove() and to a free list otherwise: of a shard, of
//   spare_, or of its slab, where it is home. Entries move between shards through the latter two. All
//   that were ever used are on the list of all slabs, below their slab's `carved`.
//   I1  A job that each() shows is not gone before each() has left it: remove() comes before a job's
//       end, and waits while anybody looks.
//   I2  A slab that is freed has all its entries home, and is seen by nobody: it leaves the list under
//       the lock, while nobody looks. Who looks says so before it takes the head of the list under the
//       same lock, so either the freer sees that somebody looks (P5) or the looker finds a list
//       without the slab. The last looker frees what was left for its sake.
//   I3  partial_ has the slabs with an entry to give, the empty ones last.
//   P1  add: entry = job, then stopping (light fence)  ||  stopping set, each: fence, entry: the
//       adder sees that it must stop its job, or each() sees the job.
//   P2  remove: entry = null, then looking (light fence)  ||  each: looking set, fence, entry: the
//       remover sees that somebody looks and waits, or each() sees no job.
//   P3  each: looking cleared (release)  ->  remove: (acquire): each()'s last access to the job.
//   P4  retired: retired up, then stopping (light fence)  ||  stopping set, fence (both in stop_all),
//       left: retired. The last job tells whoever waits for the end, or that one sees that none is
//       left.
//   P5  each: looking set, then the lock's release  ->  the freer's lock: it sees that somebody looks.
//       Each: looking cleared (release)  ->  freer: looking (acquire): the last access to the slab.
//   P6  refill: entries made, carved (release)  ->  each: carved (acquire). Of entries that a refill
//       makes after each() had the lock it may miss some, but then its adder sees stopping_ (P1): the
//       lock carries that as well.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "weft/base/atomic.hpp"
#include "weft/base/cache_line.hpp"
#include "weft/base/config.hpp"
#include "weft/base/intrusive_list.hpp"
#include "weft/base/spin_lock.hpp"
#include "weft/task/job.hpp"

namespace weft::detail {

class registry {
 public:
  explicit registry(unsigned shards, bool asymmetric);
  ~registry();
  registry(const registry&) = delete;
  registry& operator=(const registry&) = delete;

  /// A job's address, or, odd, that of the next one on a free list.
  class entry {
   public:
    job* listed(order o) const noexcept {
      const std::uintptr_t seen = word_.load(o);
      return (seen & free) == 0 ? reinterpret_cast<job*>(seen) : nullptr;
    }
    void list(job& made) noexcept {
      word_.store(reinterpret_cast<std::uintptr_t>(&made), order::release);
    }
    void strike_off() noexcept { word_.store(free, order::release); }
    // Of one that is on a free list, by whoever has that list.
    entry* next_free() const noexcept {
      return reinterpret_cast<entry*>(word_.load(order::relaxed) & ~free);
    }
    void set_next_free(entry* next) noexcept {
      word_.store(reinterpret_cast<std::uintptr_t>(next) | free, order::relaxed);
    }

   private:
    static constexpr std::uintptr_t free = 1;
    atomic<std::uintptr_t> word_{free};
  };
  class alignas(cache_line) shard {
    friend class registry;
    entry* free_ = nullptr;
    std::uint32_t count_ = 0;
    std::uint32_t number_ = 0;
    // Written by the owner alone.
    atomic<std::uint64_t> made_{0};     // jobs that were added
    atomic<std::uint64_t> ended_{0};    // jobs that were removed
    atomic<std::uint64_t> retired_{0};  // jobs that are gone for good
  };

  shard& of(unsigned number) noexcept { return shards_[number]; }

  void add(shard& mine, job& made) noexcept {
    entry* const e = mine.free_ != nullptr ? mine.free_ : refill(mine);
    mine.free_ = e->next_free();
    --mine.count_;
    const std::uint64_t n = mine.made_.load(order::relaxed) + 1;
    mine.made_.store(n, order::release);
    made.set_id(n * shard_count_ + mine.number_);
    made.listed_as = e;
    e->list(made);
    light_fence();  // P1
    if (WEFT_UNLIKELY(stopping_.load(order::relaxed)) &&
        !WEFT_MUTATE("registry.add.forgets_stop", false, true)) {
      stop_new(made);
    }
  }
  void remove(shard& mine, job& ended) noexcept {
    auto* const e = static_cast<entry*>(ended.listed_as);
    e->strike_off();
    light_fence();                                            // P2
    if (WEFT_UNLIKELY(looking_.load(order::acquire) != 0) &&  // P3
        !WEFT_MUTATE("registry.remove.no_wait", false, true)) {
      wait_for_lookers();
    }
    e->set_next_free(mine.free_);
    mine.free_ = e;
    count(mine.ended_);
    if (WEFT_UNLIKELY(++mine.count_ > keep_max)) give_some(mine);
  }
  /// The job is gone. True: somebody may be waiting for the last one; tell it.
  [[nodiscard]] bool retired(shard& mine) noexcept {
    count(mine.retired_);
    light_fence();  // P4
    return stopping_.load(order::relaxed);
  }

  /// The owner is idle: free entries go home, so that slabs become empty and are freed.
  void trim(shard& mine) noexcept;

  // The same for threads that own no shard.
  void trim() noexcept;
  void add(job& made) noexcept;
  void remove(job& ended) noexcept;
  [[nodiscard]] bool retired() noexcept;

  /// From now on jobs are stopped as they are added; stops those that are there.
  void stop_all() noexcept;
  bool stopping() const noexcept { return stopping_.load(order::relaxed); }
  /// Jobs that were added and are not gone for good. Exact once no more come from outside.
  std::uint64_t left() const noexcept;
  /// Jobs that were added and not removed.
  std::uint64_t alive() const noexcept {
    const std::uint64_t ended = sum(&shard::ended_);
    return made() - ended;
  }
  std::uint64_t made() const noexcept { return sum(&shard::made_); }
  /// Address space for entries.
  std::size_t memory_bytes() noexcept;
  /// Shows every job that is listed from before the call until after it, and perhaps others.
  template <class Look>
  void each(Look look) noexcept {
    const looker guard(*this);
    for (slab* s = slabs(); s != nullptr; s = s->next) {
      const std::uint32_t n = s->carved.load(order::acquire);  // P6
      for (std::uint32_t i = 0; i < n; ++i) {
        if (job* const j = s->at(i).listed(order::acquire)) look(*j);
      }
    }
  }

 private:
  // Small in a model, so that few jobs fill what there is.
  static constexpr std::uint32_t batch = WEFT_MODEL ? 2 : 128;
  static constexpr std::uint32_t keep_max = 2 * batch;
  static constexpr std::size_t spare_max = WEFT_MODEL ? 0 : 8;      // batches
  static constexpr std::size_t slabs_kept = WEFT_MODEL ? 0 : 16;    // empty: 1 MiB
  static constexpr std::size_t slab_bytes = std::size_t{64} << 10;  // and its alignment
  static constexpr std::uint32_t slab_entries =
      WEFT_MODEL ? 4 : (slab_bytes - cache_line) / sizeof(entry);
  struct slab : list_hook<> {  // of partial_
    entry& at(std::uint32_t i) noexcept { return reinterpret_cast<entry*>(storage)[i]; }
    slab* next = nullptr;  // of all slabs; guarded by I2
    slab* before = nullptr;
    entry* home = nullptr;
    std::uint32_t home_count = 0;
    atomic<std::uint32_t> carved{0};  // entries that were ever used
    alignas(entry) unsigned char storage[slab_entries * sizeof(entry)];
  };
  static_assert(sizeof(slab) <= slab_bytes);
  struct homecoming {  // neighbours on a free list that are of one slab
    slab* to;
    entry* first;
    entry* last;
    std::uint32_t count;
  };
  struct batch_of_entries {
    entry* first;  // of `count`, linked
    std::uint32_t count = 0;
    std::uint32_t slabs = 0;  // entries of `of` that say something
    homecoming of[batch];
  };
  class looker {
   public:
    explicit looker(registry& r) noexcept;
    ~looker();

   private:
    registry& registry_;
  };

  WEFT_ALWAYS_INLINE void light_fence() const noexcept {
    if (WEFT_LIKELY(asymmetric_)) {
      compiler_fence();
    } else {
      fence(order::seq_cst);
    }
  }
  static void count(atomic<std::uint64_t>& figure) noexcept {
    figure.store(figure.load(order::relaxed) + 1, order::release);
  }
  std::uint64_t sum(atomic<std::uint64_t> shard::* figure) const noexcept;
  static void stop_new(job& made) noexcept;
  WEFT_NOINLINE entry* refill(shard& mine) noexcept;
  WEFT_NOINLINE void give_some(shard& mine) noexcept;
  WEFT_NOINLINE void wait_for_lookers() const noexcept;
  slab* slabs() noexcept;
  static slab* make_slab() noexcept;
  static void free_slab(slab& s) noexcept;
  entry* take(slab& s, std::uint32_t& count) noexcept;
  static batch_of_entries cut(shard& mine) noexcept;
  void bring_home(const batch_of_entries& some) noexcept;
  WEFT_NOINLINE void free_empty_slabs() noexcept;

  const bool asymmetric_;
  const unsigned shard_count_;  // of the workers, and one for all others
  std::unique_ptr<shard[]> shards_;
  alignas(cache_line) atomic<bool> stopping_{false};
  atomic<std::uint32_t> looking_{0};
  alignas(cache_line) spin_lock outside_lock_;  // guards the last shard
  mutable spin_lock lock_;                      // guards what follows
  slab* slabs_ = nullptr;
  intrusive_list<slab> partial_;  // I3
  std::size_t empty_count_ = 0;   // slabs
  std::size_t spare_count_ = 0;
  entry* spare_[spare_max + 1];  // heads of lists of `batch` entries
};

}  // namespace weft::detail
