// driver_uring: operations are handed to the kernel, which does them and says so. Linux.
//
//   Ring      one a processor, with no ties to a thread: it changes hands with its processor; but
//             where processors never do (scheduling::per_core) it is its thread's, which costs less
//   Cost      starting an operation: an entry filled; wait() hands all of them over in its one
//             call, and makes none when completions are there and there is nothing to hand over
//   Stopping  the owner asks the kernel; the operation ends with the kernel's own answer about it,
//             so its buffer is never touched afterwards
//   Beside    another driver that has a bell can be its host: that one waits, for the ring's descriptor
//             among others, and calls wait(0) here before it does and afterwards
//   Protocol  top of driver_uring.cpp
#pragma once

#include "weft/base/intrusive_list.hpp"
#include "weft/io/bell.hpp"
#include "weft/io/buffer_ring_uring.hpp"
#include "weft/io/driver.hpp"
#include "weft/io/file_entry_uring.hpp"
#include "weft/io/futex_waiters.hpp"
#include "weft/io/ring_uring.hpp"
#include "weft/io/withdrawals.hpp"

namespace weft::io {

class uring_driver final : public driver {
 public:
  static constexpr unsigned entries_usual = 256;
  static constexpr unsigned buffers_usual = 64;

  /// Makes the ring and sends a NOP around it. nullptr: refused, and `refusal` says why.
  /// It lends up to `buffers` of its own, a power of two; 0: those of the heap.
  /// With a `host`, whoever wants a look here wakes that; it calls wait(0) and rest(), from the owner.
  static std::unique_ptr<uring_driver> make(unsigned entries, uring_refusal& refusal,
                                            unsigned buffers = buffers_usual,
                                            driver* host = nullptr) noexcept;
  /// Whether one could be made, found by a ring that goes again.
  static bool works(uring_refusal& refusal) noexcept;
  ~uring_driver() override;

  std::string_view name() const noexcept override { return "io_uring"; }
  void stay_on_one_thread() noexcept override;
  void changed_hands() noexcept override;
  result<io_handle> attach(os::fd descriptor) noexcept override;
  void detach(void* state, int fd) noexcept override;
  submitted submit(io_operation& op, promise_base& waiter) noexcept override;
  void withdraw(io_operation& op) noexcept override;
  unsigned wait(std::int64_t deadline_ns, unsigned most = no_limit) noexcept override;
  void wake() noexcept override;
  bool idle() const noexcept override { return in_flight_ == 0; }
  bool does_file(os::file_code code) noexcept override { return (file_codes_ & bit_of(code)) != 0; }
  int descriptor() const noexcept override { return ring_.descriptor(); }
  bool rest() noexcept override;

 private:
  uring_driver() = default;  // throws std::bad_alloc
  static std::unique_ptr<uring_driver> try_out(unsigned entries, uring_refusal& refusal,
                                               ring_ties ties = ring_ties::none) noexcept;
  bool round_trip(uring_refusal& refusal) noexcept;
  bool has_room() noexcept;
  void issue(io_operation& op) noexcept;
  void fill(io_uring_sqe& entry, io_operation& op) noexcept;
  void fill_parts(io_uring_sqe& entry, io_operation& op) noexcept;
  bool has_buffers() noexcept;
  void completed(io_operation& op, int res, unsigned flags) noexcept;
  void moved_some(io_operation& op, int bytes) noexcept;
  void end(io_operation& op, bool stopped) noexcept;
  void end_now(io_operation& op, bool stopped) noexcept;
  void prepare() noexcept;
  void have_a_thread() noexcept;
  void take_withdrawals() noexcept;
  bool end_if_over(io_operation& op) noexcept;
  void cancel(io_operation& op) noexcept;
  void cancel_answered(io_operation& op, int res) noexcept;
  void cancel_again() noexcept;
  void arm_bell() noexcept;
  void rang(int res, unsigned flags) noexcept;
  void reap() noexcept;

  ring ring_;
  unsigned entries_ = 0;
  withdrawals asked_;
  std::size_t in_flight_ = 0;                                     // submitted and not ended
  unsigned ended_ = 0;                                            // by the wait() in progress
  unsigned most_ = no_limit;                                      // that it is to end
  bool rang_ = false;                                             // during the wait() in progress
  intrusive_queue<io_operation, &io_operation::queued> backlog_;  // no entry was free for them
  io_operation* uncancelled_ = nullptr;  // taken from asked_, linked; not looked at yet
  io_operation* again_ = nullptr;        // linked; cancelled, and not over yet
  std::int64_t again_at_ns_ = 0;         // those that had the tries without a pause

  driver* host_ = nullptr;  // whose bell is rung; then there is none here
  os::fd eventfd_;          // the bell's: written by wake()
  bell bell_;               // says who writes to it
  bool bell_armed_ = false;
  bool bell_multishot_ = true;  // one poll for many rings; not before Linux 5.13
  std::uint64_t bell_tag_ = 1;  // of its poll
  std::uint64_t bell_of_other_ =
      0;  // the tag of one that another thread has armed, and is to go; 0: none

  buffer_ring* buffers_ = nullptr;  // made for the first receive_lent
  unsigned buffers_wanted_ = 0;     // 0: the kernel is not to choose them, or refused
  std::uint32_t file_codes_ = 0;    // a bit for each os::file_code that the ring does

  bool ring_waits_for_futexes_ = false;  // else futexes_ does; not before Linux 6.7
  bool has_had_a_thread_ = false;        // the process; see driver_uring.cpp, "Futexes"
  futex_waiters futexes_;
};

}  // namespace weft::io
