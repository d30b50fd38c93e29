// ready_look: what a coroutine awaits that is about to find all there, and so would not wait.
#pragma once

#include "weft/task/awaiter.hpp"

namespace weft::detail {

/// Spends budget as an operation does that need not wait, so that a loop lets others run; a job that is
/// to stop ends here. `what` is for listings.
class ready_look final : public awaitable_operation<ready_look> {
 public:
  explicit ready_look(const char* what) noexcept : what_(what) {}
  std::coroutine_handle<> start(promise_base& who) noexcept {
    const job& owner = *who.owner();
    if (owner.stop_requested() && !owner.shielded()) return unwind(who);
    return ready_at_once(*this, who);
  }
  void withdraw() noexcept override {}
  void await_resume() const noexcept {}
  const char* what() const noexcept override { return what_; }

 private:
  const char* what_;
};

}  // namespace weft::detail
