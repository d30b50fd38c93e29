// A socket may take any part of what it is given. Where it does, each byte of the answers comes once and in
// its place: at every byte where the first call can be cut short, and with a peer that reads slowly.
#include "weft/http/server.hpp"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "weft/base/atomic.hpp"
#include "weft/http/client_test_support.hpp"
#include "weft/http/server_test_support.hpp"
#include "weft/net/tcp_test_support.hpp"

namespace {

// The next write that may not wait hands over so many bytes at most, of all its parts; with 0 it would wait.
constexpr long uncut = -1;
weft::atomic<long> next_write{uncut};

long cut_of(int flags) noexcept {
  return (flags & MSG_DONTWAIT) != 0 ? next_write.exchange(uncut, weft::order::seq_cst) : uncut;
}

}  // namespace

// In the place of the C library's. Of what runs here only try_write() says MSG_DONTWAIT: an await's own call
// comes after it, and is left alone.
extern "C" ssize_t send(int socket, const void* data, size_t size, int flags) {
  const long most = cut_of(flags);
  if (most == 0) {
    errno = EAGAIN;
    return -1;
  }
  if (most != uncut) size = std::min(size, static_cast<size_t>(most));
  return ::syscall(SYS_sendto, socket, data, size, flags, nullptr, 0);
}

extern "C" ssize_t sendmsg(int socket, const msghdr* message, int flags) {
  const long most = cut_of(flags);
  if (most == uncut) return ::syscall(SYS_sendmsg, socket, message, flags);
  if (most == 0) {
    errno = EAGAIN;
    return -1;
  }
  std::vector<iovec> parts(message->msg_iov, message->msg_iov + message->msg_iovlen);
  auto left = static_cast<size_t>(most);
  for (iovec& part : parts) {
    part.iov_len = std::min(part.iov_len, left);
    left -= part.iov_len;
  }
  msghdr cut = *message;
  cut.msg_iov = parts.data();
  return ::syscall(SYS_sendmsg, socket, &cut, flags);
}

namespace weft::http {
namespace {

using test::body_of;
using test::clock_kind;
using test::defaults;
using test::field_of;
using test::get;
using test::raw_client;
using test::test_server;

/// Each byte says where it stands, and in whose answer.
std::string text_of_size(std::size_t size) {
  std::string text(size, '\0');
  for (std::size_t i = 0; i < size; ++i) {
    text[i] = static_cast<char>('!' + (i * 31 + i / 94 + size) % 94);
  }
  return text;
}

// "/t100" is 100 bytes of its own, "/k100" 100 bytes that others send, too, "/l100" 100 bytes by a task.
class sized final : public handler {
 public:
  explicit sized(const std::vector<std::size_t>& kept) {
    for (const std::size_t size : kept) {
      kept_[size] = std::make_shared<const std::string>(text_of_size(size));
    }
  }
  static std::size_t size_of(std::string_view path) {
    std::size_t size = 0;
    std::from_chars(path.data() + 2, path.data() + path.size(), size);
    return size;
  }
  bool try_respond(const request& asked, response& answer) override {
    const std::size_t size = size_of(asked.path());
    if (asked.path()[1] == 'l') return false;
    if (asked.path()[1] == 'k') {
      answer.kind = body_kind::kept;
      answer.kept = kept_.at(size);
      answer.file_bytes = size;
    } else {
      answer = response::with_text(status::ok, "text/plain", text_of_size(size));
    }
    return true;
  }
  task<response> respond(const request& asked) override {
    co_return response::with_text(status::ok, "text/plain", text_of_size(size_of(asked.path())));
  }

