// What goes through the kernel: datagrams, streams, files. A stopped operation had no effect, so each message
// comes once, each byte in its place, and each file has what was written last. On a ring and on epoll.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <bit>
#include <cstring>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>

#include "tests/stops/crowd.hpp"
#include "weft/fs/file.hpp"
#include "weft/net/udp.hpp"
#include "weft/net/unix.hpp"

namespace weft::stops {
namespace {

using number = std::uint64_t;
constexpr unsigned pairs = places_count / 2;
using number_bytes = std::array<std::byte, sizeof(number)>;

/// An even place sends to the next one, by sockets of their own, a number that is theirs and the round's.
template <class Ends>
class through_sockets : public scenario {
 public:
  using scenario::scenario;
  void begin(std::span<place> its) override {
    for (place& p : its) {
      one& way = ways_[p.index / 2];
      if (sends(p)) way = one{Ends::make(), 0, 0, {}};
    }
  }
  task<> visit(place& mine) override {
    one& way = ways_[mine.index / 2];
    if (sends(mine)) {
      const auto bytes = std::bit_cast<number_bytes>(expected(mine));
      while (way.sent < bytes.size()) {
        const std::size_t n = co_await way.ends->send(std::span(bytes).subspan(way.sent));
        way.sent += n;
      }
    } else {
      while (way.got < way.bytes.size()) {
        const std::size_t n = co_await way.ends->receive(std::span(way.bytes).subspan(way.got));
        way.got += n;
      }
    }
    mine.has();
  }
  void end(std::span<place> its) override {
    for (place& p : its) {
      if (!sends(p)) continue;
      one& way = ways_[p.index / 2];
      this->compare(std::bit_cast<number>(way.bytes) == expected(p) ? 1 : 0, 1);
      char more;
      if (::recv(way.ends->receiver(), &more, 1, MSG_DONTWAIT) >= 0) this->add_doubled(1);
      way.ends.reset();  // before the runtime, whose driver knows them
    }
  }
  void count() override {}

 private:
  struct one {
    std::optional<Ends> ends;
    std::size_t sent = 0, got = 0;
    number_bytes bytes{};
  };
  static bool sends(const place& p) noexcept { return p.index % 2 == 0; }
  static number expected(const place& p) noexcept { return p.round * places_count + p.index + 1; }
  std::array<one, pairs> ways_;
};

/// What no number of stops may bring about.
template <class T>
T no_error(result<T> r) {
  EXPECT_TRUE(r) << r.error().message();
  if (!r) std::abort();
  return std::move(*r);
}

class udp_ends {
 public:
  static udp_ends make() {
    const net::endpoint any{net::address::loopback_v4(), 0};
    udp_ends made{no_error(net::udp_socket::bind(any)), no_error(net::udp_socket::bind(any))};
    made.to_ = no_error(made.b_.local_endpoint());
    return made;
  }
  task<std::size_t> send(std::span<const std::byte> bytes) {
    const auto sent = co_await a_.send_to(bytes, to_);
    co_return no_error(sent);
  }
  task<std::size_t> receive(std::span<std::byte> into) {
    const auto got = co_await b_.receive_from(into);
    co_return no_error(got).size;
  }
  int receiver() const noexcept { return b_.native(); }

 private:
  udp_ends(net::udp_socket a, net::udp_socket b) noexcept : a_(std::move(a)), b_(std::move(b)) {}
  net::udp_socket a_, b_;
  net::endpoint to_;
};

class packet_ends {
 public:
  static packet_ends make() { return packet_ends(no_error(net::unix_datagram::pair())); }
  task<std::size_t> send(std::span<const std::byte> bytes) {
    const auto sent = co_await both_.first.send(bytes);
    co_return no_error(sent);
  }
  task<std::size_t> receive(std::span<std::byte> into) {
    const auto got = co_await both_.second.receive(into);
    co_return no_error(got).size;
  }
  int receiver() const noexcept { return both_.second.native(); }

 private:
  using pair = std::pair<net::unix_datagram, net::unix_datagram>;
  explicit packet_ends(pair both) noexcept : both_(std::move(both)) {}
  pair both_;
};

/// A byte at a time.
class stream_ends {
 public:
  static stream_ends make() { return stream_ends(no_error(net::unix_stream::pair())); }
  task<std::size_t> send(std::span<const std::byte> bytes) {
    const auto sent = co_await both_.first.write_some(bytes.first(1));
    co_return no_error(sent);
  }
  task<std::size_t> receive(std::span<std::byte> into) {
    const auto got = co_await both_.second.read_some(into.first(1));
    co_return no_error(got);
  }
  int receiver() const noexcept { return both_.second.native(); }

 private:
  using pair = std::pair<net::unix_stream, net::unix_stream>;
  explicit stream_ends(pair both) noexcept : both_(std::move(both)) {}
  pair both_;
};

template <class Ends>
void run_through(const char* on_ring, const char* on_epoll) {
  {
    through_sockets<Ends> s(on_ring);
    run(s);
  }
  through_sockets<Ends> s(on_epoll);
  run(s, driver::epoll);
}
TEST(stops_stress, udp) { run_through<udp_ends>("udp", "udp epoll"); }
TEST(stops_stress, unix_datagram) { run_through<packet_ends>("unix packet", "packet epoll"); }
TEST(stops_stress, unix_stream) { run_through<stream_ends>("unix stream", "stream epoll"); }

/// Each place writes a number of its own to its place in one file, and reads it back.
class in_a_file final : public scenario {
 public:
  explicit in_a_file(const char* name) : scenario(name) {
    folder_ = (std::filesystem::temp_directory_path() / "weft_stops_XXXXXX").string();
    if (::mkdtemp(folder_.data()) == nullptr) std::abort();
    path_ = folder_ + "/file";
  }
  ~in_a_file() override {
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }
  task<> visit(place& mine) override {
    const auto bytes = std::bit_cast<number_bytes>(expected(mine));
    const fs::open_options how{.write = true, .create = true};
    auto opened = co_await fs::open(path_, how);
    fs::file f = no_error(std::move(opened));
    const auto wrote = co_await f.write_at(bytes, mine.index * bytes.size());
    EXPECT_TRUE(wrote);
    number_bytes back{};
    const auto read = co_await f.read_at(back, mine.index * bytes.size());
    EXPECT_TRUE(read);
    mine.has();
    compare(back == bytes ? 1 : 0, 1);
    const auto closed = co_await f.close();
    EXPECT_TRUE(closed);
  }
  void end(std::span<place> its) override {
    const os::fd file(::open(path_.c_str(), O_RDONLY | O_CLOEXEC));
    for (place& p : its) {
      number_bytes there{};
      const auto n = ::pread(file.get(), there.data(), there.size(),
                             static_cast<off_t>(p.index * there.size()));
      compare(n == sizeof there && std::bit_cast<number>(there) == expected(p) ? 1 : 0, 1);
    }
  }
  void count() override {}

 private:
  static number expected(const place& p) noexcept { return p.round * places_count + p.index + 1; }
  std::string folder_, path_;
};
TEST(stops_stress, files) {
  {
    in_a_file s("files");
    run(s);
  }
  in_a_file s("files epoll");
  run(s, driver::epoll);
}

}  // namespace
}  // namespace weft::stops
