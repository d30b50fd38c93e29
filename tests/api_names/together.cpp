// Structured concurrency.
#include <atomic>
#include <functional>
#include <numeric>
#include <ranges>
#include <stdexcept>
#include <vector>

#include "api_names.hpp"

using namespace std::chrono_literals;

namespace {

weft::task<int> f(int x) { co_return x; }
weft::task<> adds(std::atomic<int>& to, int n) {
  to += n;
  co_return;
}
weft::task<> fails() {
  throw std::runtime_error("one");
  co_return;
}
weft::task<> for_ever() {
  for (;;) co_await weft::sleep_for(1h);
}
weft::task<int> fib(int n) {
  if (n < 2) co_return n;
  auto [a, b] = co_await weft::fork_join([n] { return fib(n - 1); }, [n] { return fib(n - 2); });
  co_return a + b;
}
weft::generator<int> upto(int n) {
  for (int i = 0; i < n; ++i) co_yield i;
}

weft::task<> scopes() {
  std::atomic<int> sum = 0;
  co_await weft::scope([&](weft::scope_ref s) -> weft::task<> {
    s.spawn(adds, std::ref(sum), 1);
    s.spawn([&] { return adds(sum, 2); });
    co_return;
  });
  CHECK(sum == 3);

  std::vector<std::exception_ptr> others;
  bool thrown = false;
  try {
    const auto ended = co_await weft::scope(weft::scope_options{.timeout = 1h, .others = &others},
                                            [](weft::scope_ref s) -> weft::task<> {
                                              s.spawn(for_ever);
                                              s.spawn(fails);
                                              co_return;
                                            });
    static_cast<void>(ended);
  } catch (const std::runtime_error&) {
    thrown = true;
  }
  CHECK(thrown && others.empty());

  co_await weft::with_join_set<int>([](weft::join_set<int>& set) -> weft::task<> {
    set.spawn(f, 1);
    set.spawn(f, 2);
    CHECK(set.size() == 2);
    int got = 0;
    while (auto next = co_await set.next()) got += next->value();
    CHECK(got == 3);
    set.stop_all();
  });
}

weft::stream<int> odd_numbers() {
  for (int i = 1;; i += 2) co_yield std::move(i);
}

weft::task<> combinators() {
  auto [a, b] = co_await weft::when_all(f(1), f(2));
  CHECK(a == 1 && b == 2);
  const std::vector<int> range{1, 2, 3};
  const std::vector<int> all = co_await weft::when_all(range, [](int x) { return f(x); });
  CHECK(all == range);

  const auto first = co_await weft::race(f(1), for_ever());
  CHECK(first.index() == 0 && std::get<0>(first) == 1);
  const auto [which, won] = co_await weft::race(range, [](int x) { return f(x); });
  CHECK(won == range[which]);
#if HAS_SELECT
  const auto ready = co_await weft::select(f(1), weft::sleep_for(1h));
  CHECK(ready.index() == 0);
#endif

  const weft::result<int> in_time = co_await weft::timeout(1h, f(1));
  CHECK(in_time == 1);
  const weft::result<void> late = co_await weft::deadline(weft::now() + 1ms, for_ever());
  CHECK(!late && late.error() == weft::errc::timed_out);
  const int shielded = co_await weft::shield(f(1));
  CHECK(shielded == 1);
  const std::optional<int> caught = co_await weft::catch_stop(f(1));
  CHECK(caught == 1);

  weft::stop_source source;
  const weft::stop_token token = source.get_token();
  CHECK(token.stop_possible() && !token.stop_requested());
  int called = 0;
  weft::stop_callback on_stop(token, [&] { ++called; });
  source.request_stop();
  const auto cut_off = co_await weft::with_stop(token, for_ever());
  CHECK(!cut_off && cut_off.error() == std::errc::operation_canceled && called == 1);
#if HAS_JUST
  const int just = co_await weft::just(1);
  CHECK(just == 1);
  const auto never = co_await weft::timeout(1ms, weft::never());
  CHECK(!never);
#endif
#if HAS_RETRY
  int attempts = 0;
  const auto flaky = [&]() -> weft::task<weft::result<int>> {
    if (++attempts < 3) co_return std::unexpected(make_error_code(weft::errc::timed_out));
    co_return attempts;
  };
  const weft::result<int> third = co_await weft::retry({.initial_delay = 1us}, flaky);
  CHECK(third == 3);
#endif
#if HAS_STREAM
  const std::vector<int> squares = co_await odd_numbers()
                                       .map([](int x) { return x * x; })
                                       .filter([](int x) { return x > 1; })
                                       .take(2)
                                       .collect();
  CHECK((squares == std::vector<int>{9, 25}));
#endif
#if HAS_THEN
  const int doubled = co_await weft::then(f(2), [](int x) { return 2 * x; });
  CHECK(doubled == 4);
#endif
}

weft::task<> parallel() {
  const int tenth = co_await fib(10);
  CHECK(tenth == 55);
  std::vector<int> v(100);
  co_await weft::parallel_for(std::views::iota(0, 100), [&](int i) { v[std::size_t(i)] = i; });
  const long sum =
      co_await weft::parallel_reduce(v, 0L, std::plus<>(), [](int x) { return long(x); });
  CHECK(sum == 4950);
  int walked = 0;
  for (const int i : upto(4)) walked += i;
  CHECK(walked == 6);
}

}  // namespace

weft::task<> together() {
  co_await scopes();
  co_await combinators();
  co_await parallel();
}
