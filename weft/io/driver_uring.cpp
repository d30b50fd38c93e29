// Who does what, by one owner at a time unless it says otherwise
//   submit     arms the operation in its job and fills an entry; without a free entry it hands the
//              queue over, and if even that fails, leaves the operation in the backlog.
//   wait       looks at the completions that are there, at the withdrawals, at the backlog; then
//              hands over all entries and waits, in one call; then looks again. What the second
//              look fills in (the rest of a long send, a cancel) goes with the next call.
//   withdraw   (any thread) puts the operation into the inbox, rings the bell.
//   wake       (any thread) rings the bell, an eventfd that a poll in the ring watches. The poll is the
//              owner's own: a new owner makes a new one, and lets go of the other (changed_hands()).
//
//   The word and the inbox of withdrawals: withdrawals.hpp. On top of it:
//   I4  An operation has at most one entry or request in the kernel at a time, or is in the
//       backlog, or is over. Its user_data is its address; its end comes only with the completion
//       of that request.
//   I5  A cancel names its target by that address, and its completion does. So no operation ends before its
//       cancel is answered, nor while it waits in uncancelled_ or again_ for an entry.
//   I7  A cancel that did not find its target (it runs between two tries of the kernel's own, or is just
//       being looked at) is made again: at once a few times, then after a pause, until the target is over.
//       So is one that found it, after the pause: before Linux 6.10 another thread may have been about to
//       try again. Without that a stop is lost where a socket is always ready and never has anything, as
//       with a queue of errors that nobody reads. A file's may be where no cancel gets at it (a disk has it)
//       and ends by itself: that is asked a few times only.
//   I6  While operations are in flight wait() is what the worker sleeps in (idle()), and the bell
//       is armed whenever wait() blocks without limit.
//   P3  the bell: wake() sets rung_ (acq_rel) -> wait() clears it (acq_rel): what the waker did
//       before. The inbox is looked into after the clearing, so a push whose ring found rung_ set
//       already is seen in the same wait().
//   ECANCELED without a withdrawal is what the kernel says when the thread that started the request
//   has ended; the operation is started again.
//   EAGAIN is said by older kernels for non-blocking sockets: a poll for the direction comes first
//   then.
// Lent buffers
//   A receive_lent names the group of buffers (buffer_ring_uring.hpp); the kernel chooses one when bytes
//   are there and puts it back itself if there are none. The buffer that a completion names is ours,
//   whatever else the completion says (a cancel that came after the choice): it is delivered or goes back.
//   ENOBUFS, all are lent: a poll comes first then, and the call is tried here with a buffer of the heap,
//   as an epoll driver does. So it is from the start where the group is refused (before Linux 5.19).
//   EINVAL to a group that was registered: not chosen from again.
// Futexes
//   A futex wait is an entry like any other; a wake makes its completion, a cancel takes it out of the
//   kernel's list or finds it woken, and then the wake has arrived here and completes it.
//   A private wait in the ring of a process that has had no thread but its first one is never woken
//   once it has a second one: private words get a table of their own then, and waits in rings are left
//   in the old one (seen on 6.18). So a thread comes and goes before the first of a driver.
//   Before Linux 6.7 the ring says EINVAL, in round_trip(): then futexes_ waits.
// With a host
//   The bell is the host's, as if it were armed for ever: withdraw() -> wake() -> the host's wake(). The
//   host looks here (wait(0)) after it has answered its bell, so P3 holds with its bell in place of this
//   one's. Between rest() and the host's sleep nothing is lost: a completion makes the descriptor readable
//   until it is reaped, a withdrawal rings the bell.
// Rejected: SINGLE_ISSUER and DEFER_TASKRUN but for stay_on_one_thread() (completions of a ring that is
// handed over would never come); MSG_WAITALL for `whole` (hides an error behind the bytes before
// it); linked time-outs (a timeout is a stop from the timer, like any other).
#include "weft/io/driver_uring.hpp"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <limits>
#include <new>
#include <utility>

#include "weft/base/time.hpp"
#include "weft/io/attempt.hpp"
#include "weft/io/lent_buffers.hpp"
#include "weft/os/clock.hpp"

