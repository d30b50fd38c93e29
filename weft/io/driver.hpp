// driver: the contract between waiting jobs and the platform's I/O, in terms of completions.
//
// An io_operation says what is wanted and where the answer goes. submit() starts it; the driver
// answers by completing it exactly once, from inside wait(), with a result of >= 0 or -errno. A
// driver built on readiness (epoll, poll) imitates completion by trying the call itself when told
// that it may succeed; one built on completion (io_uring) hands it to the kernel.
//
//   Threads  One owner at a time calls submit() and wait(): the thread that has the processor the
//            driver belongs to. wake() and io_operation::withdraw() may come from any thread.
//   Cancel   A withdrawn operation ends only after the kernel let go of its buffer. If the call had
//            already happened, completion wins and its result is delivered.
//   Errors   EINTR, EAGAIN after readiness, SIGPIPE and short counts are dealt with here and
//            nowhere else: an answer is a result a user can act upon.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <utility>

#include "weft/base/result.hpp"
#include "weft/io/lent_bytes.hpp"
#include "weft/os/fd.hpp"
#include "weft/os/futex.hpp"
#include "weft/os/socket.hpp"
#include "weft/task/promise.hpp"

namespace weft::os {
enum class file_code : std::uint8_t;
struct file_call;
}  // namespace weft::os

namespace weft::io {

class driver;

enum class io_code : std::uint8_t {
  accept,           // handle listens; answer: the new descriptor (non-blocking, close-on-exec)
  connect,          // to *address; answer: 0
  receive,          // into buffer[0, length), once; answer: bytes, 0 at the end of the stream
  receive_lent,     // into a buffer that the driver lends then; answer: as receive, and take_lent()
  send,             // from buffer[0, length), once; answer: bytes
  send_vector,      // from parts[0, part_count), once; answer: bytes
  receive_message,  // as recvmsg: into *buffer, the system's header of it; see io_operation::length
  send_message,     // as sendmsg: *buffer; the same
  wait_readable,    // answer: 0 when a read would not block
  wait_writable,    // answer: 0 when a write would not block
  futex_wait,       // see io_operation::waits_for_futex; answer: one of answer_futex_..
  file,             // see io_operation::calls_file; only where driver::does_file() says so
};

/// Which of a descriptor's two directions an operation is in.
constexpr bool is_writing(io_code code) noexcept {
  switch (code) {
    case io_code::accept:
    case io_code::receive:
    case io_code::receive_lent:
    case io_code::receive_message:
    case io_code::wait_readable:
      return false;
    case io_code::connect:
    case io_code::send:
    case io_code::send_vector:
    case io_code::send_message:
    case io_code::wait_writable:
      return true;
    case io_code::futex_wait:
    case io_code::file:
      break;
  }
  return false;
}

/// One part of a gathered write; layout of struct iovec.
struct io_part {
  const void* data;
  std::size_t size;
};

/// A descriptor that operations can be started on. Made by driver::attach(); every driver may keep
/// state of its own beside it, which lives until the handle is closed.
///
///   Threads  one reading and one writing operation at a time; close() when none is in flight
class io_handle {
 public:
  io_handle() noexcept = default;
  io_handle(os::fd descriptor, driver* home, void* state) noexcept
      : fd_(std::move(descriptor)), home_(home), state_(state) {}
  io_handle(io_handle&& other) noexcept
      : fd_(std::move(other.fd_)),
        home_(other.home_),
        state_(std::exchange(other.state_, nullptr)) {}
  io_handle& operator=(io_handle&& other) noexcept;
  ~io_handle() { close(); }

  int fd() const noexcept { return fd_.get(); }
  explicit operator bool() const noexcept { return static_cast<bool>(fd_); }
  void* state() const noexcept { return state_; }
  void close() noexcept;

