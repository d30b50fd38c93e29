// Protocol
//   All of a queue is under its lock; nobody is woken while it is held.
//   I1  An outcome that is there is on the list, or was given to one join_next. A join_next waits only
//       while outcomes are expected, so each delivery that finds it answers it.
//   I2  A stop can come after job::arm() and before the waiter is known. withdraw() then leaves
//       withdrawn_ for start() to find. If start() finds an outcome as well, completion wins.
//   I3  One of a select is given an outcome by whoever has its claim, and takes none when it begins to
//       wait (claim.hpp). Left where it stands it is found by its withdrawal.
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
    const bool taken = waiter_ != nullptr && waiter_->may_be_given();  // I3
    if (taken) {
      waiter = std::exchange(waiter_, nullptr);
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

bool join_next::may_be_given() noexcept {
  claiming_job* const shared = claiming_job::from(*owner());
  return shared == nullptr || shared->take_claim();
}

bool join_next::await_ready() noexcept {
  job* const running = current_job();
  if (running == nullptr || !running->spend_budget()) return false;
  const spin_guard guard(of_.lock_);
  return take_or_see_the_end();
}

std::coroutine_handle<> join_next::start(promise_base& waiter) noexcept {
  job& owner = *waiter.owner();
  claiming_job* const shared = claiming_job::from(owner);
  withdrawn_ = false;
  if (owner.arm(*this, waiter) == job::arm_result::stopped) return unwind(waiter);
  bool stopped = false;
  {
    const spin_guard guard(of_.lock_);
    const bool ready = shared != nullptr ? of_.first_ != nullptr || of_.expected_ == 0  // I3
                                         : take_or_see_the_end();
    if (!ready) {
      stopped = withdrawn_;  // I2
      if (!stopped) {
        WEFT_ASSERT(of_.waiter_ == nullptr, "join_set::next() is awaited by one task at a time");
        of_.waiter_ = this;
        return std::noop_coroutine();  // it may have ended when the lock is free
      }
    }
  }
  if (shared != nullptr) {
    static_cast<void>(owner.disarm(*this));  // nobody stops it while it begins
    shared->look_again();
    return unwind(waiter);
  }
  if (!stopped && owner.disarm(*this) == job::disarm_result::disarmed) {
    return ready_at_once(*this, waiter);
  }
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
