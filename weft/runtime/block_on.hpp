// block_on: waits for an awaitable in a plain thread, without a runtime. The thread itself runs the
// jobs: this one, and what it spawns, which is stopped and awaited before block_on() returns.
//
//   const int v = weft::block_on(handle);       // a job of some runtime, a channel, a computation
//
//   Threads  any that is not a worker
//   Limits   no timers, no I/O, no blocking pool: those need a runtime (runtime::block_on), and say so
#pragma once

#include "weft/base/atomic.hpp"
#include "weft/base/intrusive_list.hpp"
#include "weft/base/spin_lock.hpp"
#include "weft/runtime/registry.hpp"
#include "weft/task/join_handle.hpp"
#include "weft/task/live_home.hpp"

namespace weft {

namespace detail {

void assert_not_a_worker() noexcept;

/// Runs jobs on the thread that made it.
class thread_executor final : public scheduler {
 public:
  thread_executor() noexcept = default;
  ~thread_executor();

  void schedule(job& ready, wake_kind why) noexcept override;
  void enlist(job& made) noexcept override;
  bool retire(job& ended, bool (*hand_over)(job&) noexcept) noexcept override;
  /// There is no runtime whose options could say otherwise: it says which job, and aborts.
  void panicked(job& ended, std::exception_ptr error) noexcept override;
  std::uintptr_t number() noexcept override { return alive_.number(); }
  /// Runs what is ready, sleeping between, until `awaited` has ended; then stops what is left, and
  /// runs until all of it has ended, too.
  void run_until(join_state& awaited) noexcept;

 private:
  job* next() noexcept;
  spin_lock lock_;
  intrusive_queue<job, &job::next> ready_;  // under lock_
  atomic<std::uint32_t> arrivals_{0};       // counts pushes: the word to sleep on
  registry jobs_{1, false};                 // by this thread only
  live_home alive_{*this};
};

}  // namespace detail

/// The value of `awaitable`, or rethrows. What it waits for may come from any thread.
template <class A>
auto block_on(A&& awaitable) -> await_result_t<std::remove_reference_t<A>&&> {
  static_assert(!is_kept_combinator<A>, WEFT_KEPT_COMBINATOR_MESSAGE);
  using T = await_result_t<std::remove_reference_t<A>&&>;
  detail::assert_not_a_worker();
  detail::thread_executor executor;
  auto& job = make_awaiting_job<detail::awaits_for::block_on>(executor, awaitable);
  join_handle<T> handle(job);
  launch(job);
  executor.run_until(job.join);
  return typename join_handle<T>::joiner(job).await_resume();
}

}  // namespace weft
