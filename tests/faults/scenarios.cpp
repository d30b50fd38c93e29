#include "scenarios.hpp"

#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <set>

#include "weft/weft.hpp"

namespace weft::faults {

using namespace std::chrono_literals;

void book::error(std::string_view where, std::error_code code) {
  const std::lock_guard held(lock_);
  errors_.push_back(std::string(where) + ": " + code.message());
}
void book::wrong(std::string what) {
  const std::lock_guard held(lock_);
  wrongs_.push_back(std::move(what));
}
void book::missing(std::string_view what) {
  const std::lock_guard held(lock_);
  if (errors_.empty()) wrongs_.push_back(std::string(what) + ", and nobody was given an error");
}
std::vector<std::string> book::errors() const {
  const std::lock_guard held(lock_);
  return errors_;
}
std::vector<std::string> book::wrongs() const {
  const std::lock_guard held(lock_);
  return wrongs_;
}
void book::driver(std::string_view name, std::string_view why) {
  const std::lock_guard held(lock_);
  driver_ = std::string(name) + "|" + std::string(why);
}
std::string book::driver() const {
  const std::lock_guard held(lock_);
  return driver_;
}

std::string world::file_content() {
  std::string text(150'000, '\0');  // more than a server reads at once: it goes by sendfile
  std::uint32_t x = 7;
  for (char& c : text) {
    x = x * 1664525 + 1013904223;
    c = static_cast<char>('a' + (x >> 24) % 26);
  }
  return text;
}
world::world() {
  std::string name = (std::filesystem::temp_directory_path() / "weft_faults_XXXXXX").string();
  if (::mkdtemp(name.data()) == nullptr) return;
  folder_ = name;
  // For a scenario that is run as another user.
  std::filesystem::permissions(folder_, std::filesystem::perms::all);
  std::ofstream(folder_ + "/large.txt") << file_content();
  std::ofstream(folder_ + "/small.txt") << "small";
}
world::~world() {
  std::error_code ignored;
  if (!folder_.empty()) std::filesystem::remove_all(folder_, ignored);
}

namespace {

constexpr unsigned workers = 2;

/// The main job of a scenario on a runtime of its own.
template <class F>
void on_runtime(weft::driver io, book& found, F f) {
  weft::runtime rt({.workers = workers, .io = io, .on_panic = panic_policy::log});
  const metrics_snapshot m = rt.metrics();
  found.driver(m.driver, m.driver_reason);
  auto job = rt.spawn(f);
  rt.block_on(job);
}

// ---- TCP

std::vector<std::byte> pattern(std::size_t bytes, std::uint32_t x) {
  std::vector<std::byte> all(bytes);
  for (std::byte& b : all) {
    x = x * 1664525 + 1013904223;
    b = static_cast<std::byte>(x >> 24);
  }
  return all;
}

task<> answers(net::tcp_stream peer, book& found) {
  std::vector<std::byte> buffer(16'384);
  for (;;) {
    const auto n = co_await peer.read_some(buffer);
    if (!n) {
      found.error("the server reads", n.error());
      co_return;
    }
    if (*n == 0) co_return;
    const auto sent = co_await peer.write_all(std::span(buffer).first(*n));
    if (!sent) {
      found.error("the server writes", sent.error());
      co_return;
    }
  }
}

/// Until it is stopped. If it ends by itself, nobody shall wait for an answer.
task<> accepts(std::shared_ptr<net::tcp_listener> listener, book& found) {
  const auto answer = [&found](net::tcp_stream peer) { return answers(std::move(peer), found); };
  const auto ended = co_await net::serve(*listener, answer);
  if (!ended) found.error("accept", ended.error());
  listener->close();
}

/// True: all of it and the end are sent. Else the reader on this side sees an end.
task<bool> writes(net::tcp_stream& stream, std::span<const std::byte> bytes, book& found) {
  const auto sent = co_await stream.write_all(bytes);
  if (!sent) found.error("the client writes", sent.error());
  if (sent) {
    const auto ended = stream.shutdown_write();
    if (ended) co_return true;
    found.error("shutdown", ended.error());
  }
  ::shutdown(stream.native(), SHUT_RDWR);
  co_return false;
}

/// Sends so many bytes, and wants them back, then the end.
task<> asks(net::endpoint to, std::size_t bytes, std::uint32_t seed, book& found) {
  auto stream = co_await net::tcp_stream::connect(to);
  if (!stream) {
    found.error("connect", stream.error());
    co_return;
  }
  const auto sent = pattern(bytes, seed);
  std::vector<std::byte> got(bytes + 1);
  std::size_t n = 0;
  constexpr std::size_t round = 6000;
  const std::size_t rounds = std::min<std::size_t>(bytes / round, 3);  // one waits for the other
  for (std::size_t i = 0; i < rounds; ++i) {
    const auto wrote = co_await stream->write_all(std::span(sent).subspan(n, round));
    if (!wrote) {
      found.error("the client writes", wrote.error());
      co_return;
    }
    const auto read = co_await stream->read_exact(std::span(got).subspan(n, round));
    if (!read) {
      found.error("the client reads", read.error());
      co_return;
    }
    n += *read;
    if (*read != round) break;
  }
  if (n == rounds * round) {  // and the rest at once, both ways
    auto writing =
        weft::spawn(writes, std::ref(*stream), std::span(sent).subspan(n), std::ref(found));
    for (bool more = n < bytes; more;) {
      const auto read = co_await stream->read_some(std::span(got).subspan(n));
      if (!read) found.error("the client reads", read.error());
      if (read) n += *read;
      more = read && *read != 0 && n < bytes;
    }
    if (n < bytes) ::shutdown(stream->native(), SHUT_RDWR);  // its writer may wait for room
    auto how = co_await writing.outcome();
    if (n == bytes && how.has_value() && how.value()) {
      const auto end = co_await stream->read_some(std::span(got).subspan(n));
      if (!end) found.error("the client reads", end.error());
      if (end) n += *end;
    }
  }
  if (n > bytes || std::memcmp(sent.data(), got.data(), std::min(n, bytes)) != 0) {
    found.wrong("other bytes came back than were sent");
  } else if (n != bytes) {
    found.missing("bytes did not come back");
  }
}

/// Its end. Exceptions of weft's are errors that somebody was given.
template <class T>
task<> joined(join_handle<T>& job, const char* what, book& found) {
  try {
    const auto how = co_await job.outcome();
    if (how.kind() == outcome_kind::exception) std::rethrow_exception(how.exception());
  } catch (const std::system_error& e) {
    found.error(what, e.code());
  } catch (const std::bad_alloc&) {
    found.error(what, std::make_error_code(std::errc::not_enough_memory));
  }
}

struct listening {
  std::shared_ptr<net::tcp_listener> at;
  net::endpoint where;
};
std::optional<listening> listen(book& found) {
  auto listener = net::tcp_listener::bind({net::address::loopback_v4(), 0});
  if (!listener) {
    found.error("bind", listener.error());
    return std::nullopt;
  }
  const auto where = listener->local_endpoint();
  if (!where) {
    found.error("local_endpoint", where.error());
    return std::nullopt;
  }
  return listening{std::make_shared<net::tcp_listener>(std::move(*listener)), *where};
}

task<> echoes(book& found) {
  const auto here = listen(found);
  if (!here) co_return;
  auto accepting = weft::spawn(accepts, here->at, std::ref(found));
  std::vector<join_handle<>> clients;
  for (std::uint32_t i = 0; i < 4; ++i) {
    clients.push_back(weft::spawn(asks, here->where, std::size_t{20'000}, i, std::ref(found)));
  }
  for (auto& client : clients) co_await joined(client, "a client", found);
  accepting.stop();
  co_await joined(accepting, "the accept loop", found);
}

/// More than the sockets hold: both sides wait for room.
task<> bulk(book& found) {
  const auto here = listen(found);
  if (!here) co_return;
  auto accepting = weft::spawn(accepts, here->at, std::ref(found));
  auto client = weft::spawn(asks, here->where, std::size_t{6'000'000}, 9u, std::ref(found));
  co_await joined(client, "the client", found);
  accepting.stop();
  co_await joined(accepting, "the accept loop", found);
}

task<> passes_on(net::tcp_stream client, net::endpoint to, book& found) {
  auto upstream = co_await net::tcp_stream::connect(to);
  if (!upstream) {
    found.error("the proxy connects", upstream.error());
    co_return;
  }
  const auto moved = co_await io::copy_bidirectional(client, *upstream);
  if (!moved) found.error("the proxy copies", moved.error());
}
task<> accepts_for(std::shared_ptr<net::tcp_listener> listener, net::endpoint to, book& found) {
  const auto pass = [to, &found](net::tcp_stream s) { return passes_on(std::move(s), to, found); };
  const auto ended = co_await net::serve(*listener, pass);
  if (!ended) found.error("the proxy accepts", ended.error());
  listener->close();
}
task<> proxy(book& found) {
  const auto server = listen(found);
  const auto between = listen(found);
  if (!server || !between) co_return;
  auto accepting = weft::spawn(accepts, server->at, std::ref(found));
  auto passing = weft::spawn(accepts_for, between->at, server->where, std::ref(found));
  std::vector<join_handle<>> clients;
  for (std::uint32_t i = 0; i < 2; ++i) {
    clients.push_back(weft::spawn(asks, between->where, std::size_t{40'000}, i, std::ref(found)));
  }
  for (auto& client : clients) co_await joined(client, "a client", found);
  passing.stop();
  accepting.stop();
  co_await joined(passing, "the proxy's loop", found);
  co_await joined(accepting, "the accept loop", found);
}

/// Reads that time out take nothing along.
task<> asks_in_vain(net::endpoint to, book& found) {
  auto stream = co_await net::tcp_stream::connect(to);
  if (!stream) {
    found.error("connect", stream.error());
    co_return;
  }
  std::array<std::byte, 8> got{};
  const auto sent = pattern(got.size(), 3);
  for (int i = 0; i < 3; ++i) {
    const auto none = co_await weft::timeout(1ms, stream->read_some(got));
    if (none) {
      found.missing("a connection ended");
      co_return;
    }
    if (none.error() != weft::errc::timed_out) {
      found.error("the client reads", none.error());
      co_return;
    }
  }
  const auto wrote = co_await stream->write_all(sent);
  if (!wrote) {
    found.error("the client writes", wrote.error());
    co_return;
  }
  const auto read = co_await stream->read_exact(got);
  if (!read) {
    found.error("the client reads", read.error());
  } else if (*read != got.size()) {
    found.missing("bytes did not come back");
  } else if (!std::equal(got.begin(), got.end(), sent.begin())) {
    found.wrong("other bytes came back than were sent");
  }
}
task<> timeouts(book& found) {
  const auto here = listen(found);
  if (!here) co_return;
  auto accepting = weft::spawn(accepts, here->at, std::ref(found));
  auto client = weft::spawn(asks_in_vain, here->where, std::ref(found));
  co_await joined(client, "the client", found);
  accepting.stop();
  co_await joined(accepting, "the accept loop", found);
}

// ---- HTTP and files

task<> serves(std::shared_ptr<net::tcp_listener> listener, std::shared_ptr<http::server> site,
              book& found) {
  const auto ended = co_await site->serve(*listener);
  if (!ended) found.error("serve", ended.error());
  listener->close();
}
task<> gets(net::endpoint from, std::string path, std::string expected, book& found) {
  auto stream = co_await net::tcp_stream::connect(from);
  if (!stream) {
    found.error("connect", stream.error());
    co_return;
  }
  const std::string asked = "GET " + path + " HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
  const auto sent = co_await stream->write_all(std::as_bytes(std::span(asked)));
  if (!sent) {
    found.error("the client writes", sent.error());
    co_return;
  }
  std::string answer;
  std::vector<std::byte> buffer(16'384);
  for (;;) {
    const auto n = co_await stream->read_some(buffer);
    if (!n) {
      found.error("the client reads", n.error());
      co_return;
    }
    if (*n == 0) break;
    answer.append(reinterpret_cast<const char*>(buffer.data()), *n);
  }
  const std::size_t head = answer.find("\r\n\r\n");
  if (head == std::string::npos) {
    found.error("an answer was cut off", std::make_error_code(std::errc::connection_reset));
    co_return;
  }
  if (!answer.starts_with("HTTP/1.1 200 ")) {  // the server's way to say it
    const bool is_error = answer.starts_with("HTTP/1.1 4") || answer.starts_with("HTTP/1.1 5");
    if (!is_error) found.wrong("the server answered " + answer.substr(0, 40));
    found.error(answer.substr(0, answer.find('\r')), std::make_error_code(std::errc::io_error));
    co_return;
  }
  const std::string_view body = std::string_view(answer).substr(head + 4);
  if (!expected.starts_with(body)) {
    found.wrong("a file came with other bytes");
  } else if (body.size() != expected.size()) {
    found.error("an answer was cut off", std::make_error_code(std::errc::connection_reset));
  }
}
task<> files(const world& around, book& found) {
  const auto here = listen(found);
  if (!here) co_return;
  auto root = fs::directory::blocking_open(around.folder());
  if (!root) {
    found.error("open the folder", root.error());
    co_return;
  }
  auto served = std::make_shared<http::static_files>(std::move(*root));
  auto site = std::make_shared<http::server>(
      [served](const http::request& asked) { return served->respond(asked); });
  auto serving = weft::spawn(serves, here->at, site, std::ref(found));
  std::vector<join_handle<>> clients;
  clients.push_back(weft::spawn(gets, here->where, std::string("/large.txt"), world::file_content(),
                                std::ref(found)));
  clients.push_back(weft::spawn(gets, here->where, std::string("/small.txt"), std::string("small"),
                                std::ref(found)));
  for (auto& client : clients) co_await joined(client, "a client", found);
  serving.stop();
  co_await joined(serving, "the server", found);
}

/// A tree that changes while it is watched. Folders only: calls that nobody refuses make them. What was
/// made and is not told of is an error of next(), or among what an overflow says was lost.
task<> watches(const world& around, book& found) {
  const std::string top = around.folder() + "/watched" + std::to_string(::getpid());
  const auto make = [&top](const char* name) {
    if (::mkdir((top + name).c_str(), 0700) != 0) std::perror(name);
  };
  make("");
  make("/a");
  const fs::watch_options all_below{.recursive = true};
  auto w = co_await fs::watch(top, all_below);
  if (!w) {
    found.error("watch", w.error());
    co_return;
  }
  make("/a/b");
  make("/a/b/c");
  if (::rename((top + "/a").c_str(), (top + "/d").c_str()) != 0) std::perror("rename");
  make("/d/e");
  make("/end");
  std::set<std::string> made{"b", "c", "e", "end"};
  bool lost = false;
  while (!made.empty() && !(lost && !made.contains("end"))) {
    const auto event = co_await w->next();
    if (!event) {
      found.error("next", event.error());
      lost = true;
    } else if (event->kind == fs::watch_kind::overflow) {
      break;
    } else if (event->kind == fs::watch_kind::created) {
      made.erase(event->path.substr(event->path.rfind('/') + 1));
    } else if (event->kind != fs::watch_kind::renamed) {
      found.wrong("nothing of the kind has happened to " + event->path);
    }
  }
  make("/last");  // whatever it was, it goes on
  for (bool told = false; !told;) {
    const auto event = co_await w->next();
    if (!event) found.error("next", event.error());
    told = event && event->path.ends_with("/last");
  }
}

// ---- Time, threads, words

task<> timers(book& found) {
  for (int i = 0; i < 5; ++i) co_await weft::sleep_for(300us);
  event never;
  const auto late = co_await weft::timeout(1ms, never.wait());
  if (late || late.error() != weft::errc::timed_out) found.wrong("a timeout did not end a wait");
  auto ticks = weft::interval(300us);
  for (int i = 0; i < 5; ++i) {
    const auto tick = co_await ticks.tick();
    static_cast<void>(tick);
  }
}

task<int> squared(int i) {
  const int n = co_await weft::spawn_blocking([](int x) { return x * x; }, i);
  co_return n;
}
task<> pool(book& found) {
  std::vector<join_handle<int>> jobs;
  for (int i = 0; i < 6; ++i) jobs.push_back(weft::spawn(squared, i));
  int expected = 0;
  for (auto& job : jobs) {
    try {
      const int got = co_await job;
      if (got != expected * expected) found.wrong("the pool gave another result");
    } catch (const std::system_error& e) {
      found.error("spawn_blocking", e.code());
    } catch (const std::bad_alloc&) {
      found.error("spawn_blocking", std::make_error_code(std::errc::not_enough_memory));
    }
    ++expected;
  }
}

using word = std::atomic<std::uint32_t>;

task<> waits_for(std::shared_ptr<word> flag) {
  for (std::uint32_t v = flag->load(); v == 0; v = flag->load()) {
    const auto how = co_await weft::futex_wait(*flag, v);
    static_cast<void>(how);
  }
}
task<> words(book& found) {
  for (int i = 0; i < 3; ++i) {
    auto flag = std::make_shared<word>(0);
    auto waiting = weft::spawn(waits_for, flag);
    try {
      co_await weft::sleep_for(300us);  // most often it waits by then
      const auto set = [flag] {
        flag->store(1);
        weft::futex_wake(*flag, 1);
      };
      co_await weft::spawn_blocking(set);
    } catch (const std::system_error& e) {
      found.error("spawn_blocking", e.code());
      flag->store(1);
      weft::futex_wake(*flag, 1);
    }
    co_await joined(waiting, "a wait for a word", found);
  }
}

task<> sends(weft::sender<int> to, int n) {
  for (int i = 0; i < n; ++i) {
    const auto sent = co_await to.send(i);
    if (!sent) co_return;
    if (i % 8 == 0) co_await weft::sleep_for(50us);  // the other worker falls asleep
  }
}
task<int> receives(weft::receiver<int> from) {
  int n = 0;
  for (;;) {
    const auto got = co_await from.recv();
    if (!got) co_return n;
    if (*got != n) co_return -1;
    ++n;
  }
}
task<> workers_wake(book& found) {
  constexpr int messages = 64;
  auto ends = weft::channel<int>(2);
  auto sending =
      weft::spawn(weft::spawn_options{.worker = 0}, sends, std::move(ends.sender), messages);
  auto receiving =
      weft::spawn(weft::spawn_options{.worker = 1}, receives, std::move(ends.receiver));
  co_await joined(sending, "the sender", found);
  const int got = co_await receiving;
  if (got != messages) found.wrong("a channel lost messages, or changed their order");
}

// ---- A guest: another loop drives

void as_guest(weft::driver io, const world&, book& found) {
  weft::runtime rt({.mode = scheduling::guest, .io = io, .on_panic = panic_policy::log});
  const metrics_snapshot m = rt.metrics();
  found.driver(m.driver, m.driver_reason);
  auto job = rt.spawn(timers, std::ref(found));
  auto other = rt.spawn(echoes, std::ref(found));
  while (!job.done() || !other.done()) {
    pollfd p{rt.poll_handle(), POLLIN, 0};
    static_cast<void>(::poll(&p, 1, -1));
    static_cast<void>(rt.run_ready());
  }
}

template <auto Job>
void run_job(weft::driver io, const world&, book& found) {
  on_runtime(io, found, [&found] { return Job(found); });
}
void run_files(weft::driver io, const world& around, book& found) {
  on_runtime(io, found, [&around, &found] { return files(around, found); });
}

void run_watches(weft::driver io, const world& around, book& found) {
  on_runtime(io, found, [&around, &found] { return watches(around, found); });
}

constexpr scenario all[] = {
    {"echo", run_job<echoes>},          {"bulk", run_job<bulk>},   {"proxy", run_job<proxy>},
    {"timeouts", run_job<timeouts>},    {"files", run_files},      {"watch", run_watches},
    {"timers", run_job<timers>},        {"pool", run_job<pool>},   {"words", run_job<words>},
    {"workers", run_job<workers_wake>}, {"guest", as_guest, true},
};

}  // namespace

std::span<const scenario> scenarios() { return all; }

}  // namespace weft::faults
