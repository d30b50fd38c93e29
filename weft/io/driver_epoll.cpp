// Who does what
//   submit     tries the call; if it says "not yet": reserves the direction, arms the operation in
//              its job, sees to it that somebody's epoll watches the descriptor, and leaves the
//              operation in the source's word.
//   wait       takes events; for each direction that one tells of, takes the operation out of the
//              word (or leaves a note for a submitter who is just trying), tries the call,
//              completes it. The descriptor's home may be another processor than the operation's
//              submitter.
//   withdraw   takes the operation out of the word and ends it, or leaves its wish with whoever
//              holds it.
// The words and why nothing is lost: source.hpp. On top of it:
//   I4  home is set before EPOLL_CTL_ADD. Who finds it set may arm and leave: edge-triggered ADD
//       reports what is ready at that moment, so readiness between his try and the ADD is told. If
//       the ADD is refused, home is cleared and then both directions get an event: a submitter that
//       still holds its operation comes back to register for itself, an armed one gets the error.
//   I5  A driver with a watched source is not idle, so its worker sleeps only in wait().
//   P4  the bell: wake() sets rung_ (acq_rel) -> wait() clears it (acq_rel): what the waker did
//       before. The bell is rung at most once per clearing; a ring that finds rung_ set is seen by
//       the wait() that is about to clear it, which returns then.
//   A late event of a closed descriptor meets a source of another generation, or in the worst case
//   causes a vain try: every try asks the kernel, none trusts the event.
// Rejected: registering at attach() (all of a listener's connections would be watched by the one
// processor that accepts; and what never waits would pay for it); one epoll for all processors (a
// wake-up for one of them would reach any of them); moving a source to the processor of its last
// submitter (two system calls for each steal).
#include "weft/io/driver_epoll.hpp"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <ctime>
#include <new>

#include "weft/base/time.hpp"
#include "weft/os/clock.hpp"
#include "weft/os/error.hpp"

