// socket_unix: sockets of this machine: their names, pairs, and who is at the other end.
//
//   Names   a path in the file system, of at most unix_path_max bytes; or, beginning with a zero
//           byte, a name that is in no file system (abstract; Linux only)
//   Errors  values; a path that is too long is filename_too_long, and never cut
#pragma once

#include <cstdint>
#include <string_view>

#include "weft/base/result.hpp"
#include "weft/os/fd.hpp"
#include "weft/os/socket.hpp"

namespace weft::os {

enum class unix_kind : std::uint8_t { stream, seqpacket, datagram };

inline constexpr std::size_t unix_path_max = 107;

/// Errors: filename_too_long; invalid_argument, for an empty one or one with a zero byte inside.
result<socket_address> make_unix(std::string_view name) noexcept;
/// Empty: it has none. Refers to `address`.
std::string_view unix_name(const socket_address& address) noexcept;

[[nodiscard]] result<fd> open_unix(unix_kind kind) noexcept;
[[nodiscard]] result<socket_pair> open_unix_pair(unix_kind kind) noexcept;

/// Connects without waiting: with a unix socket it is done, or has failed. Errors:
/// operation_would_block, if the listener's queue is full.
[[nodiscard]] result<void> connect_unix(int socket, const socket_address& to) noexcept;

struct unix_peer {
  std::int32_t process = 0;  // when it connected, or listened
  std::uint32_t user = 0;
  std::uint32_t group = 0;
};
[[nodiscard]] result<unix_peer> peer_credentials(int socket) noexcept;

/// Which file a path is; `there` is false where there is none.
struct file_identity {
  bool there = false;
  bool is_socket = false;
  std::uint64_t device = 0;
  std::uint64_t number = 0;
};
file_identity identity_of(const char* path) noexcept;
/// Removes a name from the file system.
std::error_code remove_name(const char* path) noexcept;

}  // namespace weft::os
