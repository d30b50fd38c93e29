// A loop that is not weft's, here one around poll(), drives weft beside its own work; no threads.
#include <poll.h>
#include <weft/weft.hpp>

#include <array>
#include <chrono>
#include <cstdio>
#include <span>

using namespace std::chrono_literals;
namespace net = weft::net;

weft::task<weft::result<void>> answer(net::tcp_listener listener) {
  net::tcp_stream stream = co_await weft::ok(listener.accept());
  std::array<std::byte, 5> word;
  co_await weft::ok(stream.read_exact(word));
  co_return co_await stream.write_all(word);
}

/// What a program would write for any other runtime of weft.
weft::task<weft::result<void>> talk() {
  const net::endpoint anywhere{net::address::loopback_v4(), 0};
  net::tcp_listener listener = co_await weft::ok(net::tcp_listener::bind(anywhere));
  const net::endpoint server = co_await weft::ok(listener.local_endpoint());
  auto answering = weft::spawn(answer, std::move(listener));

  net::tcp_stream stream = co_await weft::ok(net::tcp_stream::connect(server));
  std::array<std::byte, 5> word;
  co_await weft::ok(stream.write_all(std::as_bytes(std::span("hello", 5))));
  co_await weft::ok(stream.read_exact(word));
  std::printf("weft: the server said %.5s\n", reinterpret_cast<const char*>(word.data()));
  co_await weft::sleep_for(50ms);
  std::puts("weft: 50 ms have passed");
  co_return co_await answering;
}

int main() {
  weft::runtime rt({.mode = weft::scheduling::guest});
  auto talking = rt.spawn(talk);

  // The host: a frame every 20 ms, whatever else happens.
  const auto start = std::chrono::steady_clock::now();
  int frames = 0;
  while (!talking.done()) {
    const auto next_frame = start + frames * 20ms;
    const auto left = next_frame - std::chrono::steady_clock::now();
    if (left <= 0ms) {
      ++frames;  // where a game would draw, and an editor would handle its keys
      continue;
    }
    pollfd weft_has_work{.fd = rt.poll_handle(), .events = POLLIN, .revents = 0};
    const auto ms = std::chrono::ceil<std::chrono::milliseconds>(left).count();
    if (::poll(&weft_has_work, 1, static_cast<int>(ms)) > 0) rt.run_ready();
  }
  std::printf("host: %s frames meanwhile\n", frames >= 3 ? "at least 3" : "too few");

  const auto ended = weft::block_on(talking);  // it has ended, so this does not wait
  return ended ? 0 : 1;
}
