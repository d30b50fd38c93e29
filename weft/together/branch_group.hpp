// branch_group: the parts of one await that run as jobs of their own, so that each can be stopped:
// the first that fails stops the others. What when_all and loops of tasks are made of.
//
//   Threads  the awaiting job makes the parts and waits; fail() by any part, before its end
//   Cost     a job a part; the first one takes the awaiting job's place, the others are queued
//   Cancel   a stop of the awaiting job goes to all parts, whose ends are awaited
//   Protocol branch_group.cpp
#pragma once

#include <coroutine>
#include <exception>
#include <memory>
#include <new>
#include <type_traits>
#include <utility>
#include <variant>

#include "weft/base/atomic.hpp"
#include "weft/base/intrusive_list.hpp"
#include "weft/task/awaiter.hpp"
#include "weft/task/fork.hpp"
#include "weft/task/task.hpp"

namespace weft::detail {

template <class A>
class branch_part;

class branch_group : private relay<branch_group>, private fork_group {
 public:
  /// By a part, before it ends: the others are asked to stop. The first error is the one that counts.
  void fail(std::exception_ptr error) noexcept;
  bool failed() const noexcept { return failed_.load(order::relaxed); }
  /// By a part that has its result, before it ends. Of a race: the first one, of which this is true,
  /// stops the others.
  bool succeeded() noexcept { return is_race_ && decide(); }

 protected:
  enum class kind : bool { all, race };
  explicit branch_group(kind k = kind::all) noexcept : is_race_(k == kind::race) {}
  ~branch_group() {
    if (wait_ != nullptr) wait_->free();
  }

  /// First: `waiter` is about to wait for `count` parts. Throws std::bad_alloc.
  void prepare(promise_base& waiter, unsigned count);
  /// The jobs of the parts, while none of them has begun: those that are left in it never will.
  class jobs {
   public:
    jobs() noexcept {}
    ~jobs() {
      while (!made_.empty()) forked_job::discard(static_cast<forked_job&>(*made_.pop()));
    }
    jobs(const jobs&) = delete;
    jobs& operator=(const jobs&) = delete;

   private:
    friend class branch_group;
    intrusive_queue<job, &job::next> made_;
  };
  /// Then each of them is added, and given a job, before the first begins. Throws std::bad_alloc; then
  /// none may begin.
  void add(fork_branch& part, jobs& to);
  /// At last: queues all but the first, waits, and runs the first part in the place of the awaiting job.
  /// What to resume.
  template <class A>
  std::coroutine_handle<> run(branch_part<A>&, jobs& all) noexcept {
    auto& own = static_cast<typename branch_part<A>::branch&>(begin(all));
    return own.start();
  }
  /// Instead of all that: there is nothing to run, for `error` was thrown on the way.
  void give_up(std::exception_ptr error) noexcept { error_ = std::move(error); }
  /// After the end: rethrows the first error.
  void check() {
    if (WEFT_UNLIKELY(error_ != nullptr)) std::rethrow_exception(std::move(error_));
  }

 private:
  friend relay<branch_group>;
  template <class>
  friend class branch_part;

  promise_base& parent() noexcept { return *this->promise().parent(); }
  scheduler& home() noexcept { return parent().owner()->home(); }
  forked_job& begin(jobs& all) noexcept;
  std::coroutine_handle<> resumed() noexcept;
  bool is_first() noexcept;
  bool decide() noexcept;

  atomic<bool> failed_{false};  // or the race is won
  const bool is_race_;
  std::exception_ptr error_;
};

/// One part: awaits an A (a reference) and keeps what it gives.
template <class A>
class branch_part : public fork_branch {
  using awaiter = decltype(get_awaiter(std::declval<A>()));
  using T = await_result_t<A>;

 public:
  using value_type = std::conditional_t<std::is_void_v<T>, std::monostate, T>;

  branch_part(A&& awaitable, branch_group& group)
      : fork_branch(&make), awaiter_(get_awaiter(std::forward<A>(awaitable))), group_(group) {}

  /// After the end of all: of a race that it decided by a value.
  bool won() const noexcept { return won_; }
  /// After the end of all, if none failed.
  value_type take() {
    if constexpr (std::is_void_v<T>) {
      slot_.take();
      return {};
    } else {
      return slot_.take();
    }
  }

 private:
  friend class branch_group;

  class branch final : public forked_job, private relay<branch>, private boundary_relay<branch> {
   public:
    branch(scheduler& home, branch_part& part)
        : forked_job(home, how, part, sizeof(branch), *part.group_.parent().owner(),
                     forked_job::where::with_forking),
          part_(part) {}
    std::coroutine_handle<> start() noexcept {
      if (!this->begin()) return this->end(part_.group_, true, nullptr);
      this->promise().attach(part_.group_.parent(), *this);
      this->promise().become_root(*this);
      try {
        if (!part_.awaiter_.await_ready()) return this->suspend_in(part_.awaiter_);
      } catch (...) {
        return failed();
      }
      return resumed();
    }

   private:
    friend relay<branch>;
    friend boundary_relay<branch>;
    static void run(job& self) noexcept {
      auto& mine = static_cast<branch&>(self);
      operation* const woken = mine.take_woken();
      (woken == nullptr ? mine.start() : after(*woken)).resume();
    }
    std::coroutine_handle<> resumed() noexcept {
      if (WEFT_UNLIKELY(this->stopped())) return this->end(part_.group_, true, nullptr);
      try {
        if constexpr (std::is_void_v<T>) {
          part_.awaiter_.await_resume();
          part_.slot_.set_value();
        } else {
          part_.slot_.set_value(part_.awaiter_.await_resume());
        }
      } catch (...) {
        return failed();
      }
      part_.won_ = part_.group_.succeeded();
      return this->end(part_.group_, false, nullptr);
    }
    /// In a handler.
    std::coroutine_handle<> failed() noexcept {
      part_.group_.fail(std::current_exception());
      return this->end(part_.group_, false, nullptr);
    }

    static constexpr job_kind how{.run = &run, .in_block = true};
    branch_part& part_;
  };
  static forked_job& make(fork_branch& self, scheduler& home) {
    auto& part = static_cast<branch_part&>(self);
    const job& forking = *part.group_.parent().owner();
    void* const memory = allocate_frame_for(forking, sizeof(branch));
    try {
      return *::new (memory) branch(home, part);
    } catch (...) {  // no memory for its bindings
      free_frame(memory, sizeof(branch));
      throw;
    }
  }

  awaiter awaiter_;
  branch_group& group_;
  result_slot<T> slot_;
  bool won_ = false;
};

}  // namespace weft::detail
