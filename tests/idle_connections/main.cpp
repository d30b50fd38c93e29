// idle_connections: a connection that waits in read_pooled() holds no buffer: its job, its frame and what the
// driver keeps beside the descriptor are all. A program of its own: it looks at the process's memory.
#include <arpa/inet.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <system_error>
#include <vector>

#include "weft/weft.hpp"

namespace {

constexpr int skipped = 77;                   // CTest shows it as that
constexpr std::size_t connections = 1000;     // of which two ends are here
constexpr std::size_t warm_up = 100;          // stacks, first slabs, buffers
constexpr std::size_t bytes_said = 2000;      // by each, before it is idle
constexpr std::size_t bytes_each_max = 1536;  // of user memory; about 450 are taken
constexpr rlim_t descriptors = 2 * connections + 100;

std::size_t resident_bytes() {
  std::FILE* const file = std::fopen("/proc/self/status", "r");
  char line[256];
  unsigned long kib = 0;
  while (file != nullptr && std::fgets(line, sizeof line, file) != nullptr) {
    if (std::sscanf(line, "RssAnon: %lu", &kib) == 1) break;
  }
  if (file != nullptr) std::fclose(file);
  return std::size_t{kib} * 1024;
}

[[noreturn]] void failed(const char* what) {
  std::perror(what);
  std::exit(1);
}

weft::task<> echo(weft::net::tcp_stream stream) {
  for (;;) {
    const auto came = co_await stream.read_pooled();
    if (!came || came->empty()) co_return;
    const auto sent = co_await stream.write_all(came->bytes());
    if (!sent) co_return;
  }
}

weft::task<> serve(weft::net::tcp_listener& listener) {
  for (;;) {
    auto stream = co_await listener.accept();
    if (!stream) co_return;
    weft::spawn(echo, std::move(*stream)).detach();
  }
}

/// A plain thread's: connects, says something and hears it.
int call(int port) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(static_cast<std::uint16_t>(port));
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (fd < 0 || ::connect(fd, reinterpret_cast<sockaddr*>(&to), sizeof to) != 0) failed("connect");
  char bytes[bytes_said] = {};
  if (::send(fd, bytes, sizeof bytes, 0) != static_cast<ssize_t>(sizeof bytes)) failed("send");
  if (::recv(fd, bytes, sizeof bytes, MSG_WAITALL) != static_cast<ssize_t>(sizeof bytes))
    failed("recv");
  return fd;
}

weft::task<weft::result<weft::net::tcp_listener>> listen() {
  co_return weft::net::tcp_listener::bind({weft::net::address::loopback_v4(), 0});
}

/// Whether it holds on that driver.
bool measure(weft::driver io, const char* name) {
  std::vector<int> peers;
  peers.reserve(connections);
  bool kept = false;
  {
    weft::runtime_options options;
    options.workers = 1;
    options.io = io;
    weft::runtime rt(options);
    auto listener = rt.block_on(listen());
    if (!listener) failed("listen");
    auto serving = rt.spawn(serve, std::ref(*listener));
    const int port = listener->local_endpoint()->port;
    while (peers.size() < warm_up) peers.push_back(call(port));
    const std::size_t before = resident_bytes();
    while (peers.size() < connections) peers.push_back(call(port));
    const std::size_t after = resident_bytes();
    const std::size_t each = after > before ? (after - before) / (connections - warm_up) : 0;
    std::printf("%s: %zu bytes of user memory for each idle connection\n", name, each);
    kept = each <= bytes_each_max;
    for (const int fd : peers) ::close(fd);
    serving.stop();
    if (!rt.shutdown(std::chrono::minutes(1))) failed("shutdown");
  }
  return kept;
}

}  // namespace

int main() {
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  if (limit.rlim_max < descriptors || resident_bytes() == 0) {
    std::puts("idle_connections: skipped: too few descriptors, or no /proc");
    return skipped;
  }
  if (limit.rlim_cur < descriptors) limit.rlim_cur = descriptors;
  ::setrlimit(RLIMIT_NOFILE, &limit);
  const struct {
    weft::driver io;
    const char* name;
  } drivers[] = {{weft::driver::epoll, "epoll"},
                 {weft::driver::io_uring, "io_uring"},
                 {weft::driver::poll, "poll"}};
  bool all = true;
  for (const auto& d : drivers) {
    std::fflush(stdout);
    const pid_t child = ::fork();  // each in a process of its own, whose memory nobody used before
    if (child == 0) {
      ::prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);  // with huge pages memory comes in steps of 2 MiB
      bool kept = true;
      try {
        kept = measure(d.io, d.name);
      } catch (const std::system_error& refused) {
        std::printf("%s: left out: %s\n", d.name, refused.what());
      }
      std::fflush(stdout);
      ::_exit(kept ? 0 : 1);
    }
    int status = 0;
    if (child < 0 || ::waitpid(child, &status, 0) != child) failed("fork");
    all = all && WIFEXITED(status) && WEXITSTATUS(status) == 0;
  }
  return all ? 0 : 1;
}
