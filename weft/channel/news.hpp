// news: what broadcast and watch have in common: a number that grows with each message, readers that
// wait until it is another one than they know, and handles that are counted.
//
//   Threads   any
//   Cost      to look, or to wait: the lock. To wake: the lock once for 32 readers, and a wake each
//   Protocol  top of news.cpp
#pragma once

#include <cstddef>
#include <cstdint>

#include "weft/base/atomic.hpp"
#include "weft/channel/line.hpp"

namespace weft::detail {

/// Waits in a line for a number to become another one than it was when the waiter joined.
class numbered_waiter : public line_waiter {
 protected:
  using line_waiter::line_waiter;
  ~numbered_waiter() = default;
  /// For a look(): under the lock.
  line_of_waiters* join(line_of_waiters& line, std::uint64_t number) noexcept {
    since_ = number;
    return &line;
  }

 private:
  friend void wake_older(spin_lock&, line_of_waiters&, const plain<std::uint64_t>&) noexcept;
  std::uint64_t since_ = 0;
};

/// Wakes those in `line`, numbered_waiters all of them, that joined before `number` became what it is.
/// Who joins meanwhile, because it knows the number already, stays. Not under the lock.
void wake_older(spin_lock& lock, line_of_waiters& line,
                const plain<std::uint64_t>& number) noexcept;

class news {
 public:
  news() noexcept = default;
  news(const news&) = delete;
  news& operator=(const news&) = delete;

  spin_lock& lock() noexcept { return lock_; }

  // Under the lock.
  std::uint64_t number() const noexcept { return number_.get(); }
  bool closed() const noexcept { return senders_.get() == 0; }
  bool any_after(std::uint64_t seen) const noexcept { return number() != seen || closed(); }
  std::size_t receivers() const noexcept { return receivers_.get(); }
  /// Result: readers wait: call wake_readers() after the lock.
  [[nodiscard]] bool advance() noexcept {
    number_.set(number_.get() + 1);
    return WEFT_MUTATE("news.advance.wakes_nobody", !readers_.empty(), false);
  }
  line_of_waiters& readers() noexcept { return readers_; }
  void hold() noexcept { holders_.set(holders_.get() + 1); }
  /// Result: nobody is left, so whoever let go frees it, after the lock.
  [[nodiscard]] bool let_go() noexcept {
    holders_.set(holders_.get() - 1);
    return holders_.get() == WEFT_MUTATE("news.let_go.too_early", 0u, 1u);
  }
  void add_receiver() noexcept {
    receivers_.set(receivers_.get() + 1);
    hold();
  }
  /// It is no longer counted, but still holds.
  void remove_receiver() noexcept { receivers_.set(receivers_.get() - 1); }

  // Not under the lock.
  void wake_readers() noexcept { wake_older(lock_, readers_, number_); }
  bool any_after_now(std::uint64_t seen) noexcept {
    const patient_guard guard(lock_);
    return any_after(seen);
  }
  bool closed_now() noexcept {
    const patient_guard guard(lock_);
    return closed();
  }
  std::size_t receivers_now() noexcept {
    const patient_guard guard(lock_);
    return receivers();
  }
  void add_sender() noexcept;
  /// The last one ends the waits. Result: as let_go().
  [[nodiscard]] bool drop_sender() noexcept;
  [[nodiscard]] bool let_go_now() noexcept {
    const patient_guard guard(lock_);
    return let_go();
  }

 protected:
  ~news() = default;

 private:
  spin_lock lock_;
  plain<std::uint64_t> number_{0};  // of messages so far
  plain<std::size_t> senders_{1};   // 0: closed, for ever
  plain<std::size_t> receivers_{1};
  plain<std::size_t> holders_{2};  // whose going it must survive: handles, what they lent
  line_of_waiters readers_;
};

/// Waits for a number after `seen`, or the end.
class news_waiter : public numbered_waiter {
 public:
  const char* what() const noexcept override = 0;

 protected:
  explicit news_waiter(news& source) noexcept : numbered_waiter(source.lock()) {}
  ~news_waiter() = default;

  std::coroutine_handle<> wait_for_news(promise_base& who, news& source,
                                        std::uint64_t seen) noexcept {
    const auto line = [&]() -> line_of_waiters* {
      return source.any_after(seen) ? nullptr : join(source.readers(), source.number());
    };
    return wait_in_line(
        who, [&](line_waiter*&) { return line(); }, [&](const claiming_job&) { return line(); });
  }
};

}  // namespace weft::detail
