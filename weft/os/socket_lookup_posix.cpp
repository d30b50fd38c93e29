#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>
#include <memory>

#include "weft/os/error.hpp"
#include "weft/os/socket_lookup.hpp"

namespace weft::os {
namespace {

class category final : public std::error_category {
 public:
  const char* name() const noexcept override { return "lookup"; }
  std::string message(int code) const override {
    switch (static_cast<lookup_errc>(code)) {
      case lookup_errc::host_not_found:
        return "host not found";
      case lookup_errc::no_address:
        return "the host has no address";
      case lookup_errc::try_again:
        return "name servers cannot be reached now";
      case lookup_errc::failed:
        return "the name cannot be resolved";
      case lookup_errc::service_not_found:
        return "service not found";
    }
    return "unknown";
  }
};

std::error_code error_of(int answer) noexcept {
  switch (answer) {
    case EAI_SYSTEM:
      return last_error();
    case EAI_MEMORY:
      return std::make_error_code(std::errc::not_enough_memory);
    case EAI_AGAIN:
      return lookup_errc::try_again;
    case EAI_NONAME:
      return lookup_errc::host_not_found;
    case EAI_SERVICE:
      return lookup_errc::service_not_found;
#ifdef EAI_NODATA
    case EAI_NODATA:
      return lookup_errc::no_address;
#endif
    default:
      return lookup_errc::failed;
  }
}

struct list_end {
  void operator()(addrinfo* first) const noexcept { ::freeaddrinfo(first); }
};

}  // namespace

const std::error_category& lookup_category() noexcept {
  static const category the;
  return the;
}
std::error_code make_error_code(lookup_errc code) noexcept {
  return {static_cast<int>(code), lookup_category()};
}

result<std::vector<socket_address>> blocking_host_addresses(const std::string& host) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;  // else each address comes once for each type
  hints.ai_flags = AI_ADDRCONFIG;   // no IPv6 where this machine has none
  addrinfo* list = nullptr;
  const int answer = ::getaddrinfo(host.c_str(), nullptr, &hints, &list);
  if (answer != 0) return std::unexpected(error_of(answer));
  const std::unique_ptr<addrinfo, list_end> owned(list);
  std::vector<socket_address> found;
  for (const addrinfo* a = list; a != nullptr; a = a->ai_next) {
    socket_address one{};
    if (a->ai_addrlen > sizeof one.bytes) continue;
    std::memcpy(one.bytes, a->ai_addr, a->ai_addrlen);
    one.size = a->ai_addrlen;
    const bool known = std::any_of(found.begin(), found.end(), [&](const socket_address& other) {
      return other.size == one.size && std::memcmp(other.bytes, one.bytes, one.size) == 0;
    });
    if (!known) found.push_back(one);
  }
  if (found.empty()) return std::unexpected(std::error_code(lookup_errc::no_address));
  return found;
}

result<std::uint16_t> blocking_service_port(const std::string& service) {
  addrinfo hints{};
  hints.ai_flags = AI_PASSIVE;
  hints.ai_family = AF_INET;
  addrinfo* list = nullptr;
  const int answer = ::getaddrinfo(nullptr, service.c_str(), &hints, &list);
  if (answer == EAI_NONAME) return std::unexpected(std::error_code(lookup_errc::service_not_found));
  if (answer != 0) return std::unexpected(error_of(answer));
  const std::unique_ptr<addrinfo, list_end> owned(list);
  sockaddr_in in{};
  if (list->ai_addrlen < sizeof in) {
    return std::unexpected(std::error_code(lookup_errc::service_not_found));
  }
  std::memcpy(&in, list->ai_addr, sizeof in);
  return ntohs(in.sin_port);
}

}  // namespace weft::os
