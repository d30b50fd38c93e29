// idle: which workers sleep and how many search for work, so that a push wakes somebody exactly
// when nobody would find it otherwise, and costs a fence and a load when somebody would.
//
//   Threads  any
//   Cost     a worker's push: a load while anybody searches or all are awake, and no fence where
//            membarrier works: who falls asleep pays for both. An outsider's: a fence and a load. The
//            lock is taken only to fall asleep and to wake
//   After    tokio's runtime/scheduler/multi_thread/idle.rs; the rule of `sleep` is stricter
//
// Words
//   counts_    bits 0-15  how many workers search (awake, without work, looking everywhere)
//              bits 16-31 how many workers are awake, searching or not
//              awake changes under lock_ only; searching also by a worker about itself
//   sleepers_  one bit for each worker, set while it sleeps. Guarded by lock_
// Invariants
//   I1  with lock_ free, awake + the bits set in sleepers_ is the number of workers
//   I2  searching <= awake
//   I3  who is taken out of sleepers_ by worker_to_notify() counts as searching from then on
// The rules for a worker
//   R1  push to any queue, then worker_to_notify(), then unpark whom it names. `pusher::worker` may
//       be said only by a worker that is awake and pushes to a queue that it looks at itself before
//       it falls asleep.
//   R2  a searcher that finds work calls stop_searching(); if it was the last, it calls
//       worker_to_notify(): what it did not see may be there, and nobody else is looking.
//   R3  one that found nothing calls sleep(); on true it looks at all queues again before it parks,
//       and if there is anything: wake_self(), try_start_searching(), and search as after a wake.
//   R4  a worker woken by something else than worker_to_notify() calls wake_self() before it runs.
// Pairings
//   P1  push, fence (worker_to_notify), load of counts_  ||  change of counts_ (sleep, which lowers
//       searching or awake), fence, look at the queues: both fences are seq_cst, so either the
//       pusher sees that nobody searches any more, or the last searcher sees what was pushed. Where
//       membarrier works (asymmetric), a worker's fence is the compiler's only and the sleeper's is
//       membarrier, which fences for all. A sleeper that sees no other worker awake spares itself
//       that: nobody is left who pushes as a worker, and outsiders have their own fence.
// Why no work is left lying while a worker sleeps, by what the pusher saw
//   somebody searches: that searcher stops later. As one with work: if it is the last, R2 wakes the
//     next. As one that sleeps, with others searching on: the same holds for the last of those. As
//     the last that sleeps: P1 and R3.
//   all are awake, nobody searches: some worker falls asleep later. Its sleep() finds that nobody
//     searches and answers true, or somebody does, which is the case above. This is where tokio's
//     rule (only who searched looks again) may leave work to a worker that is busy for long.
//   a sleeper, nobody searching: it is woken. When two pushers see the same sleeper, the lock lets
//     one have it; the other finds a searcher, which is the first case.
// Rejected
//   A load of counts_ that is seq_cst, without the fence: it does not come after the push's store
//   The fence in sleep() left to its seq_cst exchange: a later relaxed load may still come before
//     it (litmus sb_fence_against_seq_cst_rmw_relaxed_load)
//   The bits in one atomic word: workers are up to 1024, and a compare-exchange loop over 16 words
//     is no shorter than the lock
#pragma once

#include <cstdint>
#include <optional>

#include "weft/base/assert.hpp"
#include "weft/base/atomic.hpp"
#include "weft/base/cache_line.hpp"
#include "weft/base/spin_lock.hpp"
#include "weft/os/membarrier.hpp"

namespace weft {

class idle {
 public:
  static constexpr unsigned workers_max = 1024;

  /// All workers start awake and not searching.
  /// `asymmetric`: os::register_heavy_fence() said yes.
  explicit idle(unsigned workers, bool asymmetric = false) noexcept
      : workers_(workers), asymmetric_(asymmetric), counts_(workers * one_awake) {
    WEFT_ASSERT(workers >= 1 && workers <= workers_max, "the number of workers is out of range");
  }
  idle(const idle&) = delete;
  idle& operator=(const idle&) = delete;

  enum class pusher : std::uint8_t { outsider, worker };
  /// To be called after each push. Result: the worker to unpark, from now on awake and searching;
  /// none if the work will be found without.
  [[nodiscard]] std::optional<unsigned> worker_to_notify(pusher who = pusher::outsider) noexcept {
    if (WEFT_LIKELY(!may_have_to_notify(who))) return std::nullopt;
    return take_one_to_notify();
  }
  /// The cheap half of it, for hot paths: whether the other half must be called.
  [[nodiscard]] WEFT_ALWAYS_INLINE bool may_have_to_notify(pusher who) const noexcept {
    if (who == pusher::worker && WEFT_LIKELY(asymmetric_)) {
      compiler_fence();  // P1, with the heavy fence in sleep()
    } else if (WEFT_MUTATE("idle.notify.no_fence", true, false)) {
      fence(order::seq_cst);  // P1
    }
    return should_notify(counts_.load(order::relaxed));
  }
  [[nodiscard]] std::optional<unsigned> take_one_to_notify() noexcept;

