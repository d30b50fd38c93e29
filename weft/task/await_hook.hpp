// await_hook: lets a test see every await, just before its operation is armed. Only in builds with
// WEFT_CENSUS; in others the hook does not exist and costs nothing.
#pragma once

#include "weft/base/atomic.hpp"
#include "weft/task/job.hpp"

namespace weft {

#if WEFT_CENSUS

/// Called on the thread of the job; may stop it (it then does not wait).
class await_hook {
 public:
  virtual void about_to_wait(job& waiter) noexcept = 0;

 protected:
  ~await_hook() = default;
};

namespace detail {
extern atomic<await_hook*> installed_await_hook;
}

/// One at a time; nullptr takes it away. Jobs that are inside the old one are not waited for.
inline void install_await_hook(await_hook* hook) noexcept {
  detail::installed_await_hook.store(hook, order::release);
}

#endif

}  // namespace weft
