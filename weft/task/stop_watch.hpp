// stop_watch: who wants to be told when a certain job is stopped, without the job having a word for it:
// few are watched. They stand in a table of the process, by the job's address.
//
//   Threads  watch() by the job itself, while it runs; the rest any
//   Cost     nobody watches any job: a load at the end of a job, a fence and a load when one is stopped
//   Protocol top of stop_watch.cpp
#pragma once

#include <cstddef>
#include <cstdint>

#include "weft/base/assert.hpp"
#include "weft/base/atomic.hpp"
#include "weft/base/spin_lock.hpp"

namespace weft {

class job;

namespace detail {

/// Told that its job was stopped, if it is, and that the job has ended.
class stop_watcher {
 public:
  stop_watcher(const stop_watcher&) = delete;
  stop_watcher& operator=(const stop_watcher&) = delete;

 protected:
  stop_watcher() noexcept {}
  ~stop_watcher() = default;

  virtual void keep() noexcept = 0;  // the table's lock is held
  virtual void drop() noexcept = 0;
  /// Runs what users have left to be called. Twice, perhaps at once, if the job is stopped as it ends.
  /// Threads: whoever stops the job, or that of its end.
  virtual void told() noexcept = 0;
  /// The last access, but for those of who has kept it.
  virtual void ended() noexcept = 0;

 private:
  friend class stop_watch_table;
  std::uintptr_t at_ = 0;  // of its job
  // By who holds the lock.
  stop_watcher* next_ = nullptr;
  job* watched_ = nullptr;
  bool said_ = false;
};

class stop_watch_table {
 public:
  constexpr stop_watch_table() noexcept = default;

  /// `running`, which the calling thread runs, is watched by `by` until it ends.
  void watch(stop_watcher& by, job& running) noexcept;
  /// Who watches it, or nullptr. By the job itself.
  stop_watcher* find(const job& running) noexcept {
    return is_empty() ? nullptr : find_in_bucket(running);
  }
  /// Tells it now, if its job was stopped and nobody has come to say so: as it is with a child of a scope
  /// that has not waited since.
  void look(stop_watcher& at) noexcept;
  /// After a stop. The job may be gone: `address` is only where it stood.
  void tell(std::uintptr_t address) noexcept {
    if (!WEFT_MUTATE("stop_watch.tell.no_fence", false, true)) fence(order::seq_cst);  // P1
    if (WEFT_UNLIKELY(!is_empty())) tell_watcher(address);
  }
  /// For schedulers: a job has ended, and may be gone afterwards. It must not be watched any more: what
  /// is called now may run in its name.
  void forget(job& ended) noexcept {
    if (WEFT_UNLIKELY(!is_empty())) forget_watcher(ended);
  }

 private:
  struct bucket {
    spin_lock lock;
    stop_watcher* first = nullptr;
    stop_watcher** link_to(std::uintptr_t at) noexcept;
  };
  bool is_empty() const noexcept { return watched_.load(order::relaxed) == 0; }
  bucket& bucket_of(std::uintptr_t at) noexcept { return buckets_[(at >> 6 ^ at >> 13) % count]; }
  static bool is_due(stop_watcher& w) noexcept;
  WEFT_NOINLINE stop_watcher* find_in_bucket(const job& running) noexcept;
  WEFT_NOINLINE void tell_watcher(std::uintptr_t address) noexcept;
  WEFT_NOINLINE void forget_watcher(job& ended) noexcept;

  static constexpr std::size_t count = WEFT_MODEL ? 1 : 64;
  atomic<std::uint32_t> watched_{0};
  bucket buckets_[count];
};

#if !WEFT_MODEL  // a model has its own
extern stop_watch_table stop_watches;
#endif

}  // namespace detail
}  // namespace weft
