// Who does what
//   submit     tries the call; if it says "not yet": arms the operation in its job and watches it
//   wait       polls; tries the call of whatever may go on, and completes it; ends what was withdrawn
//   withdraw   leaves the operation in the inbox and rings the bell
//   I1  A descriptor's sides (below): `home` is the driver that watches an operation of this direction, or
//       null. Only that driver's owner writes it, and `place` beside it. Who reads his own driver there
//       has written it himself, so `place` is his to read; whoever reads another's needs no more than
//       that it is not his. A job that goes on elsewhere brings its direction along.
//   I2  poll tells what is so and not what has changed: an entry is left in the array for as long as its
//       operation waits, no event is lost between a try and the wait, and `more` needs no backlog.
//   I3  The array is in the order in which operations came, so that a limit leaves out the youngest. What
//       ends leaves a gap until the next look: poll goes through all of it anyway. Jobs that are resumed by
//       take_answers() may submit; only look() moves entries.
//   P1  the bell's: the inbox is looked into after bell::answered(), so a push whose ring wrote nothing is
//       seen now, and a later one ends the next wait().
// Rejected
//   Sharing source.hpp with epoll: there anybody takes an operation out, and leaves an entry here that
//     nobody may remove but the owner; it would keep the driver busy, and be told of by poll for ever
//   One entry an operation: poll refuses more entries than the process may have descriptors
//   A home for each descriptor, as with epoll: another processor would have to wake it for each wait
//   Keeping the entry between two operations (saves a few instructions): poll returns for what nobody wants
#include "weft/io/driver_poll.hpp"

#include <poll.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <new>

#include "weft/base/assert.hpp"
#include "weft/io/attempt.hpp"
#include "weft/io/source.hpp"
#include "weft/os/clock.hpp"
#include "weft/os/error.hpp"
#include "weft/os/poll_until.hpp"

