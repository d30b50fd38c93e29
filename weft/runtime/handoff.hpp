// handoff: the threads beside the workers' own: who is spare, who has lost its processor, and what
// is told of it. A thread that lost its processor finishes its job and then waits here for another
// one.
//
//   Threads  take, add, came_back: any of the runtime's threads, and its monitor; make:
//            the monitor
//   Memory   spares are made when the first is needed, reused, and live until the runtime ends:
//            requests that a thread has in the kernel end with it
//   Errors   a thread that the system refuses is counted, and asked for again after a while that
//            doubles
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string_view>
#include <vector>

#include "weft/base/atomic.hpp"
#include "weft/runtime/metrics.hpp"

namespace weft {
class backtrace;
class job;
}  // namespace weft

namespace weft::detail {

class processor;
class runtime_core;
class worker;

/// A job that lost its worker, by what is safe to keep of it.
struct lost_job {
  static constexpr std::size_t name_bytes_max = 48;
  const void* kind = nullptr;  // of one type of callable; nullptr: nothing is known of the job
  const void* at = nullptr;    // the innermost coroutine's code; nullptr: not known
  std::uint64_t id = 0;
  char name[name_bytes_max] = "";
  void note(const job& running) noexcept;
};

class handoff {
 public:
  /// A job that held its worker for less is not worth a line: a machine that is busy with other things does
  /// that to anybody.
  static constexpr std::int64_t report_ns_min = 100'000'000;

  handoff(runtime_core& core, unsigned workers, unsigned blocked_max, bool reports) noexcept;
  ~handoff();
  handoff(const handoff&) = delete;
  handoff& operator=(const handoff&) = delete;

  /// nullptr: there is none, make() one.
  [[nodiscard]] worker* take() noexcept;
  /// It waits for a processor from now on, or is about to.
  void add(worker& spare) noexcept;
  /// Starts a thread that is spare. False: it was refused, now or a short time ago.
  bool make(std::int64_t now_ns) noexcept;

  /// Whether one more thread may be without a processor. `blocked`: it uses no CPU.
  bool may_lose(bool blocked) const noexcept;
  /// `spare` owns `p` from now on. The caller took `p` from its thread, or is that thread.
  void give(worker& spare, processor& p) noexcept;
  /// One that had a processor is back, and is a spare now. `what`: of which to tell; nullptr: of
  /// none.
  void came_back(worker& lost, std::int64_t held_ns, const lost_job* what,
                 const backtrace& at) noexcept;
  /// By the monitor. Of each thread that has not come back although it should have been told of by now. Result: when to
  /// ask again; never_ns: of the others nothing is to be told.
  std::int64_t tell_of_those_that_stay(std::int64_t now_ns) noexcept;
  /// By the monitor, of those that it has taken a processor from.
  bool any_lost() const noexcept { return lost_.load(order::relaxed) > 0; }
  bool reports() const noexcept { return reports_; }
  bool is_worth_a_report(std::int64_t held_ns) const noexcept {
    return reports_ && held_ns >= report_ns_min;
  }

  void count_refused() noexcept { refused_.fetch_add(1, order::relaxed); }
  void count_no_spare() noexcept { no_spare_.fetch_add(1, order::relaxed); }
  void count_stuck_in_runtime() noexcept { stuck_.fetch_add(1, order::relaxed); }
  void tell(metrics_snapshot& m) const noexcept;

  /// All threads that wait here leave, and those that come. Once, when no job is left.
  void end() noexcept;
  /// Waits for the spares' ends.
  void join() noexcept;

 private:
  static constexpr std::size_t sites_max = 64;  // that are reported; the others are not

  void report(std::int64_t held_ns, const lost_job& what, const backtrace& at) noexcept;
  bool tell_that_it_stays(worker& lost, std::int64_t now_ns) noexcept;

  runtime_core& core_;
  const unsigned
      busy_max_;  // threads without a processor that compute: they share the CPUs with all
  const unsigned blocked_max_;  // and that do not
  const bool reports_;
  mutable std::mutex mutex_;
  std::vector<std::unique_ptr<worker>> made_;
  std::vector<worker*> spare_;
  std::int64_t not_before_ns_ = 0;  // after a refusal
  std::int64_t pause_ns_ = 0;
  lost_job told_[sites_max];
  std::size_t told_count_ = 0;
  std::size_t stays_told_ = 0;  // the monitor's
  // Relaxed, but for none: figures.
  atomic<std::uint64_t> given_{0}, refused_{0}, no_spare_{0}, stuck_{0};
  atomic<std::uint64_t> longest_ns_{0};
  atomic<int> lost_{0};  // a thread may be back before its loss was counted
};

}  // namespace weft::detail
