#include "weft/runtime/blocking.hpp"

#include "weft/base/assert.hpp"
#include "weft/base/atomic.hpp"
#include "weft/base/result.hpp"
#include "weft/runtime/blocking_pool.hpp"

namespace weft::detail {

namespace {

/// The text takes memory, too.
std::exception_ptr said(std::error_code code, const char* what) noexcept {
  try {
    return std::make_exception_ptr(error(code, what));
  } catch (...) {
    return std::current_exception();
  }
}

}  // namespace

std::coroutine_handle<> blocking_work::start(promise_base& waiter) noexcept {
  WEFT_ASSERT(pool_ == nullptr,
              "what spawn_blocking() gave was awaited twice; it is one call, so make another one");
  pool_ = &blocking_pool::of_caller();
  if (waiter.owner()->arm(*this, waiter) == job::arm_result::stopped) return unwind(waiter);
  if (class_ != nullptr) {
    switch (class_->enter(*this)) {
      case blocking_class::entered::let_in:
        break;
      case blocking_class::entered::in_line:  // may have ended already: touch nothing
        return std::noop_coroutine();
      case blocking_class::entered::refused:
        refuse(said(std::make_error_code(std::errc::resource_unavailable_try_again),
                    "spawn_blocking: as many wait for a place in its blocking_class as may"));
        finish(false);
        return std::noop_coroutine();
      case blocking_class::entered::withdrawn:
        finish(true);
        return std::noop_coroutine();
    }
  }
  if (blocking_work* const next = try_go_in(false)) next->go_in();
  return std::noop_coroutine();
}

/// Gives who comes in its place, if the pool does not take it; it may have ended in any case.
blocking_work* blocking_work::try_go_in(bool from_outside) noexcept {
  const auto answer = pool_->submit(*this, from_outside);
  if (answer == blocking_pool::accepted::queued) return nullptr;
  blocking_work* const next = WEFT_MUTATE("blocking.not_taken.keeps_place", leave_class(), nullptr);
  if (!answer) {
    refuse(said(answer.error(), "spawn_blocking: no thread could be started, and there is none"));
  }
  finish(answer == blocking_pool::accepted::withdrawn);
  return next;
}

void blocking_work::go_in() noexcept {
  for (blocking_work* w = this; w != nullptr;) w = w->try_go_in(true);
}

void blocking_work::withdraw() noexcept {
  if (class_ != nullptr) {
    switch (class_->withdraw(*this)) {
      case blocking_class::withdrawal::out_of_line:
        return finish(true);
      case blocking_class::withdrawal::not_yet_seen:
        return;  // enter() will say so
      case blocking_class::withdrawal::over:
        return;  // start() is about to finish it, or has
      case blocking_class::withdrawal::was_let_in:
        break;
    }
  }
  if (!pool_->withdraw(*this)) return;
  if (WEFT_MUTATE("blocking.withdraw.keeps_place", false, true)) return finish(true);
  blocking_work* const next = leave_class();
  finish(true);
  if (next != nullptr && !WEFT_MUTATE("blocking.withdraw.forgets_next", false, true)) {
    next->go_in();
  }
}

}  // namespace weft::detail
