#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

#include "weft/os/error.hpp"
#include "weft/os/socket.hpp"

namespace weft::os {
namespace {

static_assert(sizeof(sockaddr_storage) <= sizeof(socket_address::bytes));

result<void> answer(int returned) noexcept {
  if (returned == 0) return {};
  return std::unexpected(last_error());
}

result<void> set_option(int socket, int level, int name, int value) noexcept {
  return answer(::setsockopt(socket, level, name, &value, sizeof value));
}

const sockaddr* raw(const socket_address& a) noexcept {
  return reinterpret_cast<const sockaddr*>(a.bytes);
}

template <class In>
socket_address pack(const In& in) noexcept {
  socket_address a{};
  std::memcpy(a.bytes, &in, sizeof in);
  a.size = sizeof in;
  return a;
}

template <class Ask>
result<socket_address> ask_address(Ask ask) noexcept {
  socket_address a{};
  socklen_t size = sizeof a.bytes;
  if (ask(reinterpret_cast<sockaddr*>(a.bytes), &size) != 0) return std::unexpected(last_error());
  a.size = size;
  return a;
}

}  // namespace

socket_address make_ipv4(const std::uint8_t (&ip)[4], std::uint16_t port) noexcept {
  sockaddr_in in{};
  in.sin_family = AF_INET;
  in.sin_port = htons(port);
  std::memcpy(&in.sin_addr, ip, sizeof ip);
  return pack(in);
}

socket_address make_ipv6(const std::uint8_t (&ip)[16], std::uint16_t port,
                         std::uint32_t scope) noexcept {
  sockaddr_in6 in{};
  in.sin6_family = AF_INET6;
  in.sin6_port = htons(port);
  in.sin6_scope_id = scope;
  std::memcpy(&in.sin6_addr, ip, sizeof ip);
  return pack(in);
}

address_family family_of(const socket_address& address) noexcept {
  sa_family_t kind = AF_UNSPEC;
  if (address.size < sizeof kind) return address_family::none;
  std::memcpy(&kind, address.bytes, sizeof kind);
  return kind == AF_INET    ? address_family::ipv4
         : kind == AF_INET6 ? address_family::ipv6
                            : address_family::other;
}

ip_endpoint take_apart(const socket_address& address) noexcept {
  ip_endpoint e;
  e.family = family_of(address);
  if (e.family == address_family::ipv4) {
    sockaddr_in in{};
    std::memcpy(&in, address.bytes, sizeof in);
    e.port = ntohs(in.sin_port);
    std::memcpy(e.ip, &in.sin_addr, sizeof in.sin_addr);
  } else if (e.family == address_family::ipv6) {
    sockaddr_in6 in{};
    std::memcpy(&in, address.bytes, sizeof in);
    e.port = ntohs(in.sin6_port);
    e.scope = in.sin6_scope_id;
    std::memcpy(e.ip, &in.sin6_addr, sizeof in.sin6_addr);
  }
  return e;
}

result<fd> open_tcp(address_family family) noexcept {
  const int number = ::socket(family == address_family::ipv6 ? AF_INET6 : AF_INET,
                              SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP);
  if (number < 0) return std::unexpected(last_error());
  return fd(number);
}

result<socket_pair> open_pair() noexcept {
  int both[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, both) != 0) {
    return std::unexpected(last_error());
  }
  return socket_pair{fd(both[0]), fd(both[1])};
}

result<void> bind(int socket, const socket_address& address) noexcept {
  return answer(::bind(socket, raw(address), address.size));
}
result<void> listen(int socket, int backlog) noexcept { return answer(::listen(socket, backlog)); }

result<fd> listen_tcp(const socket_address& address, const listen_options& options) noexcept {
  auto opened = open_tcp(family_of(address));
  if (!opened) return opened;
  const int socket = opened->get();
  if (auto set = set_reuse_address(socket, true); !set) return std::unexpected(set.error());
  if (options.reuse_port) {
    if (auto set = set_reuse_port(socket, true); !set) return std::unexpected(set.error());
  }
  if (options.only_ipv6) {
    if (auto set = set_only_ipv6(socket, true); !set) return std::unexpected(set.error());
  }
  if (auto bound = os::bind(socket, address); !bound) return std::unexpected(bound.error());
  if (auto done = os::listen(socket, options.backlog); !done) return std::unexpected(done.error());
  return opened;
}

result<bool> connect_start(int socket, const socket_address& address) noexcept {
  if (::connect(socket, raw(address), address.size) == 0) return true;
  if (errno == EINPROGRESS || errno == EINTR) return false;  // interrupted: goes on by itself
  return std::unexpected(last_error());
}

result<void> shutdown(int socket, shutdown_side side) noexcept {
  const int how = side == shutdown_side::receive ? SHUT_RD
                  : side == shutdown_side::send  ? SHUT_WR
                                                 : SHUT_RDWR;
  return answer(::shutdown(socket, how));
}

result<socket_address> local_address(int socket) noexcept {
  return ask_address([=](sockaddr* a, socklen_t* n) { return ::getsockname(socket, a, n); });
}
result<socket_address> peer_address(int socket) noexcept {
  return ask_address([=](sockaddr* a, socklen_t* n) { return ::getpeername(socket, a, n); });
}

std::error_code socket_error(int socket) noexcept {
  int number = 0;
  socklen_t size = sizeof number;
  if (::getsockopt(socket, SOL_SOCKET, SO_ERROR, &number, &size) != 0) return last_error();
  return number == 0 ? std::error_code() : from_errno(number);
}

result<void> set_nodelay(int socket, bool on) noexcept {
  return set_option(socket, IPPROTO_TCP, TCP_NODELAY, on);
}
result<void> set_reuse_address(int socket, bool on) noexcept {
  return set_option(socket, SOL_SOCKET, SO_REUSEADDR, on);
}
result<void> set_reuse_port(int socket, bool on) noexcept {
  return set_option(socket, SOL_SOCKET, SO_REUSEPORT, on);
}
result<void> set_only_ipv6(int socket, bool on) noexcept {
  return set_option(socket, IPPROTO_IPV6, IPV6_V6ONLY, on);
}
result<void> set_send_buffer(int socket, int bytes) noexcept {
  return set_option(socket, SOL_SOCKET, SO_SNDBUF, bytes);
}
result<void> set_receive_buffer(int socket, int bytes) noexcept {
  return set_option(socket, SOL_SOCKET, SO_RCVBUF, bytes);
}
result<void> set_reset_on_close(int socket, bool on) noexcept {
  const linger how{on, 0};
  return answer(::setsockopt(socket, SOL_SOCKET, SO_LINGER, &how, sizeof how));
}
result<void> set_keepalive(int socket, const keepalive_options& o) noexcept {
  if (auto set = set_option(socket, SOL_SOCKET, SO_KEEPALIVE, o.on); !set || !o.on) return set;
  if (auto set = set_option(socket, IPPROTO_TCP, TCP_KEEPIDLE, o.idle_s); !set) return set;
  if (auto set = set_option(socket, IPPROTO_TCP, TCP_KEEPINTVL, o.interval_s); !set) return set;
  return set_option(socket, IPPROTO_TCP, TCP_KEEPCNT, o.probes);
}

}  // namespace weft::os
