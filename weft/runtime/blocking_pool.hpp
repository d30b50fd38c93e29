// blocking_pool: the threads behind spawn_blocking(). They are started when work waits and nobody is
// free, up to a limit, and end after having had nothing to do for a while. One of those that have
// nothing to do looks out for work for a moment before it sleeps, for as long as waking it would take: who
// goes there and back again and again then pays for no wake.
//
//   Threads  any
//   Memory   works are linked through themselves; nothing is allocated for them
#pragma once

#include <chrono>
#include <list>
#include <string>

#include "weft/base/atomic.hpp"
#include "weft/base/intrusive_list.hpp"
#include "weft/base/result.hpp"
#include "weft/os/thread.hpp"
#include "weft/runtime/blocking.hpp"
#include "weft/runtime/pool_lock.hpp"

namespace weft::detail {

class placement;

class blocking_pool {
 public:
  /// `places`: where a thread may run; nullptr: where the thread may that starts it. `may_spin`: there is
  /// more than one core to run on.
  blocking_pool(std::string name, unsigned threads_max, std::chrono::nanoseconds keep_alive,
                const placement* places = nullptr, bool may_spin = false);
  ~blocking_pool();  // No work may be left.

  enum class accepted : unsigned char { queued, withdrawn };
  /// That of the runtime whose worker calls, which must be one.
  static blocking_pool& of_caller() noexcept;
  /// The calling thread is one of its own, inside of work.
  bool runs_caller() const noexcept;
  /// Puts `work` in line. withdrawn: a stop came before; it is not in line. `from_outside`: the calling
  /// thread is none of this runtime's, which may be gone as soon as the work has run.
  ///
  /// Errors  why the system gives no thread, and there is none; it is not in line
  [[nodiscard]] result<accepted> submit(blocking_work& work, bool from_outside = false) noexcept;
  /// True: it was taken out of the line. False: it runs, has run, or was not in line yet (then
  /// submit() will say `withdrawn`).
  [[nodiscard]] bool withdraw(blocking_work& work) noexcept;

  unsigned threads() const noexcept;
  unsigned waiting() const noexcept;
  unsigned busy() const noexcept;  // works in line or running

 private:
  struct member {
    explicit member(blocking_pool& p) noexcept : pool(p) {}
    blocking_pool& pool;
    os::thread thread;
  };
  using members = std::list<member>;
  static void thread_main(void* member);
  void serve(member& self);
  void look_out(std::unique_lock<pool_mutex>& held);
  void line_up(blocking_work& work) noexcept;
  void follow(blocking_work& next, std::unique_lock<pool_mutex>& held) noexcept;
  [[nodiscard]] result<void> start_thread() noexcept;
  void join_ended(std::unique_lock<pool_mutex>& held) noexcept;

  const std::string name_;
  const unsigned threads_max_;
  const std::chrono::nanoseconds keep_alive_;
  const placement* const places_;
  const bool may_spin_;
  atomic<unsigned> submissions_{0};  // counted after the lock is free again, so a hint only
  mutable pool_mutex mutex_;
  pool_condition work_came_;
  pool_condition thread_ended_;
  intrusive_list<blocking_work, blocking_tag> line_;  // under mutex_, as all below
  unsigned waiting_ = 0;
  unsigned threads_ = 0;
  unsigned free_ = 0;  // looking_out_ is one of them
  bool looking_out_ = false;
  unsigned busy_ = 0;
  members alive_;
  members ended_;  // have left serve(); to be joined
  bool ending_ = false;
};

}  // namespace weft::detail
