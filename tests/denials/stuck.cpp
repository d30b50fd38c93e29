#include "stuck.hpp"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <string>
#include <vector>

#include "weft/weft.hpp"

namespace weft::faults {
namespace {

using namespace std::chrono_literals;

constexpr auto limit = 10s;  // then a job that was not rescued ends by itself

using flag = std::atomic<bool>;

task<> say(flag* f) {
  *f = true;
  co_return;
}
bool computes_until(const flag& said) {
  const auto end = std::chrono::steady_clock::now() + limit;
  while (!said.load()) {
    if (std::chrono::steady_clock::now() > end) return false;
  }
  return true;
}
bool computes(flag* said) { return computes_until(*said); }

task<bool> behind_one_that_computes() {
  flag said{false};
  auto stuck = weft::spawn(computes, &said);
  auto other = weft::spawn(say, &said);
  const bool rescued = co_await stuck;
  co_await other;
  co_return rescued;
}

/// What a thread waits for in the kernel.
class bell {
 public:
  void ring() {
    const std::lock_guard held(lock_);
    rung_ = true;
    heard_.notify_all();
  }
  bool blocking_wait() {
    std::unique_lock held(lock_);
    return heard_.wait_for(held, limit, [this] { return rung_; });
  }

 private:
  std::mutex lock_;
  std::condition_variable heard_;
  bool rung_ = false;
};
task<> ring(bell* b) {
  b->ring();
  co_return;
}

task<bool> behind_one_that_blocks() {
  bell rings;
  auto stuck = weft::spawn([](bell* b) { return b->blocking_wait(); }, &rings);
  auto other = weft::spawn(ring, &rings);
  const bool rescued = co_await stuck;
  co_await other;
  co_return rescued;
}

/// The second branch lies on the deque that changes hands, and is taken from there.
task<bool> beside_a_branch_that_computes() {
  flag said{false};
  auto [stuck, other] = co_await weft::fork_join([&said] { return computes_until(said); },
                                                 [&said] {
                                                   said = true;
                                                   return true;
                                                 });
  co_return (stuck && other);
}

/// Claimed again and again, and in the runtime in between: it wakes, spawns, arms a timer and joins.
task<int> takes_turns(int turns, std::atomic<int>* all) {
  for (int i = 0; i < turns; ++i) {
    const auto end = std::chrono::steady_clock::now() + 300us;
    while (std::chrono::steady_clock::now() < end) {
    }
    auto child = weft::spawn([all] { ++*all; });
    co_await weft::sleep_for(50us);
    co_await child;
  }
  co_return turns;
}
task<bool> many_that_compute() {
  constexpr int jobs = 4;
  constexpr int turns = 25;
  std::atomic<int> all{0};
  std::vector<join_handle<int>> some;
  for (int i = 0; i < jobs; ++i) some.push_back(weft::spawn(takes_turns, turns, &all));
  int told = 0;
  for (auto& s : some) {
    const int mine = co_await s;
    told += mine;
  }
  co_return (told == jobs * turns && all.load() == told);
}

void run_stuck(weft::driver io, const world&, book& found) {
  {
    runtime rt({.workers = 1, .io = io, .report_stuck = false});
    const metrics_snapshot m = rt.metrics();
    found.driver(m.driver, m.driver_reason);
    const auto rescued = [&rt, &found](const char* what, task<bool> job) {
      if (!found.wrongs().empty()) return;  // each takes its time to find out
      const std::uint64_t before = rt.metrics().handoffs;
      if (!rt.block_on(std::move(job))) {
        found.wrong(std::string("nobody was rescued from ") + what);
      }
      if (rt.metrics().handoffs == before) {
        found.wrong(std::string("no processor changed hands because of ") + what);
      }
    };
    rescued("one that computes", behind_one_that_computes());
    rescued("one that blocks", behind_one_that_blocks());
    rescued("a branch that computes", beside_a_branch_that_computes());
  }
  if (!found.wrongs().empty()) return;
  runtime rt({.workers = 2, .io = io, .preempt_after = 50us, .report_stuck = false});
  if (!rt.block_on(many_that_compute())) found.wrong("turns were lost, or came twice");
  if (rt.metrics().handoffs == 0) found.wrong("no processor changed hands because of many");
}

}  // namespace

const scenario stuck_jobs{"stuck", run_stuck};

}  // namespace weft::faults
