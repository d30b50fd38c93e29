// go: starts a fiber: a job that is an ordinary function on a stack of its own, and waits by await().
//
//   auto pong = weft::go([&] { return weft::await(rx.recv()); });   // in a job
//   auto ping = rt.go([&] { ... });                                 // on any thread
//   co_await pong;                                                  // or await(pong), rt.block_on(pong)
//
//   Lifetimes  f and args are copied (or moved) into the job, as by spawn(); so is what its handle does
//   Threads    a fiber stays on one worker: that of its maker; from outside, each in turn.
//              spawn_options::worker names another one, spawn_options::migrates lets any worker go on with
//              it. A worker's thread is the same, and so is what is thread-local, errno, too, after an await,
//              unless some job, this or another one, held it for longer than runtime_options::preempt_after,
//              blocked it for some milliseconds, or called weft::blocking(): then another thread has gone on
//              with the worker. So no function that awaits may hold on to the address of what is
//              thread-local, and the compiler may do so unasked (docs/guide/fibers.md says what helps);
//              with preempt_after = 0, or scheduling::per_core, threads stay
//   Memory     spawn_options::stack bytes of address space, else runtime_options::fiber_stack; rounded up to a
//              power of two, and committed as they are touched. Running over the end is a SIGSEGV that is
//              told with the fiber's name
//   Errors     an exception of f goes to who joins it. No memory: std::bad_alloc
//   Cancel     see await.hpp. One that never began does not run
#pragma once

#include <utility>

#include "weft/runtime/await.hpp"
#include "weft/runtime/runtime.hpp"

namespace weft {

/// Runs f(args...) in a fiber beside the calling job, on its runtime. Asserts that a job is running.
template <class F, class... A>
  requires spawnable<F, A...>
auto go(F&& f, A&&... args) -> join_handle<detail::fiber_value_t<F, A...>> {
  const spawn_options usual;
  auto& job = detail::make_fiber_job(detail::plan_fiber(usual), usual, std::forward<F>(f),
                                     std::forward<A>(args)...);
  launch(job);
  return join_handle<detail::fiber_value_t<F, A...>>(job);
}

template <class F, class... A>
  requires spawnable<F, A...>
auto go(spawn_options options, F&& f, A&&... args) -> join_handle<detail::fiber_value_t<F, A...>> {
  const detail::next_block_account paid_by(options.account);
  auto& job = detail::make_fiber_job(detail::plan_fiber(options), options, std::forward<F>(f),
                                     std::forward<A>(args)...);
  launch(job);
  return join_handle<detail::fiber_value_t<F, A...>>(job);
}

/// Only here to refuse, with advice.
template <class F, class... A>
  requires(!detail::can_spawn<F, A...>)
auto go(F&&, A&&...) {
  detail::explain_spawn<F, A...>();
  return join_handle<>();
}

}  // namespace weft
