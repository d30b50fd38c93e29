// hot_paths: what is done most often, and nothing else, some number of times: a program to count
// instructions of, not to time. tools/instruction_budget.py runs it under callgrind, twice with
// different counts, and takes the difference: start and end of the process cancel out.
//
//   hot_paths --what NAME --n N     does at least N operations and prints how many they were
//   hot_paths --list                the names
//
//   Exactness  one worker, a clock that stands still (virtual time), fixed seeds, epoll: the same
//              instructions each time
//   Loops      each operation's figure has two or three instructions of the loop around it in it
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <vector>
#include <weft/fiber/context.hpp>
#include <weft/fiber/stack.hpp>
#include <weft/queue/injector.hpp>
#include <weft/queue/run_queue.hpp>
#include <weft/queue/work_deque.hpp>
#include <weft/runtime/go.hpp>
#include <weft/runtime/runtime.hpp>
#include <weft/runtime/time.hpp>
#include <weft/task/wait_queue.hpp>
#include <weft/testing/virtual_time.hpp>
#include <weft/timer/timer_set.hpp>
#include <weft/together/fork_join.hpp>

#include "work.hpp"

namespace {

using count = std::size_t;  // of operations

/// The compiler knows no more of the value, nor of what it points at.
template <class T>
void hide(T& value) {
  asm volatile("" : "+r"(value) : : "memory");
}

// --- tasks -------------------------------------------------------------------------------------------

/// Not in line: the caller would take the frame into its own.
[[gnu::noinline]] weft::task<std::uint64_t> ready(std::uint64_t i) { co_return i; }

weft::task<count> await_ready(count n) {
  std::uint64_t sum = 0;
  for (count i = 0; i < n; i++) {
    const auto got = co_await ready(i);
    sum += got;
  }
  if (sum != n * (n - 1) / 2) bench::wrong("the results add up to %lu", sum);
  co_return n;
}

weft::task<std::uint64_t> fib(unsigned n) {
  if (n < 2) co_return n;
  auto [a, b] = co_await weft::fork_join([n] { return fib(n - 1); }, [n] { return fib(n - 2); });
  co_return a + b;
}

weft::task<count> fork_join(count n) {
  constexpr unsigned of = 12;  // each branch is one call; the first one is no branch
  constexpr count branches = bench::fib_calls(of) - 1;
  count done = 0;
  for (; done < n; done += branches) {
    const auto result = co_await fib(of);
    if (result != bench::fib_value(of)) bench::wrong("fib: %lu", result);
  }
  co_return done;
}

weft::task<> empty() { co_return; }

/// One at a time: the parent waits, and is woken by the end.
weft::task<count> spawn_join(count n) {
  for (count i = 0; i < n; i++) {
    auto handle = weft::spawn(empty);
    co_await handle;
  }
  co_return n;
}

/// Most have ended when they are joined.
weft::task<count> spawn_join_64(count n) {
  std::vector<weft::join_handle<>> handles;
  handles.reserve(64);
  count done = 0;
  for (; done < n; done += 64) {
    for (int i = 0; i < 64; i++) handles.push_back(weft::spawn(empty));
    for (auto& handle : handles) co_await handle;
    handles.clear();
  }
  co_return done;
}

/// Nobody else is ready: it goes straight on.
weft::task<count> yield(count n) {
  for (count i = 0; i < n; i++) co_await weft::yield_now();
  co_return n;
}

/// Two that take turns: through the queue.
weft::task<count> take_turns(count n, weft::spawn_options options) {
  auto a = weft::spawn(options, yield, n / 2);
  auto b = weft::spawn(options, yield, n / 2);
  co_await a;
  co_await b;
  co_return n / 2 * 2;
}
weft::task<count> yield_two(count n) { return take_turns(n, {}); }
weft::task<count> yield_high(count n) { return take_turns(n, {.priority = weft::priority::high}); }
weft::task<count> yield_pinned(count n) { return take_turns(n, {.worker = 0}); }

weft::task<count> sleep_zero(count n) {
  for (count i = 0; i < n; i++) co_await weft::sleep_for(std::chrono::nanoseconds(0));
  co_return n;
}

/// An event that resets itself: the least that a primitive on a wait_queue can be.
class signal {
 public:
  class waiting final : public weft::awaitable_operation<waiting, weft::wait_queue::waiter> {
   public:
    explicit waiting(signal& s) noexcept : signal_(s) {}
    std::coroutine_handle<> start(weft::promise_base& who) noexcept {
      using result = weft::wait_queue::add_result;
      for (;;) {
        if (signal_.take()) return ready_at_once(*this, who);
        const auto added = signal_.queue_.add_if(
            *this, who, [this] { return signal_.set_.load(weft::order::seq_cst) == 0; });
        if (added == result::waiting) return std::noop_coroutine();
        if (added == result::stopped) return unwind(who);
        if (added == result::granted) return who.handle();
      }
    }
    void await_resume() const noexcept {}
    const char* what() const noexcept override { return "signal"; }

