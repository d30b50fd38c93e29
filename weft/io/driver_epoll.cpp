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
//   I6  The ring is looked at before epoll is asked and after it has answered, each time without a system
//       call unless there is something to hand over; and epoll is asked to wait only when the ring is at
//       rest, or for retry_ns. Its descriptor is level-triggered: readable as long as a completion lies
//       there, also one that came before epoll was asked. A withdrawal rings the bell, and the look that
//       comes after the bell was answered finds it (P3 of driver_uring.cpp).
//   A late event of a closed descriptor meets a source of another generation, or in the worst case
//   causes a vain try: every try asks the kernel, none trusts the event.
// Rejected: registering at attach() (all of a listener's connections would be watched by the one
// processor that accepts; and what never waits would pay for it); one epoll for all processors (a
// wake-up for one of them would reach any of them); moving a source to the processor of its last
// submitter (two system calls for each steal).
#include "weft/io/driver_epoll.hpp"

#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <new>

#include "weft/base/time.hpp"
#include "weft/io/driver_uring.hpp"
#include "weft/os/clock.hpp"
#include "weft/os/error.hpp"

namespace weft::io {
namespace {

constexpr unsigned batch = 256;  // events a wait takes at a time
constexpr std::uint64_t bell_tag = ~std::uint64_t{0};
constexpr std::uint64_t ring_tag = bell_tag - 1;
constexpr std::int64_t ring_pause_ns = 100'000'000;  // before it is asked for again
constexpr std::int64_t retry_ns = 1'000'000;  // when the kernel takes no request of the ring's now
constexpr std::uint32_t reading_events = EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR | EPOLLPRI;
constexpr std::uint32_t told_once =
    EPOLLRDHUP | EPOLLHUP | EPOLLERR | EPOLLPRI;  // D1 of source.hpp
constexpr std::uint32_t writing_events = EPOLLOUT | EPOLLHUP | EPOLLERR;

source& source_of(const io_operation& op) noexcept {
  return *static_cast<source*>(op.handle->state());
}

readiness& word_of(const io_operation& op) noexcept {
  source& s = source_of(op);
  return is_writing(op.code) ? s.writing : s.reading;
}

/// try_call(), which says `drained` where the descriptor's next event is sure to tell of more.
attempt try_at(io_operation& op) noexcept {
  const attempt how = try_call(op);
  if (how != attempt::done || op.answer <= 0) return how;
  const auto got = static_cast<std::size_t>(op.answer);
  const bool got_less = op.code == io_code::receive
                            ? !op.whole && got < op.length
                            : op.code == io_code::receive_lent && got < lent_bytes_max;
  if (!got_less || !source_of(op).short_means_empty.load(order::relaxed)) return how;
  return attempt::drained;
}

/// Streams of other kinds give less at a border: Unix ones between two messages that came with
/// descriptors. (So would TCP that reads by the kernel's TLS, a record at a time: not supported.)
bool is_tcp(int fd) noexcept {
  int protocol = 0;
  socklen_t size = sizeof protocol;
  return getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &size) == 0 && protocol == IPPROTO_TCP;
}

/// Takes up to `most` events. Result: their number, or -errno.
int take_events(int poller, epoll_event* out, int most, std::int64_t deadline_ns) noexcept {
  const std::int64_t left_ns = os::ns_left_until(deadline_ns);
  if (left_ns == 0 || left_ns == weft::never_ns) {
    const int n = epoll_wait(poller, out, most, left_ns == 0 ? 0 : -1);
    return n >= 0 ? n : -errno;
  }
  static atomic<bool> lacks_ns{false};  // Linux before 5.11, or an old seccomp policy
  if (!lacks_ns.load(order::relaxed)) {
    const timespec t{static_cast<time_t>(left_ns / 1'000'000'000), left_ns % 1'000'000'000};
    const long n = syscall(SYS_epoll_pwait2, poller, out, most, &t, nullptr, 0);
    if (n >= 0) return static_cast<int>(n);
    if (errno != ENOSYS && errno != EPERM) return -errno;
    lacks_ns.store(true, order::relaxed);
  }
  constexpr std::int64_t ms_max = 24L * 3600 * 1000;        // whoever waits longer looks again
  const std::int64_t ms = (left_ns + 999'999) / 1'000'000;  // up: never early
  const int n = epoll_wait(poller, out, most, static_cast<int>(ms < ms_max ? ms : ms_max));
  return n >= 0 ? n : -errno;
}

}  // namespace

result<std::unique_ptr<epoll_driver>> epoll_driver::make(unsigned ring_entries) noexcept {
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
  if (const int n = take_events(poller.get(), &e, 1, 0); n < 0) {  // a policy may refuse just that
    return std::unexpected(os::from_errno(-n));
  }
  try {
    return std::unique_ptr<epoll_driver>(
        new epoll_driver(std::move(poller), std::move(bell), ring_entries));
  } catch (const std::bad_alloc&) {
    return std::unexpected(std::make_error_code(std::errc::not_enough_memory));
  }
}

epoll_driver::epoll_driver(os::fd poller, os::fd bell, unsigned ring_entries)
    : poller_(std::move(poller)), eventfd_(std::move(bell)), ring_entries_(ring_entries) {}

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
    // Not left to close(): a copy of the descriptor in a child would keep the interest alive. And not by
    // a child of fork(): the poller is the parent's, and so is the interest.
    if (watcher.made_in_ == os::fork_generation()) {
      epoll_ctl(watcher.poller_.get(), EPOLL_CTL_DEL, fd, nullptr);
    }
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
  e.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLPRI | EPOLLET;
  e.data.u64 = s.tag();
  const int fd = op.handle->fd();
  s.short_means_empty.store(is_tcp(fd),
                            order::relaxed);  // only wait(), of this driver, takes it back
  if (epoll_ctl(poller_.get(), EPOLL_CTL_ADD, fd, &e) == 0) return true;
  const int error = errno;
  s.short_means_empty.store(false, order::relaxed);
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
  op.moved = 0;
  if (op.code == io_code::futex_wait || op.code == io_code::file) {
    if (uring_driver* const r = ring()) return r->submit(op, waiter);
    if (op.code == io_code::futex_wait) return futexes_.submit(op, waiter);
    op.answer = -ENOSYS;  // does_file() has said so
    return submitted::done;
  }
  if (op.handle->state() == nullptr) {  // closed, or moved from
    WEFT_ASSERT(op.handle->fd() < 0,
                "a descriptor of another kind of driver came here; keep it in its runtime");
    op.answer = -EBADF;
    return submitted::done;
  }
  switch (start(word_of(op), op, waiter, try_at, [this](io_operation& o) { return watch(o); })) {
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

unsigned epoll_driver::wait(std::int64_t deadline_ns, unsigned most) noexcept {
  epoll_event events[batch];
  unsigned ended = 0;
  bool woken = false;
  const auto room = [&] { return most - std::min(most, ended); };
  for (;;) {
    std::int64_t until_ns = backlog_ != nullptr ? 0 : deadline_ns;
    if (ring_ != nullptr) {  // I6
      // Sockets have their half: files in the page cache are done as they are asked for, without end.
      ended += ring_->wait(0, watched_.load(order::relaxed) != 0 ? most - most / 2 : most);
      if (ended != 0) {
        until_ns = 0;
      } else if (until_ns > 0 && !ring_->rest()) {
        until_ns = std::min(until_ns, os::monotonic_ns() + retry_ns);
      }
    }
    if (until_ns <= 0 && has_nothing_to_tell()) return ended;
    // What is not taken stays with the kernel, the oldest first.
    const int n = take_events(poller_.get(), events,
                              static_cast<int>(std::clamp<unsigned>(room(), 1, batch)), until_ns);
    WEFT_ASSERT(
        n >= 0 || n == -EINTR,
        "epoll_wait failed: was a descriptor of weft's closed, or a seccomp policy set after "
        "the runtime was made?");
    for (int i = 0; i < n; ++i) {
      const epoll_event& e = events[i];
      if (e.data.u64 == bell_tag) {
        bell_.answered();
        woken = true;
        continue;
      }
      if (e.data.u64 == ring_tag) continue;  // looked at below, whoever told
      source* s = find_source(e.data.u64);
      if (s == nullptr) continue;
      if (e.events & told_once) s->short_means_empty.store(false, order::relaxed);
      if (e.events & reading_events) ended += ready(s->reading);
      if (e.events & writing_events) ended += ready(s->writing);
    }
    ended += do_backlog();
    if (ring_ != nullptr) ended += ring_->wait(0, room());  // I6
    if (ended != 0 || woken || deadline_ns <= 0) return ended;
    if (deadline_ns != weft::never_ns && os::monotonic_ns() >= deadline_ns) return 0;
  }
}

unsigned epoll_driver::ready(readiness& word) noexcept {
  io_operation* op = word.event();
  return op != nullptr ? go_on(word, *op) : 0;
}

unsigned epoll_driver::go_on(readiness& word, io_operation& op) noexcept {
  switch (carry_on(word, op, try_at)) {
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
  if (!bell_.ring()) return;
  const std::uint64_t one = 1;
  const auto n = write(eventfd_.get(), &one, sizeof one);
  WEFT_ASSERT(n == sizeof one, "the driver's eventfd cannot be written to: was it closed?");
}

bool epoll_driver::idle() const noexcept {
  return watched_.load(order::relaxed) == 0 && backlog_ == nullptr &&
         (ring_ == nullptr || ring_->idle());
}

/// Spares a look that finds nothing its system call. (A ring of the bell is to be taken from the
/// descriptor, or a guest's host would be told again and again.)
bool epoll_driver::has_nothing_to_tell() const noexcept {
  return watched_.load(order::relaxed) == 0 && backlog_ == nullptr && !bell_.is_up();
}

bool epoll_driver::rest() noexcept {
  return backlog_ == nullptr && (ring_ == nullptr || ring_->rest());
}

// --- The ring beside

/// Made for the first who needs it, so that programs without files pay nothing. What is denied stays denied;
/// where only a descriptor or memory was missing it is tried again, and the pool does meanwhile.
uring_driver* epoll_driver::ring() noexcept {
  if (ring_ != nullptr || ring_entries_ == 0) return ring_.get();
  if (ring_again_at_ns_ != 0 && os::monotonic_ns() < ring_again_at_ns_) return nullptr;
  uring_refusal refusal{};
  auto made = uring_driver::make(ring_entries_, refusal, 0, this);
  int error = refusal.error;
  if (made != nullptr) {
    epoll_event e{};
    e.events = EPOLLIN;  // I6
    e.data.u64 = ring_tag;
    if (epoll_ctl(poller_.get(), EPOLL_CTL_ADD, made->descriptor(), &e) == 0) {
      ring_ = std::move(made);
      return ring_.get();
    }
    error = errno;
  }
  switch (error) {
    case EMFILE:
    case ENFILE:
    case ENOMEM:
    case ENOSPC:
    case EAGAIN:
    case EBUSY:
      ring_again_at_ns_ = os::monotonic_ns() + ring_pause_ns;
      break;
    default:
      ring_entries_ = 0;
  }
  return nullptr;
}

bool epoll_driver::does_file(os::file_code code) noexcept {
  uring_driver* const r = ring();
  return r != nullptr && r->does_file(code);
}

}  // namespace weft::io
