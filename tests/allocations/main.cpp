// allocations: in the steady state no operation of the scheduler asks for memory. A program of its
// own, because it brings its own malloc (count.cpp).
//
//   allocations [NAME...]    all rows of the table below, or those
//
//   Steady state   one worker: from the third round on, none in each of three rounds. Two workers:
//                  frames freed by one and taken by the other lie in their free lists meanwhile, so
//                  the first rounds may still find a new maximum; within `rounds_max` there must be
//                  `rounds_clean` without any in a row. A leak, or a path that allocates now and
//                  then, never gets there
//   A new row      a coroutine that does r.n operations while r.next(), and a line of `rows`
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <ranges>
#include <vector>

#include "count.hpp"
#include "tests/support/signal.hpp"
#include "weft/base/config.hpp"
#include "weft/weft.hpp"

#if __has_include(<weft/channel/mpmc.hpp>)
#include <weft/channel/mpmc.hpp>
#define HAS_CHANNEL 1
#else
#define HAS_CHANNEL 0
#endif

namespace {

constexpr int skipped = 77;  // CTest shows it as that
constexpr unsigned warm_up_rounds = 2;
constexpr unsigned rounds_clean = 3;
constexpr unsigned rounds_max = 60;

using count = std::size_t;  // of operations

[[noreturn]] void wrong(const char* what) {
  std::fprintf(stderr, "allocations: wrong: %s\n", what);
  std::exit(1);
}

/// What a row goes through: `while (r.next()) { r.n operations }`. What it needs itself (vectors,
/// channels) it makes before the loop.
class rounds {
 public:
  rounds(count each, unsigned workers) noexcept
      : n(each), most_(warm_up_rounds + (workers == 1 ? rounds_clean : rounds_max)) {}
  const count n;

  /// Ends a round, and says whether there is another one.
  bool next() noexcept {
    const counted::calls now = counted::now();
    if (begun_ > warm_up_rounds) {
      const counted::calls in_it = {now.allocations - before_.allocations,
                                    now.mappings - before_.mappings};
      clean_ = in_it.allocations + in_it.mappings == 0 ? clean_ + 1 : 0;
      if (clean_ == 0) last_ = in_it;
    }
    if (settled() || begun_ == most_) return false;
    begun_++;
    before_ = counted::now();
    return true;
  }
  bool settled() const noexcept { return clean_ >= rounds_clean; }
  unsigned begun() const noexcept { return begun_; }
  /// Of the last round that was not clean.
  counted::calls last() const noexcept { return last_; }

