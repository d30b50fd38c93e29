#include "weft/net/tcp.hpp"

#include <algorithm>
#include <climits>

#include "weft/net/happy_eyeballs.hpp"
#include "weft/net/resolve.hpp"
#include "weft/os/socket_options.hpp"

namespace weft::net {
namespace {

using os::socket_option;

result<int> number(const tcp_stream& of, socket_option option) noexcept {
  return os::get_option(of.native(), option);
}
result<bool> flag(const tcp_stream& of, socket_option option) noexcept {
  const auto n = number(of, option);
  if (!n) return std::unexpected(n.error());
  return *n != 0;
}
template <class Duration>
int ticks(Duration d) noexcept {
  return static_cast<int>(std::clamp<typename Duration::rep>(d.count(), 0, INT_MAX));
}

task<result<tcp_stream>> connect_once(endpoint to, bool fast_open) {
  auto socket =
      os::open_tcp(to.address.is_v6() ? os::address_family::ipv6 : os::address_family::ipv4);
  if (!socket) co_return std::unexpected(socket.error());
  const auto set = os::set_nodelay(socket->get(), true);
  if (!set) co_return std::unexpected(set.error());
  if (fast_open) {  // a hint: without it the connection is made as ever
    static_cast<void>(os::set_option(socket->get(), socket_option::fast_open_connect, 1));
  }
  auto attached = io::request::current_driver().attach(std::move(*socket));
  if (!attached) co_return std::unexpected(attached.error());
  connect_operation connecting(*attached, to);
  const auto connected = co_await connecting;
  if (!connected) co_return std::unexpected(connected.error());
  co_return tcp_stream(std::move(*attached));
}

task<result<tcp_stream>> connect_and_report(endpoint to, bool fast_open, connect_report& report) {
  report = {};
  report.begun = 1;
  auto connected = co_await connect_once(to, fast_open);
  if (!connected) report.failures.push_back({to, connected.error()});
  co_return std::move(connected);
}

/// One attempt of several.
class connector {
 public:
  explicit connector(bool fast_open) noexcept : fast_open_(fast_open) {}
  task<result<tcp_stream>> operator()(endpoint to) const { return connect_once(to, fast_open_); }