 private:
  std::map<std::size_t, std::shared_ptr<const std::string>> kept_;
};

// Only with these a connection tries before it awaits.
class short_writes : public net::test::on_each_driver {
 protected:
  /// Asks for all of `paths` at once, first as it is and then once for each byte of all the answers, at which
  /// their first write is cut short.
  void cut_at_every_byte(sized& h, const std::vector<std::string>& paths) {
    test_server s(h, defaults, clock_kind::machine, GetParam());
    raw_client c(s.port());
    std::string asked;
    std::size_t bodies = 0;
    for (const auto& path : paths) {
      asked += get(path);
      bodies += sized::size_of(path);
    }
    std::size_t bytes = 0;  // of all answers; the first round, uncut, tells
    std::size_t rounds = 0;
    for (std::size_t cut = 0; rounds == 0 || cut < bytes; ++rounds) {
      if (rounds != 0) next_write.store(static_cast<long>(cut++), order::seq_cst);
      c.send(asked);
      for (const auto& path : paths) {
        const std::string got = c.read_response();
        ASSERT_EQ(body_of(got), text_of_size(sized::size_of(path))) << path << ", cut at " << cut;
        ASSERT_EQ(got.find("HTTP/1.1 200 OK\r\n"), 0u) << path << ", cut at " << cut << got;
        if (rounds == 0) bytes += got.size();
      }
      ASSERT_TRUE(c.hears_nothing()) << "cut at " << cut;  // nothing comes twice
      ASSERT_EQ(next_write.load(order::seq_cst), uncut);
    }
    EXPECT_EQ(rounds, bytes + 1);
    // What a write has sent is counted after it.
    EXPECT_TRUE(s.eventually([&](const auto& n) { return n.body_bytes_sent >= rounds * bodies; }));
    EXPECT_EQ(s.statistics().body_bytes_sent, rounds * bodies);
    EXPECT_EQ(s.statistics().connections_accepted, 1u);
  }
};
INSTANTIATE_TEST_SUITE_P(http_server, short_writes, ::testing::Values(driver::epoll, driver::poll),
                         net::test::driver_name);

TEST_P(short_writes, of_head_and_body_of_one_answer) {
  sized h({});
  cut_at_every_byte(h, {"/t300"});
}

TEST_P(short_writes, of_several_answers_that_leave_together) {
  sized h({150});
  cut_at_every_byte(h, {"/t1", "/k150", "/t0", "/l99", "/t10"});
}

// More than is copied: head and text leave as two parts of one call.
TEST_P(short_writes, of_a_head_and_a_kept_text) {
  sized h({2100});
  cut_at_every_byte(h, {"/k2100"});
}

// Those in front of it leave with it, and those behind come after it.
TEST_P(short_writes, of_a_kept_text_among_other_answers) {
  sized h({2100});
  cut_at_every_byte(h, {"/t30", "/k2100"});
}

class slow_reader : public net::test::on_each_driver {};
INSTANTIATE_TEST_SUITE_P(http_server, slow_reader, net::test::all_drivers, net::test::driver_name);

// With 4 KB of room nearly each write is short, somewhere.
TEST_P(slow_reader, gets_each_byte_once_and_in_its_place) {
  const std::vector<std::size_t> kept = {500, 2049, 10'000, 70'000, 200'000};
  sized h(kept);
  test_server s(h, defaults, clock_kind::manual, GetParam(), {.send_buffer = 4096});
  raw_client c(s.port());
  std::vector<std::string> paths;
  for (std::size_t i = 0; i < 4; ++i) {
    for (const std::size_t size : kept) {
      paths.push_back("/t" + std::to_string(i * 97));
      paths.push_back("/k" + std::to_string(size));
      paths.push_back("/l" + std::to_string(size / 3 + i));
    }
    paths.push_back("/t" + std::to_string(65'000 + i * 300));
  }
  std::string asked;
  std::size_t bodies = 0;
  for (const auto& path : paths) {
    asked += get(path);
    bodies += sized::size_of(path);
  }
  c.send(asked);
  s.settle();
  EXPECT_LT(s.statistics().requests, paths.size());  // it waits for room
  for (const auto& path : paths) {
    const std::string got = c.read_response();
    ASSERT_TRUE(body_of(got) == text_of_size(sized::size_of(path))) << path << '\n' << got.size();
  }
  EXPECT_TRUE(s.eventually([&](const auto& n) { return n.body_bytes_sent == bodies; }));
  EXPECT_TRUE(c.hears_nothing());
}

}  // namespace
}  // namespace weft::http
