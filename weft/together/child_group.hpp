// child_group: jobs that end together: their count, their list for a stop, the first failure. What
// scope and join_set are made of.
//
// The first child, the body, runs in the place of the job that waits. It and the others may make more
// children, from any worker. A child that never waits costs two additions: nobody has to find it, for
// it looks whether it is to stop when it begins and when it waits for the first time. Only then is it
// put on the list that a stop walks.
//
//   Threads  adopt() by the body and by children; stop(), fail() by them and by whoever keeps the
//            group alive
//   Cost     a child: a plain addition (by the body; else an atomic one) and an atomic subtraction;
//            one that waits: two short locked sections more
//   Protocol child_group.cpp
#pragma once

#include <coroutine>
#include <cstdint>
#include <exception>
#include <system_error>
#include <vector>

#include "weft/base/atomic.hpp"
#include "weft/base/census.hpp"
#include "weft/base/intrusive_list.hpp"
#include "weft/base/spin_lock.hpp"
#include "weft/task/current.hpp"
#include "weft/task/job.hpp"

namespace weft::detail {

class child_group;

class child_job : public job, public list_hook<> {
 public:
  child_group& group() const noexcept { return group_; }
  /// Begins to run; what to resume. Called once, by the thread that runs the job.
  std::coroutine_handle<> start() noexcept { return kind().start(*this); }
  /// The child that `j` is, or nullptr.
  static child_job* from(job& j) noexcept {
    return j.kind().list == &list_child ? static_cast<child_job*>(&j) : nullptr;
  }

 protected:
  struct operations : job_kind {
    std::coroutine_handle<> (*start)(child_job&) noexcept;
    void (*free)(child_job&) noexcept;                  // nullptr: the body, part of who waits
    std::uint32_t (*epoch)(const child_job&) noexcept;  // nullptr: only stop() is for it
  };
  static constexpr job_kind as_child(promise_base* (*awaited_by)(const job&) noexcept = nullptr,
                                     const job* (*part_of)(const job&) noexcept = nullptr,
                                     const char* name = "") noexcept {
    return {.run = &run_child,
            .list = &list_child,
            .told_to_stop = &child_told_to_stop,
            .in_block = part_of == nullptr,
            .part_of = part_of,
            .name = name,
            .awaited_by = awaited_by};
  }
  /// Throws std::bad_alloc, where there are bindings to inherit.
  child_job(scheduler& home, const operations& kind, child_group& group)
      : job(home, kind), group_(group) {
    if (const job* const maker = current_job()) inherit_locals(*maker);
    set_stopped_by_owner();
    begins_unlisted();
    census_add(census_kind::jobs, 1);
  }
  ~child_job() { census_add(census_kind::jobs, -1); }

  /// Looked at before the first line runs.
  bool told_to_stop() const noexcept;
  /// Last thing; the job may be gone afterwards.
  std::coroutine_handle<> end() noexcept;

 private:
  friend class child_group;
  const operations& kind() const noexcept { return static_cast<const operations&>(job::kind()); }
  static void run_child(job& self) noexcept;
  static bool list_child(job& self) noexcept;
  static bool child_told_to_stop(const job& self) noexcept;
  static bool arrive(job& ended) noexcept;

  child_group& group_;
};

class child_group {
 public:
  child_group(const child_group&) = delete;
  child_group& operator=(const child_group&) = delete;

  enum class spawner : std::uint8_t { body, other };
  /// `child` is made and not yet ready: from now on it counts, and it is launched.
  void adopt(child_job& child, spawner by) noexcept;

  /// All children are to stop, the body too, and those that come later do not begin. Does not wait.
  void stop() noexcept;
  bool stopping() const noexcept { return stopping_.load(order::relaxed); }
  /// Those are to stop that are of an epoch before the one that begins now; see operations::epoch.
  void stop_all_so_far() noexcept;
  std::uint32_t epoch() const noexcept { return epoch_.load(order::relaxed); }

  /// A child, or the body, failed: the first failure stops the others. Later ones are noted if
  /// somebody wants to know.
  void fail(std::exception_ptr error) noexcept;
  void fail(std::error_code code) noexcept;
  void note_others_in(std::vector<std::exception_ptr>* others) noexcept { others_ = others; }

 protected:
  child_group() noexcept {}
  ~child_group() = default;

  /// The body and all children have ended; what they did is visible. Called once.
  virtual void all_ended() noexcept = 0;

  // Valid after the end of all.
  bool failed() const noexcept { return failed_; }
  bool some_stopped() const noexcept { return some_stopped_.load(order::relaxed); }
  /// Rethrows the first failure, if it was an exception.
  void check();
  std::error_code failed_with() const noexcept { return code_; }

  spin_lock lock_;  // guards the list, stoppers_, and the failures

 private:
  friend class child_job;
  struct stopper {
    stopper* next;
    child_job* inside;   // its stop() is running
    bool ended = false;  // `inside` ended meanwhile, and is left to us
  };
  enum class leaving : std::uint8_t { gone, left_to_stopper };

  bool told_to_stop(const child_job& child) const noexcept;
  [[nodiscard]] bool list(child_job& child) noexcept;
  [[nodiscard]] leaving leave(child_job& child) noexcept;
  void arrived(child_job& child) noexcept;
  void stop_listed() noexcept;
  void fail(std::exception_ptr error, std::error_code code) noexcept;

  static constexpr std::int64_t body_stake = std::int64_t{1} << 48;

  // By the body's job alone.
  std::int64_t adopted_by_body_ = 0;
  // Seldom written.
  atomic<bool> stopping_{false};
  bool failed_ = false;
  atomic<bool> some_stopped_{false};
  atomic<std::uint32_t> epoch_{0};
  intrusive_list<child_job> listed_;
  stopper* stoppers_ = nullptr;
  std::exception_ptr error_;
  std::error_code code_;
  std::vector<std::exception_ptr>* others_ = nullptr;
  // Written by every child: away from what all children read.
  [[maybe_unused]] char away_[64] = {};
  atomic<std::int64_t> pending_{body_stake};  // see child_group.cpp
  [[maybe_unused]] char away_too_[56] = {};
};

}  // namespace weft::detail
