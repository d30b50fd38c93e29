// seat: which thread is the worker of a runtime that has no thread of its own. Whoever has the seat
// drives; the others that wait for something sleep until it has come, or the seat is theirs.
//
//   Threads   any
//   Cost      a lock to come and one to go; nothing for each job
//   Fairness  the seat goes to whoever waits longest
//   Protocol  seat.cpp
#pragma once

#include <cstdint>
#include <mutex>

#include "weft/base/atomic.hpp"
#include "weft/base/intrusive_list.hpp"
#include "weft/queue/parker.hpp"

namespace weft::detail {

class seat {
 public:
  /// A thread that wants something to happen and is ready to drive until it has; on its stack.
  class waiter : private list_hook<> {
   public:
    enum class wish : std::uint8_t { end_of_a_job, end_of_all_jobs };
    explicit waiter(wish wanted) noexcept : wish_(wanted) {}
    /// What it wanted has happened, or its time is over. The one in the seat looks here every turn.
    atomic<bool> over{false};

   private:
    friend class seat;
    friend class intrusive_list<waiter>;
    const wish wish_;
    bool handed_ = false;  // under the lock: the seat is kept for it
    parker place_;
  };

  seat() noexcept = default;
  seat(const seat&) = delete;
  seat& operator=(const seat&) = delete;

  /// From now on end() reaches it, and the seat may be kept for it: sit() must follow soon.
  void enlist(waiter& w) noexcept;

  enum class sit_result : std::uint8_t {
    seated,  // the caller drives, and calls leave()
    over,    // another thread has done it
    late,    // the deadline (monotonic) has passed, and another thread still drives
  };
  /// Waits until the seat is free, or `w` is over, or the time. Afterwards `w` is enlisted no more.
  [[nodiscard]] sit_result sit(waiter& w, std::int64_t deadline_ns) noexcept;

  enum class try_sit_result : std::uint8_t {
    seated,    // the caller drives, and calls leave()
    taken,     // by a thread that came through sit()
    repeated,  // by another one that came through try_sit()
  };
  [[nodiscard]] try_sit_result try_sit() noexcept;

  /// The seat goes to the next of those that wait.
  void leave() noexcept;

  /// What `w` wanted has happened.
  void end(waiter& w) noexcept;
  /// The last job has ended: for all that wished for that.
  void end_all() noexcept;

 private:
  void settle(waiter& w) noexcept;
  void pass_on() noexcept;

  std::mutex mutex_;  // guards what follows
  bool taken_ = false;
  bool tried_ = false;              // by try_sit()
  waiter* driving_ = nullptr;       // who has the seat, or has it kept; not with try_sit()
  intrusive_list<waiter> waiting_;  // longest first
};

}  // namespace weft::detail
