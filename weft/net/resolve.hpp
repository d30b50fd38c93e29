// resolve: the endpoints of a host and a service, by name.
//
//   auto found = co_await net::resolve("example.org", "https");
//   auto mine = co_await net::resolve("db.test", 5432, table);    // a resolver of one's own
//
//   Literal addresses ("192.0.2.1", "::1", "[::1]") and localhost with all that ends in .localhost
//   (RFC 6761: the loopback addresses) are answered here; no resolver hears of them
//   Errors  lookup_errc::host_not_found and its like; invalid_argument: what is no name at all
//           (empty, longer than 253 bytes, with a zero byte or a blank); service_not_found, too, for a
//           number that is no port. resource_unavailable_try_again, not_enough_memory: there is no
//           thread, or no memory, to ask with
//   Cancel  lossless, and at once. The default resolver's thread goes on with a call that it cannot
//           leave; what it says is dropped, and the runtime waits for it when it goes
//   Limits  the default resolver asks for at most lookups_max names at a time in one process
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "weft/base/atomic.hpp"
#include "weft/net/address.hpp"
#include "weft/os/socket_lookup.hpp"
#include "weft/task/task.hpp"

namespace weft::net {

using os::lookup_errc;

inline constexpr unsigned lookups_max = 16;

/// Who knows the addresses of names. Threads: any, several at a time.
class resolver {
 public:
  virtual ~resolver() = default;
  /// In the order in which they are to be tried. `host` outlives the await.
  virtual task<result<std::vector<address>>> addresses(std::string_view host) = 0;
};

/// By the system's rules (getaddrinfo), on the blocking pool.
resolver& system_resolver() noexcept;

/// A table in the program: for tests, and for what is known from elsewhere. Names are compared
/// without case. add() before it is used.
class table_resolver final : public resolver {
 public:
  table_resolver& add(std::string_view host, net::address address);
  task<result<std::vector<address>>> addresses(std::string_view host) override;
  /// How often it was asked.
  unsigned asked() const noexcept { return asked_.load(order::relaxed); }

 private:
  std::vector<std::pair<std::string, net::address>> table_;
  atomic<unsigned> asked_{0};
};

/// `service`: a port in digits, or a name that the system knows ("https"). The views outlive the await.
task<result<std::vector<endpoint>>> resolve(std::string_view host, std::string_view service,
                                            resolver& names = system_resolver());
task<result<std::vector<endpoint>>> resolve(std::string_view host, std::uint16_t port,
                                            resolver& names = system_resolver());

}  // namespace weft::net
