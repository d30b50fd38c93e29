// no_memory: the n-th request for memory fails, for each n. Whoever asked for something is told by
// std::bad_alloc (or an error that says so), nothing is left behind, and the same works the next time.
//
//   no_memory [NAME...]      all rows of the table below, or those
//   no_memory --at N NAME    only the N-th request of that one, without a child: for a debugger
//
//   Each     in a process of its own, so that one that dies is counted and named, and the others go on
//   Frames   come from the system one by one (WEFT_FRAME_POOL=off), so each of them fails, too
//   A row    is a function; what it makes itself is gone when it returns. It may throw std::bad_alloc
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <functional>
#include <memory>
#include <new>
#include <optional>
#include <ranges>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <vector>

#include "fail.hpp"
#include "weft/base/census.hpp"
#include "weft/base/config.hpp"
#include "weft/http/headers.hpp"
#include "weft/http/server.hpp"
#include "weft/weft.hpp"

namespace {

using namespace std::chrono_literals;
using weft::task;

constexpr int skipped = 77;  // CTest shows it as that
constexpr int cannot_go_on = 3, left_something = 4, wrong_exception = 5;
constexpr int out_of_reach = 6;  // it was over before its n-th request

task<int> give(int x) {
  co_await weft::yield_now();
  co_return x;
}
task<> nothing() { co_return; }

/// What is counted is done by a job of `rt`, which is there before.
template <class F>
void in_job(F f, unsigned workers = 1, weft::driver io = weft::driver::epoll) {
  weft::runtime rt({.workers = workers, .io = io, .on_panic = weft::panic_policy::log});
  rt.block_on(nothing());
  auto job = rt.spawn(f);
  rt.block_on(job);
}

long fails_at_request = 0;
/// Requests count from here on ...
void begin() { failing::at(fails_at_request); }
long seen = 0;
/// ... to here.
void end() {
  seen = failing::seen();
  failing::at(0);
}
class counted {
 public:
  counted() { begin(); }
  counted(const counted&) = delete;
  ~counted() { end(); }
};

void makes_a_runtime() {
  const counted here;
  weft::runtime rt({.workers = 2});
}
void makes_a_runtime_on_epoll() {
  const counted here;
  weft::runtime rt({.workers = 2, .io = weft::driver::epoll});
}
void makes_a_runtime_on_poll() {
  const counted here;
  weft::runtime rt({.workers = 2, .io = weft::driver::poll});
}
void spawns_from_outside() {
  weft::runtime rt({.workers = 1, .io = weft::driver::epoll});
  rt.block_on(nothing());
  const counted here;
  auto a = rt.spawn(give, 1);
  rt.block_on(a);
}
void spawns_and_joins() {
  in_job([]() -> task<> {
    const counted here;
    std::vector<weft::join_handle<int>> all;
    for (int i = 0; i < 10; ++i) all.push_back(weft::spawn(give, i));
    for (auto& one : all) co_await one;
  });
}
/// Each row is a process of its own: the pool of stacks is made here, too.
void goes_and_joins() {
  in_job([]() -> task<> {
    const counted here;
    std::vector<weft::join_handle<int>> all;
    for (int i = 0; i < 10; ++i) {
      all.push_back(weft::go([](int x) { return weft::await(give(x)); }, i));
    }
    for (auto& one : all) co_await one;
    auto stopped = weft::go([] { weft::await(weft::sleep_for(1h)); });
    co_await weft::yield_now();
    stopped.stop();
    const auto how = co_await stopped.outcome();
    if (!how.stopped()) throw std::logic_error("it was stopped");
  });
}
void awaits_in_all_ways() {
  in_job([]() -> task<> {
    const counted here;
    co_await nothing();
    const auto timed = co_await weft::timeout(1h, give(1));
    static_cast<void>(timed);
    const auto caught = co_await weft::catch_stop(give(2));
    static_cast<void>(caught);
    const auto one = co_await weft::select(give(1), weft::sleep_for(1h));
    static_cast<void>(one);
    co_await weft::sleep_for(1ns);
  });
}
/// Operands and branches that are jobs of their own.
void awaits_branches() {
  in_job(
      []() -> task<> {
        const counted here;
        const auto both = co_await weft::when_all(give(1), give(2));
        static_cast<void>(both);
        const auto first = co_await weft::race(give(1), give(2));
        static_cast<void>(first);
        const auto each = [](int) -> task<> { co_await weft::yield_now(); };
        const auto range = std::views::iota(0, 20);
        co_await weft::parallel_for(range, each);
        co_await weft::when_all(range, each);
      },
      2);
}
void has_children() {
  in_job([]() -> task<> {
    const counted here;
    co_await weft::scope([](weft::scope_ref s) -> task<> {
      for (int i = 0; i < 5; ++i) s.spawn(give, i);
      s.on_exit(nothing);
      co_await give(1);
    });
  });
}
void has_a_set_of_children() {
  in_job([]() -> task<> {
    const counted here;
    co_await weft::with_join_set<int>([](weft::join_set<int>& set) -> task<> {
      for (int i = 0; i < 5; ++i) set.spawn(give, i);
      for (;;) {
        auto next = co_await set.next();
        if (!next) break;
        if (next->exception()) std::rethrow_exception(next->exception());
      }
    });
  });
}
task<int> fib(int n) {
  if (n < 2) co_return n;
  auto [a, b] = co_await weft::fork_join([n] { return fib(n - 1); }, [n] { return fib(n - 2); });
  co_return a + b;
}
void forks() {
  in_job(
      []() -> task<> {
        const counted here;
        const int eight = co_await fib(6);
        if (eight != 8) std::_Exit(wrong_exception);
      },
      2);
}
void loops_in_parallel() {
  in_job(
      []() -> task<> {
        const counted here;
        weft::atomic<int> sum(0);
        const auto each = [&sum](int i) { sum.fetch_add(i, weft::order::relaxed); };
        const auto range = std::views::iota(0, 1000);
        co_await weft::parallel_for(range, each);
        if (sum.load(weft::order::relaxed) != 499'500) std::_Exit(wrong_exception);
      },
      2);
}
void sends_and_receives() {
  in_job([]() -> task<> {
    const counted here;
    auto [to, from] = weft::channel<std::unique_ptr<int>>(2);
    auto beside = weft::spawn(
        [](weft::sender<std::unique_ptr<int>> out) -> task<> {
          for (int i = 0; i < 4; ++i) {
            const auto sent = co_await out.send(std::make_unique<int>(i));
            if (!sent) co_return;
          }
        },
        std::move(to));
    for (;;) {
      const auto got = co_await from.recv();
      if (!got) break;
    }
    co_await beside;
  });
}
/// More than a segment: it grows while it is used.
void sends_without_a_bound() {
  in_job([]() -> task<> {
    const counted here;
    auto [to, from] = weft::unbounded<int>();
    for (int i = 0; i < 300; ++i) {
      const auto sent = co_await to.send(i);
      if (!sent) std::_Exit(wrong_exception);
    }
    for (int i = 0; i < 300; ++i) {
      const auto got = co_await from.recv();
      if (got != i) std::_Exit(wrong_exception);
    }
  });
}
void tells_many() {
  in_job([]() -> task<> {
    const counted here;
    auto all = weft::broadcast<std::string>(3);
    auto second = all.sender.subscribe();
    for (int i = 0; i < 5; ++i) all.sender.send(std::string(40, 'x'));
    for (int i = 0; i < 5; ++i) {
      const auto got = second.try_recv();
      static_cast<void>(got);
    }
    auto latest = weft::watch(std::string(40, 'a'));
    auto [answer, answered] = weft::oneshot<std::string>();
    latest.sender.send(std::string(50, 'b'));
    const auto seen_one = latest.receiver.get();
    static_cast<void>(answer.send(seen_one));
    const auto got = co_await answered.recv();
    if (got->size() != 50) std::_Exit(wrong_exception);
    weft::message_queue<std::string> queue(3, weft::overflow::drop_oldest);
    for (int i = 0; i < 5; ++i) static_cast<void>(queue.try_send(std::string(40, 'x')));
  });
}
void works_on_the_pool() {
  in_job([]() -> task<> {
    const counted here;
    const int four = co_await weft::spawn_blocking([](int two) { return 2 * two; }, 2);
    if (four != 4) std::_Exit(wrong_exception);
  });
}
weft::task_local<std::string> bound;
task<int> sees_it() {
  auto child = weft::spawn(give, 1);
  const int n = co_await child;
  co_await weft::scope([](weft::scope_ref s) -> task<> {
    s.spawn(give, 1);
    co_return;
  });
  const auto timed = co_await weft::timeout(1h, give(1));
  static_cast<void>(timed);
  const auto both = co_await weft::when_all(give(1), give(2));
  static_cast<void>(both);
  const auto one = co_await weft::select(weft::sleep_for(1h), give(1), give(2));
  static_cast<void>(one);
  co_return n;
}
void inherits_task_locals() {
  in_job(
      []() -> task<> {
        const counted here;
        auto inside = sees_it();
        const int n = co_await bound.with(std::string(40, 'x'), inside);
        static_cast<void>(n);
      },
      2);
}
/// Branches that a thief takes, each with its bindings.
void inherits_in_branches() {
  in_job(
      []() -> task<> {
        const counted here;
        const auto each = [](int) -> task<> { co_await weft::yield_now(); };
        const auto range = std::views::iota(0, 20);
        auto inside = weft::parallel_for(range, each);
        co_await bound.with(std::string(40, 'x'), inside);
      },
      2);
}
void generates() {
  in_job([]() -> task<> {
    const counted here;
    const auto numbers = []() -> weft::generator<int> {
      for (int i = 0; i < 3; ++i) co_yield i;
    };
    int sum = 0;
    for (const int i : numbers()) sum += i;
    if (sum != 3) std::_Exit(wrong_exception);
    co_return;
  });
}
void logs_failures_and_is_told_of_stops() {
  in_job([]() -> task<> {
    const counted here;
    weft::failure_log log;
    auto fails = []() -> task<> {
      co_await weft::scope([](weft::scope_ref s) -> task<> {
        s.spawn([]() -> task<> {
          co_await weft::yield_now();
          throw std::system_error(std::make_error_code(std::errc::io_error));
        });
        co_await weft::sleep_for(1h);
      });
    }();
    bool thrown = false;
    try {
      co_await log.around(fails);
    } catch (const std::system_error& e) {
      thrown = e.code() == std::errc::io_error;
    }
    if (!thrown) std::_Exit(wrong_exception);
    const auto token = weft::this_task::stop_token();
    weft::stop_source source;
    auto with = nothing();
    static_cast<void>(co_await weft::with_stop(source.get_token(), with));
    static_cast<void>(token.stop_requested());
  });
}
void listens_and_connects_on(weft::driver io) {
  const auto both_ends = []() -> task<> {
    const counted here;
    auto listener = weft::net::tcp_listener::bind({weft::net::address::loopback_v4(), 0});
    if (!listener) throw std::system_error(listener.error());
    auto client = co_await weft::net::tcp_stream::connect(*listener->local_endpoint());
    if (!client) throw std::system_error(client.error());
    auto server = co_await listener->accept();
    if (!server) throw std::system_error(server.error());
    const std::byte byte{1};
    const auto sent = co_await client->write_all(std::span(&byte, 1));
    if (!sent) throw std::system_error(sent.error());
    std::byte got{};
    const auto n = co_await server->read_some(std::span(&got, 1));
    if (!n) throw std::system_error(n.error());
    const auto again = co_await client->write_all(std::span(&byte, 1));
    if (!again) throw std::system_error(again.error());
    const auto came = co_await server->read_pooled();
    if (!came) throw std::system_error(came.error());
  };
  in_job(both_ends, 1, io);
}
void listens_and_connects() { listens_and_connects_on(weft::driver::epoll); }
void listens_and_connects_on_poll() { listens_and_connects_on(weft::driver::poll); }
task<> serve_on(weft::http::server& site, weft::net::tcp_listener& at) {
  const auto end = co_await site.serve(at);
  static_cast<void>(end);
}
/// Asks for "/". Result: bytes of the answer; 0 where the connection ended without one.
task<std::size_t> ask(weft::net::endpoint where) {
  auto client = co_await weft::net::tcp_stream::connect(where);
  if (!client) throw std::system_error(client.error());
  constexpr std::string_view request = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
  const auto sent = co_await client->write_all(std::as_bytes(std::span(request)));
  if (!sent) co_return 0;
  std::array<std::byte, 512> answer;
  const auto n = co_await client->read_some(answer);
  co_return n ? *n : 0;
}
/// A connection may end, and the next one is served. A stop of the server waits for all, whatever fails.
void serves_http_and(bool counts_the_stop) {
  // An exception that ends a connection's job would end the process, as it would a user's.
  const auto all = [counts_the_stop]() -> task<> {
    auto listener = weft::net::tcp_listener::bind({weft::net::address::loopback_v4(), 0});
    if (!listener) throw std::system_error(listener.error());
    const auto where = *listener->local_endpoint();
    weft::http::server_options options;
    options.drain = 10ms;
    weft::http::server site(
        [](const weft::http::request&) -> task<weft::http::response> {
          co_return weft::http::response::with_text(weft::http::status::ok, "text/plain", "hello");
        },
        options);
    auto serving = weft::spawn(serve_on, std::ref(site), std::ref(*listener));
    // It keeps the buffers that another request would find otherwise.
    auto other = co_await weft::net::tcp_stream::connect(where);
    if (!other) throw std::system_error(other.error());
    const auto begun = co_await other->write_all(std::as_bytes(std::span("G", 1)));
    if (!begun) throw std::system_error(begun.error());
    while (site.statistics().connections_busy == 0) co_await weft::sleep_for(1ms);
    std::exception_ptr failed;
    if (!counts_the_stop) {
      try {
        const counted here;
        const auto answered = co_await ask(where);
        static_cast<void>(answered);
      } catch (const std::bad_alloc&) {
        failed = std::current_exception();
      }
      const auto next = co_await ask(where);
      if (next == 0) std::_Exit(wrong_exception);
      *other = {};
    }
    const auto stop = [&]() -> task<> {
      serving.stop();
      const auto end = co_await serving.outcome();
      static_cast<void>(end);
    };
    auto stopping = stop();
    if (counts_the_stop) begin();
    co_await std::move(stopping);
    if (counts_the_stop) end();
    if (failed) std::rethrow_exception(failed);
  };
  weft::runtime rt({.workers = 1, .io = weft::driver::epoll});
  rt.block_on(nothing());
  auto job = rt.spawn(all);
  rt.block_on(job);
}
/// Text and index are two requests, and the second one may fail when the first one was granted.
void assigns_http_headers() {
  weft::http::headers few, many;
  few.add("A", "1");
  few.add("B", "2");
  for (int i = 0; i < 50; ++i) many.add("Field", "value");
  const auto lines = std::string(*few.lines());
  try {
    const counted here;
    few = many;
  } catch (const std::bad_alloc&) {
    if (few.size() != 2 || few.find("B") != "2" || few.lines() != lines) {
      std::_Exit(wrong_exception);
    }
    throw;
  }
  if (few.lines() != many.lines() || few.size() != many.size()) std::_Exit(wrong_exception);
}
void serves_http() { serves_http_and(false); }
void stops_serving_http() { serves_http_and(true); }
/// Gives the value, or throws the error.
template <class T>
T must(weft::result<T> r) {
  if (!r) throw std::system_error(r.error());
  if constexpr (!std::is_void_v<T>) return std::move(*r);
}
std::span<const std::byte> text(std::string_view s) { return std::as_bytes(std::span(s)); }
void sends_datagrams_on(weft::driver io) {
  const auto all = []() -> task<> {
    const counted here;
    auto a = must(weft::net::udp_socket::bind({weft::net::address::loopback_v4(), 0}));
    auto b = must(weft::net::udp_socket::bind({weft::net::address::loopback_v4(), 0}));
    auto sent = co_await a.send_to(text("one"), must(b.local_endpoint()));
    must(sent);
    std::array<std::byte, 16> room;
    auto got = co_await b.receive_from(room);
    if (must(got).size != 3) std::_Exit(wrong_exception);
    weft::net::datagram_batch out(2, 8), in(2, 8);
    for (int i = 0; i < 2; ++i) {
      if (!out.push(text("x"), must(b.local_endpoint()))) std::_Exit(wrong_exception);
    }
    for (std::size_t n = 0; n < 2;) {
      auto some = co_await a.send_many(out, n);
      n += must(some);
    }
    for (std::size_t n = 0; n < 2;) {
      auto some = co_await b.receive_many(in);
      n += must(some);
    }
    auto cut = co_await a.send_segments_to(text("123456"), 2, must(b.local_endpoint()));
    must(cut);
  };
  in_job(all, 1, io);
}
void sends_datagrams() { sends_datagrams_on(weft::driver::epoll); }
void sends_datagrams_on_poll() { sends_datagrams_on(weft::driver::poll); }
void talks_to_this_machine() {
  const auto all = []() -> task<> {
    const counted here;
    const std::string name =
        weft::net::abstract_name("weft no_memory " + std::to_string(::getpid()));
    auto listener = must(weft::net::unix_listener::bind(name));
    auto connected = co_await weft::net::unix_stream::connect(name);
    auto client = must(std::move(connected));
    auto accepted = co_await listener.accept();
    auto server = must(std::move(accepted));
    auto sent = co_await client.write_all(text("abc"));
    must(sent);
    std::array<std::byte, 16> room;
    auto n = co_await server.read_some(room);
    if (must(n) != 3) std::_Exit(wrong_exception);
    listener.close();
    auto at = must(weft::net::unix_datagram::bind(name));
    auto from = must(weft::net::unix_datagram::unbound());
    auto to_name = co_await from.send_to(text("hello"), name);
    must(to_name);
    auto got = co_await at.receive_from(room);
    if (must(std::move(got)).size != 5) std::_Exit(wrong_exception);
  };
  in_job(all);
}
void uses_files_on(weft::driver io) {
  // The process's own folder, so that nothing stays behind in one that dies.
  const auto all = []() -> task<> {
    const counted here;
    auto made = co_await weft::fs::temp_directory::create();
    auto folder = must(std::move(made));
    const std::string path = folder.path() + "/a file with a name that has no place in a string";
    auto wrote = co_await weft::fs::write_text(path, "text", {.durable = false});
    must(wrote);
    auto opened = co_await weft::fs::open(path);
    auto file = must(std::move(opened));
    std::array<std::byte, 16> room;
    auto n = co_await file.read_at(room, 0);
    if (must(n) != 4) std::_Exit(wrong_exception);
    auto all_of_it = co_await weft::fs::read_text(path);
    if (must(std::move(all_of_it)) != "text") std::_Exit(wrong_exception);
    auto deep = co_await weft::fs::create_directories(folder.path() + "/x/y");
    must(deep);
    auto begun = co_await weft::fs::watch(folder.path(), {.recursive = true});
    auto watcher = must(std::move(begun));
    auto copied = co_await weft::fs::copy(path, folder.path() + "/x/y/copy");
    must(copied);
    auto event = co_await watcher.next();
    must(std::move(event));
    auto names = weft::fs::walk(folder.path());
    for (;;) {
      auto next = co_await names.next();
      if (!next) break;
      if (next->error) throw std::system_error(next->error);
    }
    auto gone = co_await weft::fs::remove_all(folder.path() + "/x");
    must(gone);
  };
  in_job(all, 1, io);
}
void uses_files() { uses_files_on(weft::driver::epoll); }
void uses_files_on_a_ring() { uses_files_on(weft::driver::automatic); }
task<> echo_one(weft::net::tcp_stream stream) {
  std::array<std::byte, 8> room;
  const auto n = co_await stream.read_some(room);
  if (!n || *n == 0) co_return;
  const auto sent = co_await stream.write_all(std::span(room).first(*n));
  static_cast<void>(sent);
}
task<> serve_echo(weft::net::tcp_listener& at) {
  const auto end = co_await weft::net::serve(at, echo_one);
  static_cast<void>(end);
}
/// Result: whether it was answered; else the connection was closed.
task<bool> is_echoed(weft::net::endpoint where) {
  auto client = co_await weft::net::tcp_stream::connect(where);
  if (!client) throw std::system_error(client.error());
  const std::byte byte{1};
  const auto sent = co_await client->write_all(std::span(&byte, 1));
  if (!sent) co_return false;
  std::byte back{};
  const auto n = co_await client->read_some(std::span(&back, 1));
  co_return n && *n == 1;
}
/// A connection may be refused, and the next one is served.
void serves_on(weft::driver io) {
  const auto all = []() -> task<> {
    auto listener = weft::net::tcp_listener::bind({weft::net::address::loopback_v4(), 0});
    if (!listener) throw std::system_error(listener.error());
    const auto where = *listener->local_endpoint();
    auto serving = weft::spawn(serve_echo, std::ref(*listener));
    const bool begun = co_await is_echoed(where);  // its own frames are there now
    if (!begun) std::_Exit(wrong_exception);
    std::exception_ptr failed;
    try {
      const counted here;
      const bool answered = co_await is_echoed(where);
      static_cast<void>(answered);
    } catch (const std::bad_alloc&) {
      failed = std::current_exception();
    } catch (const std::system_error&) {  // there was no memory to connect
      failed = std::current_exception();
    }
    const bool next = co_await is_echoed(where);
    if (!next) std::_Exit(wrong_exception);
    serving.stop();
    const auto end = co_await serving.outcome();
    static_cast<void>(end);
    if (failed) std::rethrow_exception(failed);
  };
  // An exception of a connection's job would end the process, as it would a user's.
  weft::runtime rt({.workers = 1, .io = io});
  rt.block_on(nothing());
  auto job = rt.spawn(all);
  rt.block_on(job);
}
void serves() { serves_on(weft::driver::epoll); }
void serves_on_poll() { serves_on(weft::driver::poll); }
/// With a crowd that is stopped by the end of the runtime: nothing there may need memory.
void ends() {
  std::optional<weft::runtime> rt(std::in_place,
                                  weft::runtime_options{.workers = 2, .io = weft::driver::epoll});
  rt->block_on([]() -> task<> {
    for (int i = 0; i < 20; ++i) {
      weft::spawn([]() -> task<> {
        co_await weft::scope([](weft::scope_ref s) -> task<> {
          s.spawn([]() -> task<> { co_await weft::sleep_for(1h); });
          const auto timed =
              co_await weft::timeout(2h, []() -> task<> { co_await weft::sleep_for(1h); }());
          static_cast<void>(timed);
        });
      }).detach();
    }
    co_await weft::sleep_for(1ms);
  }());
  const counted here;
  rt.reset();
}

struct row {
  const char* name;
  void (*run)();
};
constexpr row rows[] = {
    {"runtime", makes_a_runtime},
    {"runtime_epoll", makes_a_runtime_on_epoll},
    {"runtime_poll", makes_a_runtime_on_poll},
    {"spawn_from_outside", spawns_from_outside},
    {"spawn", spawns_and_joins},
    {"fibers", goes_and_joins},
    {"await", awaits_in_all_ways},
    {"scope", has_children},
    {"join_set", has_a_set_of_children},
    {"fork_join", forks},
    {"parallel", loops_in_parallel},
    {"branches", awaits_branches},
    {"channel", sends_and_receives},
    {"unbounded", sends_without_a_bound},
    {"fanout", tells_many},
    {"blocking", works_on_the_pool},
    {"task_local", inherits_task_locals},
    {"task_local_branches", inherits_in_branches},
    {"generator", generates},
    {"failures", logs_failures_and_is_told_of_stops},
    {"tcp", listens_and_connects},
    {"tcp_poll", listens_and_connects_on_poll},
    {"udp", sends_datagrams},
    {"udp_poll", sends_datagrams_on_poll},
    {"unix", talks_to_this_machine},
    {"files", uses_files},
    {"files_ring", uses_files_on_a_ring},
    {"serve", serves},
    {"serve_poll", serves_on_poll},
    {"http", serves_http},
    {"http_stop", stops_serving_http},
    {"http_headers", assigns_http_headers},
    {"end", ends},
};

[[noreturn]] void wrong(const char* what) {
  std::fprintf(stderr, "no_memory: wrong: %s\n", what);
  std::_Exit(wrong_exception);
}

bool is_memory(const std::error_code& e) {
  return e == std::errc::not_enough_memory || e == std::errc::resource_unavailable_try_again;
}

/// Gives whether all of it was done; exits if what it ended with was not that there is no memory.
bool attempt(const row& r) {
  try {
    r.run();
    return true;
  } catch (const std::bad_alloc&) {
  } catch (const weft::error& e) {
    if (!is_memory(e.code())) wrong(e.what());
  } catch (const std::system_error& e) {
    if (!is_memory(e.code())) wrong(e.what());
  } catch (const std::exception& e) {
    wrong(e.what());
  }
  return false;
}

/// In a process of its own: the n-th request fails.
[[noreturn]] void child(const row& r, long n) {
  const weft::census before = weft::live_census();
  fails_at_request = n;
  seen = 0;
  const bool done = attempt(r);
  const bool reached = seen >= n;
  fails_at_request = 0;
  const weft::census now = weft::live_census();
  if (now.frames != before.frames || now.jobs != before.jobs || now.fds != before.fds ||
      now.timers != before.timers || now.threads != before.threads) {
    std::fprintf(stderr, "left: frames %ld, jobs %ld, descriptors %ld, timers %ld, threads %ld\n",
                 now.frames - before.frames, now.jobs - before.jobs, now.fds - before.fds,
                 now.timers - before.timers, now.threads - before.threads);
    std::_Exit(left_something);
  }
  if (!done && !reached) std::_Exit(wrong_exception);
  if (!attempt(r)) std::_Exit(cannot_go_on);  // there is memory again
  std::_Exit(reached ? 0 : out_of_reach);
}

int run(const row& r) {
  constexpr long most = 20'000;
  int wrong_ends = 0;
  long n = 1;
  for (; n < most; ++n) {
    std::fflush(nullptr);
    const pid_t pid = ::fork();
    if (pid < 0) return std::perror("fork"), 1;
    if (pid == 0) {
      ::alarm(30);  // one that hangs is killed
      child(r, n);
    }
    int status = 0;
    if (::waitpid(pid, &status, 0) != pid) return std::perror("waitpid"), 1;
    if (WIFEXITED(status) && WEXITSTATUS(status) == out_of_reach) break;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) continue;
    ++wrong_ends;
    if (WIFSIGNALED(status)) {
      std::printf("%s: request %ld: killed by signal %d\n", r.name, n, WTERMSIG(status));
    } else {
      const int code = WEXITSTATUS(status);
      std::printf("%s: request %ld: %s\n", r.name, n,
                  code == cannot_go_on     ? "the next time it does not work either"
                  : code == left_something ? "something is left"
                                           : "it ended with something else");
    }
  }
  std::printf("%-20s %6ld requests, %d wrong\n", r.name, n - 1, wrong_ends);
  return wrong_ends == 0 && n != most ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  if (WEFT_ASAN || WEFT_TSAN) {
    std::puts("skipped: a sanitizer has an allocator of its own");
    return skipped;
  }
  const char* const pool = std::getenv("WEFT_FRAME_POOL");
  if (pool == nullptr) {  // it is looked at once, in each child
    if (::setenv("WEFT_FRAME_POOL", "off", 1) != 0) return 1;
  }
  if (argc == 4 && std::strcmp(argv[1], "--at") == 0) {
    for (const row& r : rows) {
      if (std::strcmp(argv[3], r.name) == 0) child(r, std::strtol(argv[2], nullptr, 10));
    }
    return 1;
  }
  int bad = 0;
  for (const row& r : rows) {
    bool wanted = argc == 1;
    for (int i = 1; i < argc; ++i) wanted = wanted || std::strcmp(argv[i], r.name) == 0;
    if (wanted) bad += run(r);
  }
  return bad == 0 ? 0 : 1;
}
