// echo: a task a connection, as one writes it with weft; one worker. WEFT_DRIVER chooses the
// driver.
#include <cstddef>
#include <cstdio>
#include <utility>
#include <weft/weft.hpp>

namespace {

weft::task<> serve(weft::net::tcp_stream stream) {
  for (;;) {
    const auto came = co_await stream.read_pooled();
    if (!came || came->empty()) co_return;
    const auto sent = co_await stream.write_all(came->bytes());
    if (!sent) co_return;
  }
}

weft::task<weft::result<void>> accept() {
  auto bound = weft::net::tcp_listener::bind({weft::net::address::loopback_v4(), 0});
  if (!bound) co_return std::unexpected(bound.error());
  auto listener = *std::move(bound);
  std::printf("listening %s\n", listener.local_endpoint().value().to_string().c_str());
  std::fflush(stdout);
  for (;;) {
    auto stream = co_await weft::ok(listener.accept());
    const auto set = stream.set_no_delay(true);
    if (set) weft::spawn(serve, std::move(stream)).detach();
  }
}

}  // namespace

int main() { return weft::run(accept(), {.workers = 1}); }