  /// Result: false if half of the workers search already: more would only get in each other's way.
  /// True: the caller counts as searching. About half, that is: no lock is taken for it.
  [[nodiscard]] bool try_start_searching() noexcept;

  /// The caller found work. Result: true if nobody searches now: it must notify one more (R2).
  [[nodiscard]] bool stop_searching() noexcept;

  /// The caller is about to park. Result: true if nobody searches now: it must look at all queues
  /// once more before it does (R3).
  [[nodiscard]] bool sleep(unsigned worker, bool searching) noexcept;

  /// The caller woke for a reason of its own. Result: true if it was still among the sleepers, and
  /// now is awake, not searching; false if worker_to_notify() had named it before: it is awake and
  /// searching, and an unpark for it is on its way.
  [[nodiscard]] bool wake_self(unsigned worker) noexcept;

  /// A moment's truth, for statistics and the monitor.
  unsigned awake_hint() const noexcept { return counts_.load(order::relaxed) / one_awake; }
  unsigned searching_hint() const noexcept { return counts_.load(order::relaxed) % one_awake; }
  unsigned workers() const noexcept { return workers_; }

 private:
  static constexpr std::uint32_t one_searching = 1;
  static constexpr std::uint32_t one_awake = 1u << 16;
  static constexpr unsigned bits = 64;

  bool should_notify(std::uint32_t counts) const noexcept {
    if (WEFT_MUTATE("idle.notify.trusts_the_awake", false, true)) return counts / one_awake == 0;
    return counts % one_awake == 0 && counts < workers_ * one_awake;
  }
  // Under the lock. The lowest number: a light load then stays with a few warm workers.
  unsigned take_sleeper() noexcept;
  bool take(unsigned worker) noexcept;

  const unsigned workers_;
  const bool asymmetric_;
  alignas(cache_line) atomic<std::uint32_t> counts_;
  spin_lock lock_;
  plain<std::uint64_t> sleepers_[workers_max / bits];
};

// ---------------------------------------------------------------------------------------------

inline std::optional<unsigned> idle::take_one_to_notify() noexcept {
  spin_guard held(lock_);
  // Again: another pusher may have woken somebody, who then searches for this work as well.
  if (!should_notify(counts_.load(order::relaxed))) return std::nullopt;
  const unsigned worker = take_sleeper();
  counts_.fetch_add(one_awake + WEFT_MUTATE("idle.notify.not_searching", one_searching, 0u),
                    order::relaxed);
  return worker;
}

inline bool idle::try_start_searching() noexcept {
  // Several may pass together, and then more than half search: harmless, and cheaper than a loop.
  if (2 * searching_hint() >= workers_) return false;
  counts_.fetch_add(one_searching, order::relaxed);
  return true;
}

inline bool idle::stop_searching() noexcept {
  const std::uint32_t before = counts_.fetch_sub(one_searching, order::relaxed);
  WEFT_ASSERT(before % one_awake != 0, "a worker stopped searching that had not begun");
  return before % one_awake == 1 && !WEFT_MUTATE("idle.stop.never_last", false, true);
}

inline bool idle::sleep(unsigned worker, bool searching) noexcept {
  std::uint32_t before;
  {
    spin_guard held(lock_);
    plain<std::uint64_t>& word = sleepers_[worker / bits];
    const std::uint64_t bit = std::uint64_t{1} << worker % bits;
    WEFT_ASSERT(!(word.get() & bit), "a worker fell asleep twice");
    word.set(word.get() | bit);
    before = counts_.fetch_sub(one_awake + (searching ? one_searching : 0u), order::relaxed);
  }
  if (WEFT_MUTATE("idle.sleep.no_fence", true, false)) {  // P1
    if (asymmetric_ && before / one_awake > 1) {
      os::heavy_fence();
    } else {
      fence(order::seq_cst);
    }
  }
  if (WEFT_MUTATE("idle.sleep.only_if_searching", false, true) && !searching) return false;
  return before % one_awake == (searching ? 1u : 0u);
}

inline bool idle::wake_self(unsigned worker) noexcept {
  spin_guard held(lock_);
  if (!take(worker)) return false;
  counts_.fetch_add(one_awake, order::relaxed);
  return true;
}

inline unsigned idle::take_sleeper() noexcept {
  for (unsigned i = 0; i < workers_max / bits; ++i) {
    const std::uint64_t word = sleepers_[i].get();
    if (!word) continue;
    sleepers_[i].set(word & (word - 1));
    return i * bits + static_cast<unsigned>(__builtin_ctzll(word));
  }
  // I1: should_notify saw fewer awake than there are.
  WEFT_ASSERT(false, "the idle set counts a sleeper that it does not have");
  __builtin_unreachable();
}

inline bool idle::take(unsigned worker) noexcept {
  plain<std::uint64_t>& word = sleepers_[worker / bits];
  const std::uint64_t bit = std::uint64_t{1} << worker % bits;
  if (!(word.get() & bit)) return false;
  word.set(word.get() & ~bit);
  return true;
}

}  // namespace weft
