// api_names: every name of the public interface that exists, in the form that programs may rely on.
// What does not exist yet is in the table of main.cpp. When it comes, its row becomes 1 here and in the
// same change the code behind the switch compiles and runs.
#pragma once

#include <weft/weft.hpp>

#include <cstdio>
#include <cstdlib>

// not yet: 0
#define HAS_VALUE_MEMBER 0     // never: result<T> is std::expected; weft::value(op), ok(op) instead
#define HAS_PREEMPT_AFTER 1    // runtime_options::preempt_after
#define HAS_FIBER_STACK 1      // runtime_options::fiber_stack, spawn_options::stack
#define HAS_FIBERS 1           // go, await, preemptible, should_yield, yield_if_due
#define HAS_OTHER_DRIVERS 1    // driver::poll, kqueue, iocp
#define HAS_INTERVAL 1         // class interval
#define HAS_WORKER_THREAD 1    // class worker_thread
#define HAS_TASK_LOCAL 1       // class task_local
#define HAS_THIS_TASK_TOKEN 1  // this_task::stop_token()
#define HAS_BACKTRACE 1        // this_task::backtrace()
#define HAS_SELECT 1           // select(a, b, ...)
#define HAS_THEN 1             // then, and_then, or_else
#define HAS_JUST 1             // just, never
#define HAS_RETRY 1            // retry(policy, f)
#define HAS_STREAM 1           // stream<T>
#define HAS_RATE_LIMITER 1     // rate_limiter
#define HAS_BROADCAST 1        // broadcast<T>(capacity)
#define HAS_WATCH 1            // watch<T>(initial)
#define HAS_MESSAGE_QUEUE 1    // message_queue<T>(capacity, overflow)
#define HAS_FUTEX 1            // futex_wait, futex_wake
#define HAS_SHARED_MEMORY 1    // shared_semaphore, shared_queue

#define CHECK(condition)                                                           \
  do {                                                                             \
    if (!(condition)) {                                                            \
      std::fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition); \
      std::abort();                                                                \
    }                                                                              \
  } while (false)

weft::task<> errors();
weft::task<> tasks();
weft::task<> together();
weft::task<> synchronisation();
weft::task<> channels();
weft::task<> streams_of_bytes();
weft::task<> files();
weft::task<> networking();
void runtimes();