 private:
  os::fd fd_;
  driver* home_ = nullptr;
  void* state_ = nullptr;
};

/// One I/O request and its answer, inside the frame of whoever waits for it.
class io_operation : public operation {
 public:
  io_code code{};
  bool whole = false;  // receive, send, send_vector: not done before all of it is (or end, error)
  io_handle* handle = nullptr;
  void* buffer = nullptr;
  std::size_t length = 0;  // receive_message, send_message: how many headers follow each other at
                           // buffer (struct mmsghdr). One that was moved is answered as it is
                           // answered alone, by its bytes; of more, `moved` says how many. A driver
                           // may move only the first, and leave `moved` 0: try the others yourself
  union {
    const io_part* parts;
    buffer_lender* lender = nullptr;  // receive_lent: whose `buffer` is; null while there is none
  };
  std::uint32_t part_count = 0;
  os::socket_address* address = nullptr;  // accept: filled with the peer's, if given
  std::int64_t answer = 0;                // >= 0, or -errno; with `whole`, an error that struck
                                          // after some bytes is delivered as the error
  std::size_t moved = 0;                  // bytes so far, also when the answer is an error

  /// The answer of a `whole` operation that was stopped after it had moved some bytes: it cannot be
  /// said that nothing happened, so it ends as completed, with this.
  static constexpr std::int64_t answer_interrupted = INT64_MIN;

  /// As a futex_wait, whose fields those of I/O are: until `word` is woken, if it holds `expected`.
  static constexpr std::int64_t answer_futex_woken = 0;
  static constexpr std::int64_t answer_futex_changed = 1;  // or for no reason
  static constexpr std::int64_t answer_futex_timed_out = 2;
  void waits_for_futex(std::uint32_t* word, std::uint32_t expected, futex_scope scope) noexcept {
    code = io_code::futex_wait;
    buffer = word;
    length = expected;
    part_count = static_cast<std::uint32_t>(scope);
  }
  std::uint32_t* futex_word() const noexcept { return static_cast<std::uint32_t*>(buffer); }
  std::uint32_t futex_expected() const noexcept { return static_cast<std::uint32_t>(length); }
  weft::futex_scope scope_of_futex() const noexcept {
    return static_cast<weft::futex_scope>(part_count);
  }

  /// receive_lent: the buffer is there, and goes back if nobody takes it.
  void lend(buffer_lender& from, std::byte* bytes) noexcept {
    lender = &from;
    buffer = bytes;
  }
  /// What came of a receive_lent; once.
  lent_bytes take_lent() noexcept {
    if (lender == nullptr) return {};
    return {*std::exchange(lender, nullptr), static_cast<std::byte*>(buffer),
            answer > 0 ? static_cast<std::size_t>(answer) : 0};
  }
  /// As a call on a file, which outlives the operation; answer and errors: those of the call. Reads and
  /// writes may be `whole`.
  void calls_file(const os::file_call& call, std::size_t bytes) noexcept {
    code = io_code::file;
    buffer = const_cast<os::file_call*>(&call);  // only read
    length = bytes;
  }
  const os::file_call& called_file() const noexcept {
    return *static_cast<const os::file_call*>(buffer);
  }

  void withdraw() noexcept override;
  const char* what() const noexcept final;

  // The driver's own.
  driver* at = nullptr;            // where it was submitted
  io_operation* link = nullptr;    // in the driver's inbox of withdrawals
  io_operation* queued = nullptr;  // in the driver's backlog
  atomic<std::uint32_t> phase{0};  // meaning defined by the driver
  std::uint32_t address_size = 0;  // accept: what the kernel says of *address
  bool polls_first = false;        // the request in flight asks for readiness, the call comes after
  std::uint8_t cancels = 0;        // that the kernel was asked for

  /// By the driver: the answer is there (or, stopped, nothing happened). The last access.
  void end(bool stopped) noexcept { finish(stopped); }

 protected:
  io_operation() noexcept {}
  ~io_operation() = default;
};

/// Whether submit() has the answer already.
enum class submitted : std::uint8_t {
  done,     // op.answer is set; nobody else will touch op, and finish() is not called
  pending,  // it will be completed from wait(); op must not be touched by the caller any more
  stopped,  // the job had been stopped: the operation was not started
};

class driver {
 public:
  virtual ~driver() = default;
  driver(const driver&) = delete;
  driver& operator=(const driver&) = delete;

