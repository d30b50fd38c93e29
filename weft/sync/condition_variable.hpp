// condition_variable: waits until what a mutex guards has changed.
//
//   auto held = co_await m.lock();
//   co_await changed.wait(held, [&] { return !items.empty(); });   // looked at with the lock held
//   ... held.unlock(); changed.notify_one();                       // somewhere else
//
//   Fairness  FIFO
//   Threads   any; a plain thread waits by weft::block_on(changed.wait(held))
//   Cost      a wait: a small frame, and two waits (for the change; for the mutex). A notification
//             that nobody waits for: a load
//   Cancel    a wait that is stopped while it waits ends without the lock: `held` is empty. One that
//             finds the stop before it has let the lock go ends with it: `held` holds. One that was
//             notified gets the lock back, shielded, and completes: no notification is lost in one that
//             is leaving; its job stops at its next wait
//   Errors    what ready() throws, while `held` holds; std::bad_alloc, of a frame: likewise
//   Budget    wait(held, ready) spends some also where it need not wait; the lock stays held meanwhile
//   Memory    24 bytes
//   Lifetime  no notification may begin that does not happen before its end; who was notified may
//             destroy it
#pragma once

#include "weft/base/safe_callable.hpp"
#include "weft/sync/mutex.hpp"
#include "weft/task/ready_look.hpp"
#include "weft/task/task.hpp"

namespace weft {

class condition_variable {
 public:
  condition_variable() noexcept = default;

  /// Lets the lock go and waits for a notification, in one step, and locks again. `held` must hold a
  /// mutex, the same one for all who wait at a time, and must outlive the wait. There is no spurious
  /// end; but another may have been in before the lock was taken again, so look at the condition anew.
  task<> wait(mutex_guard& held);
  /// Until ready() is true, which is asked with the lock held, and once at least unless the job is
  /// stopped. When it completes, `held` holds.
  template <class Ready>
  task<> wait(mutex_guard& held, Ready&& ready) {
    static_assert(safe_in_await<Ready>, WEFT_SAFE_IN_AWAIT_MESSAGE);
    return wait_until<std::decay_t<Ready>>(held, std::forward<Ready>(ready));
  }
  /// With or without the mutex. Nobody waits: nothing happens.
  void notify_one() noexcept;
  void notify_all() noexcept;

 private:
  friend class condition_wait;
  template <class Ready>
  task<> wait_until(mutex_guard& held, Ready ready) {
    co_await detail::ready_look("condition");
    while (!ready()) {
      co_await wait(held);
    }
  }
  wait_list list_{0};
};

/// Lets the mutex go and waits, in one step: the first half of condition_variable::wait().
class condition_wait final : public awaitable_operation<condition_wait, wait_list::waiter> {
 public:
  condition_wait(condition_variable& c, mutex_guard& held) noexcept
      : awaitable_operation(c.list_), held_(held) {}
  std::coroutine_handle<> start(promise_base& who) noexcept;
  void await_resume() const noexcept {}
  const char* what() const noexcept override { return "condition"; }

 private:
  mutex_guard& held_;
};

}  // namespace weft
