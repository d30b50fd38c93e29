// driver_uring: operations are handed to the kernel, which does them and says so. Linux.
//
//   Ring      one a processor, with no ties to a thread: it changes hands with its processor
//   Cost      starting an operation: an entry filled; wait() hands all of them over in its one
//             call, and makes none when completions are there and there is nothing to hand over
//   Stopping  the owner asks the kernel; the operation ends with the kernel's own answer about it,
//             so its buffer is never touched afterwards
//   Protocol  top of driver_uring.cpp
#pragma once

#include "weft/base/intrusive_list.hpp"
#include "weft/io/driver.hpp"
#include "weft/io/futex_waiters.hpp"
#include "weft/io/ring_uring.hpp"
#include "weft/io/withdrawals.hpp"

namespace weft::io {

class uring_driver final : public driver {
 public:
  static constexpr unsigned entries_usual = 256;

  /// Makes the ring and sends a NOP around it. nullptr: refused, and `refusal` says why.
  static std::unique_ptr<uring_driver> make(unsigned entries, uring_refusal& refusal) noexcept;
  ~uring_driver() override;

  std::string_view name() const noexcept override { return "io_uring"; }
  result<io_handle> attach(os::fd descriptor) noexcept override;
  void detach(void* state, int fd) noexcept override;
  submitted submit(io_operation& op, promise_base& waiter) noexcept override;
  void withdraw(io_operation& op) noexcept override;
  unsigned wait(std::int64_t deadline_ns) noexcept override;
  void wake() noexcept override;
  bool idle() const noexcept override { return in_flight_ == 0; }
  int descriptor() const noexcept override { return ring_.descriptor(); }
  bool rest() noexcept override;

 private:
  uring_driver() noexcept = default;
  bool round_trip(uring_refusal& refusal) noexcept;
  bool has_room() noexcept;
  void issue(io_operation& op) noexcept;
  void fill(io_uring_sqe& entry, io_operation& op) noexcept;
  void fill_parts(io_uring_sqe& entry, io_operation& op) noexcept;
  void completed(io_operation& op, int res) noexcept;
  void moved_some(io_operation& op, int bytes) noexcept;
  void end(io_operation& op, bool stopped) noexcept;
  void end_now(io_operation& op, bool stopped) noexcept;
  void prepare() noexcept;
  void have_a_thread() noexcept;
  void take_withdrawals() noexcept;
  void arm_bell() noexcept;
  void rang(int res, unsigned flags) noexcept;
  void reap() noexcept;

  ring ring_;
  withdrawals asked_;
  std::size_t in_flight_ = 0;                                     // submitted and not ended
  unsigned ended_ = 0;                                            // by the wait() in progress
  bool rang_ = false;                                             // during the wait() in progress
  intrusive_queue<io_operation, &io_operation::queued> backlog_;  // no entry was free for them
  io_operation* uncancelled_ = nullptr;  // taken from asked_, linked; not looked at yet

  os::fd bell_;                    // eventfd: written by wake()
  atomic<std::uint32_t> rung_{0};  // a write to the bell is under way to wait()
  bool bell_armed_ = false;
  bool bell_multishot_ = true;  // one poll for many rings; not before Linux 5.13

  bool ring_waits_for_futexes_ = false;  // else futexes_ does; not before Linux 6.7
  bool has_had_a_thread_ = false;        // the process; see driver_uring.cpp, "Futexes"
  futex_waiters futexes_;
};

}  // namespace weft::io