   private:
    signal& signal_;
  };
  waiting wait() noexcept { return waiting(*this); }
  void set() noexcept {
    set_.store(1, weft::order::seq_cst);
    while (!queue_.empty() && take()) {
      if (queue_.wake_one()) return;
      set_.store(1, weft::order::seq_cst);
    }
  }

 private:
  bool take() noexcept { return set_.exchange(0, weft::order::seq_cst) != 0; }
  weft::atomic<std::uint32_t> set_{0};
  weft::wait_queue queue_;
};

weft::task<> answer(signal& question, signal& answered, count n) {
  for (count i = 0; i < n; i++) {
    co_await question.wait();
    answered.set();
  }
}

/// Two jobs, of which one always waits for the other. An operation: a wait and its wake.
weft::task<count> wake(count n) {
  signal question, answered;
  auto other = weft::spawn(answer, std::ref(question), std::ref(answered), n / 2);
  for (count i = 0; i < n / 2; i++) {
    question.set();
    co_await answered.wait();
  }
  co_await other;
  co_return n / 2 * 2;
}

// --- fibers ---------------------------------------------------------------------------------------------

/// One at a time, by a fiber.
weft::task<count> go_join(count n) {
  auto maker = weft::go([n] {
    for (count i = 0; i < n; i++) weft::await(weft::go([] {}));
  });
  co_await maker;
  co_return n;
}

/// Two that take turns. An operation: out of one's stack, through the queue, into the other's.
weft::task<count> fiber_yield_two(count n) {
  const auto yields = [n] {
    for (count i = 0; i < n / 2; i++) weft::await(weft::yield_now());
  };
  auto a = weft::go(yields);
  auto b = weft::go(yields);
  co_await a;
  co_await b;
  co_return n / 2 * 2;
}

struct two_contexts {
  weft::context thread;
  weft::context* other = nullptr;
  bool last = false;
  static weft::context& come_back(void* argument) {
    auto& both = *static_cast<two_contexts*>(argument);
    while (!both.last) weft::context::switch_to(*both.other, both.thread);
    return both.thread;
  }
};

/// An operation is one way.
count context_switch(count n) {
  weft::stack_pool pool;
  const auto on = pool.take();
  if (!on) bench::wrong("no stack");
  two_contexts both;
  weft::context other(on->low(), on->bytes(), two_contexts::come_back, &both);
  both.other = &other;
  for (count i = 0; i < n / 2; i++) weft::context::switch_to(both.thread, other);
  both.last = true;
  weft::context::switch_to(both.thread, other);
  pool.give(*on);
  return n / 2 * 2;
}

count stack(count n) {
  weft::stack_pool pool;
  for (count i = 0; i < n; i++) {
    const auto on = pool.take();
    if (!on) bench::wrong("no stack");
    pool.give(*on);
  }
  return n;
}

// --- what they stand on, by itself; an operation is in and out ------------------------------------------

count timer(count n) {
  constexpr std::int64_t hour_ns = 3'600'000'000'000;
  constexpr count together = 256;
  weft::timer_set timers;
  std::vector<std::unique_ptr<weft::timer_entry>> entries;
  for (count i = 0; i < together; i++) {
    entries.push_back(std::make_unique<weft::timer_entry>(
        [](weft::timer_entry&) noexcept { bench::wrong("a timer fired"); }));
  }
  count done = 0;
  for (; done < n; done += together) {
    for (count i = 0; i < together; i++) {
      const auto due = static_cast<std::int64_t>(i * i) * 1'000'000 + hour_ns;
      if (!timers.arm(*entries[i], due)) bench::wrong("a timer was not armed");
    }
    for (auto& entry : entries)
      if (!timers.cancel(*entry)) bench::wrong("a timer was not armed");
  }
  return done;
}

struct item {
  item* next = nullptr;
};

struct no_overflow {
  void push_batch(item*, item*, unsigned) noexcept { bench::wrong("the queue is full"); }
};

count run_queue(count n) {
  weft::run_queue<item> queue;
  no_overflow sink;
  item one, *in = &one;
  for (count i = 0; i < n; i++) {
    hide(in);
    queue.push_back(in, sink);
    item* out = queue.pop();
    hide(out);
    if (out != in) bench::wrong("another item came out");
  }
  return n;
}

count work_deque(count n) {
  weft::work_deque<item> deque(true);  // nobody steals, so nobody needs the fence
  item one, *in = &one;
  for (count i = 0; i < n; i++) {
    hide(in);
    deque.push(in);
    if (!deque.pop_if(in)) bench::wrong("another item came out");
  }
  return n;
}

count injector(count n) {
  weft::injector<item> queue;
  item one, *in = &one;
  for (count i = 0; i < n; i++) {
    hide(in);
    queue.push(in);
    item* out = queue.pop();
    hide(out);
    if (out != in) bench::wrong("another item came out");
  }
  return n;
}

count frame(count n) {
  constexpr std::size_t bytes = 192;
  for (count i = 0; i < n; i++) {
    void* memory = weft::allocate_frame(bytes);
    hide(memory);
    weft::free_frame(memory, bytes);
  }
  return n;
}

/// More at once than free lists and depot hold: they come from slabs, and go home to them.
count frame_burst(count n) {
  constexpr std::size_t bytes = 448;
  std::vector<void*> frames(2'000);
  for (count i = 0; i < n; i += frames.size()) {
    for (void*& f : frames) f = weft::allocate_frame(bytes);
    for (void* f : frames) weft::free_frame(f, bytes);
  }
  return (n + frames.size() - 1) / frames.size() * frames.size();
}

count spin_lock(count n) {
  weft::spin_lock lock, *guard = &lock;
  for (count i = 0; i < n; i++) {
    hide(guard);
    guard->lock();
    guard->unlock();
  }
  return n;
}

/// What each call of a scheduler is between: into the runtime, so that the processor stays, and out again.
count pin(count n) {
  weft::pin_state state(true), *mine = &state;
  state.become_owner();
  for (count i = 0; i < n; i++) {
    hide(mine);
    if (mine->pin() != weft::pin_state::pin_result::owned) bench::wrong("it was lost");
    mine->unpin();
  }
  return n;
}

// -------------------------------------------------------------------------------------------------------

struct path {
  const char* name;
  weft::task<count> (*on_worker)(count);
  count (*alone)(count);
};

constexpr path paths[] = {
    {"await_ready", await_ready, nullptr},
    {"fork_join", fork_join, nullptr},
    {"spawn_join", spawn_join, nullptr},
    {"spawn_join_64", spawn_join_64, nullptr},
    {"yield", yield, nullptr},
    {"yield_two", yield_two, nullptr},
    {"yield_high", yield_high, nullptr},
    {"yield_pinned", yield_pinned, nullptr},
    {"wake", wake, nullptr},
    {"sleep_zero", sleep_zero, nullptr},
    {"go_join", go_join, nullptr},
    {"fiber_yield_two", fiber_yield_two, nullptr},
    {"context_switch", nullptr, context_switch},
    {"stack", nullptr, stack},
    {"timer", nullptr, timer},
    {"run_queue", nullptr, run_queue},
    {"work_deque", nullptr, work_deque},
    {"injector", nullptr, injector},
    {"frame", nullptr, frame},
    {"frame_burst", nullptr, frame_burst},
    {"spin_lock", nullptr, spin_lock},
    {"pin", nullptr, pin},
};

count run(const path& p, count n) {
  if (p.alone != nullptr) return p.alone(n);
  weft::testing::virtual_runtime rt({.io = weft::driver::epoll});
  return rt.block_on(rt.spawn(p.on_worker, n));
}

}  // namespace

int main(int argc, char** argv) {
  const char* what = "";
  count n = 0;
  for (int i = 1; i < argc; i++) {
    if (std::strcmp(argv[i], "--list") == 0) {
      for (const path& p : paths) std::puts(p.name);
      return 0;
    }
    if (i + 1 == argc) break;
    if (std::strcmp(argv[i], "--what") == 0) what = argv[i + 1];
    if (std::strcmp(argv[i], "--n") == 0) n = std::strtoull(argv[i + 1], nullptr, 10);
  }
  for (const path& p : paths) {
    if (n == 0 || std::strcmp(p.name, what) != 0) continue;
    std::printf("operations %zu\n", run(p, n));
    return 0;
  }
  std::fprintf(stderr, "usage: %s --what NAME --n N (above zero), or --list\n", argv[0]);
  return 2;
}
