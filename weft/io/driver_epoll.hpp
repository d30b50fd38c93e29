// driver_epoll: completions imitated on readiness: the call is tried first, and again when epoll
// says that it may succeed. Linux.
//
//   Registration  a descriptor is watched by the epoll of the processor on which an operation first
//                 had to wait, once, for both directions, edge-triggered, until it is closed; what
//                 never waits is never registered
//   Cost          an operation that is ready: its system call; one that waits: only the tries
//   Files         are always ready for epoll, which has nothing to tell of them; if asked for, there is a
//                 ring of io_uring beside it that does them, and waits for futexes. It is made for the first
//                 of them, and epoll watches it: there is one wait for all. Without it the blocking pool has
//                 the files, and futexes a thread each: futex_waiters.hpp
//   Protocol      source.hpp, driver_epoll.cpp
#pragma once

#include "weft/io/bell.hpp"
#include "weft/io/futex_waiters.hpp"
#include "weft/io/source.hpp"
#include "weft/os/fork.hpp"

namespace weft::io {

class uring_driver;

class epoll_driver final : public driver {
 public:
  static constexpr unsigned ring_entries_usual = 64;

  /// `ring_entries`: of the ring beside it, a power of two; 0: there is none. Where the ring is
  /// refused when it is made, it is as if there were none.
  static result<std::unique_ptr<epoll_driver>> make(unsigned ring_entries = 0) noexcept;
  ~epoll_driver() override;

  std::string_view name() const noexcept override { return "epoll"; }
  result<io_handle> attach(os::fd descriptor) noexcept override;
  void detach(void* state, int fd) noexcept override;
  submitted submit(io_operation& op, promise_base& waiter) noexcept override;
  void withdraw(io_operation& op) noexcept override;
  unsigned wait(std::int64_t deadline_ns, unsigned most = no_limit) noexcept override;
  void wake() noexcept override;
  bool idle() const noexcept override;
  bool does_file(os::file_code code) noexcept override;
  int descriptor() const noexcept override { return poller_.get(); }
  bool rest() noexcept override;

 private:
  /// Throws std::bad_alloc.
  epoll_driver(os::fd poller, os::fd bell, unsigned ring_entries);
  uring_driver* ring() noexcept;
  bool has_nothing_to_tell() const noexcept;
  bool watch(io_operation& op) noexcept;
  unsigned ready(readiness& word) noexcept;
  unsigned go_on(readiness& word, io_operation& op) noexcept;
  void put_off(io_operation& op) noexcept;
  unsigned do_backlog() noexcept;

  os::fd poller_;
  const std::uint32_t made_in_ = os::fork_generation();  // by which process
  os::fd eventfd_;                   // the bell's, edge-triggered: written by wake(), never read
  bell bell_;                        // says who writes to it
  atomic<long> watched_{0};          // sources whose home this is
  io_operation* backlog_ = nullptr;  // held, moved their share; oldest first
  io_operation** backlog_end_ = &backlog_;
  futex_waiters futexes_;  // where there is no ring
  std::unique_ptr<uring_driver> ring_;
  unsigned ring_entries_;  // of the one to be made; 0: there is to be none, or it was denied
  std::int64_t ring_again_at_ns_ = 0;  // not before this, where descriptors or memory were missing
};

}  // namespace weft::io
