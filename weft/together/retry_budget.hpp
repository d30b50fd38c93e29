// retry_budget: how many retries a program may make, as a share of its calls. Shared by all calls of one
// service, it keeps a failing one from getting many times its usual load at its worst moment.
//
//   retry_budget budget(10);                          // one retry for ten calls; ten may come at once
//   co_await retry({.budget = &budget}, [&] { return fetch(page); });
//
//   Threads  any; it outlives the calls that use it
//   Cost     a call: one compare-exchange
//   After    Finagle's RetryBudget, gRPC's retry throttling
#pragma once

#include <cstdint>

#include "weft/base/assert.hpp"
#include "weft/base/atomic.hpp"

namespace weft {

class retry_budget {
 public:
  /// Each call earns `percent` of a retry; at most `retries_max` are kept, which are there at first.
  explicit retry_budget(unsigned percent = 20, unsigned retries_max = 10) noexcept
      : gain_(percent), full_(std::uint64_t{retries_max} * retry), level_(full_) {
    WEFT_ASSERT(retries_max != 0, "a retry_budget that keeps no retry never allows one");
  }
  retry_budget(const retry_budget&) = delete;
  retry_budget& operator=(const retry_budget&) = delete;

  /// A call, which is no retry, begins.
  void count_call() noexcept { add(gain_); }
  /// A retry shall be made. False: there were too many for the calls.
  [[nodiscard]] bool take_retry() noexcept {
    std::uint64_t seen = level_.load(order::relaxed);
    do {
      if (seen < retry) return false;
    } while (WEFT_MUTATE(
        "retry_budget.take.blind",
        !level_.compare_exchange_weak(seen, seen - retry, order::relaxed, order::relaxed),
        (level_.store(seen - retry, order::relaxed), false)));
    return true;
  }
  /// One that was taken was not made.
  void give_back() noexcept { add(retry); }
  /// A moment's truth.
  unsigned retries_left() const noexcept {
    return static_cast<unsigned>(level_.load(order::relaxed) / retry);
  }

 private:
  static constexpr std::uint64_t retry = 100;  // what a retry costs, in hundredths
  void add(std::uint64_t more) noexcept {
    std::uint64_t seen = level_.load(order::relaxed);
    std::uint64_t then = 0;
    do {
      then = full_ - seen < more ? full_ : seen + more;
    } while (then != seen &&
             !level_.compare_exchange_weak(seen, then, order::relaxed, order::relaxed));
  }
  const std::uint64_t gain_;
  const std::uint64_t full_;
  atomic<std::uint64_t> level_;  // it orders nothing else
};

}  // namespace weft
