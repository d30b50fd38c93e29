#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstring>

#include "weft/os/error.hpp"
#include "weft/os/socket_unix.hpp"

namespace weft::os {
namespace {

static_assert(sizeof(sockaddr_un::sun_path) == unix_path_max + 1);

int type_of(unix_kind kind) noexcept {
  const int type = kind == unix_kind::stream      ? SOCK_STREAM
                   : kind == unix_kind::seqpacket ? SOCK_SEQPACKET
                                                  : SOCK_DGRAM;
  return type | SOCK_NONBLOCK | SOCK_CLOEXEC;
}

}  // namespace

result<socket_address> make_unix(std::string_view name) noexcept {
  const bool abstract = !name.empty() && name.front() == '\0';
  if (name.empty() || (!abstract && name.find('\0') != std::string_view::npos)) {
    return std::unexpected(std::make_error_code(std::errc::invalid_argument));
  }
  if (name.size() > unix_path_max) {
    return std::unexpected(std::make_error_code(std::errc::filename_too_long));
  }
  socket_address made{};
  sockaddr_un un{};
  un.sun_family = AF_UNIX;
  std::memcpy(un.sun_path, name.data(), name.size());
  std::memcpy(made.bytes, &un, sizeof un);
  // An abstract name is all bytes of the size; a path ends with its zero.
  made.size = static_cast<std::uint32_t>(offsetof(sockaddr_un, sun_path) + name.size() +
                                         (abstract ? 0 : 1));
  return made;
}

std::string_view unix_name(const socket_address& address) noexcept {
  constexpr std::size_t before = offsetof(sockaddr_un, sun_path);
  sa_family_t family = AF_UNSPEC;
  if (address.size <= before) return {};
  std::memcpy(&family, address.bytes, sizeof family);
  if (family != AF_UNIX) return {};
  const std::string_view raw(reinterpret_cast<const char*>(address.bytes) + before,
                             address.size - before);
  return raw.front() == '\0' ? raw : raw.substr(0, raw.find('\0'));
}

result<fd> open_unix(unix_kind kind) noexcept {
  const int number = ::socket(AF_UNIX, type_of(kind), 0);
  if (number < 0) return std::unexpected(last_error());
  return fd(number);
}

result<socket_pair> open_unix_pair(unix_kind kind) noexcept {
  int both[2];
  if (::socketpair(AF_UNIX, type_of(kind), 0, both) != 0) return std::unexpected(last_error());
  return socket_pair{fd(both[0]), fd(both[1])};
}

result<void> connect_unix(int socket, const socket_address& to) noexcept {
  for (;;) {
    if (::connect(socket, reinterpret_cast<const sockaddr*>(to.bytes), to.size) == 0) return {};
    if (errno != EINTR) return std::unexpected(last_error());
  }
}

result<unix_peer> peer_credentials(int socket) noexcept {
  ucred who{};
  socklen_t size = sizeof who;
  if (::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &who, &size) != 0) {
    return std::unexpected(last_error());
  }
  return unix_peer{who.pid, who.uid, who.gid};
}

file_identity identity_of(const char* path) noexcept {
  struct stat found{};
  if (::lstat(path, &found) != 0) return {};
  return {true, S_ISSOCK(found.st_mode), static_cast<std::uint64_t>(found.st_dev),
          static_cast<std::uint64_t>(found.st_ino)};
}

std::error_code remove_name(const char* path) noexcept {
  return ::unlink(path) == 0 ? std::error_code() : last_error();
}

}  // namespace weft::os