namespace weft::io {
namespace {

constexpr std::int64_t muted_ns = 10 * ns_per_ms;
constexpr std::int64_t nap_ns = ns_per_ms;

/// One direction of a descriptor.
struct side {
  atomic<driver*> home{nullptr};  // I1
  std::size_t place = 0;
};
/// What is kept beside a descriptor.
struct sides {
  side reading;
  side writing;
};

side& side_of(const io_operation& op) noexcept {
  auto& both = *static_cast<sides*>(op.handle->state());
  return is_writing(op.code) ? both.writing : both.reading;
}
side& other_side_of(const io_operation& op) noexcept {
  auto& both = *static_cast<sides*>(op.handle->state());
  return is_writing(op.code) ? both.reading : both.writing;
}
/// An error of poll that is gone when it is asked again.
bool passes(int answer) noexcept {
  return answer == -EINTR || answer == -EAGAIN || answer == -ENOMEM;
}

short events_of(const io_operation& op) noexcept { return is_writing(op.code) ? POLLOUT : POLLIN; }

}  // namespace

// --- Descriptors

result<std::unique_ptr<poll_driver>> poll_driver::make() noexcept {
  auto pipe = os::make_pipe();
  if (!pipe) return std::unexpected(pipe.error());
  pollfd one{.fd = pipe->out.get(), .events = POLLIN, .revents = 0};
  const int n = os::poll_until(&one, 1, 0);
  if (n < 0 && !passes(n) && n != -EINVAL) {  // a policy may refuse it, and wait() could not say so
    return std::unexpected(os::from_errno(-n));
  }
  try {
    return std::unique_ptr<poll_driver>(new poll_driver(std::move(*pipe)));
  } catch (const std::bad_alloc&) {
    return std::unexpected(std::make_error_code(std::errc::not_enough_memory));
  }
}

poll_driver::poll_driver(os::pipe_ends pipe) : pipe_(std::move(pipe)) {
  polled_.push_back({.fd = pipe_.out.get(), .events = POLLIN, .revents = 0});
  waiting_.emplace_back();
}

poll_driver::~poll_driver() {
  WEFT_ASSERT(in_flight_ == 0,
              "a driver went before the operations in flight on it; stop them first");
}

result<io_handle> poll_driver::attach(os::fd descriptor) noexcept {
  auto* both = new (std::nothrow) sides;
  if (both == nullptr) return std::unexpected(std::make_error_code(std::errc::not_enough_memory));
  return io_handle(std::move(descriptor), this, both);
}

void poll_driver::detach(void* state, int) noexcept {
  auto* both = static_cast<sides*>(state);
  WEFT_ASSERT(both->reading.home.load(order::relaxed) == nullptr &&
                  both->writing.home.load(order::relaxed) == nullptr,
              "a descriptor was closed while an operation was in flight; stop its task first");
  delete both;
}

/// For one entry more. False: no memory.
bool poll_driver::has_room() noexcept {
  if (polled_.size() < polled_.capacity() && waiting_.size() < waiting_.capacity()) return true;
  try {
    const std::size_t enough = std::max<std::size_t>(2 * polled_.size(), 64);
    polled_.reserve(enough);
    waiting_.reserve(enough);
    return true;
  } catch (const std::bad_alloc&) {
    return false;
  }
}

void poll_driver::watch(io_operation& op) noexcept {
  side& mine = side_of(op);
  const side& other = other_side_of(op);
  if (other.home.load(order::relaxed) == this) {  // I1
    mine.place = other.place;
  } else {
    mine.place = polled_.size();
    polled_.push_back({.fd = op.handle->fd(), .events = 0, .revents = 0});
    waiting_.emplace_back();
  }
  mine.home.store(this, order::relaxed);
  pollfd& entry = polled_[mine.place];
  entry.events |= events_of(op);
  if (entry.fd < 0) unmute(entry);
  waiting& who = waiting_[mine.place];
  (is_writing(op.code) ? who.writing : who.reading) = &op;
}

void poll_driver::unwatch(io_operation& op) noexcept {
  side& mine = side_of(op);
  const std::size_t place = mine.place;
  mine.home.store(nullptr, order::relaxed);
  waiting& who = waiting_[place];
  (is_writing(op.code) ? who.writing : who.reading) = nullptr;
  polled_[place].events &= static_cast<short>(~events_of(op));
  if (who.reading != nullptr || who.writing != nullptr) return;
  if (polled_[place].fd < 0) --muted_;
  polled_[place].fd = -1;  // poll passes it over; close_gaps() takes it away
  ++gaps_;
}

/// Those that wait stay in the order in which they came.
void poll_driver::close_gaps() noexcept {
  if (gaps_ == 0) return;
  gaps_ = 0;
  std::size_t to = 1;
  for (std::size_t from = 1; from < polled_.size(); ++from) {
    const waiting who = waiting_[from];
    if (who.reading == nullptr && who.writing == nullptr) continue;
    if (who.reading != nullptr) side_of(*who.reading).place = to;
    if (who.writing != nullptr) side_of(*who.writing).place = to;
    polled_[to] = polled_[from];
    waiting_[to++] = who;
  }
  polled_.resize(to);
  waiting_.resize(to);
}

// --- Operations

submitted poll_driver::submit(io_operation& op, promise_base& waiter) noexcept {
  job& owner = *waiter.owner();
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
  if (try_call(op) == attempt::done) return submitted::done;
  WEFT_ASSERT(side_of(op).home.load(order::relaxed) == nullptr,
              "two tasks wait for the same direction of one descriptor; give it to one of them");
  if (!has_room()) {
    op.answer = -ENOMEM;
    return submitted::done;
  }
  withdrawals::prepare(op);
  if (owner.arm(op, waiter) == job::arm_result::stopped) {
    if (!(op.whole && op.moved != 0)) return submitted::stopped;
    op.answer = io_operation::answer_interrupted;
    return submitted::done;
  }
  ++in_flight_;
  watch(op);
  return submitted::pending;
}

void poll_driver::withdraw(io_operation& op) noexcept {
  if (op.code == io_code::futex_wait) return futexes_.withdraw(op);
  if (asked_.ask(op) == withdrawals::ask_result::queued) wake();
}

unsigned poll_driver::take_withdrawals() noexcept {
  unsigned ended = 0;
  io_operation* next = asked_.take();
  while (io_operation* const op = next) {
    next = op->link;  // the operation goes with its end
    const auto what = asked_.look(*op);
    if (what == withdrawals::look_result::cancel_it) {
      unwatch(*op);
      static_cast<void>(asked_.finish(*op, true));  // seen: there is nothing to wait for
    }
    --in_flight_;
    ++ended;
    if (what == withdrawals::look_result::end_it) {
      op->end(false);
    } else {
      end_stopped(*op);
    }
  }
  return ended;
}

/// The operation has its answer. Result: how many ended now; with a stop on its way, it waits for that.
unsigned poll_driver::end(io_operation& op) noexcept {
  unwatch(op);
  if (asked_.finish(op, false) == withdrawals::finish_result::wait_for_inbox) return 0;
  --in_flight_;
  op.end(false);
  return 1;
}

/// `told`: what poll says of its descriptor, which is not what it waits for if it is an error alone.
unsigned poll_driver::go_on(io_operation& op, short told) noexcept {
  if (asked_.was_asked(op)) return 0;  // the inbox has it, or is about to
  if ((told & POLLNVAL) != 0) {        // closed by somebody whose it was not
    op.answer = -EBADF;
    return end(op);
  }
  if (try_call(op) == attempt::done) return end(op);
  if ((told & events_of(op)) == 0) mute(op);
  return 0;
}

// --- Waiting

unsigned poll_driver::wait(std::int64_t deadline_ns, unsigned most) noexcept {
  for (;;) {
    const int entries = look(deadline_ns);
    WEFT_ASSERT(
        entries >= 0 || passes(entries),
        "poll was refused after it had worked: was a seccomp policy set while a runtime was "
        "there? Set it before the first one is made");
    bool woken = false;
    unsigned ended = 0;
    if (entries > 0) {
      const bool told = polled_.front().revents != 0;
      woken = told && answer_bell();
      ended = take_answers(entries - (told ? 1 : 0), most);
      if (woken) ended += take_withdrawals();  // P1
    }
    if (ended != 0 || woken || deadline_ns <= 0) return ended;
    if (deadline_ns != never_ns && os::monotonic_ns() >= deadline_ns) return 0;
  }
}

int poll_driver::look(std::int64_t deadline_ns) noexcept {
  close_gaps();
  if (muted_ != 0) {
    if (os::monotonic_ns() >= muted_until_ns_) unmute_all();
    deadline_ns = std::min(deadline_ns, muted_until_ns_);
  }
  const int n = os::poll_until(polled_.data(), polled_.size(), deadline_ns);
  if (n == -ENOMEM || n == -EAGAIN) nap(deadline_ns);  // or it would spin until there is memory
  return n == -EINVAL ? look_in_pieces(deadline_ns) : n;
}

/// Without a descriptor poll needs no memory, and there is no limit to exceed.
void poll_driver::nap(std::int64_t deadline_ns) noexcept {
  if (deadline_ns <= 0) return;
  const std::int64_t until_ns = std::min(deadline_ns, os::monotonic_ns() + nap_ns);
  static_cast<void>(os::poll_until(nullptr, 0, until_ns));
}

/// The process may have fewer descriptors now (setrlimit) than wait here, and poll refuses such a list.
/// Nothing can wait for all of them then: it looks at a piece after the other, naps, and comes again. Of
/// a piece that is refused, too (the limit may be 0), everybody is told: each then tries its call.
int poll_driver::look_in_pieces(std::int64_t deadline_ns) noexcept {
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  const std::size_t piece = std::max<std::size_t>(limit.rlim_cur, 1);
  int told = 0;
  bool guessed = false;
  for (std::size_t at = 0; at < polled_.size(); at += piece) {
    const std::size_t count = std::min(piece, polled_.size() - at);
    const int n = os::poll_until(polled_.data() + at, count, 0);
    if (n > 0) told += n;
    if (n >= 0) continue;
    guessed = true;
    for (std::size_t i = at; i < at + count; ++i) {
      polled_[i].revents = polled_[i].fd >= 0 ? POLLIN | POLLOUT : 0;
      told += polled_[i].fd >= 0 ? 1 : 0;
    }
  }
  if (told == 0 || guessed) nap(deadline_ns);  // a guess is most often wrong, and would spin
  return told;
}

/// `entries`: how many others than the pipe's poll has something to tell of.
unsigned poll_driver::take_answers(int entries, unsigned most) noexcept {
  unsigned ended = 0;
  // The oldest first, and whom the limit leaves out before the others the next time.
  for (std::size_t i = 1; i < polled_.size() && entries > 0 && ended < most; ++i) {
    const short told = polled_[i].revents;
    if (told == 0) continue;
    --entries;
    polled_[i].revents = 0;
    const waiting who = waiting_[i];
    constexpr short error = POLLERR | POLLHUP | POLLNVAL;
    if (who.reading != nullptr && (told & (POLLIN | error)) != 0)
      ended += go_on(*who.reading, told);
    if (who.writing != nullptr && (told & (POLLOUT | error)) != 0) {
      ended += go_on(*who.writing, told);
    }
  }
  return ended;
}

/// poll tells of an error of its descriptor, and the call does not (what came back of a datagram waits in
/// the queue of errors). It would tell so for ever: it is passed over for a moment.
void poll_driver::mute(io_operation& op) noexcept {
  pollfd& entry = polled_[side_of(op).place];
  if (entry.fd < 0) return;
  entry.fd = ~entry.fd;
  if (muted_++ == 0) muted_until_ns_ = os::monotonic_ns() + muted_ns;
}

void poll_driver::unmute_all() noexcept {
  for (pollfd& entry : polled_) {
    if (entry.fd < 0) unmute(entry);
  }
}

void poll_driver::unmute(pollfd& entry) noexcept {
  entry.fd = ~entry.fd;
  --muted_;
}

/// False: nobody had rung, poll was only guessed (look_in_pieces).
bool poll_driver::answer_bell() noexcept {
  polled_.front().revents = 0;
  char one;
  const auto n = ::read(pipe_.out.get(), &one, 1);
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) return false;
  WEFT_ASSERT(n == 1, "the driver's pipe cannot be read from: was it closed?");
  bell_.answered();  // P1; after the read, or it takes the byte of a ring that came between
  return true;
}

void poll_driver::wake() noexcept {
  if (!bell_.ring()) return;
  const auto n = ::write(pipe_.in.get(), "", 1);
  WEFT_ASSERT(n == 1, "the driver's pipe cannot be written to: was it closed?");
}

}  // namespace weft::io
