// Client and server in one process, over TCP: how many round trips a second they make.
#include <weft/weft.hpp>

#include <array>
#include <chrono>
#include <cstdio>

using namespace std::chrono_literals;
namespace net = weft::net;

weft::task<weft::result<void>> pong(net::tcp_listener listener) {
  net::tcp_stream stream = co_await weft::ok(listener.accept());
  std::array<std::byte, 4> ball;
  for (;;) {
    const std::size_t n = co_await weft::ok(stream.read_exact(ball));
    if (n < ball.size()) co_return weft::result<void>();  // the client has ended
    co_await weft::ok(stream.write_all(ball));
  }
}

weft::task<weft::result<long>> ping(net::endpoint server, std::chrono::milliseconds how_long) {
  net::tcp_stream stream = co_await weft::ok(net::tcp_stream::connect(server));
  std::array<std::byte, 4> ball{};
  long rounds = 0;
  for (const auto end = weft::now() + how_long; weft::now() < end; ++rounds) {
    co_await weft::ok(stream.write_all(ball));
    co_await weft::ok(stream.read_exact(ball));
  }
  co_return rounds;
}

weft::task<weft::result<void>> play() {
  const net::endpoint anywhere{net::address::loopback_v4(), 0};
  net::tcp_listener listener = co_await weft::ok(net::tcp_listener::bind(anywhere));
  const net::endpoint server = co_await weft::ok(listener.local_endpoint());

  auto answering = weft::spawn(pong, std::move(listener));
  const long rounds = co_await weft::ok(ping(server, 1000ms));
  const auto ended = co_await answering;
  std::printf("%ld round trips a second\n", rounds);
  co_return ended;
}

int main() { return weft::run(play()); }
