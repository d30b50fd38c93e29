// driver_poll: completions imitated on readiness with nothing but poll(2) and a pipe: for systems and
// policies that have neither io_uring nor epoll. The call is tried first, and again when poll says that
// it may succeed.
//
//   Watching     an operation is watched where it was submitted, while it waits, and no longer; two of
//                one descriptor (a read and a write) share an entry. So a driver is idle when nothing is
//                in flight on it, and a descriptor has no home
//   Cost         an operation that is ready: its system call. One that waits: a place at the end of an
//                array, which the last one moves into when it is free again; no allocation once the array
//                has grown. A wait(): proportional to the operations that wait, in the kernel and here,
//                and no more: the array is kept, not built
//   Limits       no descriptor() for guests: nothing that could be polled tells of what poll would
//   Futexes      futex_waiters.hpp
//   Protocol     withdrawals.hpp for stops, bell.hpp for wakes; everything else has one owner
#pragma once

#include <cstddef>
#include <vector>

#include "weft/io/bell.hpp"
#include "weft/io/futex_waiters.hpp"
#include "weft/io/withdrawals.hpp"
#include "weft/os/pipe.hpp"

struct pollfd;

namespace weft::io {

class poll_driver final : public driver {
 public:
  static result<std::unique_ptr<poll_driver>> make() noexcept;
  ~poll_driver() override;

  std::string_view name() const noexcept override { return "poll"; }
  result<io_handle> attach(os::fd descriptor) noexcept override;
  void detach(void* state, int fd) noexcept override;
  submitted submit(io_operation& op, promise_base& waiter) noexcept override;
  void withdraw(io_operation& op) noexcept override;
  unsigned wait(std::int64_t deadline_ns, unsigned most = no_limit) noexcept override;
  void wake() noexcept override;
  bool idle() const noexcept override { return in_flight_ == 0; }

 private:
  /// Who waits for the descriptor of an entry.
  struct waiting {
    io_operation* reading = nullptr;
    io_operation* writing = nullptr;
  };

  explicit poll_driver(os::pipe_ends pipe);  // throws std::bad_alloc
  bool has_room() noexcept;
  void watch(io_operation& op) noexcept;
  void unwatch(io_operation& op) noexcept;
  void close_gaps() noexcept;
  int look(std::int64_t deadline_ns) noexcept;
  int look_in_pieces(std::int64_t deadline_ns) noexcept;
  static void nap(std::int64_t deadline_ns) noexcept;
  unsigned take_answers(int entries, unsigned most) noexcept;
  unsigned go_on(io_operation& op, short told) noexcept;
  unsigned end(io_operation& op) noexcept;
  unsigned take_withdrawals() noexcept;
  void mute(io_operation& op) noexcept;
  void unmute(pollfd& entry) noexcept;
  void unmute_all() noexcept;
  bool answer_bell() noexcept;

  // Entry 0 is the pipe's. An entry is muted while its descriptor is inverted: poll passes it over.
  std::vector<pollfd> polled_;
  std::vector<waiting> waiting_;  // of the entry with the same number
  std::size_t gaps_ = 0;          // entries that nobody waits for any more
  std::size_t in_flight_ = 0;     // submitted and not ended
  std::size_t muted_ = 0;
  std::int64_t muted_until_ns_ = 0;

  os::pipe_ends pipe_;
  bell bell_;  // says who writes to it
  withdrawals asked_;
  futex_waiters futexes_;
};

}  // namespace weft::io
