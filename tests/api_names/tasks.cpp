// Errors and stopping; tasks and the runtime.
#include <memory>
#include <stdexcept>

#include "api_names.hpp"

using namespace std::chrono_literals;

namespace {

const auto broken = std::make_error_code(std::errc::io_error);

weft::task<weft::result<int>> gives(weft::result<int> r) { co_return r; }

weft::task<weft::result<int>> passes_on(weft::result<int> r) {
  const int n = co_await weft::ok(gives(r));
  co_return n + 1;
}

weft::task<int> throws_instead(weft::result<int> r) { co_return co_await weft::ok(gives(r)); }

weft::task<int> f(int x) { co_return 2 * x; }
weft::task<int> by_reference(const int& x) { co_return x; }
weft::task<> for_ever() {
  for (;;) co_await weft::sleep_for(1h);
}

}  // namespace

weft::task<> errors() {
  static_assert(std::same_as<weft::result<int>, std::expected<int, std::error_code>>);
  const auto good = co_await passes_on(1);
  CHECK(good == 2);
  const auto bad = co_await passes_on(std::unexpected(broken));
  CHECK(!bad && bad.error() == broken);

  bool thrown = false;
  try {
    const int n = co_await throws_instead(std::unexpected(broken));
    static_cast<void>(n);
  } catch (const weft::error& e) {
    const std::system_error& as_standard = e;
    thrown = as_standard.code() == broken && e.where().line() != 0;
  }
  CHECK(thrown);

  thrown = false;
  try {
    static_cast<void>(weft::value(weft::result<int>(std::unexpected(broken))));
  } catch (const weft::error& e) {
    thrown = e.code() == broken;
  }
  CHECK(thrown);

#if HAS_VALUE_MEMBER
#error "use it here, as it is promised"
#endif

  // Stopping is neither an error nor an exception: the nearest boundary sees it.
  const auto late = co_await weft::timeout(1ms, for_ever());
  CHECK(!late && late.error() == weft::errc::timed_out);
}

weft::task<> tasks() {
  const int local = 4;
  const int same = co_await by_reference(local);
  CHECK(same == 4);

  auto handle = weft::spawn(f, 21);
  CHECK(handle.id() != 0);
  const int value = co_await handle;
  CHECK(value == 42 && handle.done());

  auto named = weft::spawn(
      weft::spawn_options{.name = "n", .priority = weft::priority::background, .worker = 0}, f, 1);
  const auto ended = co_await named.outcome();
  CHECK(ended.has_value());

  weft::join_handle<> endless = weft::spawn(for_ever);
  endless.stop();
  const auto stopped = co_await endless.outcome();
  CHECK(stopped.stopped());
  weft::spawn(f, 1).detach();

  co_await weft::yield_now();
  co_await weft::yield_if_due();
  CHECK(!weft::this_task::should_yield());
  CHECK(weft::blocking([] { return 6; }) == 6);
  co_await weft::sleep_for(1us);
  co_await weft::sleep_until(weft::now() + 1us);

  const int blocking = co_await weft::spawn_blocking([](int n) { return n + 1; }, 1);
  CHECK(blocking == 2);
  static weft::blocking_class lookups({.name = "dns", .at_most = 4});
  const int as_one_of_few = co_await weft::spawn_blocking(lookups, [](int n) { return n; }, 3);
  CHECK(as_one_of_few == 3);

  CHECK(weft::this_task::id() != 0);
  weft::this_task::set_name("tasks");
  CHECK(std::string_view(weft::this_task::name()) == "tasks");
#if HAS_INTERVAL
  weft::interval every(1ms);
  co_await every.tick();
#endif
#if HAS_TASK_LOCAL
  static const weft::task_local<int> trace;
  const int seen = co_await trace.with(7, weft::just(1));
  CHECK(seen == 1 && trace.get() == nullptr);
#endif
#if HAS_WORKER_THREAD
  weft::worker_thread thread({.name = "api"}, [](weft::stop_token told) {
    while (!told.stop_requested()) {
    }
  });
  thread.request_stop();
  const weft::result<void> joined_in_time = thread.join(1h);
  CHECK(joined_in_time);
#endif
#if HAS_THIS_TASK_TOKEN
  CHECK(!weft::this_task::stop_token().stop_requested());
  CHECK(weft::this_task::stop_token().stop_possible());
#endif
#if HAS_BACKTRACE
  const weft::backtrace here = co_await weft::this_task::backtrace();
  CHECK(!here.empty() && !to_string(here).empty());
#endif
#if HAS_FIBERS
  const auto in_fiber = [](int x) {
    CHECK(weft::this_task::in_fiber());
    return weft::await(f(x));
  };
  auto usual = weft::go(in_fiber, 2);
  const int usual_gave = co_await usual;
  CHECK(usual_gave == 4 && !weft::this_task::in_fiber());
  auto options = weft::go(
      weft::spawn_options{
          .name = "n", .priority = weft::priority::high, .worker = 0, .stack = 64 * 1024},
      in_fiber, 3);
  const int options_gave = co_await options;
  CHECK(options_gave == 6);
  auto computes = weft::go([](int x) { return weft::preemptible([x] { return 2 * x; }); }, 4);
  const int computed = co_await computes;
  CHECK(computed == 8 && !weft::this_task::should_yield());
  co_await weft::yield_if_due();
#endif
}

void runtimes() {
  weft::runtime_options options{
      .workers = 1,
      .mode = weft::scheduling::work_stealing,
      .io = weft::driver::automatic,
#if HAS_PREEMPT_AFTER
      .preempt_after = std::chrono::milliseconds(10),
#endif
      .max_blocking_threads = 4,
      .blocking_keep_alive = std::chrono::seconds(1),
      .pin = weft::pinning::none,
#if HAS_FIBER_STACK
      .fiber_stack = 256 * 1024,
#endif
      .on_panic = weft::panic_policy::log,
      .name = "api",
  };
  for (const auto mode : {weft::scheduling::work_stealing, weft::scheduling::per_core,
                          weft::scheduling::current_thread}) {
    options.mode = mode;
    weft::runtime rt(options);
    const int n = rt.block_on(f(2));
    CHECK(n == 4);
    const auto closure = std::make_shared<int>(3);
    auto handle = rt.spawn([closure](int by) { return *closure * by; }, 5);
    const int m = rt.block_on(handle);
    CHECK(m == 15);
    const weft::metrics_snapshot metrics = rt.metrics();
    CHECK(metrics.workers == 1);
    const weft::result<void> ended = rt.shutdown(1s);
    CHECK(ended);
  }
#if HAS_OTHER_DRIVERS
  static_cast<void>(weft::driver::poll);
  for (const weft::driver elsewhere : {weft::driver::kqueue, weft::driver::iocp}) {
    bool refused = false;
    try {
      weft::runtime never({.workers = 1, .io = elsewhere});
    } catch (const weft::error& e) {
      refused = e.code() == std::errc::function_not_supported;
    }
    CHECK(refused);
  }
#endif
  static_cast<void>(weft::scheduling::guest);
  static_cast<void>(weft::driver::io_uring);
  static_cast<void>(weft::driver::epoll);
  static_cast<void>(weft::driver::poll);
  static_cast<void>(weft::pinning::cores);
  static_cast<void>(weft::pinning::numa);
  static_cast<void>(weft::panic_policy::abort);

  const int from_a_plain_thread = weft::block_on(f(3));
  CHECK(from_a_plain_thread == 6);
  CHECK(weft::run(f(0)) == 0);
}
