#include <sys/epoll.h>
#include <sys/timerfd.h>

#include "weft/base/assert.hpp"
#include "weft/os/error.hpp"
#include "weft/os/poll_set.hpp"

namespace weft::os {

result<poll_set> poll_set::make() noexcept {
  poll_set made;
  made.set_ = fd(::epoll_create1(EPOLL_CLOEXEC));
  if (!made.set_) return std::unexpected(last_error());
  made.alarm_ = fd(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
  if (!made.alarm_) return std::unexpected(last_error());
  if (auto added = made.add(made.alarm_.get()); !added) return std::unexpected(added.error());
  return made;
}

result<void> poll_set::add(int member) noexcept {
  epoll_event e{};
  e.events = EPOLLIN;  // level-triggered: whoever polls too late sees it, too
  if (::epoll_ctl(set_.get(), EPOLL_CTL_ADD, member, &e) != 0) return std::unexpected(last_error());
  return {};
}

void poll_set::due_at(std::int64_t moment_ns) noexcept {
  if (moment_ns < 1) moment_ns = 1;  // zero would mean never
  if (moment_ns == due_ns_) return;
  due_ns_ = moment_ns;
  itimerspec when{};
  if (moment_ns != never_ns) {
    when.it_value.tv_sec = static_cast<time_t>(moment_ns / 1'000'000'000);
    when.it_value.tv_nsec = static_cast<long>(moment_ns % 1'000'000'000);
  }
  const int refused = ::timerfd_settime(alarm_.get(), TFD_TIMER_ABSTIME, &when, nullptr);
  WEFT_ASSERT(refused == 0, "a timer could not be set: was a descriptor of weft's closed?");
}

}  // namespace weft::os
