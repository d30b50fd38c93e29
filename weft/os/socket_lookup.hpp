// socket_lookup: names of hosts and services by the system's rules (its hosts file, its resolver).
//
//   Errors   values, of lookup_errc where the resolver speaks, else the system's
//   Threads  any; they block theirs, for as long as the network takes
#pragma once

#include <cstdint>
#include <string>
#include <system_error>
#include <vector>

#include "weft/base/result.hpp"
#include "weft/os/socket.hpp"

namespace weft::os {

enum class lookup_errc {
  host_not_found = 1,  // there is no such name
  no_address,          // there is, but without an address
  try_again,           // nobody who knows could be asked now
  failed,              // it cannot be found out
  service_not_found,
};
const std::error_category& lookup_category() noexcept;
std::error_code make_error_code(lookup_errc code) noexcept;

/// The addresses of a name, the one to be tried first in front (RFC 6724), each once. Port 0.
[[nodiscard]] result<std::vector<socket_address>> blocking_host_addresses(const std::string& host);
/// The port of a service of TCP, or UDP, by its name.
[[nodiscard]] result<std::uint16_t> blocking_service_port(const std::string& service);

}  // namespace weft::os

template <>
struct std::is_error_code_enum<weft::os::lookup_errc> : std::true_type {};
