// soak_server: the echo server of the soaks.
//
//   soak_server [--port N] [--shared]    says {"port": N, "driver": "..."}. Port 0, the default, is a free one;
//                                        --shared: other processes may listen on it, too
//
// Lines of its input: `figures` is answered by {"accepted": N, "jobs": N}; the end of the input,
// also that of a parent that died, ends it: with 0 if all jobs ended in time.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <functional>
#include <iostream>
#include <string>
#include <string_view>

#include "weft/base/atomic.hpp"
#include "weft/net/serve.hpp"
#include "weft/weft.hpp"

namespace {

weft::atomic<unsigned long long> accepted{0};

weft::task<> echo(weft::net::tcp_stream stream) {
  accepted.fetch_add(1, weft::order::relaxed);
  for (;;) {
    const auto came = co_await stream.read_pooled();
    if (!came || came->empty()) co_return;
    const auto sent = co_await stream.write_all(came->bytes());
    if (!sent) co_return;
  }
}

weft::task<> serve(weft::net::tcp_listener& listener) {
  const auto ended = co_await weft::net::serve(listener, echo);
  if (!ended) std::fprintf(stderr, "soak_server: %s\n", ended.error().message().c_str());
}

weft::task<weft::result<weft::net::tcp_listener>> listen(std::uint16_t port, bool shared) {
  weft::net::listen_options options;
  options.reuse_port = shared;
  co_return weft::net::tcp_listener::bind({weft::net::address::loopback_v4(), port}, options);
}

}  // namespace

int main(int argc, char** argv) {
  std::uint16_t port = 0;
  bool shared = false;
  for (int i = 1; i < argc; ++i) {
    const std::string_view word = argv[i];
    if (word == "--shared") shared = true;
    if (word == "--port" && i + 1 < argc) port = static_cast<std::uint16_t>(std::atoi(argv[++i]));
  }
  try {
    weft::runtime rt;
    auto listener = rt.block_on(listen(port, shared));
    const auto bound = listener ? listener->local_endpoint() : std::unexpected(listener.error());
    if (!bound) {
      std::fprintf(stderr, "soak_server: %s\n", bound.error().message().c_str());
      return 1;
    }
    auto serving = rt.spawn(serve, std::ref(*listener));
    std::printf("{\"port\": %u, \"driver\": \"%s\"}\n", unsigned{bound->port},
                std::string(rt.metrics().driver).c_str());
    std::fflush(stdout);
    for (std::string line; std::getline(std::cin, line);) {
      std::printf("{\"accepted\": %llu, \"jobs\": %llu}\n", accepted.load(weft::order::relaxed),
                  static_cast<unsigned long long>(rt.metrics().jobs_alive));
      std::fflush(stdout);
    }
    const auto ended = rt.shutdown(std::chrono::minutes(1));
    return ended ? 0 : 1;
  } catch (const std::exception& e) {
    std::fprintf(stderr, "soak_server: %s\n", e.what());
    return 1;
  }
}