namespace weft::io {
namespace {

// user_data: the address of an operation, or one of these, which are odd.
constexpr std::uint64_t tag_bell_first = 1;
constexpr std::uint64_t tag_bell_step = 8;  // bell_tag_, from each of its polls to the next one
constexpr std::uint64_t tag_probe = 3;
constexpr std::uint64_t tag_probe_futex = 5;
constexpr std::uint64_t tag_of_no_interest = 7;
// With the address of its target: a cancel.
constexpr std::uint64_t of_cancel = 2;
static_assert(alignof(io_operation) > tag_probe_futex);

constexpr std::int64_t probe_timeout_ns = 1'000'000'000;
constexpr int probe_tries_max = 8;
constexpr unsigned file_retries_max = 8;
constexpr std::uint8_t cancels_at_once = 3;  // of one operation, before the pause between them
constexpr std::uint8_t file_cancels_max = 16;
constexpr std::int64_t retry_ns = 1'000'000;  // when the kernel has no memory for a request
constexpr std::size_t bytes_max = std::size_t{1} << 30;  // of one request
constexpr std::uint32_t parts_max = 1024;                // of one request (UIO_MAXIOV)

// Of Linux 6.7; headers may be older.
constexpr std::uint8_t opcode_futex_wait = 51;
constexpr int futex2_u32 = 2;
constexpr int futex2_private = 128;
constexpr std::uint64_t futex_match_any = 0xffff'ffff;

std::uint64_t tag_of(const io_operation& op) noexcept {
  return reinterpret_cast<std::uint64_t>(&op);
}

void fill_poll(io_uring_sqe& e, int fd, unsigned events) noexcept {
  e.opcode = IORING_OP_POLL_ADD;
  e.fd = fd;
  if constexpr (std::endian::native == std::endian::big) events = events << 16 | events >> 16;
  e.poll32_events = events;
}

void fill_futex_wait(io_uring_sqe& e, std::uint32_t* word, std::uint32_t expected,
                     futex_scope scope) noexcept {
  e.opcode = opcode_futex_wait;
  e.fd = futex2_u32 | (scope == futex_scope::process_private ? futex2_private : 0);
  e.addr = reinterpret_cast<std::uint64_t>(word);
  e.off = expected;
  e.addr3 = futex_match_any;
}

unsigned poll_events(io_code code) noexcept {
  switch (code) {
    case io_code::accept:
    case io_code::receive:
    case io_code::receive_lent:
    case io_code::receive_message:
    case io_code::wait_readable:
      return POLLIN | POLLRDHUP;
    case io_code::connect:
    case io_code::send:
    case io_code::send_vector:
    case io_code::send_message:
    case io_code::wait_writable:
      return POLLOUT;
    case io_code::futex_wait:
    case io_code::file:
      break;
  }
  return 0;
}

/// Of a call that had no reason to fail.
void assert_entered(int taken) noexcept {
  WEFT_ASSERT(
      taken >= 0 || taken == -EINTR || taken == -ETIME,
      "io_uring_enter failed: was a descriptor of weft's closed, or a seccomp policy set after "
      "the runtime was made?");
}

std::size_t total_of(const io_operation& op) noexcept {
  if (op.code != io_code::send_vector) return op.length;
  std::size_t total = 0;
  for (std::uint32_t i = 0; i < op.part_count; ++i) total += op.parts[i].size;
  return total;
}

}  // namespace

std::unique_ptr<uring_driver> uring_driver::try_out(unsigned entries, uring_refusal& refusal,
                                                    ring_ties ties) noexcept {
  std::unique_ptr<uring_driver> made;
  try {
    made.reset(new uring_driver);
  } catch (const std::bad_alloc&) {
    refusal = {uring_stage::memory, ENOMEM};
    return nullptr;
  }
  made->entries_ = entries;
  if (!made->ring_.open(entries, refusal, ties) || !made->round_trip(refusal)) return nullptr;
  return made;
}

bool uring_driver::works(uring_refusal& refusal) noexcept {
  constexpr unsigned entries = 8;
  return try_out(entries, refusal) != nullptr;
}

std::unique_ptr<uring_driver> uring_driver::make(unsigned entries, uring_refusal& refusal,
                                                 unsigned buffers, driver* host) noexcept {
  auto made = try_out(entries, refusal);
  if (made == nullptr) return nullptr;
  made->file_codes_ = file_codes_of(made->ring_.descriptor());
  made->buffers_wanted_ = buffers;
  made->host_ = host;
  made->bell_armed_ = host != nullptr;
  if (host != nullptr) return made;
  made->eventfd_ = os::fd(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!made->eventfd_) {
    refusal = {uring_stage::wake, errno};
    return nullptr;
  }
  return made;
}

uring_driver::~uring_driver() {
  WEFT_ASSERT(in_flight_ == 0,
              "a driver went before the operations in flight on it; stop them first");
  if (buffers_ != nullptr) buffers_->end(ring_.descriptor());
}

bool uring_driver::round_trip(uring_refusal& refusal) noexcept {
  io_uring_sqe& nop = ring_.next_entry();
  nop.opcode = IORING_OP_NOP;
  nop.user_data = tag_probe;
  std::uint32_t word = 1;  // does not hold 0, so that the wait is over at once
  io_uring_sqe& wait = ring_.next_entry();
  fill_futex_wait(wait, &word, 0, futex_scope::process_private);
  wait.user_data = tag_probe_futex;
  int error = 0;
  int not_now = 0;
  unsigned came_back = 0;
  for (int tries = 0; came_back < 2 && tries < probe_tries_max; ++tries) {
    error = ring_.enter(ring_.unsubmitted(), 2 - came_back, probe_timeout_ns);
    // A signal, or no memory for a request at this moment, is no answer.
    if (error == -EAGAIN || error == -EBUSY) not_now = -error;
    if (error == -EINTR || error == -EAGAIN || error == -EBUSY) error = 0;
    ring_.reap([&](std::uint64_t tag, int res, unsigned) {
      ++came_back;
      if (tag == tag_probe_futex) {
        ring_waits_for_futexes_ = res == -EAGAIN;
      } else if (res < 0) {
        error = res;
      }
      return true;
    });
    if (error < 0) break;
  }
  if (came_back == 2 && error >= 0) return true;
  if (error >= 0) error = not_now != 0 ? -not_now : -ETIMEDOUT;  // above 0: entries were taken
  refusal = {uring_stage::round_trip, -error};
  return false;
}

void uring_driver::stay_on_one_thread() noexcept {
  uring_refusal refused;
  // Refused (before Linux 6.1, or no descriptor now): the one that is there does the same.
  if (const auto tied = try_out(entries_, refused, ring_ties::one_thread)) ring_.swap(tied->ring_);
}

result<io_handle> uring_driver::attach(os::fd descriptor) noexcept {
  return io_handle(std::move(descriptor), this, nullptr);  // a ring needs no state beside it
}

void uring_driver::detach(void*, int) noexcept {}

submitted uring_driver::submit(io_operation& op, promise_base& waiter) noexcept {
  job& owner = *waiter.owner();
  if (owner.stop_requested() && !owner.shielded()) return submitted::stopped;
  op.at = this;
  if (op.code == io_code::futex_wait) {
    if (!ring_waits_for_futexes_) return futexes_.submit(op, waiter);
    if (op.scope_of_futex() == futex_scope::process_private && !has_had_a_thread_) have_a_thread();
  }
  op.moved = 0;
  op.address_size = 0;
  op.cancels = 0;
  op.polls_first = op.code == io_code::receive_lent && !has_buffers();
  withdrawals::prepare(op);
  if (owner.arm(op, waiter) == job::arm_result::stopped) return submitted::stopped;
  ++in_flight_;
  issue(op);
  return submitted::pending;
}

/// If the system refuses one there is none to come either, and whoever wakes is the process's first.
void uring_driver::have_a_thread() noexcept {
  auto started = os::thread::start("weft futex", 0, [](void*) {}, nullptr);
  if (!started) return;
  started->join();
  has_had_a_thread_ = true;
}

/// Whether the kernel may choose: they are made for the first who wants one.
bool uring_driver::has_buffers() noexcept {
  if (buffers_wanted_ == 0) return false;
  if (buffers_ == nullptr) buffers_ = buffer_ring::make(ring_.descriptor(), buffers_wanted_);
  if (buffers_ == nullptr) buffers_wanted_ = 0;
  return buffers_ != nullptr;
}

void uring_driver::withdraw(io_operation& op) noexcept {
  if (op.code == io_code::futex_wait && !ring_waits_for_futexes_) return futexes_.withdraw(op);
  if (asked_.ask(op) == withdrawals::ask_result::queued) wake();
}

// --- Handing over

bool uring_driver::has_room() noexcept {
  if (ring_.has_room()) return true;
  ring_.enter(ring_.unsubmitted(), 0, 0);  // what it says shows in whether there is room now
  return ring_.has_room();
}

void uring_driver::issue(io_operation& op) noexcept {
  // Behind those that wait already, or a small ring would starve them.
  if (!backlog_.empty() || !has_room()) return backlog_.push(op);
  fill(ring_.next_entry(), op);
}

void uring_driver::fill(io_uring_sqe& e, io_operation& op) noexcept {
  e.user_data = tag_of(op);
  if (op.code == io_code::futex_wait) {
    return fill_futex_wait(e, op.futex_word(), op.futex_expected(), op.scope_of_futex());
  }
  if (op.code == io_code::file) return fill_file(e, op.called_file(), op.moved);
  e.fd = op.handle->fd();
  if (op.polls_first) {
    fill_poll(e, e.fd, poll_events(op.code));
    return;
  }
  switch (op.code) {
    case io_code::accept:
      e.opcode = IORING_OP_ACCEPT;
      e.accept_flags = SOCK_NONBLOCK | SOCK_CLOEXEC;
      if (op.address != nullptr) {
        op.address_size = sizeof op.address->bytes;
        e.addr = reinterpret_cast<std::uint64_t>(op.address->bytes);
        e.addr2 = reinterpret_cast<std::uint64_t>(&op.address_size);
      }
      return;
    case io_code::connect:
      e.opcode = IORING_OP_CONNECT;
      e.addr = reinterpret_cast<std::uint64_t>(op.address->bytes);
      e.off = op.address->size;
      return;
    case io_code::receive:
    case io_code::send:
      e.opcode = op.code == io_code::send ? IORING_OP_SEND : IORING_OP_RECV;
      e.msg_flags = op.code == io_code::send ? MSG_NOSIGNAL : 0;
      e.addr = reinterpret_cast<std::uint64_t>(op.buffer) + op.moved;
      e.len = static_cast<unsigned>(std::min(op.length - op.moved, bytes_max));
      return;
    case io_code::receive_lent:
      e.opcode = IORING_OP_RECV;
      if (op.lender != nullptr) {  // see completed()
        e.addr = reinterpret_cast<std::uint64_t>(op.buffer);
        e.len = lent_bytes_max;
        return;
      }
      e.flags = IOSQE_BUFFER_SELECT;
      e.buf_group = buffer_ring::group;
      e.len = lent_bytes_max;
      return;
    case io_code::send_vector:
      fill_parts(e, op);
      return;
    case io_code::receive_message:
    case io_code::send_message:
      e.opcode = op.code == io_code::send_message ? IORING_OP_SENDMSG : IORING_OP_RECVMSG;
      // A send that finds the receiver's queue full is told so, and polls: where the ring tries again by
      // itself, it sends what the first try had left to read of the parts: an empty packet (seen on 6.18).
      e.msg_flags =
          op.code == io_code::send_message ? MSG_NOSIGNAL | MSG_DONTWAIT : MSG_CMSG_CLOEXEC;
      e.addr = reinterpret_cast<std::uint64_t>(op.buffer);
      e.len = 1;
      return;
    case io_code::wait_readable:
    case io_code::wait_writable:
      fill_poll(e, e.fd, poll_events(op.code));
      return;
    case io_code::futex_wait:
    case io_code::file:
      return;
  }
}

void uring_driver::fill_parts(io_uring_sqe& e, io_operation& op) noexcept {
  std::size_t skip = op.moved;
  std::uint32_t first = 0;
  while (first < op.part_count && skip >= op.parts[first].size) skip -= op.parts[first++].size;
  if (skip == 0) {
    msghdr& header = ring_.header_of(e);  // the kernel copies it when it takes the entry
    header = msghdr{};
    header.msg_iov = reinterpret_cast<iovec*>(const_cast<io_part*>(op.parts + first));
    header.msg_iovlen = std::min(op.part_count - first, parts_max);
    e.opcode = IORING_OP_SENDMSG;
    e.msg_flags = MSG_NOSIGNAL;
    e.addr = reinterpret_cast<std::uint64_t>(&header);
    e.len = 1;
    return;
  }
  // The rest of a part that was sent in part goes alone: the caller's list is not ours to change.
  const io_part& part = op.parts[first];
  e.opcode = IORING_OP_SEND;
  e.msg_flags = MSG_NOSIGNAL | (first + 1 < op.part_count ? MSG_MORE : 0);
  e.addr = reinterpret_cast<std::uint64_t>(part.data) + skip;
  e.len = static_cast<unsigned>(std::min(part.size - skip, bytes_max));
}

// --- Taking answers

void uring_driver::reap() noexcept {
  if (ended_ >= most_) return;
  ring_.reap([this](std::uint64_t tag, int res, unsigned flags) {
    if ((tag & 1) != 0) {
      if (tag == bell_tag_) {
        rang(res, flags);
      } else if (tag % tag_bell_step == tag_bell_first && (flags & IORING_CQE_F_MORE) != 0 &&
                 bell_of_other_ == 0) {
        bell_of_other_ = tag;  // it rang while it was told to go, which it did not hear (EALREADY)
      }
    } else if ((tag & of_cancel) != 0) {
      cancel_answered(*reinterpret_cast<io_operation*>(tag & ~of_cancel), res);
    } else {
      completed(*reinterpret_cast<io_operation*>(tag), res, flags);
    }
    return ended_ < most_;
  });
}

void uring_driver::completed(io_operation& op, int res, unsigned flags) noexcept {
  const bool polled = std::exchange(op.polls_first, false);
  const bool asked = asked_.was_asked(op);
  if ((flags & IORING_CQE_F_BUFFER) != 0) {
    std::byte* const chosen = buffers_->lend(flags >> IORING_CQE_BUFFER_SHIFT);
    if (res > 0) {
      op.lend(*buffers_, chosen);
    } else {
      buffers_->give_back(chosen);
    }
  }
  if (op.code == io_code::receive_lent && op.lender != nullptr && res <= 0) {
    static_cast<void>(op.take_lent());  // what it waited with
  }
  switch (res) {
    case -EINVAL:
    case -ENOBUFS:
      if (op.code != io_code::receive_lent || polled) break;
      if (res == -EINVAL) buffers_wanted_ = 0;
      if (asked) return end(op, true);
      op.polls_first = true;
      return issue(op);
    case -ECANCELED:
    case -EINTR:
      if (asked) return end(op, true);
      if (op.code == io_code::file && res == -ECANCELED && ++op.address_size > file_retries_max) {
        op.answer = -EAGAIN;  // the kernel may start no thread for it
        return end(op, false);
      }
      return issue(op);
    case -EAGAIN:
      if (op.code == io_code::connect && !polled) break;  // a unix listener whose queue is full
      if (op.code == io_code::futex_wait) {
        op.answer = io_operation::answer_futex_changed;
        return end(op, false);
      }
      [[fallthrough]];
    case -EINPROGRESS:
    case -EALREADY:
      if (op.code == io_code::file) break;  // a file is always ready: it means what it says
      if (asked) return end(op, true);
      op.polls_first = true;
      return issue(op);
    default:
      break;
  }
  if (polled && res >= 0) {  // ready now; the call itself comes next
    if (asked) return end(op, true);
    if (op.code != io_code::receive_lent) return issue(op);
    switch (try_call(op)) {
      case attempt::done:
      case attempt::drained:
        return end(op, false);
      case attempt::not_yet:
      case attempt::more:
        // With something in its queue of errors alone it would be polled for ever. A receive waits.
        if ((res & (POLLIN | POLLRDHUP | POLLHUP)) == 0) {
          if (std::byte* const bytes = borrow_from_heap()) {
            op.lend(heap_lender(), bytes);
            return issue(op);
          }
        }
        op.polls_first = true;
        return issue(op);
    }
  }
  op.answer = res;
  switch (op.code) {
    case io_code::accept:
      if (res < 0 && is_connection_error(-res)) return asked ? end(op, true) : issue(op);
      if (res >= 0 && op.address != nullptr) op.address->size = op.address_size;
      break;
    case io_code::connect:
      if (res == -EISCONN) op.answer = 0;  // it was told to wait, and is connected now
      break;
    case io_code::receive:
    case io_code::send:
    case io_code::send_vector:
      if (res >= 0) return moved_some(op, res);
      break;
    case io_code::receive_lent:
    case io_code::receive_message:
    case io_code::send_message:
      break;
    case io_code::wait_readable:
    case io_code::wait_writable:
      if (res > 0) op.answer = 0;
      break;
    case io_code::file:
      switch (op.called_file().code) {
        case os::file_code::read:
        case os::file_code::write:
          if (res >= 0) return moved_some(op, res);
          break;
        default:
          break;
      }
      break;
    case io_code::futex_wait:
      WEFT_ASSERT(res != -EFAULT, "a futex word was unmapped while somebody waited for it");
      op.answer = res == 0 ? io_operation::answer_futex_woken : io_operation::answer_futex_changed;
      break;
  }
  end(op, false);
}

void uring_driver::moved_some(io_operation& op, int bytes) noexcept {
  op.moved += static_cast<std::size_t>(bytes);
  op.answer = static_cast<std::int64_t>(op.moved);
  if (op.code == io_code::file && op.whole && bytes == 0 && op.moved < total_of(op) &&
      op.called_file().code == os::file_code::write) {
    op.answer = -EIO;  // as where a thread makes the call: not all is there
    return end(op, false);
  }
  if (!op.whole || bytes == 0 || op.moved >= total_of(op)) return end(op, false);
  if (asked_.was_asked(op)) return end(op, true);
  issue(op);
}

void uring_driver::end(io_operation& op, bool stopped) noexcept {
  if (stopped && op.whole && op.moved != 0) {  // it had an effect, which must not be denied
    op.answer = io_operation::answer_interrupted;
    stopped = false;
  }
  switch (asked_.finish(op, stopped)) {
    case withdrawals::finish_result::end_it:
      return end_now(op, stopped);
    case withdrawals::finish_result::wait_for_inbox:
      return;  // take_withdrawals() ends it
  }
}

void uring_driver::end_now(io_operation& op, bool stopped) noexcept {
  --in_flight_;
  ++ended_;
  op.end(stopped);
}

void uring_driver::take_withdrawals() noexcept {
  while (io_operation* op = uncancelled_ != nullptr ? uncancelled_ : asked_.take()) {
    for (uncancelled_ = op; op != nullptr; op = uncancelled_) {
      if (!has_room()) return;  // what is left stays as if it were in the inbox (I5)
      uncancelled_ = op->link;
      if (!end_if_over(*op)) cancel(*op);
    }
  }
}

/// Of an operation that was taken out of the inbox and has no cancel under way.
bool uring_driver::end_if_over(io_operation& op) noexcept {
  switch (asked_.look(op)) {
    case withdrawals::look_result::cancel_it:
      return false;
    case withdrawals::look_result::end_it:
      end_now(op, false);
      return true;
    case withdrawals::look_result::end_stopped:
      end_now(op, true);
      return true;
  }
  return false;
}

/// Finds nothing if the operation is in the backlog; prepare() looks there next.
void uring_driver::cancel(io_operation& op) noexcept {
  if (op.cancels != std::numeric_limits<std::uint8_t>::max()) ++op.cancels;
  io_uring_sqe& e = ring_.next_entry();
  e.opcode = IORING_OP_ASYNC_CANCEL;
  e.fd = -1;
  e.addr = tag_of(op);
  e.user_data = tag_of(op) | of_cancel;
}

void uring_driver::cancel_answered(io_operation& op, int res) noexcept {
  if (end_if_over(op)) return;
  if (op.code == io_code::file && op.cancels >= file_cancels_max) {
    asked_.answered(op);
    return;
  }
  if (res != -ENOENT && res != -EALREADY) op.cancels = std::max(op.cancels, cancels_at_once);
  op.link = again_;
  again_ = &op;
}

void uring_driver::cancel_again() noexcept {
  if (again_ == nullptr) return;
  const std::int64_t now_ns = os::monotonic_ns();
  const bool paused = now_ns >= again_at_ns_;
  if (paused) again_at_ns_ = now_ns + retry_ns;
  io_operation* left = nullptr;
  while (io_operation* const op = again_) {
    again_ = op->link;
    if (end_if_over(*op)) continue;
    if ((paused || op->cancels < cancels_at_once) && has_room()) {
      cancel(*op);
    } else {
      op->link = left;
      left = op;
    }
  }
  again_ = left;
}

// --- Waiting

/// Everything that can be done before the kernel is asked.
void uring_driver::prepare() noexcept {
  reap();
  take_withdrawals();
  while (!backlog_.empty() && has_room()) {
    io_operation& op = *backlog_.pop();
    if (asked_.was_asked(op)) {
      end(op, true);
    } else {
      fill(ring_.next_entry(), op);
    }
  }
  cancel_again();
  if (!bell_armed_ && has_room()) arm_bell();
  if (bell_of_other_ != 0 && has_room()) {
    io_uring_sqe& e = ring_.next_entry();
    e.opcode = IORING_OP_POLL_REMOVE;
    e.fd = -1;
    e.addr = std::exchange(bell_of_other_, 0);
    e.user_data = tag_of_no_interest;
  }
}

unsigned uring_driver::wait(std::int64_t deadline_ns, unsigned most) noexcept {
  ended_ = 0;
  most_ = most;
  rang_ = false;
  prepare();
  for (;;) {
    const unsigned filled = ring_.unsubmitted();
    const bool block = ended_ == 0 && !rang_ && deadline_ns > 0;
    if (!block && filled == 0 && !ring_.wants_call()) return ended_;
    std::int64_t timeout_ns = 0;
    if (block) {
      timeout_ns = -1;
      if (deadline_ns != never_ns) {
        timeout_ns = std::max<std::int64_t>(0, deadline_ns - os::monotonic_ns());
      }
      const bool stuck =
          !bell_armed_ || !backlog_.empty() || uncancelled_ != nullptr || again_ != nullptr;
      if (stuck && (timeout_ns < 0 || timeout_ns > retry_ns)) timeout_ns = retry_ns;
    }
    const int taken = ring_.enter(filled, block ? 1 : 0, timeout_ns);
    prepare();
    if (ended_ != 0 || rang_ || !block) return ended_;
    if (deadline_ns != never_ns && os::monotonic_ns() >= deadline_ns) return 0;
    switch (taken) {
      case -EAGAIN:
      case -EBUSY:  // no memory for a request now: wait for others to end, but not for long
        if (!ring_.has_completion()) ring_.enter(0, 1, retry_ns);
        prepare();
        if (ended_ != 0 || rang_) return ended_;
        break;
      default:
        assert_entered(taken);
    }
  }
}

bool uring_driver::rest() noexcept {
  // What the second look of the last wait() filled in is not on its way yet. Completions that come
  // of it, or were there, make the descriptor readable; what is without an entry does not, nor a
  // ring of the bell before its poll is with the kernel.
  if (ring_.unsubmitted() != 0) {
    const int taken = ring_.enter(ring_.unsubmitted(), 0, 0);
    if (taken != -EAGAIN && taken != -EBUSY) assert_entered(taken);
  }
  return bell_armed_ && backlog_.empty() && uncancelled_ == nullptr && again_ == nullptr &&
         ring_.unsubmitted() == 0 && !ring_.wants_call();
}

void uring_driver::wake() noexcept {
  if (host_ != nullptr) return host_->wake();
  if (!bell_.ring()) return;  // P3
  const std::uint64_t one = 1;
  const auto n = write(eventfd_.get(), &one, sizeof one);
  WEFT_ASSERT(n == sizeof one, "the driver's eventfd cannot be written to: was it closed?");
}

/// The kernel tells of a request by way of the thread that made it. If that one sleeps so that nothing wakes
/// it, not even for this (as for a disk), nobody hears its bell; and when it has become a spare, each ring would wake it.
void uring_driver::changed_hands() noexcept {
  if (host_ != nullptr || !bell_armed_)
    return;  // not armed: it was so before, or is to be armed anew anyway
  bell_armed_ = false;
  bell_of_other_ = bell_tag_;
  bell_tag_ += tag_bell_step;
}

void uring_driver::arm_bell() noexcept {
  io_uring_sqe& e = ring_.next_entry();
  fill_poll(e, eventfd_.get(), POLLIN);
  e.user_data = bell_tag_;
  if (bell_multishot_) e.len = IORING_POLL_ADD_MULTI;
  bell_armed_ = true;
}

void uring_driver::rang(int res, unsigned flags) noexcept {
  if ((flags & IORING_CQE_F_MORE) == 0) bell_armed_ = false;
  if (res < 0) {  // refused, or its thread has ended: what was rung meanwhile rings the next poll
    if (res == -EINVAL) bell_multishot_ = false;
    return;
  }
  if (!bell_armed_) {  // emptied, or the next poll would fire for the old ring
    std::uint64_t rings = 0;
    static_cast<void>(read(eventfd_.get(), &rings, sizeof rings));
  }
  bell_.answered();  // P3; after the read, or the ring of a waker between is lost
  rang_ = true;
}

}  // namespace weft::io
