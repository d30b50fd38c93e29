// peer: what the clients of the soaks share. Plain sockets, nothing of weft: they are the other side.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>

namespace soak {

inline constexpr std::int64_t second_ns = 1'000'000'000;

inline std::int64_t now_ns() noexcept {
  timespec t{};
  ::clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * second_ns + t.tv_nsec;
}

/// 127.0.0.0 + `last`: each address has ephemeral ports of its own.
inline sockaddr_in loopback(std::uint32_t last, int port) noexcept {
  sockaddr_in a{};
  a.sin_family = AF_INET;
  a.sin_port = htons(static_cast<std::uint16_t>(port));
  a.sin_addr.s_addr = htonl(0x7f000000u + last);
  return a;
}

/// A socket that connects from 127.0.0.0 + `source`; -1: errno says why. `type_flags`: SOCK_NONBLOCK or 0; with it
/// the connection may be still under way.
int connect_to(int port, std::uint32_t source, int type_flags) noexcept;

[[noreturn]] inline void failed(const char* what) {
  std::perror(what);
  std::exit(1);
}

}  // namespace soak
