// oracle: a timer_set beside a std::multimap that says what it must do. Every difference is an
// assertion, so that the same code serves the tests, the stress and the fuzz target.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <vector>

#include "weft/base/assert.hpp"
#include "weft/base/rng.hpp"
#include "weft/timer/timer_set.hpp"

namespace weft::test_support {

class timer_oracle {
 public:
  explicit timer_oracle(unsigned timers) : slots_(timers) {
    for (slot& s : slots_) s.owner = this;
  }
  ~timer_oracle() {
    for (unsigned i = 0; i < slots_.size(); ++i) cancel(i);
  }
  timer_oracle(const timer_oracle&) = delete;
  timer_oracle& operator=(const timer_oracle&) = delete;

  bool armed(unsigned i) const { return slots_[i].armed; }
  std::int64_t now() const { return now_; }

  /// Not while it is armed.
  void arm(unsigned i, std::int64_t deadline_ns) {
    slot& s = slots_[i];
    const bool done = set_.arm(s, deadline_ns);
    WEFT_ASSERT(done, "arm() refused a timer that nobody had cancelled");
    s.armed = true;
    // A multimap keeps equal keys in the order of their insertion: arm order.
    s.at = order_.emplace(deadline_ns, i);
    check();
  }
  void cancel(unsigned i) {
    slot& s = slots_[i];
    if (!s.armed) return;
    const bool done = set_.cancel(s);
    WEFT_ASSERT(done, "cancel() of an armed timer said that it had fired");
    if (s.taken) std::erase(due_, i);  // its neighbour's fire came first
    s.armed = s.taken = false;
    order_.erase(s.at);
    removed_ = !order_.empty();  // what is stale goes with the last timer
    check();
  }
  void advance(std::int64_t now_ns, unsigned fires_max = UINT32_MAX) {
    due_.clear();
    went_back_ = now_ns < now_;
    if (went_back_) {  // promised: nothing that was not due already
      static_cast<void>(set_.advance(now_ns, fires_max));
      went_back_ = false;
      check();
      return;
    }
    now_ = now_ns;
    for (const auto& [deadline_ns, i] : order_) {
      if (!is_due(deadline_ns, now_ns)) break;
      slots_[i].taken = true;
      due_.push_back(i);
    }
    fired_ = 0;
    advancing_ = true;
    const unsigned told = set_.advance(now_ns, fires_max);
    advancing_ = false;
    WEFT_ASSERT(told == fired_ && (due_.empty() || fired_ == fires_max), "a timer is late");
    for (const unsigned i : due_) slots_[i].taken = false;  // there was no room for it
    check();
  }

  /// What each fire does besides: arms and cancels others, and itself, at random.
  void disturb(rng* random) { random_ = random; }
  std::int64_t next_deadline_ns() const { return set_.next_deadline_ns(); }
  std::size_t size() const { return order_.size(); }
  std::uint64_t fires() const { return fires_; }

