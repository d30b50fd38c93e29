// select_group: what a select does whatever its operands are: look at all, wait in all, decide for
// one, take the others back.
//
// Operations wait in the name of select_branches: jobs that only have a stop slot and never run. They
// are parts of the select, so nothing is allocated. All other operands, which run code of their own,
// have a job that does run; that is a part of the select, too (select.hpp).
//
//   Threads  the awaiting job; arrivals and the stop from any
//   Protocol select_group.cpp
#pragma once

#include <coroutine>
#include <cstdint>
#include <exception>
#include <span>

#include "weft/base/atomic.hpp"
#include "weft/task/awaiter.hpp"
#include "weft/task/claim.hpp"

namespace weft::detail {

class select_group : public operation, private scheduler, private relay<select_group> {
 public:
  static constexpr unsigned operands_max = 64;
  static constexpr unsigned none = ~0u;

  /// await_suspend() of the select: none of the operands was ready. What to resume.
  std::coroutine_handle<> start(promise_base& waiter) noexcept;
  /// It was woken: the end, or the next step.
  std::coroutine_handle<> resumed() noexcept;

  void withdraw() noexcept final;
  const char* what() const noexcept final { return "select"; }

  enum class order_of_looks : bool { random, as_written };
  enum class operand_kind : std::uint8_t { takes_claim, completes_by_itself, runs };
  class state;
  class branch;

  // For the operands.
  job& awaiting_job() const noexcept { return *waiter_->owner(); }
  promise_base& waiter() const noexcept { return *waiter_; }
  scheduler& home() noexcept { return *this; }
  claim& shared_claim() noexcept { return claim_; }
  static claim::number number_of(unsigned operand) noexcept { return operand + 1; }
  /// After the end. `none`: it was stopped, or an operand threw when it was looked at.
  unsigned winner() const noexcept { return winner_; }
  /// It ended while it began.
  void ended_at_once(unsigned operand, bool stopped) noexcept;
  /// It ended otherwise. Threads: any. The select may be gone afterwards.
  void arrived(unsigned operand, bool stopped) noexcept;

 protected:
  explicit select_group(order_of_looks looks) noexcept : looks_(looks) {}
  ~select_group() = default;

  // What the operands do, by index.
  /// Whether it is ready, and if so takes it. May throw.
  virtual bool look_at(unsigned operand) = 0;
  /// Of those that run, before any begins: makes what it runs as. Throws std::bad_alloc.
  virtual void make(unsigned operand) = 0;
  virtual void begin(unsigned operand) noexcept = 0;
  virtual void stop(unsigned operand) noexcept = 0;

  /// Looks at all operands. True: one of them is ready, and is the winner.
  bool look(std::span<state> operands);
  /// Rethrows what look_at() threw while the job was suspended, or make().
  void check() {
    if (WEFT_UNLIKELY(error_ != nullptr)) std::rethrow_exception(std::move(error_));
  }
  void operands_are(std::span<state> operands) noexcept { operands_ = operands; }

 private:
  friend relay<select_group>;
  friend class branch;
  enum class phase : std::uint8_t { waits, drains, gives_way };
  static constexpr claim::number to_the_stop = ~claim::number{0};
  static constexpr claim::number to_another_look = to_the_stop - 1;

  // The scheduler of the branches: one that is ready has ended.
  void schedule(job& ended, wake_kind why) noexcept override;
  timer_set& timers() noexcept override;
  std::int64_t now_ns() noexcept override;

  enum class begun : std::uint8_t { all, to_look_again, nothing };

  std::coroutine_handle<> begin_all() noexcept;
  /// nothing: the calling thread has no processor, and what has to be begun needs one.
  [[nodiscard]] begun begin_operands() noexcept;
  std::coroutine_handle<> give_way() noexcept;
  void begin_those(operand_kind kind) noexcept;
  std::coroutine_handle<> wait() noexcept;
  std::coroutine_handle<> drain() noexcept;
  std::coroutine_handle<> drained() noexcept;
  std::coroutine_handle<> look_again() noexcept;
  [[nodiscard]] bool is_last_to_decide() noexcept;

  promise_base* waiter_ = nullptr;
  std::span<state> operands_;
  claim claim_;
  atomic<std::uint32_t> deciders_{0};  // see select_group.cpp
  atomic<std::int32_t> pending_{0};    // see select_group.cpp
  unsigned winner_ = none;
  phase phase_ = phase::waits;
  const order_of_looks looks_;
  bool must_look_again_ = false;
  std::exception_ptr error_;
};

/// What the group knows of an operand.
class select_group::state {
 public:
  explicit state(operand_kind k) noexcept : kind(k) {}
  const operand_kind kind;
  bool begun = false;      // by the awaiting job: it may arrive
  bool completed = false;  // by its arrival, as a loser: it happened all the same
};

/// In whose name an operation waits.
class select_group::branch final : public claiming_job,
                                   private relay<branch>,
                                   private boundary_relay<branch> {
 public:
  branch(select_group& group, unsigned operand) noexcept
      : claiming_job(group.home(), group.shared_claim(), number_of(operand)), group_(group) {
    this->refill_budget(UINT8_MAX);  // of that the awaiting job spends
    this->promise().attach(group.waiter(), *this);
    this->promise().become_root(*this);
  }
  ~branch() = default;

  unsigned operand() const noexcept { return who_ - 1; }
  static branch& of(job& j) noexcept { return static_cast<branch&>(j); }
  template <class Operation>
  void begin(Operation& op) noexcept {
    this->suspend_in(op).resume();  // It may have arrived: touch nothing.
  }

 private:
  friend relay<branch>;
  friend boundary_relay<branch>;
  std::coroutine_handle<> resumed() noexcept;
  select_group& group_;
};

/// Evenly in [0, bound): by a generator of the calling thread.
std::uint32_t select_random(std::uint32_t bound) noexcept;
/// For tests: the calling thread's generator begins anew.
void seed_select_random(std::uint64_t seed) noexcept;

}  // namespace weft::detail
