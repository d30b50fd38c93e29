#include "weft/together/retry.hpp"

#include <algorithm>

#include "weft/base/assert.hpp"
#include "weft/base/chrono.hpp"
#include "weft/task/current.hpp"

namespace weft::detail {
namespace {

job& running() noexcept {
  job* const me = current_job();
  WEFT_ASSERT(me != nullptr, "retry() was awaited outside of a job");
  return *me;
}

/// What tells calls apart that begin together, in one process and in many.
std::uint64_t seed_of(const retry_policy& policy, job& me) noexcept {
  if (policy.seed != 0) return policy.seed;
  return static_cast<std::uint64_t>(me.home().now_ns()) * 0x9e3779b97f4a7c15u + me.id();
}

}  // namespace

std::coroutine_handle<> retry_delay::start(promise_base& waiter) noexcept {
  job& owner = *waiter.owner();
  if (due_ns_ <= owner.home().now_ns()) {
    if (owner.stop_requested() && !owner.shielded()) return unwind(waiter);
    owner.yield_in(*this, waiter);
    return std::noop_coroutine();
  }
  armed_in_ = &owner.home().timers();
  if (owner.arm(*this, waiter) == job::arm_result::stopped) return unwind(waiter);
  // False: a stop found the timer not armed yet, and leaves the answer to us.
  if (!armed_in_->arm(*this, due_ns_)) finish(true);
  return std::noop_coroutine();
}

void retry_delay::withdraw() noexcept {
  if (armed_in_->cancel(*this)) finish(true);
}

void retry_delay::fired(timer_entry& entry) noexcept {
  static_cast<retry_delay&>(entry).finish(false);
}

retry_state::retry_state(const retry_policy& policy) noexcept
    : policy_(policy),
      random_(seed_of(policy, running())),
      begun_ns_(running().home().now_ns()),
      delay_ns_(static_cast<double>(std::max<std::int64_t>(policy.initial_delay.count(), 0))) {
  WEFT_ASSERT(policy.factor >= 1, "a retry_policy's factor is 1 or more: waits do not get shorter");
}

retry_state::~retry_state() {
  if (paid_) policy_.budget->give_back();
}

unsigned retry_state::begin() noexcept {
  paid_ = false;
  if (attempts_ == 0 && policy_.budget != nullptr) policy_.budget->count_call();
  return ++attempts_;
}

/// delay_ns_ is a double: exact up to 2^53 ns, 104 days; it stays at max_delay once it is there.
std::int64_t retry_state::next_delay_ns() noexcept {
  const std::int64_t max_ns = std::max<std::int64_t>(policy_.max_delay.count(), 0);
  const bool at_max = delay_ns_ >= static_cast<double>(max_ns);
  const std::int64_t longest = at_max ? max_ns : static_cast<std::int64_t>(delay_ns_);
  if (!at_max) delay_ns_ *= policy_.factor;
  if (policy_.jitter == retry_jitter::none) return longest;
  const std::uint64_t choices = static_cast<std::uint64_t>(longest) + 1;
  return static_cast<std::int64_t>(random_.next() % choices);
}

bool retry_state::again(bool retryable) noexcept {
  if (!retryable) return refuse(retry_end::not_retryable);
  if (attempts_ == policy_.max_attempts) return refuse(retry_end::attempts);
  const std::int64_t delay_ns = next_delay_ns();
  const std::int64_t now_ns = running().home().now_ns();
  due_ns_ = saturating_add_ns(now_ns, delay_ns);
  if (policy_.total != std::chrono::nanoseconds::max() &&
      due_ns_ > saturating_add_ns(begun_ns_, policy_.total.count())) {
    return refuse(retry_end::total);
  }
  if (policy_.budget != nullptr) {
    paid_ = policy_.budget->take_retry();
    if (!paid_) return refuse(retry_end::budget);
  }
  waited_ns_ = saturating_add_ns(waited_ns_, delay_ns);
  return true;
}

bool retry_state::refuse(retry_end why) noexcept {
  ended(why);
  return false;
}

void retry_state::ended(retry_end why) noexcept {
  if (policy_.report == nullptr) return;
  *policy_.report = {attempts_, why, std::chrono::nanoseconds(waited_ns_)};
}

}  // namespace weft::detail