  /// A distance that meets the borders of the wheel's levels more often than chance would.
  static std::int64_t distance(rng& random) {
    const std::uint32_t kind = random.below(16);
    if (kind == 0) return never_ns;
    if (kind == 1) return -static_cast<std::int64_t>(random.next() >> (1 + random.below(63)));
    if (kind < 6) return static_cast<std::int64_t>(random.below(400)) * 1'000'000;
    if (kind < 9) return static_cast<std::int64_t>(random.below(3'000'000));
    if (kind < 13) {
      const std::int64_t border = std::int64_t{1} << (16 + 8 * random.below(6));
      return border + static_cast<std::int64_t>(random.below(400'001)) - 200'000;
    }
    return static_cast<std::int64_t>(random.next() >> (1 + random.below(40)));
  }

  /// One random step. The clock goes on by itself, jumps at times, and at times tries to go back.
  void step(rng& random) {
    const std::uint32_t kind = random.below(100);
    const unsigned i = random.below(static_cast<std::uint32_t>(slots_.size()));
    if (kind < 45) {
      if (!armed(i)) arm(i, saturating_add_ns(now_, distance(random)));
    } else if (kind < 65) {
      cancel(i);
    } else if (kind < 90) {
      advance(saturating_add_ns(now_, random.below(random.below(2) == 0 ? 100'000 : 2'500'000)),
              random.below(4) == 0 ? random.below(8) : UINT32_MAX);
    } else if (kind < 96) {
      if (next_deadline_ns() != never_ns) advance(next_deadline_ns());
    } else if (kind < 98) {
      advance(saturating_add_ns(now_, -1'000'000));
    } else if (kind < 99) {
      advance(saturating_add_ns(now_, std::int64_t{3600} * ns_per_s));
    } else if (random.below(1000) == 0) {  // suspended for 50 days
      advance(saturating_add_ns(now_, std::int64_t{50} * 86400 * ns_per_s));
    }
  }

 private:
  struct slot final : timer_entry {
    slot() noexcept : timer_entry(&fire) {}
    timer_oracle* owner = nullptr;
    bool armed = false;  // arm() said true and neither cancel() nor fire() has ended it
    bool taken = false;  // due in the advance that is running
    std::multimap<std::int64_t, unsigned>::iterator at;
  };

  static bool is_due(std::int64_t deadline_ns, std::int64_t now_ns) {
    return deadline_ns != never_ns && deadline_ns <= now_ns;
  }

  static void fire(timer_entry& entry) noexcept {
    slot& s = static_cast<slot&>(entry);
    timer_oracle& o = *s.owner;
    const auto index = static_cast<unsigned>(&s - o.slots_.data());
    if (o.went_back_) {
      WEFT_ASSERT(s.armed && is_due(s.at->first, o.now_), "a clock that went back fired too much");
      o.order_.erase(s.at);
      s.armed = false;
      return;
    }
    WEFT_ASSERT(s.armed && s.taken, "a timer fired that was cancelled, or is early");
    WEFT_ASSERT(o.due_.front() == index, "timers fired in the wrong order");
    o.due_.pop_front();
    o.order_.erase(s.at);
    ++o.fired_;
    ++o.fires_;
    s.armed = s.taken = false;
    if (o.random_ == nullptr) return;
    rng& random = *o.random_;
    const unsigned other = random.below(static_cast<std::uint32_t>(o.slots_.size()));
    switch (random.below(4)) {
      case 0:
        o.arm(index, saturating_add_ns(o.now_, distance(random)));
        break;
      case 1:
        o.cancel(other);
        break;
      case 2:
        if (!o.armed(other)) o.arm(other, saturating_add_ns(o.now_, distance(random)));
        break;
      default:
        break;
    }
  }

  void check() const {
    WEFT_ASSERT(set_.size() == order_.size(), "the set miscounts its timers");
    const std::int64_t next = set_.next_deadline_ns();
    if (order_.empty()) {
      WEFT_ASSERT(next == never_ns, "an empty set asks to be woken");
      return;
    }
    // One that was armed in the past may be told as any moment of the past.
    const std::int64_t first = order_.begin()->first;
    WEFT_ASSERT(next <= (first > now_ ? first : now_), "the set would be woken too late");
    if (!removed_ && !advancing_) WEFT_ASSERT(next >= first, "the set would be woken too early");
    const std::int64_t latest = set_.wake_ns(never_ns);
    WEFT_ASSERT(latest <= saturating_add_ns(first > now_ ? first : now_, ns_per_ms),
                "the set would be woken too late by one that waits for others");
  }

  timer_set set_;
  std::vector<slot> slots_;
  std::multimap<std::int64_t, unsigned> order_;
  std::deque<unsigned> due_;  // in the advance that is running, and neither fired nor cancelled
  std::size_t fired_ = 0;
  std::uint64_t fires_ = 0;
  std::int64_t now_ = 0;
  bool went_back_ = false;
  bool advancing_ = false;
  bool removed_ = false;  // a timer was cancelled: the set may ask to be woken for it
  rng* random_ = nullptr;
};

}  // namespace weft::test_support
