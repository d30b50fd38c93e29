#include "weft/net/udp.hpp"

#include <algorithm>

#include "weft/os/socket_options.hpp"

namespace weft::net {
namespace {

using os::socket_option;

// Of one call: the kernel's limit, and what a packet can hold with its headers.
constexpr std::size_t segments_max = 64;
constexpr std::size_t segmented_bytes_max = 65000;

result<bool> as_bool(const result<int>& n) noexcept {
  if (!n) return std::unexpected(n.error());
  return *n != 0;
}

/// Asked of the kernel once: of a socket that is there, as a new one may be refused for reasons that pass.
bool kernel_segments(int fd) noexcept {
  static const bool it_does = os::set_option(fd, socket_option::udp_segment, 1200).has_value() &&
                              os::set_option(fd, socket_option::udp_segment, 0).has_value();
  return it_does;
}

/// Errors by which a way out refuses the cutting, but would take the datagrams.
bool is_refusal(std::error_code error) noexcept {
  return error == std::errc::io_error || error == std::errc::invalid_argument ||
         error == std::errc::message_size || error == std::errc::operation_not_supported ||
         error == std::errc::no_protocol_option;
}

}  // namespace

result<udp_socket> udp_socket::bind(endpoint where, udp_options options) noexcept {
  auto socket =
      os::open_udp(where.address.is_v6() ? os::address_family::ipv6 : os::address_family::ipv4);
  if (!socket) return std::unexpected(socket.error());
  const int fd = socket->get();
  const struct {
    bool wanted;
    socket_option option;
    int value;
  } before[] = {
      {options.reuse_address, socket_option::reuse_address, 1},
      {options.reuse_port, socket_option::reuse_port, 1},
      // An IPv4 socket has no such option; and the system's rule may be another one than 0.
      {where.address.is_v6(), socket_option::v6_only, options.v6_only ? 1 : 0},
      {options.broadcast, socket_option::broadcast, 1},
  };
  for (const auto& b : before) {
    if (!b.wanted) continue;
    if (const auto set = os::set_option(fd, b.option, b.value); !set) {
      return std::unexpected(set.error());
    }
  }
  // Where the kernel has none of it, datagrams come one by one: the same to who looks at segment_size.
  if (options.receive_merged) static_cast<void>(os::set_option(fd, socket_option::udp_gro, 1));
  if (const auto bound = os::bind(fd, to_system(where)); !bound) {
    return std::unexpected(bound.error());
  }
  const bool segment = options.segment && kernel_segments(fd);
  auto attached = io::request::current_driver().attach(std::move(*socket));
  if (!attached) return std::unexpected(attached.error());
  return udp_socket(std::move(*attached), segment);
}

result<void> udp_socket::connect(endpoint to) noexcept {
  const os::socket_address raw = to_system(to);
  return os::connect_datagram(native(), &raw);
}
result<void> udp_socket::disconnect() noexcept {
  const auto before = local_endpoint();
  if (!before) return std::unexpected(before.error());
  if (auto done = os::connect_datagram(native(), nullptr); !done) return done;
  const auto after = local_endpoint();
  // Linux gives a port back that it had chosen itself.
  if (!after || after->port != 0) return {};
  endpoint bound = *before;
  // connect() had chosen the address: bound to that one, it would hear less than before.
  if (after->address == address::any_v4() || after->address == address::any_v6()) {
    bound.address = after->address;
  }
  return os::bind(native(), to_system(bound));
}
result<endpoint> udp_socket::peer_endpoint() const noexcept {
  const auto address = os::peer_address(native());
  if (!address) return std::unexpected(address.error());
  return from_system(*address);
}

task<result<void>> udp_socket::send_segments(std::span<const std::byte> bytes,
                                             std::uint16_t segment) {
  return send_cut(bytes, segment, os::socket_address{});
}
task<result<void>> udp_socket::send_segments_to(std::span<const std::byte> bytes,
                                                std::uint16_t segment, endpoint to) {
  return send_cut(bytes, segment, to_system(to));
}

task<result<void>> udp_socket::send_cut(std::span<const std::byte> bytes, std::uint16_t segment,
                                        os::socket_address to) {
  if (segment == 0) co_return std::unexpected(std::make_error_code(std::errc::invalid_argument));
  while (!bytes.empty()) {
    const std::size_t together = std::min(segments_max, segmented_bytes_max / segment) * segment;
    if (segment_ && bytes.size() > segment && together > segment) {
      const auto piece = bytes.first(std::min(bytes.size(), together));
      send_message_operation sending(handle_, piece, to, segment);
      const auto sent = co_await sending;
      if (sent) {
        bytes = bytes.subspan(piece.size());
        continue;
      }
      if (!is_refusal(sent.error())) co_return std::unexpected(sent.error());
      segment_ = false;  // from here on one by one, and if that fails, too, it says why
    }
    const auto one = bytes.first(std::min<std::size_t>(bytes.size(), segment));
    result<std::size_t> sent;
    if (to.size != 0) {
      send_message_operation sending(handle_, one, to);
      sent = co_await sending;
    } else {
      send_message_operation sending(handle_, one);
      sent = co_await sending;
    }
    if (!sent) co_return std::unexpected(sent.error());
    bytes = bytes.subspan(one.size());
  }
  co_return result<void>();
}

bool udp_socket::is_v6() const noexcept {
  return os::family_of(native()) == os::address_family::ipv6;
}
result<void> udp_socket::set_broadcast(bool on) noexcept {
  return os::set_option(native(), socket_option::broadcast, on);
}
result<bool> udp_socket::broadcast() const noexcept {
  return as_bool(os::get_option(native(), socket_option::broadcast));
}
/// Whether it can hear of such a group at all. The kernel takes an IPv4 group for a socket that is for IPv6
/// only, which then hears nothing.
result<void> udp_socket::check_family(const address& group) const noexcept {
  const os::address_family family = os::family_of(native());
  const bool fits = family == os::address_family::none || group.is_v6() == is_v6() ||
                    (family == os::address_family::ipv6 && !v6_only().value_or(false));
  if (fits) return {};  // a closed one: the call says so
  return std::unexpected(std::make_error_code(std::errc::address_family_not_supported));
}
result<void> udp_socket::join(const address& group, std::uint32_t interface_index) noexcept {
  if (auto fits = check_family(group); !fits) return fits;
  return os::set_membership(native(), to_system(endpoint{group, 0}), interface_index, true);
}
result<void> udp_socket::leave(const address& group, std::uint32_t interface_index) noexcept {
  if (auto fits = check_family(group); !fits) return fits;
  return os::set_membership(native(), to_system(endpoint{group, 0}), interface_index, false);
}
result<void> udp_socket::set_multicast_ttl(int hops) noexcept {
  return set_both(socket_option::multicast_ttl_v6, socket_option::multicast_ttl_v4, hops);
}
result<int> udp_socket::multicast_ttl() const noexcept {
  return os::get_option(
      native(), is_v6() ? socket_option::multicast_ttl_v6 : socket_option::multicast_ttl_v4);
}
result<void> udp_socket::set_multicast_loop(bool on) noexcept {
  return set_both(socket_option::multicast_loop_v6, socket_option::multicast_loop_v4, on);
}
result<bool> udp_socket::multicast_loop() const noexcept {
  return as_bool(os::get_option(
      native(), is_v6() ? socket_option::multicast_loop_v6 : socket_option::multicast_loop_v4));
}
result<void> udp_socket::set_multicast_interface(std::uint32_t interface_index) noexcept {
  const os::address_family family = os::family_of(native());
  if (auto set = os::set_multicast_interface(native(), family, interface_index); !set) return set;
  if (family == os::address_family::ipv6) {  // as set_both(): for what it sends to IPv4
    static_cast<void>(
        os::set_multicast_interface(native(), os::address_family::ipv4, interface_index));
  }
  return {};
}

}  // namespace weft::net
