#include "weft/together/scope.hpp"

#include "weft/base/assert.hpp"

namespace weft::detail {

scope_operation::~scope_operation() {
  WEFT_ASSERT(exits_ == nullptr, "a scope was destroyed before its clean-up had run");
}

void scope_operation::withdraw() noexcept {
  withdrawn_.store(true, order::relaxed);  // carried by the ends of the children that it stops
  stop();
}

void scope_operation::add_exit(exit_step& step) noexcept {
  const spin_guard guard(lock_);
  step.next_ = exits_;
  exits_ = &step;
}

scope_operation& scope_operation::of(job& running) noexcept {
  child_job* const child = child_job::from(running);
  WEFT_ASSERT(
      child != nullptr,
      "on_exit() was awaited in a job that is no scope's body or child: a branch of timeout, "
      "when_all or race, or a spawned job; call s.on_exit(f) of the scope_ref there");
  return static_cast<scope_operation&>(child->group());
}

std::coroutine_handle<> scope_operation::start_body(promise_base& waiter,
                                                    child_job& body) noexcept {
  constexpr std::uint8_t budget_units = 128;
  this->promise().attach(waiter);
  job& outer = *waiter.owner();
  if (outer.arm(*this, this->promise()) == job::arm_result::stopped) return unwind(waiter);
  body_ = &body;
  body.go_with(outer);
  outer.home().enlist(body);
  body.refill_budget(budget_units);
  exchange_current_job(&body);
  return body.start();
}

std::coroutine_handle<> scope_operation::resumed() noexcept {
  job& owner = *outer().owner();
  if (exiting_ == nullptr) {
    body_was_stopped_ = body_->was_stopped;
    owner.enter_shield();
  } else {
    if (std::exception_ptr error = exiting_->kind_->error(*exiting_)) fail(std::move(error));
    exiting_->kind_->free(*exiting_);
    exiting_ = nullptr;
  }
  while (exits_ != nullptr) {
    exiting_ = exits_;
    exits_ = exits_->next_;
    try {
      return exiting_->kind_->start(*exiting_, this->promise());
    } catch (...) {
      fail(std::current_exception());
    }
    exiting_->kind_->free(*exiting_);
    exiting_ = nullptr;
  }
  owner.leave_shield();
  const bool cut_off = how_ == ends::with_the_body ? body_was_stopped_ : some_stopped();
  if (withdrawn_.load(order::relaxed) && cut_off && !failed()) return unwind(outer());
  return outer().handle();
}

}  // namespace weft::detail
