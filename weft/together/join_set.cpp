// Protocol
//   All of a queue is under its lock; nobody is woken while it is held.
//   I1  An outcome that is there is on the list, or was given to one join_next. A join_next waits only
//       while outcomes are expected, so each delivery that finds it answers it.
//   I2  A stop can come after job::arm() and before the waiter is known. withdraw() then leaves
//       withdrawn_ for start() to find. If start() finds an outcome as well, completion wins.
#include "weft/together/join_set.hpp"

namespace weft::detail {

void join_queue::expect() noexcept {
  const spin_guard guard(lock_);
  ++expected_;
}

void join_queue::deliver(join_node& ended) noexcept {
  join_next* waiter = nullptr;
  {
    const spin_guard guard(lock_);
    --expected_;
    waiter = std::exchange(waiter_, nullptr);
    if (waiter != nullptr) {
      waiter->node_ = &ended;  // I1
    } else {
      (first_ == nullptr ? first_ : last_->next_) = &ended;
      last_ = &ended;
      ++ready_;
    }
  }
  if (waiter != nullptr) waiter->finish(false);
}

std::size_t join_queue::size() noexcept {
  const spin_guard guard(lock_);
  return ready_ + expected_;
}

join_node* join_queue::pop() noexcept {
  join_node* const n = first_;
  if (n == nullptr) return nullptr;
  first_ = n->next_;
  --ready_;
  return n;
}

join_node* join_queue::take() noexcept {
  const spin_guard guard(lock_);
  return pop();
}

/// Under the lock.
bool join_next::take_or_see_the_end() noexcept {
  node_ = of_.pop();
  return node_ != nullptr || of_.expected_ == 0;
}

bool join_next::await_ready() noexcept {
  {
    const spin_guard guard(of_.lock_);
    taken_ = take_or_see_the_end();
  }
  if (!taken_) return false;
  job* const running = current_job();
  return running != nullptr && running->spend_budget();
}

std::coroutine_handle<> join_next::start(promise_base& waiter) noexcept {
  if (taken_) return ready_at_once(*this, waiter);
  job& owner = *waiter.owner();
  if (owner.arm(*this, waiter) == job::arm_result::stopped) return unwind(waiter);
  bool stopped = false;
  {
    const spin_guard guard(of_.lock_);
    if (!take_or_see_the_end()) {
      stopped = withdrawn_;  // I2
      if (!stopped) {
        WEFT_ASSERT(of_.waiter_ == nullptr, "join_set::next() is awaited by one task at a time");
        of_.waiter_ = this;
        return std::noop_coroutine();  // it may have ended when the lock is free
      }
    }
  }
  if (!stopped && owner.disarm(*this) == job::disarm_result::disarmed) return waiter.handle();
  finish(stopped);
  return std::noop_coroutine();
}

void join_next::withdraw() noexcept {
  {
    const spin_guard guard(of_.lock_);
    if (of_.waiter_ != this) {
      withdrawn_ = true;  // I2, or it was answered
      return;
    }
    of_.waiter_ = nullptr;
  }
  finish(true);
}

}  // namespace weft::detail
