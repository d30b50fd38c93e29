#include "weft/net/resolve.hpp"

#include <algorithm>
#include <charconv>
#include <new>
#include <optional>
#include <system_error>

#include "weft/runtime/blocking.hpp"
#include "weft/runtime/runtime.hpp"

namespace weft::net {
namespace {

constexpr std::size_t name_max = 253;  // bytes, without a dot at the end (RFC 1035)

blocking_class& lookups() noexcept {
  // Never destroyed: a lookup that nobody waits for may outlive main().
  static blocking_class* const the =
      new blocking_class({.name = "name lookup", .at_most = lookups_max});
  return *the;
}

char lower(char c) noexcept { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

bool same_name(std::string_view a, std::string_view b) noexcept {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](char x, char y) { return lower(x) == lower(y); });
}

std::string_view without_dot(std::string_view name) noexcept {
  if (name.size() > 1 && name.ends_with('.')) name.remove_suffix(1);
  return name;
}

bool is_localhost(std::string_view name) noexcept {
  static constexpr std::string_view localhost = "localhost";
  if (name.size() < localhost.size()) return false;
  const std::size_t before = name.size() - localhost.size();
  return same_name(name.substr(before), localhost) && (before == 0 || name[before - 1] == '.');
}

bool may_be_name(std::string_view name) noexcept {
  return !name.empty() && name.size() <= name_max &&
         std::none_of(name.begin(), name.end(),
                      [](char c) { return static_cast<unsigned char>(c) <= ' ' || c == '\x7f'; });
}

/// What needs nobody to be asked.
std::optional<std::vector<address>> known_here(std::string_view host) {
  std::string_view literal = host;
  const bool bracketed = host.size() >= 2 && host.front() == '[' && host.back() == ']';
  if (bracketed) literal = host.substr(1, host.size() - 2);
  if (const auto a = address::parse(literal); a && (!bracketed || a->is_v6())) {
    return std::vector<address>{*a};
  }
  if (is_localhost(without_dot(host))) {
    return std::vector<address>{address::loopback_v6(), address::loopback_v4()};
  }
  return std::nullopt;
}

std::optional<std::uint16_t> number_of(std::string_view service) noexcept {
  std::uint16_t port = 0;
  const char* const end = service.data() + service.size();
  const auto read = std::from_chars(service.data(), end, port);
  if (service.empty() || read.ec != std::errc() || read.ptr != end) return std::nullopt;
  return port;
}

/// What the system would read as a number and cut to a port: "65616" is none, and neither is "+80".
bool is_no_port(std::string_view service) noexcept {
  const char c = service.front();
  if (static_cast<unsigned char>(c) <= ' ' || c == '+' || c == '-' || c == '\x7f') return true;
  return std::all_of(service.begin(), service.end(), [](char d) { return d >= '0' && d <= '9'; });
}

// The jobs that wait for the pool: a lookup that has begun cannot be stopped, but who waits for it can.

// That there is no thread for them, or no memory, is told as it comes; who awaits them makes a value of it.

task<result<std::vector<os::socket_address>>> look_up_host(std::string host) {
  auto call = spawn_blocking(lookups(), &os::blocking_host_addresses, std::move(host));
  auto found = co_await call;
  co_return std::move(found);
}
task<result<std::uint16_t>> look_up_service(std::string service) {
  auto call = spawn_blocking(lookups(), &os::blocking_service_port, std::move(service));
  const auto found = co_await call;
  co_return found;
}

std::unexpected<std::error_code> no_memory() noexcept {
  return std::unexpected(std::make_error_code(std::errc::not_enough_memory));
}

class system_names final : public resolver {
 public:
  task<result<std::vector<address>>> addresses(std::string_view host) override {
    try {
      auto asking = weft::spawn(look_up_host, std::string(host));
      auto found = co_await asking;
      if (!found) co_return std::unexpected(found.error());
      std::vector<address> usable;
      for (const os::socket_address& raw : *found) {
        if (const auto e = from_system(raw)) usable.push_back(e->address);
      }
      if (usable.empty()) {
        co_return std::unexpected(make_error_code(lookup_errc::no_address));
      }
      co_return std::move(usable);
    } catch (const std::system_error& e) {
      co_return std::unexpected(e.code());
    } catch (const std::bad_alloc&) {
      co_return no_memory();
    }
  }
};

std::unexpected<std::error_code> no_name() noexcept {
  return std::unexpected(std::make_error_code(std::errc::invalid_argument));
}

}  // namespace

resolver& system_resolver() noexcept {
  static system_names* const the = new system_names;  // never destroyed: as lookups()
  return *the;
}

table_resolver& table_resolver::add(std::string_view host, net::address address) {
  table_.emplace_back(without_dot(host), address);
  return *this;
}

task<result<std::vector<address>>> table_resolver::addresses(std::string_view host) {
  asked_.fetch_add(1, order::relaxed);
  std::vector<address> found;
  for (const auto& [name, address] : table_) {
    if (same_name(name, without_dot(host))) found.push_back(address);
  }
  if (found.empty()) co_return std::unexpected(make_error_code(lookup_errc::host_not_found));
  co_return std::move(found);
}

task<result<std::vector<endpoint>>> resolve(std::string_view host, std::uint16_t port,
                                            resolver& names) {
  if (!may_be_name(without_dot(host))) co_return no_name();
  result<std::vector<address>> found;
  if (auto here = known_here(host)) {
    found = std::move(*here);
  } else {
    auto asking = names.addresses(host);
    auto told = co_await std::move(asking);
    found = std::move(told);
  }
  if (!found) co_return std::unexpected(found.error());
  std::vector<endpoint> all;
  all.reserve(found->size());
  for (const address& a : *found) all.push_back(endpoint{a, port});
  co_return std::move(all);
}

task<result<std::vector<endpoint>>> resolve(std::string_view host, std::string_view service,
                                            resolver& names) {
  if (service.empty() || service.find('\0') != std::string_view::npos) co_return no_name();
  std::optional<std::uint16_t> port = number_of(service);
  if (!port) {
    if (is_no_port(service)) {
      co_return std::unexpected(make_error_code(lookup_errc::service_not_found));
    }
    try {
      auto asking = weft::spawn(look_up_service, std::string(service));
      const auto told = co_await asking;
      if (!told) co_return std::unexpected(told.error());
      port = *told;
    } catch (const std::system_error& e) {
      co_return std::unexpected(e.code());
    } catch (const std::bad_alloc&) {
      co_return no_memory();
    }
  }
  auto all = co_await resolve(host, *port, names);
  co_return std::move(all);
}

}  // namespace weft::net
