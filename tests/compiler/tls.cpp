// C1: a thread-local variable read before and after an await that changes the thread.
//
// The values come out right on both. The address does not: Clang computes it once for the whole
// coroutine, so two `&variable` on two threads compare equal once it optimises.

#include <thread>
#include <utility>

#include "lifetime.hpp"
#include "suite.hpp"

namespace conformance {
namespace {

thread_local int local = 0;
int& local_reference() { return local; }

void resume_on_another_thread() {
  auto self = std::exchange(parked, {});
  std::thread([self] {
    local = 77;
    errno = 77;
    self.resume();
  }).join();
}

struct two_values {
  int before = 0;
  int after = 0;
};

task<two_values> read_twice() {
  two_values seen;
  local = 1;
  seen.before = local_reference();
  co_await park();
  seen.after = local_reference();
  co_return seen;
}

task<bool> address_changes() {
  const int* before = &local;
  co_await park();
  const int* after = &local;
  co_return before != after;
}

// The way round it: the address is asked of a function that is not inlined.
[[gnu::noinline]] int* address_of_local() {
  asm volatile("");
  return &local;
}

task<bool> asked_address_changes() {
  const int* before = address_of_local();
  co_await park();
  const int* after = address_of_local();
  co_return before != after;
}

// errno, and who the thread is. Both compared in the coroutine itself, which knows them from before.
task<bool> errno_is_read() {
  errno = 1;
  co_await park();
  co_return errno == 77;
}

task<bool> errno_is_written() {
  errno = 1;
  co_await park();
  ::close(-1);  // sets that of the thread, which the coroutine then reads
  co_return errno == EBADF;
}

task<bool> thread_id_changes() {
  const auto before = std::this_thread::get_id();
  co_await park();
  co_return before != std::this_thread::get_id();
}

task<bool> thread_of_the_kernel_changes() {
  const long before = ::syscall(SYS_gettid);
  co_await park();
  co_return before != ::syscall(SYS_gettid);
}

[[gnu::noinline]] int& errno_of_thread() {
  asm volatile("");
  return errno;
}
[[gnu::noinline]] std::thread::id id_of_thread() {
  asm volatile("");
  return std::this_thread::get_id();
}

task<bool> asked_errno_is_read() {
  errno_of_thread() = 1;
  co_await park();
  co_return errno_of_thread() == 77;
}

task<bool> asked_thread_id_changes() {
  const auto before = id_of_thread();
  co_await park();
  co_return before != id_of_thread();
}

// The await itself starts the thread on which the coroutine goes on.
std::thread hopper;
struct hop {
  hop() noexcept {}
  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> self) const {
    hopper = std::thread([self] {
      local = 5;
      self.resume();
    });
  }
  int await_resume() const noexcept { return local; }
};

task<int> read_around_hop() {
  local = 1;
  const int before = local;
  const int inside = co_await hop();
  const int after = local;
  co_return before * 100 + inside * 10 + after;
}

// What a scheduler does: a pointer to "the worker that runs me", read through a small function.
struct worker {
  int id;
};
thread_local worker* current = nullptr;
int here() { return current->id; }

class move_to {
 public:
  explicit move_to(worker* to) noexcept : to_(to) {}
  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> self) const {
    std::thread([self, to = to_] {
      current = to;
      self.resume();
    }).join();
  }
  void await_resume() const noexcept {}

 private:
  worker* to_;
};

task<int> workers_seen(worker* second) {
  int seen = here();
  co_await move_to(second);
  seen = seen * 10 + here();
  co_return seen;
}

void values() {
  auto work = read_twice();
  work.frame().resume();
  resume_on_another_thread();
  const two_values seen = work.frame().promise().take();
  expect(seen.before == 1 && seen.after == 77, "a value of the other thread");
}

void on_two_threads(task<bool> work) {
  work.frame().resume();
  resume_on_another_thread();
  expect(work.frame().promise().take(), "what is the other thread's");
}

void values_around_hop() {
  auto work = read_around_hop();
  work.frame().resume();
  hopper.join();
  expect(work.frame().promise().take() == 155, "a value of the other thread");
}

void current_worker() {
  worker first{1};
  worker second{2};
  current = &first;
  auto work = workers_seen(&second);
  work.frame().resume();
  expect(work.frame().promise().take() == 12, "the worker of the other thread");
}

}  // namespace

std::span<const pattern> thread_locals() {
  using namespace built_with;
  static constexpr pattern table[] = {
      {"C1", "thread_local_value_after_a_hop", values},
      {"C1", "thread_local_value_around_the_await", values_around_hop},
      {"C1", "thread_local_worker_pointer", current_worker},
      {"C1", "thread_local_address_after_a_hop", [] { on_two_threads(address_changes()); },
       bad_if(clang && optimized)},
      {"C1", "thread_local_address_from_a_function",
       [] { on_two_threads(asked_address_changes()); }},
      {"C1", "errno_after_a_hop", [] { on_two_threads(errno_is_read()); }},
      {"C1", "errno_of_a_call_after_a_hop", [] { on_two_threads(errno_is_written()); }},
      {"C1", "thread_id_after_a_hop", [] { on_two_threads(thread_id_changes()); },
       bad_if(clang && optimized)},
      {"C1", "errno_from_a_function", [] { on_two_threads(asked_errno_is_read()); }},
      {"C1", "thread_id_from_a_function", [] { on_two_threads(asked_thread_id_changes()); }},
      {"C1", "thread_id_of_the_kernel", [] { on_two_threads(thread_of_the_kernel_changes()); }},
  };
  return table;
}

}  // namespace conformance
