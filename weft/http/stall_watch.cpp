#include <weft/http/stall_watch.hpp>

#include <weft/base/assert.hpp>
#include <weft/base/chrono.hpp>
#include <weft/task/current.hpp>

namespace weft::http::detail {

void stall_watch::give_until(std::chrono::steady_clock::time_point due) noexcept {
  const std::int64_t due_ns = from_chrono(due.time_since_epoch());
  const spin_guard guard(lock_);
  due_ns_ = due_ns;
  if (armed_ns_ <= due_ns || in_flight_ || expired_) return;
  if (armed_ns_ != never_ns && !in_->cancel(*this)) {
    in_flight_ = true;  // I1
    return;
  }
  in_ = &current_job()->home().timers();
  armed_ns_ = due_ns;
  reuse();
  const bool armed = in_->arm(*this, due_ns);
  WEFT_ASSERT(armed, "the timer of a connection was cancelled before it was armed");
}

bool stall_watch::pause() noexcept {
  const spin_guard guard(lock_);
  due_ns_ = never_ns;
  return !expired_;
}

bool stall_watch::expired() noexcept {
  const spin_guard guard(lock_);
  return expired_;
}

void stall_watch::fired(timer_entry& entry) noexcept { static_cast<stall_watch&>(entry).fire(); }

void stall_watch::fire() noexcept {
  {
    const spin_guard guard(lock_);
    in_flight_ = false;
    const std::int64_t armed_ns = armed_ns_;
    armed_ns_ = never_ns;
    if (due_ns_ > armed_ns) {
      if (due_ns_ == never_ns) return;
      armed_ns_ = due_ns_;
      reuse();
      const bool armed = in_->arm(*this, due_ns_);
      WEFT_ASSERT(armed, "the timer of a connection was cancelled before it was armed");
      return;
    }
    expired_ = true;
    shutting_ = true;  // I2
  }
  // A system call: not under the lock. Refused only where the connection has ended by itself, which
  // whoever waits is told, too.
  static_cast<void>(stream_.shutdown_both());
  const spin_guard guard(lock_);
  shutting_ = false;
}

stall_watch::~stall_watch() {
  {
    const spin_guard guard(lock_);
    due_ns_ = never_ns;  // a fire under way arms nothing any more
    if (armed_ns_ == never_ns) {
      if (!shutting_) return;
    } else if (!in_flight_ && in_->cancel(*this)) {
      return;
    }
  }
  // The fire is in the middle of the call: of a few words and a system call.
  for (;;) {
    {
      const spin_guard guard(lock_);
      if (armed_ns_ == never_ns && !shutting_) break;
    }
    spin_wait_yield();
  }
}

}  // namespace weft::http::detail
