#include "weft/net/tcp.hpp"

#include <algorithm>

#include "weft/os/error.hpp"
#include "weft/os/file.hpp"

namespace weft::net {
namespace {

/// Bytes handed to one sendfile: what a worker may be busy with before it looks at the others.
constexpr std::size_t file_piece_max = std::size_t{256} << 10;

result<endpoint> endpoint_of(const result<os::socket_address>& address) noexcept {
  if (!address) return std::unexpected(address.error());
  return from_system(*address);
}

}  // namespace

result<std::size_t> stream_operation::count() const noexcept {
  if (answer >= 0) return static_cast<std::size_t>(answer);
  if (answer == answer_interrupted) return moved;  // read_exact: no byte is denied
  return std::unexpected(os::from_errno(static_cast<int>(-answer)));
}

result<void> stream_operation::success() const noexcept {
  if (answer >= 0) return {};
  if (answer == answer_interrupted) {
    return std::unexpected(std::make_error_code(std::errc::operation_canceled));
  }
  return std::unexpected(os::from_errno(static_cast<int>(-answer)));
}

result<tcp_stream> accept_operation::await_resume() noexcept {
  if (answer < 0) return std::unexpected(os::from_errno(static_cast<int>(-answer)));
  auto attached = current_driver().attach(os::fd(static_cast<int>(answer)));
  if (!attached) return std::unexpected(attached.error());
  return tcp_stream(std::move(*attached));
}

task<result<tcp_stream>> tcp_stream::connect(endpoint to) {
  auto socket =
      os::open_tcp(to.address.is_v6() ? os::address_family::ipv6 : os::address_family::ipv4);
  if (!socket) co_return std::unexpected(socket.error());
  const auto set = os::set_nodelay(socket->get(), true);
  if (!set) co_return std::unexpected(set.error());
  auto attached = io::request::current_driver().attach(std::move(*socket));
  if (!attached) co_return std::unexpected(attached.error());
  connect_operation connecting(*attached, to);
  const auto connected = co_await connecting;
  if (!connected) co_return std::unexpected(connected.error());
  co_return tcp_stream(std::move(*attached));
}

task<result<std::size_t>> tcp_stream::send_file(int file, std::uint64_t offset, std::size_t count) {
  std::size_t sent = 0;
  while (sent < count) {
    const auto n = os::send_file_now(handle_.fd(), file, offset + sent,
                                     std::min(count - sent, file_piece_max));
    if (n) {
      if (*n == 0) break;  // the file is shorter than it was
      sent += *n;
      if (sent == count) break;
    } else if (n.error() != std::errc::operation_would_block) {
      co_return std::unexpected(n.error());
    }
    // Also after a piece that went through: here the others get their turn, and a stop its due.
    const auto writable = co_await wait_writable();
    if (!writable) co_return std::unexpected(writable.error());
  }
  co_return sent;
}

result<void> tcp_stream::shutdown_write() noexcept {
  return os::shutdown(handle_.fd(), os::shutdown_side::send);
}
result<void> tcp_stream::set_no_delay(bool on) noexcept {
  return os::set_nodelay(handle_.fd(), on);
}
result<void> tcp_stream::set_keep_alive(bool on) noexcept {
  os::keepalive_options options;
  options.on = on;
  return os::set_keepalive(handle_.fd(), options);
}
result<endpoint> tcp_stream::local_endpoint() const noexcept {
  return endpoint_of(os::local_address(handle_.fd()));
}
result<endpoint> tcp_stream::peer_endpoint() const noexcept {
  return endpoint_of(os::peer_address(handle_.fd()));
}

result<tcp_listener> tcp_listener::bind(endpoint where, listen_options options) noexcept {
  os::listen_options wanted;
  wanted.backlog = options.backlog;
  wanted.reuse_port = options.reuse_port;
  auto socket = os::listen_tcp(to_system(where), wanted);
  if (!socket) return std::unexpected(socket.error());
  // Set here it is inherited by every accepted socket, at no cost for each.
  if (const auto set = os::set_nodelay(socket->get(), true); !set)
    return std::unexpected(set.error());
  auto attached = io::request::current_driver().attach(std::move(*socket));
  if (!attached) return std::unexpected(attached.error());
  return tcp_listener(std::move(*attached));
}

result<endpoint> tcp_listener::local_endpoint() const noexcept {
  return endpoint_of(os::local_address(handle_.fd()));
}

}  // namespace weft::net
