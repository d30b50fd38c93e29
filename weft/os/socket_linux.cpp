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

static_assert(sizeof(sockaddr_storage) <= socket_address::capacity);

result<void> answer(int returned) noexcept {
  if (returned == 0) return {};
  return std::unexpected(last_error());
}

result<void> set_option(int socket, int level, int name, int value) noexcept {
  return answer(::setsockopt(socket, level, name, &value, sizeof value));
}

const sockaddr* raw(const socket_address& address) noexcept {
  return static_cast<const sockaddr*>(address.data());
}

template <class Ask>
result<socket_address> ask_address(Ask ask) noexcept {
  socket_address address;
  socklen_t size = socket_address::capacity;
  if (ask(static_cast<sockaddr*>(address.data()), &size) != 0) {
    return std::unexpected(last_error());
  }
  address.set_size(size);
  return address;
}

}  // namespace

socket_address to_socket_address(const ip_endpoint& endpoint) noexcept {
  socket_address address;
  if (endpoint.kind == family::ip_v4) {
    sockaddr_in in{};
    in.sin_family = AF_INET;
    in.sin_port = htons(endpoint.port);
    std::memcpy(&in.sin_addr, endpoint.ip, sizeof in.sin_addr);
    std::memcpy(address.data(), &in, sizeof in);
    address.set_size(sizeof in);
  } else {
    sockaddr_in6 in{};
    in.sin6_family = AF_INET6;
    in.sin6_port = htons(endpoint.port);
    in.sin6_scope_id = endpoint.scope;
    std::memcpy(&in.sin6_addr, endpoint.ip, sizeof in.sin6_addr);
    std::memcpy(address.data(), &in, sizeof in);
    address.set_size(sizeof in);
  }
  return address;
}

bool from_socket_address(const socket_address& address, ip_endpoint& endpoint) noexcept {
  sa_family_t kind = AF_UNSPEC;
  if (address.size() < sizeof kind) return false;
  std::memcpy(&kind, address.data(), sizeof kind);
  endpoint = ip_endpoint{};
  if (kind == AF_INET) {
    sockaddr_in in{};
    std::memcpy(&in, address.data(), sizeof in);
    endpoint.port = ntohs(in.sin_port);
    std::memcpy(endpoint.ip, &in.sin_addr, sizeof in.sin_addr);
    return true;
  }
  if (kind == AF_INET6) {
    sockaddr_in6 in{};
    std::memcpy(&in, address.data(), sizeof in);
    endpoint.kind = family::ip_v6;
    endpoint.port = ntohs(in.sin6_port);
    endpoint.scope = in.sin6_scope_id;
    std::memcpy(endpoint.ip, &in.sin6_addr, sizeof in.sin6_addr);
    return true;
  }
  return false;
}

result<fd> open_tcp(family kind) noexcept {
  const int number = ::socket(kind == family::ip_v4 ? AF_INET : AF_INET6,
                              SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP);
  if (number < 0) return std::unexpected(last_error());
  return fd(number);
}

result<void> bind(const fd& socket, const socket_address& address, bind_options options) noexcept {
  if (auto set = set_option(socket.get(), SOL_SOCKET, SO_REUSEADDR, 1); !set) return set;
  if (options.reuse_port) {
    if (auto set = set_option(socket.get(), SOL_SOCKET, SO_REUSEPORT, 1); !set) return set;
  }
  if (options.v6_only) {
    if (auto set = set_option(socket.get(), IPPROTO_IPV6, IPV6_V6ONLY, 1); !set) return set;
  }
  return answer(::bind(socket.get(), raw(address), address.size()));
}

result<void> listen(const fd& socket, int backlog) noexcept {
  return answer(::listen(socket.get(), backlog));
}

result<socket_address> local_address(int socket) noexcept {
  return ask_address([=](sockaddr* a, socklen_t* n) { return ::getsockname(socket, a, n); });
}
result<socket_address> peer_address(int socket) noexcept {
  return ask_address([=](sockaddr* a, socklen_t* n) { return ::getpeername(socket, a, n); });
}

result<void> pending_error(int socket) noexcept {
  int number = 0;
  socklen_t size = sizeof number;
  if (::getsockopt(socket, SOL_SOCKET, SO_ERROR, &number, &size) != 0) number = errno;
  if (number != 0) return std::unexpected(from_errno(number));
  return {};
}

result<void> shut_down(int socket, direction which) noexcept {
  const int how = which == direction::read ? SHUT_RD : which == direction::write ? SHUT_WR : SHUT_RDWR;
  return answer(::shutdown(socket, how));
}
result<void> set_no_delay(int socket, bool on) noexcept {
  return set_option(socket, IPPROTO_TCP, TCP_NODELAY, on);
}
result<void> set_keep_alive(int socket, bool on) noexcept {
  return set_option(socket, SOL_SOCKET, SO_KEEPALIVE, on);
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

}  // namespace weft::os
