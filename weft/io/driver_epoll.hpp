// driver_epoll: completions imitated on readiness: the call is tried first, and again when epoll
// says that it may succeed. Linux.
//
//   Registration  a descriptor is watched by the epoll of the processor on which an operation first
//                 had to wait, once, for both directions, edge-triggered, until it is closed; what
//                 never waits is never registered
//   Cost          an operation that is ready: its system call; one that waits: only the tries
//   Futexes       have nothing to do with epoll: futex_waiters.hpp
//   Protocol      source.hpp
#pragma once

#include "weft/io/futex_waiters.hpp"
#include "weft/io/source.hpp"

namespace weft::io {

class epoll_driver final : public driver {
 public:
  static result<std::unique_ptr<epoll_driver>> make() noexcept;
  ~epoll_driver() override;

  std::string_view name() const noexcept override { return "epoll"; }
  result<io_handle> attach(os::fd descriptor) noexcept override;
  void detach(void* state, int fd) noexcept override;
  submitted submit(io_operation& op, promise_base& waiter) noexcept override;
  void withdraw(io_operation& op) noexcept override;
  unsigned wait(std::int64_t deadline_ns) noexcept override;
  void wake() noexcept override;
  bool idle() const noexcept override;
  int descriptor() const noexcept override { return poller_.get(); }
  bool rest() noexcept override { return backlog_ == nullptr; }

 private:
  epoll_driver(os::fd poller, os::fd bell) noexcept
      : poller_(std::move(poller)), bell_(std::move(bell)) {}
  bool watch(io_operation& op) noexcept;
  unsigned ready(readiness& word) noexcept;
  unsigned go_on(readiness& word, io_operation& op) noexcept;
  void put_off(io_operation& op) noexcept;
  unsigned do_backlog() noexcept;

  os::fd poller_;
  os::fd bell_;                      // eventfd, edge-triggered: written by wake(), never read
  atomic<std::uint32_t> rung_{0};    // a write to the bell is under way to wait()
  atomic<long> watched_{0};          // sources whose home this is
  io_operation* backlog_ = nullptr;  // held, moved their share; oldest first
  io_operation** backlog_end_ = &backlog_;
  futex_waiters futexes_;
};

}  // namespace weft::io