  virtual std::string_view name() const noexcept = 0;

  /// Takes a descriptor into care: makes it ready for operations on this driver or, for drivers of
  /// the same runtime, on any of them. Threads: any.
  virtual result<io_handle> attach(os::fd descriptor) noexcept = 0;
  /// Ends what attach() began, just before the descriptor is closed: all handles are closed before
  /// the drivers of their runtime go. Threads: any.
  virtual void detach(void* state, int fd) noexcept = 0;

  /// The calling thread is the owner for ever, and submits and waits for the first time after this. At
  /// most once. A driver may be quicker then, and does the same.
  virtual void stay_on_one_thread() noexcept {}
  /// The calling thread is the owner now, and another one was, which may be stuck. What that one has
  /// submitted stays submitted.
  virtual void changed_hands() noexcept {}

  /// Starts `op`, which `waiter` is being suspended in. Arms it in the job (job::arm) before
  /// anything outside can complete it. Threads: the owner.
  [[nodiscard]] virtual submitted submit(io_operation& op, promise_base& waiter) noexcept = 0;
  /// Asks for the end of an operation that is in flight here. Threads: any.
  virtual void withdraw(io_operation& op) noexcept = 0;

  /// Completes what is ready, waiting until `deadline_ns` (monotonic; 0: not at all; never_ns) for
  /// the first. `most`: how many it is to complete; what is left is ready the next time, in its turn, and
  /// a few more may come, where one event tells of two operations or a stop ends them.
  /// Result: how many operations ended; 0 also after wake(). Threads: the owner.
  virtual unsigned wait(std::int64_t deadline_ns, unsigned most = no_limit) noexcept = 0;
  static constexpr unsigned no_limit = ~0u;
  /// Makes the wait() in progress, or else the next one, return at once. Threads: any.
  virtual void wake() noexcept = 0;
  /// False while something may happen that only wait() can tell of (an operation in flight, or,
  /// with epoll, a descriptor that is watched here, whose operations may come from other
  /// processors). It turns false only by the owner's own submit(). When true, a worker may sleep on
  /// a futex.
  virtual bool idle() const noexcept = 0;

  /// Whether submit() takes io_code::file with such a call. The others are for the blocking pool.
  /// The first question may make what it takes. Threads: the owner.
  virtual bool does_file(os::file_code code) noexcept {
    static_cast<void>(code);
    return false;
  }

  // For a loop that is not ours and polls a descriptor in place of calling wait().

  /// Polls as readable when wait() has something to do or wake() was called, provided that rest()
  /// said yes after the last submit() and wait(). -1: this driver has none.
  virtual int descriptor() const noexcept { return -1; }
  /// Hands over to the kernel what is not there yet, and completes nothing. False: something is
  /// left that descriptor() would not tell of; call wait(0) and come again. (At once, or no later than in a
  /// millisecond: a file that a stop cannot reach is asked again so often.) Threads: the owner.
  [[nodiscard]] virtual bool rest() noexcept { return false; }

 protected:
  driver() noexcept = default;
};

/// Which driver to use.
enum class driver_kind : std::uint8_t { automatic, io_uring, epoll, poll };

/// Makes the driver of one processor. automatic: epoll for descriptors, with a ring of io_uring beside it
/// for files and futexes where a real round trip shows that there is one; where epoll is refused,
/// io_uring alone, then poll (docs/decisions/0009-automatic.md). epoll: that alone. `why` (if not nullptr) receives a static text that says what
/// was chosen and why. WEFT_DRIVER=io_uring, epoll or poll in the environment decides where the
/// program says `automatic`. Errors: the kernel's, with automatic only when poll is refused, too;
/// std::errc::invalid_argument, where WEFT_DRIVER is set to something else.
result<std::unique_ptr<driver>> make_driver(driver_kind kind,
                                            std::string_view* why = nullptr) noexcept;

}  // namespace weft::io
