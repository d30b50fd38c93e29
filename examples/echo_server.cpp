// A TCP server that sends back what it gets: one job a connection, no locks, no callbacks.
#include <weft/net/serve.hpp>
#include <weft/weft.hpp>

#include <cstdio>

namespace net = weft::net;

weft::task<> echo(net::tcp_stream stream) {
  for (;;) {
    const auto came = co_await stream.read_pooled();  // no buffer is held while it waits
    if (!came || came->empty()) co_return;            // an error, or the peer has ended
    const auto sent = co_await stream.write_all(came->bytes());
    if (!sent) co_return;
  }
}

weft::task<weft::result<void>> serve(std::string_view where) {
  const net::endpoint at = co_await weft::ok(net::endpoint::parse(where));
  net::tcp_listener listener = co_await weft::ok(net::tcp_listener::bind(at));
  const net::endpoint bound = co_await weft::ok(listener.local_endpoint());
  std::printf("echo: listening on %s\n", bound.to_string().c_str());
  std::fflush(stdout);
  co_return co_await net::serve(listener, echo);
}

int main(int argc, char** argv) { return weft::run(serve(argc > 1 ? argv[1] : "127.0.0.1:7777")); }
