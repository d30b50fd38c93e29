// exits: how a process ends, and forks, while runtimes are alive in it. Each way is a process of its own,
// which must end by itself, with the code that it was given, in time.
//
//   exits [NAME...]      all ways of the table below, or those
//   exits --in NAME      that one, in this process: for a debugger
//
// WEFT_EXIT_RUNS is how often each is tried.
#include <dirent.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <optional>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "weft/base/config.hpp"
#include "weft/weft.hpp"

namespace {

using namespace std::chrono_literals;
using weft::task;

constexpr int good = 42;  // nothing else ends with it by chance
constexpr unsigned seconds_max = 60;
constexpr weft::runtime_options two_workers{.workers = 2, .on_panic = weft::panic_policy::log};

// ---- what runs meanwhile

std::atomic<long> turns{0};

task<> turn_for_ever() {
  for (;;) {
    turns.fetch_add(1, std::memory_order_relaxed);
    co_await weft::yield_now();
  }
}
task<> make_for_ever() {
  for (;;) {
    auto child = weft::spawn([] {});
    co_await child;
    co_await weft::sleep_for(10us);
  }
}
task<> send_for_ever(weft::sender<std::string> to) {
  for (;;) {
    const auto sent = co_await to.send(std::string(40, 'x'));
    if (!sent) co_return;
  }
}
task<> receive_for_ever(weft::receiver<std::string> from) {
  for (;;) {
    const auto got = co_await from.recv();
    if (!got) co_return;
  }
}
task<> sleep_long() { co_await weft::sleep_for(1h); }
task<> go_to_the_pool_for_ever() {
  for (;;) co_await weft::spawn_blocking([] {});
}
task<> listen_for_ever() {
  auto listener = weft::net::tcp_listener::bind({weft::net::address::loopback_v4(), 0});
  if (!listener) std::_Exit(3);
  const auto never = co_await listener->accept();
  static_cast<void>(never);
}
/// Of all kinds, and returns when they run.
void begin_load(weft::runtime& rt) {
  rt.spawn(turn_for_ever).detach();
  rt.spawn(make_for_ever).detach();
  rt.spawn(sleep_long).detach();
  rt.spawn(go_to_the_pool_for_ever).detach();
  rt.spawn(listen_for_ever).detach();
  auto ends = weft::channel<std::string>(1);
  rt.spawn(send_for_ever, std::move(ends.sender)).detach();
  rt.spawn(receive_for_ever, std::move(ends.receiver)).detach();
  const long before = turns.load(std::memory_order_relaxed);
  while (turns.load(std::memory_order_relaxed) < before + 3) std::this_thread::yield();
}

// ---- statics

/// Made on demand, so that each way begins with what it needs only.
std::optional<weft::runtime>& global_runtime() {
  static std::optional<weft::runtime> rt;
  return rt;
}
/// A static object that uses weft in its destructor, with a runtime of its own.
struct late_user {
  ~late_user() {
    if (!wanted) return;
    weft::runtime rt(two_workers);
    const int n = rt.block_on([]() -> task<int> {
      auto child = weft::spawn([] { return 41; });
      co_await weft::sleep_for(1us);
      const int got = co_await child;
      co_return got + 1;
    }());
    if (n != good) std::_Exit(4);
  }
  bool wanted = false;
};
late_user first_made;  // before the runtime: its destructor runs after that one's

// ---- the ways

int returns_from_main() {
  global_runtime().emplace(two_workers);
  begin_load(*global_runtime());
  return good;
}
int uses_weft_after_the_runtime_is_gone() {
  first_made.wanted = true;
  return returns_from_main();
}
int exits_on_another_thread() {
  global_runtime().emplace(two_workers);
  begin_load(*global_runtime());
  std::thread([] { std::exit(good); }).detach();
  for (;;) ::pause();
}
weft::runtime* left_alone = nullptr;  // nobody ends it
int exits_in_a_job() {
  auto* const rt = left_alone = new weft::runtime(two_workers);
  begin_load(*rt);
  rt->spawn([] { std::exit(good); }).detach();
  for (;;) ::pause();
}
int exits_in_work_of_the_pool() {
  auto* const rt = left_alone = new weft::runtime(two_workers);
  begin_load(*rt);
  rt->spawn([]() -> task<> { co_await weft::spawn_blocking([] { std::exit(good); }); }).detach();
  for (;;) ::pause();
}
int exits_on_the_thread_of_a_signal() {
  sigset_t term;
  ::sigemptyset(&term);
  ::sigaddset(&term, SIGTERM);
  ::pthread_sigmask(SIG_BLOCK, &term, nullptr);  // before the runtime's threads inherit the mask
  global_runtime().emplace(two_workers);
  begin_load(*global_runtime());
  std::thread waits([term] {
    int which = 0;
    ::sigwait(&term, &which);
    std::exit(good);
  });
  waits.detach();
  ::kill(::getpid(), SIGTERM);
  for (;;) ::pause();
}
int exits_quickly_in_a_job() {
  global_runtime().emplace(two_workers);
  begin_load(*global_runtime());
  global_runtime()->spawn([] { std::quick_exit(good); }).detach();
  for (;;) ::pause();
}
int returns_with_a_runtime_that_nobody_ends() {
  left_alone = new weft::runtime(two_workers);
  begin_load(*left_alone);
  return good;
}

/// In thread-local storage: of a thread that ends, and of the one that main() is on.
std::optional<weft::runtime>& runtime_of_thread() {
  thread_local std::optional<weft::runtime> rt;
  return rt;
}
int has_runtimes_in_thread_local_storage() {
  std::thread other([] {
    runtime_of_thread().emplace(two_workers);
    begin_load(*runtime_of_thread());
  });
  other.join();
  runtime_of_thread().emplace(two_workers);
  begin_load(*runtime_of_thread());
  return good;
}

/// What workers keep in thread-local storage, and destroy when they end: blocks of weft's pool, which must
/// be there still, whether their owner was made before the pool's own thread-local object or after it.
struct keeps_blocks {
  std::vector<weft::channel_ends<int>> channels;
  std::optional<weft::oneshot_ends<std::string>> answer;
  void fill() {
    for (int i = 0; i < 10; ++i) channels.push_back(weft::channel<int>(2));
    answer.emplace(weft::oneshot<std::string>());
    if (!answer->sender.send(std::string(50, 'x'))) std::_Exit(5);
  }
};
keeps_blocks& blocks_of_thread() {
  thread_local keeps_blocks mine;
  return mine;
}
int leaves_blocks_to_thread_local_storage() {
  for (const bool before : {true, false}) {
    weft::runtime rt(two_workers);
    std::vector<weft::join_handle<>> jobs;
    for (unsigned w : {0u, 1u}) {
      jobs.push_back(rt.spawn(
          weft::spawn_options{.worker = w},
          [](bool early) -> task<> {
            if (early) blocks_of_thread();
            co_await weft::yield_now();
            blocks_of_thread().fill();
          },
          before));
    }
    for (auto& j : jobs) rt.block_on(j);
    std::thread plain([before] {  // no worker
      if (before) blocks_of_thread();
      weft::block_on([]() -> task<> { co_await weft::yield_now(); }());
      blocks_of_thread().fill();
    });
    plain.join();
  }
  blocks_of_thread().fill();  // and main()'s
  return good;
}

// ---- fork

/// Of this process, but for the one that reads the list: "0 1 2 " and what else stands open.
std::string open_descriptors() {
  DIR* const all = ::opendir("/proc/self/fd");
  if (all == nullptr) std::_Exit(3);
  std::string numbers;
  while (const dirent* const e = ::readdir(all)) {
    const bool one = e->d_name[0] != '.' && std::atoi(e->d_name) != ::dirfd(all);
    if (one) numbers.append(e->d_name).append(" ");
  }
  ::closedir(all);
  return numbers;
}
/// UBSan looks whether memory can be read with a pipe that it makes without O_CLOEXEC, for an instant, on
/// whichever thread: a fork at that instant hands it on. weft makes its own pipes with the flag only.
bool may_be_the_sanitizers(const std::string& what) {
  return WEFT_ASAN && what.starts_with("pipe:");
}
/// By exec: it has the three that every process has, and those that the test program was started with.
int has_inherited_nothing() {
  const char* const given = std::getenv("WEFT_EXITS_DESCRIPTORS");
  if (given == nullptr) return 6;
  const std::string expected = std::string(" ").append(given);
  int code = good;
  std::istringstream is_open(open_descriptors());
  for (std::string number; is_open >> number;) {
    if (expected.find(" " + number + " ") != std::string::npos) continue;
    char what[256] = {};
    static_cast<void>(::readlink(("/proc/self/fd/" + number).c_str(), what, sizeof what - 1));
    if (may_be_the_sanitizers(what)) continue;
    std::fprintf(stderr, "inherited by exec: descriptor %s, %s\n", number.c_str(), what);
    code = 6;
  }
  return code;
}

int ended_with(pid_t child) {
  int status = 0;
  while (::waitpid(child, &status, 0) < 0) {
    if (errno != EINTR) return -1;
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

int forks_and_executes_under_load() {
  ::setenv("WEFT_EXITS_DESCRIPTORS", open_descriptors().c_str(), 1);
  weft::runtime rt(two_workers);
  begin_load(rt);
  const auto start = [] {
    const pid_t child = ::fork();
    if (child == 0) {
      ::execl("/proc/self/exe", "exits", "--in", "has_inherited_nothing", nullptr);
      ::_exit(7);
    }
    return child < 0 ? -1 : ended_with(child);
  };
  for (int i = 0; i < 5; ++i) {
    if (const int code = start(); code != good) return code;  // by a thread that is no worker
    const int code = rt.block_on([](auto& f) -> task<int> {
      const int of_pool = co_await weft::spawn_blocking(std::ref(f));
      co_return of_pool;
    }(start));
    if (code != good) return code;
  }
  return good;
}

/// A child that ends at once, without exec, takes nothing along that the parent's runtime needs.
int forks_a_child_that_ends() {
  weft::runtime rt(two_workers);
  begin_load(rt);
  for (int i = 0; i < 5; ++i) {
    const pid_t child = ::fork();
    if (child == 0) ::_exit(good);
    if (child < 0 || ended_with(child) != good) return 8;
    const bool works = rt.block_on([]() -> task<bool> {
      auto listener = weft::net::tcp_listener::bind({weft::net::address::loopback_v4(), 0});
      if (!listener) co_return false;
      auto client = co_await weft::net::tcp_stream::connect(*listener->local_endpoint());
      auto server = co_await listener->accept();
      if (!client || !server) co_return false;
      const std::byte sent[3] = {};
      std::byte got[3] = {};
      const auto wrote = co_await client->write_all(sent);
      const auto read = co_await server->read_exact(got);
      co_await weft::sleep_for(10us);
      co_return wrote.has_value() && read.has_value();
    }());
    if (!works) return 9;
  }
  return good;
}

task<int> reads_once(weft::net::tcp_stream from, bool pooled) {
  std::byte room[64];
  int got = 0;
  for (;;) {  // up to the end: what came twice is seen
    if (pooled) {
      const auto bytes = co_await from.read_pooled();
      if (!bytes) co_return -1;
      if (bytes->empty()) co_return got;
      got += static_cast<int>(bytes->size());
      continue;
    }
    const auto n = co_await from.read_some(room);
    if (!n) co_return -1;
    if (*n == 0) co_return got;
    got += static_cast<int>(*n);
  }
}
/// A job forks, and its child executes, while others' reads are with the kernel: they go on in the parent.
task<int> forks_beside_reads() {
  constexpr int reads = 8;
  for (int round = 0; round < 3; ++round) {
    std::vector<weft::net::tcp_stream> peers;
    std::vector<weft::join_handle<int>> all;
    auto listener = weft::net::tcp_listener::bind({weft::net::address::loopback_v4(), 0});
    if (!listener) co_return 10;
    for (int i = 0; i < reads; ++i) {
      auto client = co_await weft::net::tcp_stream::connect(*listener->local_endpoint());
      auto server = co_await listener->accept();
      if (!client || !server) co_return 10;
      peers.push_back(std::move(*client));
      all.push_back(weft::spawn(reads_once, std::move(*server), i % 2 != 0));
    }
    co_await weft::sleep_for(1ms);  // most of them wait in the kernel by then; any state will do
    const pid_t child = ::fork();   // on a worker
    if (child == 0) {
      ::execl("/proc/self/exe", "exits", "--in", "has_inherited_nothing", nullptr);
      ::_exit(7);
    }
    const std::byte three[3] = {};
    for (int i = 0; i < reads; i += 2) {  // while the child may be there
      const auto sent = co_await peers[static_cast<std::size_t>(i)].write_all(three);
      if (!sent) co_return 11;
    }
    auto wait = [child] { return child < 0 ? -1 : ended_with(child); };
    const int code = co_await weft::spawn_blocking(wait);
    if (code != good) co_return code;
    for (int i = 1; i < reads; i += 2) {
      const auto sent = co_await peers[static_cast<std::size_t>(i)].write_all(three);
      if (!sent) co_return 11;
    }
    for (auto& peer : peers) {
      const auto done = peer.shutdown_write();
      if (!done) co_return 11;
    }
    for (auto& one : all) {
      const int got = co_await one;
      if (got != 3) co_return 12;
    }
  }
  co_return good;
}
int forks_in_a_job_beside_its_io() {
  ::setenv("WEFT_EXITS_DESCRIPTORS", open_descriptors().c_str(), 1);
  for (const auto io : {weft::driver::automatic, weft::driver::epoll, weft::driver::poll}) {
    weft::runtime rt({.workers = 2, .io = io});
    auto job = rt.spawn(forks_beside_reads);
    if (const int code = rt.block_on(job); code != good) return code;
  }
  return good;
}

/// What the parent's drivers watch is shared with a child, who may close its copies: the parent goes on.
int forks_a_child_that_closes_what_it_inherits() {
  weft::runtime rt(two_workers);
  std::optional<weft::net::tcp_listener> listener;
  rt.block_on([](auto& to) -> task<> {
    auto bound = weft::net::tcp_listener::bind({weft::net::address::loopback_v4(), 0});
    if (bound) to.emplace(std::move(*bound));
    co_return;
  }(listener));
  if (!listener) return 17;
  const auto where = *listener->local_endpoint();
  for (const bool forked : {false, true}) {
    if (forked) {
      const pid_t child = ::fork();
      if (child == 0) {
        listener.reset();
        ::_exit(good);
      }
      if (child < 0 || ended_with(child) != good) return 18;
    }
    // It waits before anybody comes, so that the driver must tell.
    auto accepted = rt.spawn([&listener]() -> task<bool> {
      const auto got = co_await listener->accept();
      co_return got.has_value();
    });
    const bool came = rt.block_on([](auto to, auto& waits) -> task<bool> {
      for (int i = 0; i < 10; ++i) co_await weft::yield_now();
      const auto client = co_await weft::net::tcp_stream::connect(to);
      const bool got = co_await waits;
      co_return got && client.has_value();
    }(where, accepted));
    if (!came) return 19;
  }
  return good;
}

/// Whether a child of fork() was ended by weft's message, which stands in the pipe.
bool said_so(int pipe, pid_t child) {
  std::string said;
  char bytes[512];
  for (ssize_t n; (n = ::read(pipe, bytes, sizeof bytes)) > 0;) {
    said.append(bytes, static_cast<std::size_t>(n));
  }
  ::close(pipe);
  return ended_with(child) == -SIGABRT &&
         said.find("a child of fork() uses its parent's runtime") != std::string::npos;
}

/// What a child of fork() must not do with its parent's runtime: it is told, and ends at once.
template <class Use>
bool is_told(Use use) {
  int pipe[2];
  if (::pipe(pipe) != 0) return false;
  const pid_t child = ::fork();
  if (child == 0) {
    ::dup2(pipe[1], STDERR_FILENO);
    ::alarm(seconds_max);
    use();
    ::_exit(10);
  }
  ::close(pipe[1]);
  return child > 0 && said_so(pipe[0], child);
}
int forks_a_child_that_uses_the_runtime() {
  weft::runtime rt(two_workers);
  begin_load(rt);
  if (!is_told([&rt] { rt.spawn([] {}).detach(); })) return 11;
  if (!is_told([&rt] { rt.block_on([]() -> task<> { co_return; }()); })) return 12;
  if (!is_told([&rt] { static_cast<void>(rt.shutdown(1s)); })) return 13;
  if (!is_told([&rt] { rt.~runtime(); })) return 14;
  // The worker that a job forks on is alone in the child, and would go on there until it sleeps.
  weft::runtime alone({.workers = 1});
  const bool told = alone.block_on([]() -> task<bool> {
    int pipe[2];
    if (::pipe(pipe) != 0) co_return false;
    const pid_t child = ::fork();
    if (child == 0) {
      ::dup2(pipe[1], STDERR_FILENO);
      ::alarm(seconds_max);
      co_await weft::sleep_for(1h);
      ::_exit(10);
    }
    ::close(pipe[1]);
    const bool was = child > 0 && said_so(pipe[0], child);
    co_return was;
  }());
  if (!told) return 15;
  // It has lost its worker, and the thread that has it now is not there, nor is anybody who could give it one.
  auto lost = alone.spawn([&alone] {
    const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(seconds_max);
    const auto before = alone.metrics().handoffs;
    while (alone.metrics().handoffs == before) {
      if (std::chrono::steady_clock::now() > until) return false;
    }
    int pipe[2];
    if (::pipe(pipe) != 0) return false;
    const pid_t child = ::fork();
    if (child == 0) {
      ::dup2(pipe[1], STDERR_FILENO);
      ::alarm(seconds_max);
      return false;
    }
    ::close(pipe[1]);
    return child > 0 && said_so(pipe[0], child);
  });
  return alone.block_on(lost) ? good : 20;
}
/// A runtime of its own is a child's good right.
int forks_a_child_with_a_runtime_of_its_own() {
  weft::runtime rt(two_workers);
  begin_load(rt);
#if !WEFT_TSAN  // which cannot start threads in the child of a fork
  const pid_t child = ::fork();
  if (child == 0) {
    ::alarm(seconds_max);
    int n = 0;
    {
      weft::runtime own(two_workers);
      n = own.block_on([]() -> task<int> {
        auto job = weft::spawn([] { return good; });
        co_await weft::sleep_for(10us);
        const int got = co_await job;
        co_return got;
      }());
    }
    ::_exit(n);
  }
  if (child < 0 || ended_with(child) != good) return 16;
#endif
  return good;
}

struct way {
  const char* name;
  int (*ends)();
  bool alone = true;  // it is started by the test itself
};
#define WAY(f) {#f, f}
constexpr way ways[] = {
    WAY(returns_from_main),
    WAY(uses_weft_after_the_runtime_is_gone),
    WAY(exits_on_another_thread),
    WAY(exits_in_a_job),
    WAY(exits_in_work_of_the_pool),
    WAY(exits_on_the_thread_of_a_signal),
    WAY(exits_quickly_in_a_job),
    WAY(returns_with_a_runtime_that_nobody_ends),
    WAY(has_runtimes_in_thread_local_storage),
    WAY(leaves_blocks_to_thread_local_storage),
    WAY(forks_and_executes_under_load),
    WAY(forks_a_child_that_ends),
    WAY(forks_in_a_job_beside_its_io),
    WAY(forks_a_child_that_closes_what_it_inherits),
    WAY(forks_a_child_that_uses_the_runtime),
    WAY(forks_a_child_with_a_runtime_of_its_own),
    {"has_inherited_nothing", has_inherited_nothing, false},
};

bool run(const way& w, int times) {
  for (int i = 0; i < times; ++i) {
    const pid_t child = ::fork();  // of a process without threads
    if (child == 0) {
      ::alarm(seconds_max);
      ::execl("/proc/self/exe", "exits", "--in", w.name, nullptr);
      ::_exit(7);
    }
    const int code = child < 0 ? -1 : ended_with(child);
    if (code == good) continue;
    std::printf("%s: run %d: %s %d\n", w.name, i, code < 0 ? "killed by signal" : "exit code",
                code < 0 ? -code : code);
    return false;
  }
  std::printf("%-42s %d times\n", w.name, times);
  return true;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 3 && std::strcmp(argv[1], "--in") == 0) {
    for (const way& w : ways) {
      if (std::strcmp(argv[2], w.name) == 0) return w.ends();
    }
    return 1;
  }
  const char* const asked = std::getenv("WEFT_EXIT_RUNS");
  const int times = asked != nullptr ? std::atoi(asked) : WEFT_ASAN || WEFT_TSAN ? 5 : 20;
  int wrong = 0;
  for (const way& w : ways) {
    bool wanted = argc == 1 && w.alone;
    for (int i = 1; i < argc; ++i) wanted = wanted || std::strcmp(argv[i], w.name) == 0;
    if (wanted && !run(w, times)) ++wrong;
  }
  return wrong == 0 ? 0 : 1;
}
