// Permits, locks and tokens: as many at the end as at the beginning.
#include <gtest/gtest.h>

#include <optional>

#include "tests/stops/crowd.hpp"
#include "weft/runtime/time.hpp"
#include "weft/sync/condition_variable.hpp"
#include "weft/sync/event.hpp"
#include "weft/sync/mutex.hpp"
#include "weft/sync/notify.hpp"
#include "weft/sync/rate_limiter.hpp"
#include "weft/sync/semaphore.hpp"
#include "weft/sync/shared_mutex.hpp"

namespace weft::stops {
namespace {

class permits final : public scenario {
 public:
  permits() : scenario("semaphore") {}
  task<> visit(place& mine) override {
    const std::size_t n = mine.index % 3 + 1;
    co_await all_.acquire(n);
    const semaphore_guard held(all_, n);
    mine.has();
    if (mine.random.below(2) == 0) co_await yield_now();
  }
  void count() override { compare(all_.available(), 4); }

 private:
  semaphore all_{4};
};
TEST(stops_stress, semaphore) {
  permits s;
  run(s);
}

class one_inside final : public scenario {
 public:
  one_inside() : scenario("mutex") {}
  task<> visit(place& mine) override {
    const auto held = co_await m_.lock();
    mine.has();
    ++entered_;  // plain: with two inside one is lost
    here_.fetch_add(1, order::relaxed);
    if (inside_++ != 0) add_doubled(1);
    if (mine.random.below(4) == 0) {
      --inside_;
      co_await yield_now();
      ++inside_;
    }
    --inside_;
  }
  void count() override {
    compare(entered_, here_.load(order::relaxed));
    compare(m_.is_locked() ? 0 : 1, 1);
  }

 private:
  mutex m_;
  std::uint64_t entered_ = 0, inside_ = 0;  // under m_
  atomic<std::uint64_t> here_{0};
};
TEST(stops_stress, mutex) {
  one_inside s;
  run(s);
}

/// One token, which goes from one to the next: by an event that resets itself, or by a notification.
class token : public scenario {
 public:
  using scenario::scenario;

 protected:
  virtual void pass_on() noexcept = 0;
  /// Whoever has it, until this goes away.
  class held_token {
   public:
    held_token(token& of, place& mine) noexcept : of_(of) {
      mine.has();
      if (of_.inside_.fetch_add(1, order::acq_rel) != 0) of_.add_doubled(1);
    }
    ~held_token() {
      of_.inside_.fetch_sub(1, order::acq_rel);
      of_.pass_on();
    }
    held_token(const held_token&) = delete;
    held_token& operator=(const held_token&) = delete;

   private:
    token& of_;
  };

 private:
  atomic<int> inside_{0};
};

class event_token final : public token {
 public:
  event_token() : token("event") {}
  task<> visit(place& mine) override {
    co_await turn_.wait();
    const held_token held(*this, mine);
    if (mine.random.below(2) == 0) co_await yield_now();
  }
  void count() override {
    compare(turn_.try_wait() ? 1 : 0, 1);
    compare(turn_.try_wait() ? 1 : 0, 0);
  }

 private:
  void pass_on() noexcept override { turn_.set(); }
  event turn_{event::auto_reset, true};
};
TEST(stops_stress, event) {
  event_token s;
  run(s);
}

class notification final : public token {
 public:
  notification() : token("notify") { news_.notify_one(); }
  task<> visit(place& mine) override {
    co_await news_.wait();
    const held_token held(*this, mine);
    if (mine.random.below(2) == 0) co_await yield_now();
  }
  /// One that was lost hangs; two are two inside.
  void count() override {}

 private:
  void pass_on() noexcept override { news_.notify_one(); }
  notify news_;
};
TEST(stops_stress, notify) {
  notification s;
  run(s);
}

class writers_alone final : public scenario {
 public:
  writers_alone() : scenario("shared_mutex") {}
  task<> visit(place& mine) override {
    if (mine.index % 4 == 0) {
      const auto held = co_await m_.lock();
      mine.has();
      const unlocked_again back(*this);
      if (mine.random.below(2) == 0) co_await yield_now();
    } else {
      const auto held = co_await m_.lock_shared();
      mine.has();
      if (a_ != b_) add_doubled(1);
      if (mine.random.below(2) == 0) co_await yield_now();
      if (a_ != b_) add_doubled(1);
    }
  }
  void count() override {
    if (a_ != b_) add_lost(1);
    const auto alone = m_.try_lock();
    compare(alone ? 1 : 0, 1);
  }

 private:
  class unlocked_again {
   public:
    explicit unlocked_again(writers_alone& of) noexcept : of_(of) { ++of_.a_; }
    ~unlocked_again() { ++of_.b_; }
    unlocked_again(const unlocked_again&) = delete;
    unlocked_again& operator=(const unlocked_again&) = delete;

   private:
    writers_alone& of_;
  };
  shared_mutex m_;
  std::uint64_t a_ = 0, b_ = 0;
};
TEST(stops_stress, shared_mutex) {
  writers_alone s;
  run(s);
}

/// Half of the places deliver, half take; a delivery is for one.
class shop final : public scenario {
 public:
  shop() : scenario("condition") {}
  task<> visit(place& mine) override {
    auto held = co_await m_.lock();
    if (mine.index % 2 == 0) {
      co_await changed_.wait(held, [this] { return items_ > 0; });
      --items_;
      mine.has();
    } else {
      ++items_;
      mine.has();
      held.unlock();
      changed_.notify_one();
    }
  }
  void count() override {
    compare(static_cast<std::uint64_t>(items_), 0);
    compare(m_.is_locked() ? 0 : 1, 1);
  }

 private:
  mutex m_;
  condition_variable changed_;
  long items_ = 0;  // under m_
};
TEST(stops_stress, condition_variable) {
  shop s;
  run(s);
}

class sleeping final : public scenario {
 public:
  sleeping() : scenario("sleep") {}
  task<> visit(place& mine) override {
    const auto due = now() + std::chrono::microseconds(mine.random.below(100));
    co_await sleep_until(due);
    mine.has();
    if (now() < due) add_doubled(1);  // a wake that was another one's
  }
  /// A wake that was lost hangs.
  void count() override {}
};
TEST(stops_stress, sleep) {
  sleeping s;
  run(s);
}

/// More is not given than has come; a line that nobody leads hangs.
class tokens final : public scenario {
 public:
  tokens() : scenario("rate_limiter") {}
  task<> visit(place& mine) override {
    const std::size_t n = mine.index % 3 + 1;
    co_await calls_.acquire(n);
    mine.has();
    had_.fetch_add(n, order::relaxed);
  }
  void count() override {
    const auto since = static_cast<std::uint64_t>(ns() - first_ns_);
    const std::uint64_t come = since / ns_of_token + burst;
    if (had_.load(order::relaxed) > come) add_doubled(had_.load(order::relaxed) - come);
  }

 private:
  static std::int64_t ns() { return std::chrono::steady_clock::now().time_since_epoch().count(); }
  static constexpr std::uint64_t ns_of_token = 500;
  static constexpr std::size_t burst = 8;
  rate_limiter calls_{1'000'000'000 / ns_of_token, burst};
  const std::int64_t first_ns_ = ns();
  atomic<std::uint64_t> had_{0};
};
TEST(stops_stress, rate_limiter) {
  tokens s;
  run(s);
}

}  // namespace
}  // namespace weft::stops
