// failure_log: all that failed while something was awaited, and in which job; for the failures that are not
// the one that is rethrown.
//
//   weft::failure_log log;
//   try {
//     co_await log.around(when_all(fetch(a), fetch(b), fetch(c)));
//   } catch (const network_error& first) {              // of its own type, as ever
//     for (const auto& f : log.all()) std::println("{} in job {} '{}'", f.what(), f.job, f.job_name);
//   }
//
// Boundaries note what passes them: scope, when_all, race, fork_join, parallel loops, and whoever joins a
// handle; from whatever depth and worker. Each exception once, where it was seen first: that is the job
// that it came out of. (An error in a weft::result fails a scope; it is noted as a weft::error. Exceptions
// that somebody catches before a boundary sees them are not there.)
//
//   Threads  all() and size(): any. What is spawned inside may outlive the log, and notes nothing then
//   Cost     around(): as task_local::with(). A failure: one locked section and an allocation; no cost
//            where nothing fails
//   Limits   the first failures_max are kept, the others counted
#pragma once

#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "weft/task/task_local.hpp"

namespace weft {

/// One that failed.
struct failure {
  std::exception_ptr error;
  std::uint64_t job = 0;  // that it came out of, as in this_task::id() and listings
  std::string job_name;
  /// what() of the exception, or that it is none of the standard's.
  std::string what() const;
};

namespace detail {

class failure_list;
extern const task_local<std::shared_ptr<failure_list>> current_failure_list;

/// `error` came out of `origin`. For boundaries.
WEFT_NOINLINE void note_failure(const job& origin, const std::exception_ptr& error) noexcept;
/// Out of the job that runs.
WEFT_NOINLINE void note_failure(const std::exception_ptr& error) noexcept;
/// The same of an error in a result: a weft::error.
WEFT_NOINLINE void note_failure(std::error_code code, const char* what) noexcept;

}  // namespace detail

class failure_log {
 public:
  static constexpr std::size_t failures_max = 100;

  failure_log();
  ~failure_log();
  failure_log(const failure_log&) = delete;
  failure_log& operator=(const failure_log&) = delete;

  /// Awaits `awaitable`, and notes what fails inside. A log around that one notes nothing meanwhile.
  template <class A>
  [[nodiscard("co_await it")]] auto around(A&& awaitable WEFT_LIFETIMEBOUND) const {
    return detail::current_failure_list.with(list_, awaitable);
  }
  /// In the order of time.
  std::vector<failure> all() const;
  /// How many there were, also those that were not kept.
  std::size_t size() const noexcept;

 private:
  const std::shared_ptr<detail::failure_list> list_;
};

}  // namespace weft