namespace weft::io {
namespace {

constexpr int batch = 256;  // events a wait takes at a time
constexpr std::uint64_t bell_tag = ~std::uint64_t{0};
constexpr std::uint32_t reading_events = EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR;
constexpr std::uint32_t writing_events = EPOLLOUT | EPOLLHUP | EPOLLERR;

source& source_of(const io_operation& op) noexcept {
  return *static_cast<source*>(op.handle->state());
}

bool is_writing(io_code code) noexcept {
  switch (code) {
    case io_code::accept:
    case io_code::receive:
    case io_code::wait_readable:
      return false;
    case io_code::connect:
    case io_code::send:
    case io_code::send_vector:
    case io_code::wait_writable:
      return true;
    case io_code::futex_wait:
      break;
  }
  return false;
}

readiness& word_of(const io_operation& op) noexcept {
  source& s = source_of(op);
  return is_writing(op.code) ? s.writing : s.reading;
}

/// Takes up to `batch` events. Result: their number, or -errno.
int take_events(int poller, epoll_event* out, std::int64_t deadline_ns) noexcept {
  std::int64_t left_ns = -1;
  if (deadline_ns <= 0) {
    left_ns = 0;
  } else if (deadline_ns != weft::never_ns) {
    left_ns = deadline_ns - os::monotonic_ns();
    if (left_ns < 0) left_ns = 0;
  }
  if (left_ns <= 0) {
    const int n = epoll_wait(poller, out, batch, static_cast<int>(left_ns));
    return n >= 0 ? n : -errno;
  }
  static atomic<bool> lacks_ns{false};  // Linux before 5.11, or an old seccomp policy
  if (!lacks_ns.load(order::relaxed)) {
    const timespec t{static_cast<time_t>(left_ns / 1'000'000'000), left_ns % 1'000'000'000};
    const long n = syscall(SYS_epoll_pwait2, poller, out, batch, &t, nullptr, 0);
    if (n >= 0) return static_cast<int>(n);
    if (errno != ENOSYS && errno != EPERM) return -errno;
    lacks_ns.store(true, order::relaxed);
  }
  constexpr std::int64_t ms_max = 24L * 3600 * 1000;        // whoever waits longer looks again
  const std::int64_t ms = (left_ns + 999'999) / 1'000'000;  // up: never early
  const int n = epoll_wait(poller, out, batch, static_cast<int>(ms < ms_max ? ms : ms_max));
  return n >= 0 ? n : -errno;
}

}  // namespace

result<std::unique_ptr<epoll_driver>> epoll_driver::make() noexcept {
  os::fd poller(epoll_create1(EPOLL_CLOEXEC));
  if (!poller) return std::unexpected(os::last_error());
  os::fd bell(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!bell) return std::unexpected(os::last_error());
  epoll_event e{};
  e.events = EPOLLIN | EPOLLET;
  e.data.u64 = bell_tag;
  if (epoll_ctl(poller.get(), EPOLL_CTL_ADD, bell.get(), &e) != 0) {
    return std::unexpected(os::last_error());
  }
  std::unique_ptr<epoll_driver> made(new (std::nothrow)
                                         epoll_driver(std::move(poller), std::move(bell)));
  if (!made) return std::unexpected(std::make_error_code(std::errc::not_enough_memory));
  return made;
}

epoll_driver::~epoll_driver() {
  WEFT_ASSERT(watched_.load(order::relaxed) == 0 && backlog_ == nullptr,
              "a driver went before the descriptors that it watches; close them first");
}

result<io_handle> epoll_driver::attach(os::fd descriptor) noexcept {
  source* s = allocate_source();
  if (s == nullptr) return std::unexpected(std::make_error_code(std::errc::not_enough_memory));
  return io_handle(std::move(descriptor), this, s);
}

void epoll_driver::detach(void* state, int fd) noexcept {
  source& s = *static_cast<source*>(state);
  if (driver* home = s.home.exchange(nullptr, order::acquire)) {
    auto& watcher = *static_cast<epoll_driver*>(home);
    // Not left to close(): a copy of the descriptor in a child would keep the interest alive.
    epoll_ctl(watcher.poller_.get(), EPOLL_CTL_DEL, fd, nullptr);
    watcher.watched_.fetch_sub(1, order::relaxed);
  }
  free_source(s);
}

bool epoll_driver::watch(io_operation& op) noexcept {
  source& s = source_of(op);
  driver* home = s.home.load(order::acquire);
  if (home != nullptr) return true;
  if (!s.home.compare_exchange(home, this, order::acq_rel, order::acquire)) return true;  // I4
  watched_.fetch_add(1, order::relaxed);                                                  // I5
  epoll_event e{};
  e.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
  e.data.u64 = s.tag();
  const int fd = op.handle->fd();
  if (epoll_ctl(poller_.get(), EPOLL_CTL_ADD, fd, &e) == 0) return true;
  const int error = errno;
  watched_.fetch_sub(1, order::relaxed);
  s.home.store(nullptr, order::release);
  readiness& other = is_writing(op.code) ? s.reading : s.writing;
  if (io_operation* relying = other.event()) {  // I4: it trusted this registration
    other.release();
    relying->answer = -error;
    relying->end(false);
  }
  op.answer = -error;
  return false;
}

submitted epoll_driver::submit(io_operation& op, promise_base& waiter) noexcept {
  const job& owner = *waiter.owner();
  if (owner.stop_requested() && !owner.shielded()) return submitted::stopped;
  op.at = this;
  if (op.code == io_code::futex_wait) return futexes_.submit(op, waiter);
  op.moved = 0;
  if (op.handle->state() == nullptr) {  // closed, or moved from
    WEFT_ASSERT(op.handle->fd() < 0,
                "a descriptor of another kind of driver came here; keep it in its runtime");
    op.answer = -EBADF;
    return submitted::done;
  }
  switch (start(word_of(op), op, waiter, try_call, [this](io_operation& o) { return watch(o); })) {
    case start_result::done:
      return submitted::done;
    case start_result::stopped:
      return submitted::stopped;
    case start_result::pending:
      return submitted::pending;
    case start_result::held:
      put_off(op);
      return submitted::pending;
  }
  return submitted::pending;
}

void epoll_driver::withdraw(io_operation& op) noexcept {
  if (op.code == io_code::futex_wait) return futexes_.withdraw(op);
  switch (word_of(op).withdraw(op)) {
    case readiness::withdraw_result::taken:
      end_stopped(op);
      break;
    case readiness::withdraw_result::asked:
    case readiness::withdraw_result::gone:
      break;
  }
}

unsigned epoll_driver::wait(std::int64_t deadline_ns) noexcept {
  epoll_event events[batch];
  unsigned ended = 0;
  bool woken = false;
  for (;;) {
    const int n = take_events(poller_.get(), events, backlog_ != nullptr ? 0 : deadline_ns);
    WEFT_ASSERT(n >= 0 || n == -EINTR, "epoll_wait failed: was a descriptor of weft's closed?");
    for (int i = 0; i < n; ++i) {
      const epoll_event& e = events[i];
      if (e.data.u64 == bell_tag) {
        rung_.exchange(0, order::acq_rel);  // P4
        woken = true;
        continue;
      }
      source* s = find_source(e.data.u64);
      if (s == nullptr) continue;
      if (e.events & reading_events) ended += ready(s->reading);
      if (e.events & writing_events) ended += ready(s->writing);
    }
    ended += do_backlog();
    if (ended != 0 || woken || deadline_ns <= 0) return ended;
    if (deadline_ns != weft::never_ns && os::monotonic_ns() >= deadline_ns) return 0;
  }
}

unsigned epoll_driver::ready(readiness& word) noexcept {
  io_operation* op = word.event();
  return op != nullptr ? go_on(word, *op) : 0;
}

unsigned epoll_driver::go_on(readiness& word, io_operation& op) noexcept {
  switch (carry_on(word, op, try_call)) {
    case held_end::ended:
      return 1;
    case held_end::armed:
      return 0;
    case held_end::held:
      put_off(op);
      return 0;
  }
  return 0;
}

void epoll_driver::put_off(io_operation& op) noexcept {
  op.queued = nullptr;
  *backlog_end_ = &op;
  backlog_end_ = &op.queued;
}

unsigned epoll_driver::do_backlog() noexcept {
  io_operation* op = backlog_;
  backlog_ = nullptr;
  backlog_end_ = &backlog_;
  unsigned ended = 0;
  while (op != nullptr) {
    io_operation* const after = op->queued;
    ended += go_on(word_of(*op), *op);
    op = after;
  }
  return ended;
}

void epoll_driver::wake() noexcept {
  if (rung_.exchange(1, order::acq_rel) != 0) return;  // P4
  const std::uint64_t one = 1;
  const auto n = write(bell_.get(), &one, sizeof one);
  WEFT_ASSERT(n == sizeof one, "the driver's eventfd cannot be written to: was it closed?");
}

bool epoll_driver::idle() const noexcept {
  return watched_.load(order::relaxed) == 0 && backlog_ == nullptr;
}

}  // namespace weft::io
