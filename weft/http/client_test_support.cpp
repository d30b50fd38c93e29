#include "weft/http/client_test_support.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cstdlib>
#include <stdexcept>

#include "weft/net/tcp.hpp"
#include "weft/task/ok.hpp"

namespace weft::http::test {
namespace {

// A thread that has made an io_uring is interrupted by the kernel when the ring goes, a little
// after its runtime has ended; and a call with a time limit is then not restarted by itself.
template <class Call>
auto uninterrupted(Call call) {
  auto n = call();
  while (n < 0 && errno == EINTR) n = call();
  return n;
}

}  // namespace

raw_client::raw_client(std::uint16_t port) : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(port);
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::connect(fd_, reinterpret_cast<sockaddr*>(&to), sizeof to) != 0) {
    throw std::runtime_error("the test client cannot connect");
  }
  const timeval limit{net::test::patience.count(), 0};
  ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  ::setsockopt(fd_, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
}

raw_client::~raw_client() { ::close(fd_); }

bool raw_client::send(std::string_view bytes) {
  while (!bytes.empty()) {
    const auto n =
        uninterrupted([&] { return ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL); });
    if (n <= 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(n));
  }
  return true;
}

bool raw_client::fill() {
  char buffer[16384];
  const auto n = uninterrupted([&] { return ::recv(fd_, buffer, sizeof buffer, 0); });
  if (n <= 0) return false;
  pending_.append(buffer, static_cast<std::size_t>(n));
  return true;
}

std::string raw_client::read_until(std::string_view marker) {
  std::size_t at = pending_.find(marker);
  while (at == std::string::npos) {
    if (!fill()) return std::exchange(pending_, {});
    at = pending_.find(marker);
  }
  std::string out = pending_.substr(0, at + marker.size());
  pending_.erase(0, out.size());
  return out;
}

std::string raw_client::read_all() {
  while (fill()) {
  }
  return std::exchange(pending_, {});
}

std::size_t raw_client::drop(std::size_t bytes) {
  while (pending_.size() < bytes && fill()) {
  }
  const std::size_t n = std::min(bytes, pending_.size());
  pending_.erase(0, n);
  return n;
}

std::string raw_client::read_response(bool head_only) {
  std::string out = read_until("\r\n\r\n");
  const std::string length = field_of(out, "content-length");
  if (head_only || length.empty()) return out;
  const std::size_t bytes = std::strtoull(length.c_str(), nullptr, 10);
  while (pending_.size() < bytes && fill()) {
  }
  const std::size_t n = std::min(bytes, pending_.size());
  out.append(pending_, 0, n);
  pending_.erase(0, n);
  return out;
}

bool raw_client::ends_by_reset() {
  errno = 0;  // an end leaves it so
  while (fill()) {
  }
  return errno == ECONNRESET;
}

void raw_client::shrink_receive_buffer(int bytes) {
  ::setsockopt(fd_, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
}

void raw_client::reset() {
  const linger at_once{1, 0};
  ::setsockopt(fd_, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
  ::close(fd_);
  fd_ = -1;
}

void raw_client::end_writing() { ::shutdown(fd_, SHUT_WR); }

bool raw_client::hears_nothing() {
  char byte;
  const auto n = uninterrupted([&] { return ::recv(fd_, &byte, 1, MSG_PEEK | MSG_DONTWAIT); });
  return pending_.empty() && n < 0 && errno == EAGAIN;
}

event_counter& event_counter::operator++() {
  const std::lock_guard held(lock_);
  ++value_;
  grown_.notify_all();  // under the lock: who has waited may destroy this
  return *this;
}

long event_counter::value() const {
  const std::lock_guard held(lock_);
  return value_;
}

bool event_counter::reaches(long n) const {
  std::unique_lock held(lock_);
  return grown_.wait_for(held, net::test::patience, [&] { return value_ >= n; });
}

task<result<void>> test_server::listen(test_server& self) {
  auto listener = co_await ok(
      net::tcp_listener::bind(net::endpoint{net::address::loopback_v4(), self.port_}, self.how_));
  const auto bound = co_await ok(listener.local_endpoint());
  self.port_ = bound.port;
  self.listening_.set_value();
  co_return co_await self.server_.serve(listener);
}

test_server::test_server(handler& answers, server_options options, clock_kind clock, driver io,
                         net::listen_options listening)
    : server_(answers, options), how_(listening) {
  if (clock == clock_kind::manual) {
    manual_ = std::make_unique<net::test::manual_runtime>(io);
  } else {
    rt_ = std::make_unique<runtime>(runtime_options{.workers = 2, .io = io});
  }
  auto heard = listening_.get_future();
  job_ = rt().spawn(listen, std::ref(*this));
  heard.get();
}

test_server::~test_server() {
  if (job_) stop();
}

void test_server::stop() {
  job_.stop();
  const auto join = [](join_handle<result<void>>& job) -> task<> {
    const auto end = co_await job.outcome();
    static_cast<void>(end);
  };
  if (!job_.done()) rt().block_on(join(job_));  // done: the runtime itself was shut down
  job_ = {};
}

int status_of(std::string_view response) {
  if (!response.starts_with("HTTP/1.1 ") || response.size() < 12) return 0;
  return std::atoi(std::string(response.substr(9, 3)).c_str());
}

std::string_view body_of(std::string_view response) {
  const std::size_t at = response.find("\r\n\r\n");
  return at == std::string_view::npos ? std::string_view() : response.substr(at + 4);
}

std::string field_of(std::string_view response, std::string_view name) {
  const std::string_view head = response.substr(0, response.find("\r\n\r\n"));
  for (std::size_t at = head.find("\r\n"); at != std::string_view::npos;) {
    at += 2;
    const std::size_t end = std::min(head.find("\r\n", at), head.size());
    const std::string_view line = head.substr(at, end - at);
    const std::size_t colon = line.find(':');
    if (colon == name.size() &&
        std::equal(name.begin(), name.end(), line.begin(), [](char a, char b) {
          return std::tolower(static_cast<unsigned char>(a)) ==
                 std::tolower(static_cast<unsigned char>(b));
        })) {
      return std::string(line.substr(std::min(colon + 2, line.size())));
    }
    at = head.find("\r\n", at);
  }
  return {};
}

}  // namespace weft::http::test