 private:
  bool fast_open_;
};

}  // namespace

task<result<tcp_stream>> tcp_stream::connect(endpoint to) { return connect_once(to, false); }

task<result<tcp_stream>> tcp_stream::connect(endpoint to, connect_options options) {
  if (options.report == nullptr) return connect_once(to, options.fast_open);
  return connect_and_report(to, options.fast_open, *options.report);
}

task<result<tcp_stream>> tcp_stream::connect(std::string_view host, std::uint16_t port,
                                             connect_options options) {
  if (options.report != nullptr) *options.report = {};  // also where the lookup fails
  resolver& names = options.names != nullptr ? *options.names : system_resolver();
  auto found = co_await resolve(host, port, names);
  if (!found) co_return std::unexpected(found.error());
  // With fast open an attempt may succeed before anything was sent: the first one would always win.
  const connector one(options.fast_open && found->size() == 1);
  auto connected = co_await connect_to_first<tcp_stream>(std::move(*found), options.attempt_delay,
                                                         one, options.report);
  co_return std::move(connected);
}

result<endpoint> tcp_stream::peer_endpoint() const noexcept {
  const auto address = os::peer_address(native());
  if (!address) return std::unexpected(address.error());
  return from_system(*address);
}

result<void> tcp_stream::set_no_delay(bool on) noexcept { return os::set_nodelay(native(), on); }
result<bool> tcp_stream::no_delay() const noexcept { return flag(*this, socket_option::no_delay); }

result<void> tcp_stream::set_keep_alive(bool on) noexcept {
  if (on) return set_keep_alive(keep_alive_options{});
  return os::set_option(native(), socket_option::keep_alive, 0);
}
result<void> tcp_stream::set_keep_alive(const keep_alive_options& options) noexcept {
  os::keepalive_options wanted;
  wanted.idle_s = ticks(options.idle);
  wanted.interval_s = ticks(options.interval);
  wanted.probes = options.probes;
  return os::set_keepalive(native(), wanted);
}
result<std::optional<keep_alive_options>> tcp_stream::keep_alive() const noexcept {
  const auto on = flag(*this, socket_option::keep_alive);
  if (!on) return std::unexpected(on.error());
  if (!*on) return std::optional<keep_alive_options>();
  const auto idle = number(*this, socket_option::keep_alive_idle_s);
  if (!idle) return std::unexpected(idle.error());
  const auto interval = number(*this, socket_option::keep_alive_interval_s);
  if (!interval) return std::unexpected(interval.error());
  const auto probes = number(*this, socket_option::keep_alive_probes);
  if (!probes) return std::unexpected(probes.error());
  keep_alive_options is;
  is.idle = std::chrono::seconds(*idle);
  is.interval = std::chrono::seconds(*interval);
  is.probes = *probes;
  return std::optional<keep_alive_options>(is);
}

result<void> tcp_stream::set_user_timeout(std::chrono::milliseconds limit) noexcept {
  return os::set_option(native(), socket_option::user_timeout_ms, ticks(limit));
}
result<std::chrono::milliseconds> tcp_stream::user_timeout() const noexcept {
  const auto n = number(*this, socket_option::user_timeout_ms);
  if (!n) return std::unexpected(n.error());
  return std::chrono::milliseconds(*n);
}
result<void> tcp_stream::set_unsent_low_water(std::size_t bytes) noexcept {
  if (bytes > INT_MAX) return std::unexpected(std::make_error_code(std::errc::invalid_argument));
  return os::set_option(native(), socket_option::unsent_low_water, static_cast<int>(bytes));
}
result<std::size_t> tcp_stream::unsent_low_water() const noexcept {
  const auto bytes = os::get_option(native(), socket_option::unsent_low_water);
  if (!bytes) return std::unexpected(bytes.error());
  return static_cast<std::size_t>(*bytes);
}
result<void> tcp_stream::set_quick_ack(bool on) noexcept {
  return os::set_option(native(), socket_option::quick_ack, on);
}
result<bool> tcp_stream::quick_ack() const noexcept {
  return flag(*this, socket_option::quick_ack);
}

result<tcp_listener> tcp_listener::bind(endpoint where, listen_options options) noexcept {
  auto socket =
      os::open_tcp(where.address.is_v6() ? os::address_family::ipv6 : os::address_family::ipv4);
  if (!socket) return std::unexpected(socket.error());
  const int fd = socket->get();
  const struct {
    bool wanted;
    socket_option option;
    int value;
  } before[] = {
      {true, socket_option::reuse_address, 1},  // also where old connections are still closing
      {options.reuse_port, socket_option::reuse_port, 1},
      // An IPv4 socket has no such option; and the system's rule may be another one than 0.
      {where.address.is_v6(), socket_option::v6_only, options.v6_only ? 1 : 0},
      // Set here the rest is inherited by every accepted socket, at no cost for each.
      {true, socket_option::no_delay, 1},
      {options.send_buffer != 0, socket_option::send_buffer,
       static_cast<int>(std::min<std::size_t>(options.send_buffer, INT_MAX))},
      {options.receive_buffer != 0, socket_option::receive_buffer,
       static_cast<int>(std::min<std::size_t>(options.receive_buffer, INT_MAX))},
  };
  for (const auto& b : before) {
    if (!b.wanted) continue;
    if (const auto set = os::set_option(fd, b.option, b.value); !set) {
      return std::unexpected(set.error());
    }
  }
  if (const auto bound = os::bind(fd, to_system(where)); !bound) {
    return std::unexpected(bound.error());
  }
  if (options.fast_open > 0) {  // a hint, which systems may have switched off
    static_cast<void>(os::set_option(fd, socket_option::fast_open_queue, options.fast_open));
  }
  if (const auto done = os::listen(fd, options.backlog); !done) {
    return std::unexpected(done.error());
  }
  auto attached = io::request::current_driver().attach(std::move(*socket));
  if (!attached) return std::unexpected(attached.error());
  return tcp_listener(std::move(*attached));
}

}  // namespace weft::net