 private:
  unsigned most_;
  unsigned begun_ = 0;
  unsigned clean_ = 0;  // in a row
  counted::calls before_ = {}, last_ = {};
};

weft::task<> empty() { co_return; }

weft::task<> spawn_join(rounds& r) {
  while (r.next()) {
    for (count i = 0; i < r.n; i++) {
      auto handle = weft::spawn(empty);
      co_await handle;
    }
  }
}

template <count Of>
weft::task<> spawn_join_many(rounds& r) {
  std::vector<weft::join_handle<>> all;
  all.reserve(Of);
  while (r.next()) {
    for (count done = 0; done < r.n; done += Of) {
      for (count i = 0; i < Of; i++) all.push_back(weft::spawn(empty));
      for (auto& handle : all) co_await handle;
      all.clear();
    }
  }
}

weft::task<std::uint64_t> fib(unsigned n) {
  if (n < 2) co_return n;
  auto [a, b] = co_await weft::fork_join([n] { return fib(n - 1); }, [n] { return fib(n - 2); });
  co_return a + b;
}
weft::task<> fork_join(rounds& r) {
  while (r.next()) {
    for (count done = 0; done < r.n; done += 1973) {  // calls of fib(15)
      const auto sum = co_await fib(15);
      if (sum != 610) wrong("fib(15)");
    }
  }
}

weft::task<int> number(int i) { co_return i; }
weft::task<> when_all(rounds& r) {
  while (r.next()) {
    for (count done = 0; done < r.n; done += 4) {
      const auto [a, b, c, d] = co_await weft::when_all(number(1), number(2), number(3), number(4));
      if (a + b + c + d != 10) wrong("when_all");
    }
  }
}

weft::task<> nothing_of(int) { co_return; }
template <int Of>
weft::task<> when_all_range(rounds& r) {
  const auto each = [](int i) { return nothing_of(i); };
  const auto range = std::views::iota(0, Of);
  while (r.next()) {
    for (count done = 0; done < r.n; done += Of) co_await weft::when_all(range, each);
  }
}

/// An operation is an element; a loop is long enough to be shared out.
weft::task<> parallel_for(rounds& r) {
  constexpr std::uint64_t length = 20'000;
  std::uint64_t loops = 0;
  weft::atomic<std::uint64_t> sum(0);
  const auto add = [&](std::uint64_t i) {
    if (i % 64 == 0) sum.fetch_add(i / 64, weft::order::relaxed);
  };
  const auto range = std::views::iota(std::uint64_t{0}, length);
  while (r.next()) {
    for (count done = 0; done < r.n; done += length, ++loops) {
      co_await weft::parallel_for(range, add);
    }
  }
  constexpr std::uint64_t last = (length - 1) / 64;
  if (sum.load(weft::order::relaxed) != loops * (last * (last + 1) / 2)) wrong("parallel_for");
}

weft::task<> yield(rounds& r) {
  while (r.next()) {
    for (count i = 0; i < r.n; i++) co_await weft::yield_now();
  }
}

/// The real clock: what is counted is the arming and the waking, not how long it takes.
weft::task<> sleep(rounds& r) {
  while (r.next()) {
    for (count i = 0; i < r.n; i++) co_await weft::sleep_for(std::chrono::microseconds(1));
  }
}

/// A timer armed and taken back: the time is never reached.
weft::task<> timeout(rounds& r) {
  while (r.next()) {
    for (count i = 0; i < r.n; i++) {
      const auto in_time = co_await weft::timeout(std::chrono::hours(1), weft::yield_now());
      if (!in_time) wrong("an hour was over");
    }
  }
}

using weft::test_support::signal;

weft::task<> answer(signal& question, signal& answered, const bool& over) {
  for (;;) {
    co_await question.wait();
    if (over) co_return;
    answered.set();
  }
}
weft::task<> wake(rounds& r) {
  signal question, answered;
  bool over = false;
  auto other = weft::spawn(answer, std::ref(question), std::ref(answered), std::cref(over));
  while (r.next()) {
    for (count i = 0; i < r.n; i += 2) {
      question.set();
      co_await answered.wait();
    }
  }
  over = true;
  question.set();
  co_await other;
}

/// Two jobs that yield with the lock held: each lock() waits for the other one's hand-over.
weft::task<> contend(weft::mutex& m, const bool& over) {
  for (;;) {
    const auto held = co_await m.lock();
    if (over) co_return;
    co_await weft::yield_now();
  }
}
weft::task<> mutex(rounds& r) {
  weft::mutex m;
  bool over = false;  // guarded by m
  auto other = weft::spawn(contend, std::ref(m), std::cref(over));
  while (r.next()) {
    for (count i = 0; i < r.n; i++) {
      const auto held = co_await m.lock();
      co_await weft::yield_now();
    }
  }
  {
    const auto held = co_await m.lock();
    over = true;
  }
  co_await other;
}

[[gnu::noinline]] weft::task<std::uint64_t> ready(std::uint64_t i) { co_return i; }
weft::task<> calls(rounds& r) {
  while (r.next()) {
    std::uint64_t sum = 0;
    for (count i = 0; i < r.n; i++) {
      const auto got = co_await ready(i);
      sum += got;
    }
    if (sum != r.n * (r.n - 1) / 2) wrong("calls");
  }
}

weft::stream<count> numbers() {
  for (count i = 0;; i++) co_yield i;
}
weft::task<> stream(rounds& r) {
  auto s = numbers();
  count expected = 0;
  while (r.next()) {
    for (count i = 0; i < r.n; i++) {
      const auto got = co_await s.next();
      if (got != expected++) wrong("stream");
    }
  }
}
weft::task<> blocking_class(rounds& r) {
  weft::blocking_class kind({.at_most = 1});
  const auto work = [] { return 1; };
  while (r.next()) {
    for (count i = 0; i < r.n; i += 2) {
      auto [a, b] = co_await weft::when_all(weft::spawn_blocking(kind, work),
                                            weft::spawn_blocking(kind, work));  // one waits
      if (a + b != 2) wrong("blocking_class");
    }
  }
}
/// Frames, too: a chain is made for each ten elements.
weft::task<> stream_chain(rounds& r) {
  const auto even = [](count i) { return i % 2 == 0; };
  const auto half = [](count i) { return i / 2; };
  const auto itself = [](count i) { return number(static_cast<int>(i)); };
  while (r.next()) {
    for (count done = 0; done < r.n; done += 10) {
      auto s = numbers().filter(even).map(half).map(itself).take(10);
      for (int i = 0; i < 10; i++) {
        const auto got = co_await s.next();
        if (got != i) wrong("stream_chain");
      }
    }
  }
}
weft::task<> stream_timeout(rounds& r) {
  auto s = numbers().timeout(std::chrono::hours(1));
  while (r.next()) {
    for (count i = 0; i < r.n; i++) {
      const auto got = co_await s.next();
      if (!got || !*got) wrong("stream_timeout");
    }
  }
}
weft::task<> stream_merge(rounds& r) {
  co_await weft::scope([&](weft::scope_ref in) -> weft::task<> {
    auto s = weft::merge(in, numbers(), numbers());
    while (r.next()) {
      for (count i = 0; i < r.n; i++) {
        const auto got = co_await s.next();
        if (!got) wrong("stream_merge");
      }
    }
  });
}
weft::task<> stream_buffered(rounds& r) {
  const auto itself = [](count i) { return number(static_cast<int>(i)); };
  co_await weft::scope([&](weft::scope_ref in) -> weft::task<> {
    auto s = numbers().buffered(in, 8, itself);
    int expected = 0;
    while (r.next()) {
      for (count i = 0; i < r.n; i++) {
        const auto got = co_await s.next();
        if (got != expected++) wrong("stream_buffered");
      }
    }
  });
}

#if HAS_CHANNEL
weft::task<> echo(weft::receiver<count> from, weft::sender<count> to) {
  for (;;) {
    const auto got = co_await from.recv();
    if (!got) co_return;
    const auto sent = co_await to.send(*got);
    if (!sent) co_return;
  }
}
/// A message there and one back: each is an operation, with a wait and a wake.
weft::task<> channel(rounds& r) {
  weft::join_handle<> other;
  {
    auto [to, from_here] = weft::channel<count>(1);
    auto [to_here, from] = weft::channel<count>(1);
    other = weft::spawn(echo, from_here, to_here);
    while (r.next()) {
      for (count i = 0; i < r.n; i += 2) {
        const auto sent = co_await to.send(i);
        const auto got = co_await from.recv();
        if (!sent || !got || *got != i) wrong("channel");
      }
    }
  }  // closes it
  co_await other;
}

weft::task<> echo_broadcast(weft::broadcast_receiver<count> from,
                            weft::broadcast_sender<count> to) {
  for (;;) {
    const auto got = co_await from.recv();
    if (!got) co_return;
    to.send(*got);
  }
}
weft::task<> broadcast(rounds& r) {
  weft::join_handle<> other;
  {
    auto [to, from_here] = weft::broadcast<count>(2);
    auto [to_here, from] = weft::broadcast<count>(2);
    other = weft::spawn(echo_broadcast, std::move(from_here), std::move(to_here));
    while (r.next()) {
      for (count i = 0; i < r.n; i += 2) {
        to.send(i);
        const auto got = co_await from.recv();
        if (!got || *got != i) wrong("broadcast");
      }
    }
  }
  co_await other;
}

weft::task<> echo_watch(weft::watch_receiver<count> from, weft::watch_sender<count> to) {
  for (;;) {
    const bool newer = co_await from.changed();
    if (!newer) co_return;
    const auto lent = from.borrow();
    to.send(*lent);
  }
}
weft::task<> watch(rounds& r) {
  weft::join_handle<> other;
  {
    auto [to, from_here] = weft::watch<count>(0);
    auto [to_here, from] = weft::watch<count>(0);
    other = weft::spawn(echo_watch, std::move(from_here), std::move(to_here));
    while (r.next()) {
      for (count i = 0; i < r.n; i += 2) {
        to.send(i);
        const bool newer = co_await from.changed();
        if (!newer || from.get() != i) wrong("watch");
      }
    }
  }
  co_await other;
}

weft::task<> echo_queue(weft::message_queue<count>& from, weft::message_queue<count>& to) {
  for (;;) {
    const bool open = co_await from.readable();
    if (!open) co_return;
    const auto got = from.try_recv();
    if (!got) wrong("message_queue: nobody else takes it");
    const auto sent = co_await to.send(*got);
    if (!sent) co_return;
  }
}
weft::task<> message_queue(rounds& r) {
  weft::message_queue<count> there(1), back(1, weft::overflow::drop_oldest);
  auto other = weft::spawn(echo_queue, std::ref(there), std::ref(back));
  while (r.next()) {
    for (count i = 0; i < r.n; i += 2) {
      const auto sent = co_await there.send(i);
      const auto got = co_await back.recv();
      if (!sent || !got || *got != i) wrong("message_queue");
    }
  }
  there.close();
  co_await other;
}
#endif

/// Nothing is ready, so all operands wait; the sleep wins.
weft::task<> select_of_three(rounds& r) {
  weft::semaphore permits(0);
  weft::event never_set;
  while (r.next()) {
    for (count i = 0; i < r.n; i++) {
      const auto w = co_await weft::select(
          permits.acquire(), weft::sleep_for(std::chrono::nanoseconds(1)), never_set.wait());
      if (w.index() != 1) wrong("select");
    }
  }
}

struct row {
  const char* name;
  weft::task<> (*work)(rounds&);
  count operations;  // a round
};

constexpr row rows[] = {
    {"calls", calls, 50'000},
    {"spawn_join", spawn_join, 50'000},
    {"spawn_join_64", spawn_join_many<64>, 64 * 1000},
    {"spawn_join_1000", spawn_join_many<1000>, 50'000},
    {"fork_join", fork_join, 100'000},
    {"when_all_4", when_all, 20'000},
    {"when_all_range_8", when_all_range<8>, 20'000},
    {"parallel_for", parallel_for, 2'000'000},
    {"yield", yield, 50'000},
    {"sleep", sleep, 1'000},
    {"timeout", timeout, 20'000},
    {"wake", wake, 50'000},
    {"mutex", mutex, 20'000},
    {"blocking_class", blocking_class, 2'000},
    {"stream", stream, 100'000},
    {"stream_chain", stream_chain, 20'000},
    {"stream_timeout", stream_timeout, 20'000},
    {"stream_merge", stream_merge, 20'000},
    {"stream_buffered", stream_buffered, 20'000},
#if HAS_CHANNEL
    {"channel", channel, 50'000},
    {"broadcast", broadcast, 50'000},
    {"watch", watch, 50'000},
    {"message_queue", message_queue, 50'000},
#endif
    {"select", select_of_three, 1'000},
};

bool check(const row& what, unsigned workers) {
  // A second thread of the pool would be started, and allocated for, whenever it pleases.
  weft::runtime rt({.workers = workers, .max_blocking_threads = 1});
  rounds r(what.operations, workers);
  rt.block_on(rt.spawn(what.work, std::ref(r)));  // on a worker
  std::printf("%-16s %7u %11zu %7u   ", what.name, workers, what.operations, r.begun());
  if (r.settled()) {
    std::puts("none");
  } else {
    const counted::calls seen = r.last();
    std::printf("FAILED: %llu allocations, %llu mappings in a round (%.4f an operation)\n",
                static_cast<unsigned long long>(seen.allocations),
                static_cast<unsigned long long>(seen.mappings),
                static_cast<double>(seen.allocations + seen.mappings) /
                    static_cast<double>(what.operations));
  }
  std::fflush(stdout);
  return r.settled();
}

/// Who does not count finds nothing.
void check_that_it_counts() {
  const counted::calls before = counted::now();
  auto* const volatile a = new int;
  void* const volatile b = std::malloc(1);
  void* const volatile c = std::aligned_alloc(64, 64);
  auto* const volatile d = new weft::atomic<std::uint64_t>[1000];
  delete a, std::free(b), std::free(c), delete[] d;
  if (counted::now().allocations - before.allocations != 4) wrong("the counter does not count");
}

}  // namespace

int main(int argc, char** argv) {
  if (WEFT_ASAN || WEFT_TSAN) {
    std::puts("allocations: skipped: sanitizers have an allocator of their own");
    return skipped;
  }
  if (const char* const pool = std::getenv("WEFT_FRAME_POOL");
      pool != nullptr && std::strcmp(pool, "off") == 0) {
    std::puts("allocations: skipped: WEFT_FRAME_POOL=off, so every frame is the system's");
    return skipped;
  }
  check_that_it_counts();
  std::printf("%-16s %7s %11s %7s   %s\n", "work", "workers", "a round", "rounds",
              "allocations in the steady state");
  bool good = true;
  for (const row& what : rows) {
    bool wanted = argc == 1;
    for (int i = 1; i < argc; i++) wanted |= std::strcmp(argv[i], what.name) == 0;
    if (!wanted) continue;
    for (const unsigned workers : {1u, 2u}) good &= check(what, workers);
  }
  return good ? 0 : 1;
}
