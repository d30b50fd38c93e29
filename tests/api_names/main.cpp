#include "api_names.hpp"

namespace {

class name {
 public:
  const char* what;
  bool there;
  const char* why_not = "not yet";
};

constexpr name switched[] = {
    {"result::value() that throws weft::error", HAS_VALUE_MEMBER,
     "not so: result<T> is std::expected, whose value() throws std::bad_expected_access; use "
     "weft::value(op) or ok(op)"},
    {"runtime_options::preempt_after", HAS_PREEMPT_AFTER},
    {"runtime_options::fiber_stack, spawn_options::stack", HAS_FIBER_STACK},
    {"go, await, preemptible, should_yield, yield_if_due", HAS_FIBERS},
    {"driver::poll, kqueue, iocp", HAS_OTHER_DRIVERS},
    {"interval", HAS_INTERVAL},
    {"worker_thread", HAS_WORKER_THREAD},
    {"task_local", HAS_TASK_LOCAL},
    {"this_task::stop_token()", HAS_THIS_TASK_TOKEN},
    {"this_task::backtrace()", HAS_BACKTRACE},
    {"select", HAS_SELECT},
    {"then, and_then, or_else", HAS_THEN},
    {"just, never", HAS_JUST},
    {"retry", HAS_RETRY},
    {"stream", HAS_STREAM},
    {"rate_limiter", HAS_RATE_LIMITER},
    {"broadcast", HAS_BROADCAST},
    {"watch", HAS_WATCH},
    {"message_queue", HAS_MESSAGE_QUEUE},
    {"futex_wait, futex_wake", HAS_FUTEX},
    {"shared_semaphore, shared_queue", HAS_SHARED_MEMORY},
};

weft::task<> everything() {
  co_await errors();
  co_await tasks();
  co_await together();
  co_await synchronisation();
  co_await channels();
  co_await streams_of_bytes();
  co_await files();
  co_await networking();
}

}  // namespace

int main() {
  int missing = 0;
  for (const name& n : switched) {
    if (n.there) continue;
    ++missing;
    std::printf("%s: %s\n", n.why_not, n.what);
  }
  std::printf("%d rows of the interface are not there yet\n", missing);
  runtimes();
  return weft::run(everything(), {.workers = 2});
}
