#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

#include "weft/os/error.hpp"
#include "weft/os/socket_options.hpp"

namespace weft::os {
namespace {

struct place {
  int level;
  int name;
};

place place_of(socket_option option) noexcept {
  switch (option) {
    case socket_option::send_buffer:
      return {SOL_SOCKET, SO_SNDBUF};
    case socket_option::receive_buffer:
      return {SOL_SOCKET, SO_RCVBUF};
    case socket_option::reuse_address:
      return {SOL_SOCKET, SO_REUSEADDR};
    case socket_option::reuse_port:
      return {SOL_SOCKET, SO_REUSEPORT};
    case socket_option::broadcast:
      return {SOL_SOCKET, SO_BROADCAST};
    case socket_option::keep_alive:
      return {SOL_SOCKET, SO_KEEPALIVE};
    case socket_option::keep_alive_idle_s:
      return {IPPROTO_TCP, TCP_KEEPIDLE};
    case socket_option::keep_alive_interval_s:
      return {IPPROTO_TCP, TCP_KEEPINTVL};
    case socket_option::keep_alive_probes:
      return {IPPROTO_TCP, TCP_KEEPCNT};
    case socket_option::no_delay:
      return {IPPROTO_TCP, TCP_NODELAY};
    case socket_option::quick_ack:
      return {IPPROTO_TCP, TCP_QUICKACK};
    case socket_option::user_timeout_ms:
      return {IPPROTO_TCP, TCP_USER_TIMEOUT};
    case socket_option::unsent_low_water:
      return {IPPROTO_TCP, TCP_NOTSENT_LOWAT};
    case socket_option::fast_open_queue:
      return {IPPROTO_TCP, TCP_FASTOPEN};
    case socket_option::fast_open_connect:
      return {IPPROTO_TCP, TCP_FASTOPEN_CONNECT};
    case socket_option::v6_only:
      return {IPPROTO_IPV6, IPV6_V6ONLY};
    case socket_option::ttl_v4:
      return {IPPROTO_IP, IP_TTL};
    case socket_option::ttl_v6:
      return {IPPROTO_IPV6, IPV6_UNICAST_HOPS};
    case socket_option::multicast_ttl_v4:
      return {IPPROTO_IP, IP_MULTICAST_TTL};
    case socket_option::multicast_ttl_v6:
      return {IPPROTO_IPV6, IPV6_MULTICAST_HOPS};
    case socket_option::multicast_loop_v4:
      return {IPPROTO_IP, IP_MULTICAST_LOOP};
    case socket_option::multicast_loop_v6:
      return {IPPROTO_IPV6, IPV6_MULTICAST_LOOP};
    case socket_option::udp_segment:
      return {IPPROTO_UDP, 103};
    case socket_option::udp_gro:
      return {IPPROTO_UDP, 104};
  }
  __builtin_unreachable();
}

result<void> answer(int returned) noexcept {
  if (returned == 0) return {};
  return std::unexpected(last_error());
}

template <class T>
result<void> set_raw(int socket, int level, int name, const T& value) noexcept {
  return answer(::setsockopt(socket, level, name, &value, sizeof value));
}

}  // namespace

result<void> set_option(int socket, socket_option option, int value) noexcept {
  const place at = place_of(option);
  return set_raw(socket, at.level, at.name, value);
}

result<int> get_option(int socket, socket_option option) noexcept {
  const place at = place_of(option);
  int value = 0;
  socklen_t size = sizeof value;
  if (::getsockopt(socket, at.level, at.name, &value, &size) != 0) {
    return std::unexpected(last_error());
  }
  return value;
}

address_family family_of(int socket) noexcept {
  int domain = AF_UNSPEC;
  socklen_t size = sizeof domain;
  if (::getsockopt(socket, SOL_SOCKET, SO_DOMAIN, &domain, &size) != 0) return address_family::none;
  return domain == AF_INET    ? address_family::ipv4
         : domain == AF_INET6 ? address_family::ipv6
                              : address_family::other;
}

result<void> set_linger(int socket, int seconds) noexcept {
  return set_raw(socket, SOL_SOCKET, SO_LINGER, linger{seconds >= 0, seconds >= 0 ? seconds : 0});
}
result<int> get_linger(int socket) noexcept {
  linger how{};
  socklen_t size = sizeof how;
  if (::getsockopt(socket, SOL_SOCKET, SO_LINGER, &how, &size) != 0) {
    return std::unexpected(last_error());
  }
  return how.l_onoff != 0 ? how.l_linger : -1;
}

result<void> set_membership(int socket, const socket_address& group, std::uint32_t interface_index,
                            bool member) noexcept {
  const ip_endpoint e = take_apart(group);
  if (e.family == address_family::ipv4) {
    ip_mreqn request{};
    std::memcpy(&request.imr_multiaddr, e.ip, sizeof request.imr_multiaddr);
    request.imr_ifindex = static_cast<int>(interface_index);
    return set_raw(socket, IPPROTO_IP, member ? IP_ADD_MEMBERSHIP : IP_DROP_MEMBERSHIP, request);
  }
  if (e.family == address_family::ipv6) {
    ipv6_mreq request{};
    std::memcpy(&request.ipv6mr_multiaddr, e.ip, sizeof request.ipv6mr_multiaddr);
    request.ipv6mr_interface = interface_index;
    return set_raw(socket, IPPROTO_IPV6, member ? IPV6_JOIN_GROUP : IPV6_LEAVE_GROUP, request);
  }
  return std::unexpected(std::make_error_code(std::errc::address_family_not_supported));
}

result<void> set_multicast_interface(int socket, address_family family,
                                     std::uint32_t interface_index) noexcept {
  if (family == address_family::ipv6) {
    return set_raw(socket, IPPROTO_IPV6, IPV6_MULTICAST_IF, static_cast<int>(interface_index));
  }
  ip_mreqn request{};
  request.imr_ifindex = static_cast<int>(interface_index);
  return set_raw(socket, IPPROTO_IP, IP_MULTICAST_IF, request);
}

result<fd> open_udp(address_family family) noexcept {
  const int number = ::socket(family == address_family::ipv6 ? AF_INET6 : AF_INET,
                              SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_UDP);
  if (number < 0) return std::unexpected(last_error());
  return fd(number);
}

result<void> connect_datagram(int socket, const socket_address* to) noexcept {
  for (;;) {
    int returned;
    if (to != nullptr) {
      returned = ::connect(socket, reinterpret_cast<const sockaddr*>(to->bytes), to->size);
    } else {
      sockaddr nobody{};
      nobody.sa_family = AF_UNSPEC;
      returned = ::connect(socket, &nobody, sizeof nobody);
    }
    if (returned == 0 || errno != EINTR) return answer(returned);
  }
}

}  // namespace weft::os
