// ring: an io_uring, as the kernel shows it: two shared queues and one system call. No policy.
//
//   Threads    one owner at a time
//   Orderings  with the kernel, which is the other thread here:
//     K1  fill an entry, then tail (release)     ->  kernel: tail (acquire): the entry
//     K2  kernel: head (release)                 ->  head (acquire): the slot may be used again
//     K3  kernel: fill a completion, tail (release)  ->  tail (acquire): the completion
//     K4  read a completion, then head (release) ->  kernel: head (acquire): its slot is free
//   After      io_uring(7); liburing shows the same protocol with other bounds
#pragma once

#include <linux/io_uring.h>
#include <sys/socket.h>

#include <cstddef>
#include <cstdint>
#include <memory>

#include "weft/os/fd.hpp"

namespace weft::io {

/// What went wrong when a ring was made, and where.
enum class uring_stage : std::uint8_t { setup, features, memory, round_trip, wake };
struct uring_refusal {
  uring_stage stage{};
  int error = 0;
};

/// Whether a ring's owner may be another thread tomorrow. `one_thread`: completions are made when that thread
/// asks for them, and the kernel spares its locks (SINGLE_ISSUER, DEFER_TASKRUN; Linux 6.1).
enum class ring_ties : std::uint8_t { none, one_thread };

class ring {
 public:
  ring() noexcept = default;
  ring(const ring&) = delete;
  ring& operator=(const ring&) = delete;
  ~ring();

  /// Makes it, once. Units: entries, a power of two; the completion queue has four times as many. With
  /// ties it is the calling thread's.
  [[nodiscard]] bool open(unsigned entries, uring_refusal& refusal,
                          ring_ties ties = ring_ties::none) noexcept;
  void swap(ring& other) noexcept;

  bool has_room() const noexcept {
    return tail_ - __atomic_load_n(submission_.head, __ATOMIC_ACQUIRE) != submission_.count;  // K2
  }
  /// An empty entry to fill. There must be room.
  io_uring_sqe& next_entry() noexcept;
  /// A message header that lives until the kernel has taken the entry.
  msghdr& header_of(const io_uring_sqe& entry) noexcept {
    return headers_[static_cast<std::size_t>(&entry - entries_)];
  }
  /// Entries filled and not taken by the kernel.
  unsigned unsubmitted() const noexcept {
    return tail_ - __atomic_load_n(submission_.head, __ATOMIC_RELAXED);
  }
  /// The kernel holds completions back (their queue was full), or work that only a call starts.
  bool wants_call() const noexcept {
    return (__atomic_load_n(submission_.flags, __ATOMIC_RELAXED) &
            (IORING_SQ_CQ_OVERFLOW | IORING_SQ_TASKRUN)) != 0;
  }
  bool has_completion() const noexcept {
    return *completion_.head != __atomic_load_n(completion_.tail, __ATOMIC_ACQUIRE);  // K3
  }

  /// Polls as readable while a completion is there.
  int descriptor() const noexcept { return fd_.get(); }

  /// Hands over `submit` entries and waits for `completions`, for at most `timeout_ns` (-1: no
  /// limit). Result: entries taken, or -errno.
  int enter(unsigned submit, unsigned completions, std::int64_t timeout_ns) noexcept;

  /// Calls f(user_data, res, flags) for each completion there is until it says false; f may fill entries
  /// and enter().
  template <class F>
  void reap(F f) {
    for (;;) {
      const unsigned head = *completion_.head;
      if (head == __atomic_load_n(completion_.tail, __ATOMIC_ACQUIRE)) return;  // K3
      const io_uring_cqe c = completion_.cqes[head & completion_.mask];
      __atomic_store_n(completion_.head, head + 1, __ATOMIC_RELEASE);  // K4
      if (!f(c.user_data, c.res, c.flags)) return;
    }
  }

 private:
  os::fd fd_;
  void* queues_ = nullptr;
  std::size_t queues_bytes_ = 0;
  io_uring_sqe* entries_ = nullptr;
  std::size_t entries_bytes_ = 0;
  struct {
    unsigned* head;
    unsigned* tail;
    unsigned* flags;
    unsigned mask;
    unsigned count;
  } submission_{};
  struct {
    unsigned* head;
    unsigned* tail;
    io_uring_cqe* cqes;
    unsigned mask;
  } completion_{};
  unsigned tail_ = 0;  // filled up to here; the kernel is told in enter()
  std::unique_ptr<msghdr[]> headers_;
};

}  // namespace weft::io
