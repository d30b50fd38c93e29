// cancel_everywhere: runs a scenario again and again, and stops it at another await each time: once
// just before the await begins, once when it has begun. Needs a build with WEFT_CENSUS.
//
//   const auto seen = testing::cancel_everywhere(
//       [](virtual_runtime& rt) { return rt.spawn(scenario); },  // starts it, on the worker
//       [](bool stopped) { ... });                               // what must hold after each run
//   EXPECT_GT(seen.stopped, 0u);
//
// After each run nothing may be alive that was not before: frames, jobs, descriptors, timers and
// threads are counted, and a difference aborts, naming the await that shows it.
//
//   Threads  one worker on virtual time; where a scenario waits for I/O, in real time
#pragma once

#include <functional>

#include "weft/base/census.hpp"
#include "weft/runtime/runtime.hpp"
#include "weft/task/await_hook.hpp"
#include "weft/testing/virtual_time.hpp"

namespace weft::testing {

struct cancel_report {
  unsigned awaits = 0;  // in a run that is left alone
  unsigned runs = 0;
  unsigned stopped = 0;    // runs that ended by the stop
  unsigned completed = 0;  // runs in which completion won
};

#if WEFT_CENSUS

namespace detail {

enum class stop_when : unsigned char { never, before, suspended };

/// Counts the awaits of a run, and stops the scenario at the one that was asked for.
class stop_point final : public await_hook {
 public:
  stop_point(stop_when when, unsigned at) noexcept : when_(when), at_(at) {}
  ~stop_point() { install_await_hook(nullptr); }
  stop_point(const stop_point&) = delete;
  stop_point& operator=(const stop_point&) = delete;

  unsigned seen() const noexcept { return seen_.load(order::relaxed); }
  /// Starts the scenario, watches it and joins it. True: it was stopped.
  task<bool> run(std::function<join_handle<void>()> start);

 private:
  class moment;
  void about_to_wait(job& waiter) noexcept override;
  task<> stop_later(join_handle<void>& scenario, moment& when);

  const stop_when when_;
  const unsigned at_;
  join_handle<void>* scenario_ = nullptr;
  moment* moment_ = nullptr;
  job* ours_[2] = {};  // the harness's own jobs, whose awaits do not count
  atomic<unsigned> seen_{0};
};

/// Aborts unless nothing is alive that was not before.
void require_same_census(const census& before, const census& after, stop_when when, unsigned at);

}  // namespace detail

template <class Start, class Check>
cancel_report cancel_everywhere(Start start, Check check, virtual_options options = {}) {
  using detail::stop_when;
  cancel_report report;
  const auto run = [&](stop_when when, unsigned at) {
    const census before = live_census();
    bool stopped = false;
    unsigned awaits = 0;
    {
      detail::stop_point point(when, at);
      virtual_runtime rt(options);
      stopped = rt.block_on(point.run([&] { return start(rt); }));
      awaits = point.seen();
    }
    detail::require_same_census(before, live_census(), when, at);
    ++report.runs;
    ++(stopped ? report.stopped : report.completed);
    check(stopped);
    return awaits;
  };
  report.awaits = run(stop_when::never, 0);
  // A stopped run may take another way, so go on until a run no longer reaches the await.
  for (unsigned at = 1; run(stop_when::before, at) >= at;) ++at;
  for (unsigned at = 1; run(stop_when::suspended, at) >= at;) ++at;
  return report;
}

#endif

}  // namespace weft::testing
