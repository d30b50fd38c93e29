// echo: a coroutine a connection, as one writes it with Asio; one thread.
#include <array>
#include <asio.hpp>
#include <cstdio>

namespace {

using asio::ip::tcp;

asio::awaitable<void> serve(tcp::socket socket) {
  std::array<char, 16384> buffer;
  asio::error_code failed;
  for (;;) {
    const std::size_t n = co_await socket.async_read_some(
        asio::buffer(buffer), asio::redirect_error(asio::use_awaitable, failed));
    if (failed) co_return;
    co_await asio::async_write(socket, asio::buffer(buffer, n),
                               asio::redirect_error(asio::use_awaitable, failed));
    if (failed) co_return;
  }
}

asio::awaitable<void> accept(tcp::acceptor listener) {
  const auto here = co_await asio::this_coro::executor;
  for (;;) {
    tcp::socket socket = co_await listener.async_accept(asio::use_awaitable);
    socket.set_option(tcp::no_delay(true));
    asio::co_spawn(here, serve(std::move(socket)), asio::detached);
  }
}

}  // namespace

int main() {
  asio::io_context context(1);
  tcp::acceptor listener(context, {asio::ip::address_v4::loopback(), 0});
  std::printf("listening 127.0.0.1:%u\n", listener.local_endpoint().port());
  std::fflush(stdout);
  asio::co_spawn(context, accept(std::move(listener)), asio::detached);
  context.run();
}
