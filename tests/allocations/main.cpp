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
#include <stdlib.h>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <ranges>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "count.hpp"
#include "tests/support/signal.hpp"
#include "weft/base/config.hpp"
#include "weft/http/files.hpp"
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

weft::task<> go_join(rounds& r) {
  while (r.next()) {
    for (count i = 0; i < r.n; i++) {
      auto handle = weft::go([] {});
      co_await handle;
    }
  }
}

template <count Of>
weft::task<> go_join_many(rounds& r) {
  std::vector<weft::join_handle<>> all;
  all.reserve(Of);
  while (r.next()) {
    for (count done = 0; done < r.n; done += Of) {
      for (count i = 0; i < Of; i++) {
        all.push_back(weft::go([] { weft::await(weft::yield_now()); }));
      }
      for (auto& handle : all) co_await handle;
      all.clear();
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

/// A byte there, into a lent buffer; each read waits.
weft::task<> pooled_sender(weft::net::tcp_stream& to, count n) {
  const std::byte byte{};
  for (count i = 0; i < n; i++) {
    const auto sent = co_await to.write_all(std::span(&byte, 1));
    if (!sent) wrong("write_all");
    co_await weft::yield_now();
  }
}
weft::task<> read_pooled(rounds& r) {
  auto listener = weft::net::tcp_listener::bind({weft::net::address::loopback_v4(), 0});
  if (!listener) wrong("bind");
  auto client = co_await weft::net::tcp_stream::connect(listener->local_endpoint().value());
  if (!client) wrong("connect");
  auto server = co_await listener->accept();
  if (!server) wrong("accept");
  while (r.next()) {
    auto sender = weft::spawn(pooled_sender, std::ref(*client), r.n);
    for (count got = 0; got < r.n;) {
      const auto came = co_await server->read_pooled();
      if (!came || came->empty()) wrong("read_pooled");
      got += came->size();
    }
    co_await sender;
  }
}

/// A datagram there and one back; each receive waits. An operation is a datagram.
template <class Socket, class Send>
weft::task<> answer_datagrams(Socket& at, Send send, count n) {
  std::byte room[64];
  for (count i = 0; i < n; i++) {
    const auto got = co_await at.receive_from(room);
    if (!got) wrong("receive_from");
    const auto sent = co_await send(at);
    if (!sent) wrong("send");
  }
}
template <class Socket, class Send>
weft::task<> ask_and_answer(rounds& r, Socket& client, Socket& server, Send to_server,
                            Send to_client) {
  std::byte room[64];
  while (r.next()) {
    auto other =
        weft::spawn([](Socket& at, Send send, count n) { return answer_datagrams(at, send, n); },
                    std::ref(server), to_client, r.n / 2);
    for (count i = 0; i < r.n; i += 2) {
      const auto sent = co_await to_server(client);
      const auto got = co_await client.receive_from(room);
      if (!sent || !got) wrong("datagram");
    }
    co_await other;
  }
}
weft::task<> udp(rounds& r) {
  using weft::net::udp_socket;
  auto client = udp_socket::bind({weft::net::address::loopback_v4(), 0});
  auto server = udp_socket::bind({weft::net::address::loopback_v4(), 0});
  if (!client || !server) wrong("bind");
  class send_to {
   public:
    explicit send_to(weft::net::endpoint to) noexcept : to_(to) {}
    auto operator()(udp_socket& from) const {
      return from.send_to(std::as_bytes(std::span("x")), to_);
    }

   private:
    weft::net::endpoint to_;
  };
  co_await ask_and_answer(r, *client, *server, send_to(*server->local_endpoint()),
                          send_to(*client->local_endpoint()));
}
/// Several in a call.
weft::task<> udp_batch(rounds& r) {
  using weft::net::udp_socket;
  auto from = udp_socket::bind({weft::net::address::loopback_v4(), 0});
  auto to = udp_socket::bind({weft::net::address::loopback_v4(), 0});
  if (!from || !to) wrong("bind");
  constexpr count each = 8;
  weft::net::datagram_batch out(each, 64), in(each, 64);
  while (r.next()) {
    for (count done = 0; done < r.n; done += each) {
      out.clear();
      for (count i = 0; i < each; i++) {
        if (!out.push(std::as_bytes(std::span("x")), *to->local_endpoint())) wrong("push");
      }
      for (count sent = 0; sent < each;) {
        const auto n = co_await from->send_many(out, sent);
        if (!n) wrong("send_many");
        sent += *n;
      }
      for (count got = 0; got < each;) {
        const auto n = co_await to->receive_many(in);
        if (!n) wrong("receive_many");
        got += *n;
      }
    }
  }
}
/// Between two that are connected: of one with a name the sender's is a string, which is told.
weft::task<> unix_packets(rounds& r) {
  auto both = weft::net::unix_datagram::pair();
  if (!both) wrong("pair");
  auto& [a, b] = *both;
  std::byte room[64];
  while (r.next()) {
    for (count i = 0; i < r.n; i++) {
      const auto sent = co_await a.send(std::as_bytes(std::span("x")));
      const auto got = co_await b.receive(room);
      if (!sent || !got) wrong("unix_datagram");
    }
  }
}
weft::task<> files(rounds& r) {
  std::string folder = (std::filesystem::temp_directory_path() / "weft-XXXXXX").string();
  if (::mkdtemp(folder.data()) == nullptr) wrong("mkdtemp");
  auto file = co_await weft::fs::open(folder + "/file",
                                      weft::fs::open_options{.write = true, .create = true});
  if (!file) wrong("open");
  std::byte room[4096] = {};
  while (r.next()) {
    for (count i = 0; i < r.n; i += 2) {
      const auto wrote = co_await file->write_at(room, i * 16);
      const auto read = co_await file->read_at(room, i * 16);
      if (!wrote || !read || *read != sizeof room) wrong("file");
    }
  }
  const auto closed = co_await file->close();
  if (!closed) wrong("close");
  std::filesystem::remove_all(folder);
}

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

/// Asks for `path` and reads until the answer's last bytes have come.
weft::task<> ask(weft::net::tcp_stream& client, std::string_view path, std::string_view last,
                 std::span<char> buffer) {
  char request[64];
  const int size = std::snprintf(request, sizeof request, "GET %.*s HTTP/1.1\r\nHost: a\r\n\r\n",
                                 static_cast<int>(path.size()), path.data());
  const auto sent =
      co_await client.write_all(std::as_bytes(std::span(request, static_cast<std::size_t>(size))));
  if (!sent) wrong("http: write");
  for (std::size_t got = 0; !std::string_view(buffer.data(), got).ends_with(last);) {
    const auto n = co_await client.read_some(std::as_writable_bytes(buffer.subspan(got)));
    if (!n || *n == 0) wrong("http: read");
    got += *n;
  }
}

class hello_or_files final : public weft::http::handler {
 public:
  explicit hello_or_files(weft::fs::directory root) : files_(std::move(root), never_old()) {}
  weft::task<weft::http::response> respond(const weft::http::request& asked) override {
    return asked.path() == "/" ? hello() : files_.respond(asked);
  }

 private:
  static weft::http::file_options never_old() {
    weft::http::file_options options;
    options.fresh_for = std::chrono::hours(24);
    return options;
  }
  static weft::task<weft::http::response> hello() {
    co_return weft::http::response::with_text(weft::http::status::ok, "text/plain; charset=utf-8",
                                              "Hello, world!");
  }
  weft::http::static_files files_;
};

/// A small text, and a file of 10 KiB that is kept, each over the same connection.
weft::task<> http_requests(rounds& r) {
  std::string folder = (std::filesystem::temp_directory_path() / "weft-XXXXXX").string();
  if (::mkdtemp(folder.data()) == nullptr) wrong("mkdtemp");
  std::ofstream(folder + "/file") << std::string(10 * 1024, 'x') << "end";
  auto root = weft::fs::directory::blocking_open(folder);
  if (!root) wrong("the folder");
  hello_or_files answers(*std::move(root));
  weft::http::server site(answers);
  auto listener = weft::net::tcp_listener::bind({weft::net::address::loopback_v4(), 0});
  if (!listener) wrong("bind");
  const auto serves = [](weft::http::server& s, weft::net::tcp_listener& l) -> weft::task<> {
    const auto ended = co_await s.serve(l);
    if (!ended) wrong("serve");
  };
  auto serving = weft::spawn(serves, std::ref(site), std::ref(*listener));
  auto client = co_await weft::net::tcp_stream::connect(*listener->local_endpoint());
  if (!client) wrong("connect");
  std::vector<char> buffer(32 * 1024);
  while (r.next()) {
    for (count i = 0; i < r.n; i += 2) {
      co_await ask(*client, "/", "Hello, world!", buffer);
      co_await ask(*client, "/file", "end", buffer);
    }
  }
  serving.stop();
  const auto end = co_await serving.outcome();
  static_cast<void>(end);
  std::filesystem::remove_all(folder);
}

struct row {
  const char* name;
  weft::task<> (*work)(rounds&);
  count operations;  // a round
};

constexpr row rows[] = {
    {"calls", calls, 50'000},
    {"spawn_join", spawn_join, 50'000},
    {"go_join", go_join, 20'000},
    {"go_join_64", go_join_many<64>, 64 * 300},
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
    {"read_pooled", read_pooled, 2'000},
    {"udp", udp, 2'000},
    {"udp_batch", udp_batch, 4'000},
    {"unix_datagram", unix_packets, 2'000},
    {"files", files, 2'000},
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
    {"http", http_requests, 1'000},
};

bool check(const row& what, unsigned workers) {
  // A second thread of the pool would be started, and allocated for, whenever it pleases.
  // Nobody takes a worker from a job that is at it for long: a thread for that is made when it is first needed.
  weft::runtime rt({.workers = workers, .preempt_after = {}, .max_blocking_threads = 1});
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
