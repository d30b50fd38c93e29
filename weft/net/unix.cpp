#include "weft/net/unix.hpp"

#include <algorithm>
#include <chrono>

#include "weft/os/socket_options.hpp"
#include "weft/runtime/time.hpp"

namespace weft::net {
namespace {

// Between two looks at whether a listener's queue has room: the kernel tells nobody.
constexpr std::chrono::milliseconds queue_pause_min{1};
constexpr std::chrono::milliseconds queue_pause_max{64};

result<std::string> name_of(const result<os::socket_address>& address) {
  if (!address) return std::unexpected(address.error());
  return std::string(os::unix_name(*address));
}

/// Nobody listens at the socket file any more, or has it open to receive.
bool is_stale(os::unix_kind kind, const std::string& path,
              const os::socket_address& address) noexcept {
  if (!os::identity_of(path.c_str()).is_socket) return false;
  const auto probe = os::open_unix(kind);
  if (!probe) return false;
  const auto connected = os::connect_unix(probe->get(), address);
  return !connected && connected.error() == std::errc::connection_refused;
}

template <class S>
result<std::pair<S, S>> pair_of(os::unix_kind kind, S (*make)(io::io_handle)) noexcept {
  auto both = internal::unix_pair(kind);
  if (!both) return std::unexpected(both.error());
  return std::pair<S, S>(make(std::move(both->first)), make(std::move(both->second)));
}

}  // namespace

std::string abstract_name(std::string_view name) {
  std::string made(1, '\0');
  made += name;
  return made;
}

result<std::string> unix_socket::local_name() const { return name_of(os::local_address(native())); }
result<std::string> unix_socket::peer_name() const { return name_of(os::peer_address(native())); }
result<net::peer_credentials> unix_socket::peer_credentials() const noexcept {
  const auto who = os::peer_credentials(native());
  if (!who) return std::unexpected(who.error());
  return net::peer_credentials{who->process, who->user, who->group};
}

namespace internal {

task<result<io::io_handle>> connect_unix(os::unix_kind kind, std::string_view name) {
  const auto to = os::make_unix(name);
  if (!to) co_return std::unexpected(to.error());
  for (auto pause = queue_pause_min;; pause = std::min(pause * 2, queue_pause_max)) {
    auto socket = os::open_unix(kind);
    if (!socket) co_return std::unexpected(socket.error());
    auto attached = io::request::current_driver().attach(std::move(*socket));
    if (!attached) co_return std::unexpected(attached.error());
    connect_operation connecting(*attached, *to);
    const auto connected = co_await connecting;
    if (connected) co_return std::move(*attached);
    if (connected.error() != std::errc::operation_would_block) {
      co_return std::unexpected(connected.error());
    }
    co_await sleep_for(pause);
  }
}

result<std::pair<io::io_handle, io::io_handle>> unix_pair(os::unix_kind kind) noexcept {
  auto both = os::open_unix_pair(kind);
  if (!both) return std::unexpected(both.error());
  auto first = io::request::current_driver().attach(std::move(both->first));
  if (!first) return std::unexpected(first.error());
  auto second = io::request::current_driver().attach(std::move(both->second));
  if (!second) return std::unexpected(second.error());
  return std::pair(std::move(*first), std::move(*second));
}

bound_path::bound_path(std::string path)
    : path_(std::move(path)), made_(os::identity_of(path_.c_str())) {}

void bound_path::remove() noexcept {
  if (path_.empty()) return;
  const os::file_identity now = os::identity_of(path_.c_str());
  // Another one may have been put in its place.
  if (now.there && made_.there && now.device == made_.device && now.number == made_.number) {
    static_cast<void>(os::remove_name(path_.c_str()));
  }
  path_.clear();
}

result<bound_unix> bind_unix(os::unix_kind kind, std::string_view name, bool replace_stale,
                             bool remove_file, int backlog) {
  const auto address = os::make_unix(name);
  if (!address) return std::unexpected(address.error());
  const bool is_path = name.front() != '\0';
  std::string path(is_path ? name : std::string_view());
  auto socket = os::open_unix(kind);
  if (!socket) return std::unexpected(socket.error());
  auto bound = os::bind(socket->get(), *address);
  if (!bound && is_path && replace_stale && bound.error() == std::errc::address_in_use &&
      is_stale(kind, path, *address)) {
    static_cast<void>(os::remove_name(path.c_str()));  // if not, the bind says so
    bound = os::bind(socket->get(), *address);
  }
  if (!bound) return std::unexpected(bound.error());
  bound_unix made;
  // Until all is done, also a file that is to stay: of what failed nothing does.
  if (is_path) made.path = bound_path(std::move(path));
  if (kind != os::unix_kind::datagram) {
    if (const auto done = os::listen(socket->get(), backlog); !done) {
      return std::unexpected(done.error());
    }
  }
  auto attached = io::request::current_driver().attach(std::move(*socket));
  if (!attached) return std::unexpected(attached.error());
  made.handle = std::move(*attached);
  if (!remove_file) made.path.leave();
  return made;
}

}  // namespace internal

task<result<unix_stream>> unix_stream::connect(std::string_view name) {
  auto connected = co_await internal::connect_unix(os::unix_kind::stream, name);
  if (!connected) co_return std::unexpected(connected.error());
  co_return unix_stream(std::move(*connected));
}
result<std::pair<unix_stream, unix_stream>> unix_stream::pair() noexcept {
  return pair_of<unix_stream>(os::unix_kind::stream,
                              [](io::io_handle h) { return unix_stream(std::move(h)); });
}

result<packet> receive_packet_operation::await_resume() noexcept {
  if (answer < 0) return std::unexpected(error_of(answer));
  return packet{static_cast<std::size_t>(answer), os::facts_of(header_).truncated};
}

task<result<unix_seqpacket>> unix_seqpacket::connect(std::string_view name) {
  auto connected = co_await internal::connect_unix(os::unix_kind::seqpacket, name);
  if (!connected) co_return std::unexpected(connected.error());
  co_return unix_seqpacket(std::move(*connected));
}
result<std::pair<unix_seqpacket, unix_seqpacket>> unix_seqpacket::pair() noexcept {
  return pair_of<unix_seqpacket>(os::unix_kind::seqpacket,
                                 [](io::io_handle h) { return unix_seqpacket(std::move(h)); });
}

result<unix_packet> receive_unix_operation::await_resume() noexcept {
  if (answer < 0) return std::unexpected(error_of(answer));
  const os::message_facts facts = os::facts_of(header_);
  from_.size = facts.address_size;
  name_.assign(os::unix_name(from_));  // has room for it
  return unix_packet{static_cast<std::size_t>(answer), std::move(name_), facts.truncated};
}

result<unix_datagram> unix_datagram::bind(std::string_view name, unix_bind_options options) {
  auto bound = internal::bind_unix(os::unix_kind::datagram, name, options.replace_stale,
                                   options.remove_file, options.backlog);
  if (!bound) return std::unexpected(bound.error());
  unix_datagram made(std::move(bound->handle));
  made.path_ = std::move(bound->path);
  return made;
}
result<unix_datagram> unix_datagram::unbound() noexcept {
  auto socket = os::open_unix(os::unix_kind::datagram);
  if (!socket) return std::unexpected(socket.error());
  auto attached = io::request::current_driver().attach(std::move(*socket));
  if (!attached) return std::unexpected(attached.error());
  return unix_datagram(std::move(*attached));
}
result<std::pair<unix_datagram, unix_datagram>> unix_datagram::pair() noexcept {
  return pair_of<unix_datagram>(os::unix_kind::datagram,
                                [](io::io_handle h) { return unix_datagram(std::move(h)); });
}
task<result<std::size_t>> unix_datagram::send_to(std::span<const std::byte> bytes,
                                                 std::string_view name) {
  auto to = os::make_unix(name);
  if (!to) co_return std::unexpected(to.error());
  const os::message_part part{const_cast<std::byte*>(bytes.data()), bytes.size()};
  os::message_header header;
  os::set_message(header, &part, 1, &*to, nullptr, 0);
  for (auto pause = queue_pause_min;; pause = std::min(pause * 2, queue_pause_max)) {
    wait_operation writable(handle_, io::io_code::wait_writable);
    const auto waited = co_await writable;  // for room on this side; it also looks for a stop
    if (!waited) co_return std::unexpected(waited.error());
    const auto sent = os::send_messages_now(native(), std::span(&header, 1));
    if (sent) co_return bytes.size();
    if (sent.error() != std::errc::operation_would_block) co_return std::unexpected(sent.error());
    co_await sleep_for(pause);
  }
}
result<void> unix_datagram::connect(std::string_view name) noexcept {
  const auto to = os::make_unix(name);
  if (!to) return std::unexpected(to.error());
  return os::connect_unix(native(), *to);
}

}  // namespace weft::net
