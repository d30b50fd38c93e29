// What is made of jobs: their ends are waited for, and what they held is back.
#include <gtest/gtest.h>

#include <array>

#include "tests/stops/crowd.hpp"
#include "weft/runtime/time.hpp"
#include "weft/sync/semaphore.hpp"
#include "weft/together/race.hpp"
#include "weft/together/scope.hpp"
#include "weft/together/timeout.hpp"

namespace weft::stops {
namespace {

/// Counts how many of them live.
class alive {
 public:
  explicit alive(atomic<long>& n) noexcept : n_(n) { n_.fetch_add(1, order::relaxed); }
  ~alive() { n_.fetch_sub(1, order::relaxed); }
  alive(const alive&) = delete;
  alive& operator=(const alive&) = delete;

 private:
  atomic<long>& n_;
};

/// What the scenarios here share: permits that branches take, and whoever of them is there.
class with_permits : public scenario {
 public:
  using scenario::scenario;
  void count() override {
    compare(permits_.available(), permits);
    compare(static_cast<std::uint64_t>(alive_.load(order::relaxed)), 0);
  }

 protected:
  static constexpr std::size_t permits = 8;
  task<int> use_one(std::uint64_t how) {
    const alive here(alive_);
    co_await permits_.acquire();
    const semaphore_guard held(permits_);
    if (how % 2 == 0) co_await yield_now();
    co_return 1;
  }
  semaphore permits_{permits};
  atomic<long> alive_{0};
};

class timeouts final : public with_permits {
 public:
  timeouts() : with_permits("timeout") {}
  task<> visit(place& mine) override {
    const auto time = std::chrono::microseconds(mine.random.below(40));
    if (mine.random.below(2) == 0) {
      const auto got = co_await timeout(time, permits_.acquire());
      if (got) {
        const semaphore_guard held(permits_);
        co_await yield_now();
      }
    } else {
      const auto got = co_await timeout(time, use_one(mine.random.next()));
      if (got && *got != 1) add_lost(1);
    }
    mine.has();
  }
};
TEST(stops_stress, timeout) {
  timeouts s;
  run(s);
}

class races final : public with_permits {
 public:
  races() : with_permits("race") {}
  task<> visit(place& mine) override {
    const auto first = co_await race(use_one(mine.random.next()), use_one(mine.random.next()),
                                     sleep_for(std::chrono::microseconds(mine.random.below(100))));
    static_cast<void>(first);
    mine.has();
  }
};
TEST(stops_stress, race) {
  races s;
  run(s);
}

class children final : public with_permits {
 public:
  children() : with_permits("scope") {}
  task<> visit(place& mine) override {
    atomic<long> here(0);
    {
      const outlives check(*this, here);
      co_await scope([&](scope_ref s) -> task<> {
        for (int i = 0; i < 3; ++i) {
          s.spawn([this, &here](std::uint64_t how) { return child(here, how); },
                  mine.random.next());
        }
        co_await yield_now();
      });
    }
    mine.has();
  }

 private:
  /// When it goes, stopped or not, no child is alive.
  class outlives {
   public:
    outlives(children& of, atomic<long>& n) noexcept : of_(of), n_(n) {}
    ~outlives() {
      if (n_.load(order::relaxed) != 0) of_.add_lost(1);
    }
    outlives(const outlives&) = delete;
    outlives& operator=(const outlives&) = delete;

   private:
    children& of_;
    atomic<long>& n_;
  };
  task<> child(atomic<long>& here, std::uint64_t how) {
    const alive me(here);
    const auto got = co_await use_one(how);
    static_cast<void>(got);
  }
};
TEST(stops_stress, scope) {
  children s;
  run(s);
}

/// A job that each place joins until it has its result: a stopped join takes nothing, and stops nothing.
class joins final : public scenario {
 public:
  joins() : scenario("join") {}
  task<> visit(place& mine) override {
    auto& job = jobs_[mine.index];
    if (!job) job = spawn(&number, mine.round * places_count + mine.index);
    auto end = co_await job.outcome();
    mine.has();
    if (!end.has_value() || end.value() != mine.round * places_count + mine.index) add_lost(1);
    job = {};
  }
  void count() override {
    for (auto& job : jobs_) compare(job ? 1 : 0, 0);
  }

 private:
  static task<std::uint64_t> number(std::uint64_t n) {
    for (std::uint64_t i = 0; i < n % 4; ++i) co_await yield_now();
    co_return n;
  }
  std::array<join_handle<std::uint64_t>, places_count> jobs_;
};
TEST(stops_stress, join) {
  joins s;
  run(s);
}

}  // namespace
}  // namespace weft::stops
