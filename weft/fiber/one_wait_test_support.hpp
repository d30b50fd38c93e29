// What the tests of each awaitable in a fiber share: one wait, seen to be one, and stopped.
//
//   in_each_way([](const one_wait& wait) {
//     semaphore permits(0);
//     wait([&] { await(permits.acquire(2)); }, [&] { permits.release(2); });
//   });
//
// The first function awaits, once, in a fiber of its own. The second is what lets it go on, and runs when that
// fiber has left the only worker in its await: one that never waits is told apart from one that does. The row
// runs three times: left alone; stopped while it waits; stopped before it begins to wait. After a stop the stack is
// unwound, and another fiber that awaits the same gets what the first would have got: nothing is lost.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <utility>

#include "weft/runtime/go.hpp"
#include "weft/runtime/time.hpp"
#include "weft/testing/virtual_time.hpp"

namespace weft::test_support {

enum class wait_end : std::uint8_t { completed, stopped, stopped_before };

class one_wait {
 public:
  explicit one_wait(wait_end how) noexcept : how_(how) {}

  template <class Waits, class Completes>
  void operator()(const Waits& waits, const Completes& completes) const {
    EXPECT_TRUE(run(waits, completes, after_a_stop::nothing_has_happened)) << "it did not wait";
  }
  /// Of what has an effect although it is stopped: nobody waits again.
  template <class Waits, class Completes>
  void once(const Waits& waits, const Completes& completes) const {
    EXPECT_TRUE(run(waits, completes, after_a_stop::it_has_happened)) << "it did not wait";
  }
  /// Of what is not called off: the stop is found at another await, which is the last thing that `waits` does.
  template <class Waits, class Completes>
  void to_the_end(const Waits& waits, const Completes& completes) const {
    EXPECT_TRUE(run(waits, completes, after_a_stop::it_happens)) << "it did not wait";
  }
  /// Of what ends by itself, by a clock, a kernel or a thread; a stop that does not call it off is found at another
  /// await behind it. Rarely it ends before anybody could see that it waits: then it is done again.
  template <class Waits>
  void operator()(const Waits& waits) const {
    bool past = false;
    const auto and_yields = [&] {
      past = false;
      waits();
      past = true;
      await(yield_now());
    };
    int rounds = 1;
    while (rounds < 100 && !run(and_yields, [] {}, after_a_stop::it_happens, 0, &past)) ++rounds;
    EXPECT_LT(rounds, 100) << "it did not wait";
  }

  wait_end how() const noexcept { return how_; }

 private:
  struct unwound {
    explicit unwound(bool& gone) noexcept : gone_(gone) {}
    unwound(const unwound&) = delete;
    unwound& operator=(const unwound&) = delete;
    ~unwound() { gone_ = true; }
    bool& gone_;
  };

  enum class after_a_stop : std::uint8_t { nothing_has_happened, it_has_happened, it_happens };

  /// False: it was over when somebody else ran for the first time.
  template <class Waits, class Completes>
  /// `past`: it was, and goes on behind it.
  bool run(const Waits& waits, const Completes& completes, after_a_stop then, int turns = 16,
           const bool* past = nullptr) const {
    bool begun = false;
    bool over = false;
    bool gone = false;
    join_handle<> waiter;
    waiter = go([&] {
      const unwound here(gone);
      begun = true;
      if (how_ == wait_end::stopped_before) waiter.stop();
      waits();
      over = true;
    });
    while (!begun) await(yield_now());
    // Whoever only awaits jobs of its own would be over after some of their turns.
    for (int turn = 0; turn < turns; ++turn) await(yield_now());
    const bool is_past = past != nullptr && *past && how_ != wait_end::stopped_before;
    const bool waited = !over && !is_past;
    if (!waited || how_ == wait_end::completed) {
      completes();
      await(waiter);
      EXPECT_TRUE(over);
      return waited;
    }
    waiter.stop();
    if (then == after_a_stop::it_happens) completes();
    auto end = await(waiter.outcome());
    EXPECT_TRUE(end.stopped()) << (over ? "it went on behind its await" : "");
    EXPECT_TRUE(gone);
    EXPECT_FALSE(over);
    if (then != after_a_stop::it_happens) completes();
    if (then != after_a_stop::it_has_happened) await(go([&] { waits(); }));
    return true;
  }

  const wait_end how_;
};

/// Runs `row` in a fiber once for each end of its wait, on one worker whose time is virtual.
template <class Row>
void in_each_way(const Row& row, testing::virtual_options options = {}) {
  for (const auto how : {wait_end::completed, wait_end::stopped, wait_end::stopped_before}) {
    SCOPED_TRACE(how == wait_end::completed ? "completed"
                 : how == wait_end::stopped ? "stopped while it waited"
                                            : "stopped before it waited");
    testing::virtual_runtime rt(options);
    rt.block_on(rt.get().go([&] {
      const one_wait wait(how);
      row(wait);
    }));
  }
}

}  // namespace weft::test_support
