// unix: sockets of this machine: streams of bytes, sequences of packets, datagrams.
//
//   auto listener = net::unix_listener::bind("/run/app.sock");
//   auto stream = co_await net::unix_stream::connect("/run/app.sock");
//   auto [a, b] = *net::unix_stream::pair();
//
//   Names     a path, of at most 107 bytes: a longer one is filename_too_long, never cut. Or what
//             abstract_name("app") gives, which is in no file system and goes with its socket (Linux)
//   Files     bind() makes a file. Where there is one already: if it is a socket at which nobody listens
//             any more (connecting to it is refused), it is replaced; anything else is address_in_use.
//             unix_bind_options::replace_stale turns that off. Two processes that bind one path in the
//             same moment may so replace each other: whoever needs to be alone holds a lock beside it.
//             close() removes the file, if it still is the one that bind() made
//   Reading and writing a stream, errors, threads, cancel: stream_of.hpp, and udp.hpp for packets
//   Descriptors  those that come are close-on-exec; what there is no room for is closed, and told.
//             A plain read drops those that came with its bytes
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "weft/net/message_operation.hpp"
#include "weft/net/stream_of.hpp"
#include "weft/os/socket_unix.hpp"

namespace weft::net {

/// The name as bind() and connect() take it: a zero byte in front.
std::string abstract_name(std::string_view name);

/// Who is at the other end, as it was when it connected, or began to listen.
struct peer_credentials {
  std::int32_t process = 0;  // 0: not visible from here
  std::uint32_t user = 0;
  std::uint32_t group = 0;
};

class unix_socket : public basic_socket {
 public:
  /// Empty: it has none.
  [[nodiscard(WEFT_RESULT_MESSAGE)]] result<std::string> local_name() const;
  [[nodiscard(WEFT_RESULT_MESSAGE)]] result<std::string> peer_name() const;
  /// Of a connected socket.
  [[nodiscard(WEFT_RESULT_MESSAGE)]] result<net::peer_credentials> peer_credentials()
      const noexcept;

 protected:
  unix_socket() noexcept = default;
  explicit unix_socket(io::io_handle handle) noexcept : basic_socket(std::move(handle)) {}
};

namespace internal {
/// Connects, waiting while the listener's queue is full.
task<result<io::io_handle>> connect_unix(os::unix_kind kind, std::string_view name);
result<std::pair<io::io_handle, io::io_handle>> unix_pair(os::unix_kind kind) noexcept;

/// A path that was bound, and is removed.
class bound_path {
 public:
  bound_path() noexcept = default;
  /// The path has just been made by a bind.
  explicit bound_path(std::string path);
  bound_path(bound_path&& other) noexcept
      : path_(std::exchange(other.path_, {})), made_(other.made_) {}
  bound_path& operator=(bound_path&& other) noexcept {
    if (this != &other) {
      remove();
      path_ = std::exchange(other.path_, {});
      made_ = other.made_;
    }
    return *this;
  }
  ~bound_path() { remove(); }
  void remove() noexcept;
  /// The file is somebody else's matter from now on.
  void leave() noexcept { path_.clear(); }

 private:
  std::string path_;
  os::file_identity made_;
};
struct bound_unix {
  io::io_handle handle;
  bound_path path;
};
/// Listens, but for a datagram socket.
result<bound_unix> bind_unix(os::unix_kind kind, std::string_view name, bool replace_stale,
                             bool remove_file, int backlog);
}  // namespace internal

/// How a name is bound; trivially copyable, safe in a co_await on GCC 12.
struct unix_bind_options {
  int backlog = 1024;  // listeners: connections that wait to be accepted; < 0: the system's most
  bool replace_stale = true;  // a socket file at which nobody listens
  bool remove_file = true;    // by close()
};

/// Bytes with descriptors, on connected sockets.
template <class Self>
class descriptor_functions {
 public:
  /// Sends bytes, at least one, and with the first of them duplicates of at most descriptors_max open
  /// descriptors, which stay the caller's and may be closed afterwards.
  ///
  /// Result  bytes, maybe fewer on a stream; the descriptors went in any case
  /// Errors  invalid_argument: no byte, or too many descriptors
  [[nodiscard("co_await it")]] send_descriptors_operation send_with_descriptors(
      std::span<const std::byte> bytes WEFT_LIFETIMEBOUND,
      std::span<const int> numbers WEFT_LIFETIMEBOUND) {
    return send_descriptors_operation(static_cast<Self&>(*this).handle(), bytes, numbers);
  }
  /// Takes bytes as read_some() or receive() does, and the descriptors that came with them, into
  /// `descriptors` from its beginning.
  [[nodiscard("co_await it")]] receive_descriptors_operation receive_with_descriptors(
      std::span<std::byte> bytes WEFT_LIFETIMEBOUND,
      std::span<descriptor> descriptors WEFT_LIFETIMEBOUND) {
    return receive_descriptors_operation(static_cast<Self&>(*this).handle(), bytes, descriptors);
  }
};

class unix_stream : public stream_of<unix_stream, unix_socket>,
                    public descriptor_functions<unix_stream> {
 public:
  unix_stream() noexcept = default;
  explicit unix_stream(io::io_handle handle) noexcept : stream_of(std::move(handle)) {}

  /// Waits while the listener's queue is full.
  ///
  /// Errors     no_such_file_or_directory; connection_refused: nobody listens there;
  ///            filename_too_long
  /// Cancel     lossless: no connection was made, or it is dropped
  /// Lifetimes  `name` outlives the await
  static task<result<unix_stream>> connect(std::string_view name);
  /// Two that are connected with each other.
  [[nodiscard(WEFT_RESULT_MESSAGE)]] static result<std::pair<unix_stream, unix_stream>>
  pair() noexcept;

 private:
  friend class descriptor_functions<unix_stream>;
  io::io_handle& handle() noexcept { return handle_; }
};

/// A packet that came.
struct packet {
  std::size_t size = 0;    // bytes in the buffer; 0, too, at the end of a unix_seqpacket
  bool truncated = false;  // the buffer was too small: the rest is gone
};

class receive_packet_operation final : public message_operation {
 public:
  receive_packet_operation(io::io_handle& h, std::span<std::byte> into) noexcept
      : message_operation(h, io::io_code::receive_message, into.data(), into.size()) {
    os::set_message(header_, &part_, 1, nullptr, nullptr, 0);
  }
  [[nodiscard(WEFT_RESULT_MESSAGE)]] result<packet> await_resume() noexcept;
};

/// Connected, and each send() is one packet, which one receive() takes whole.
class unix_seqpacket : public unix_socket, public descriptor_functions<unix_seqpacket> {
 public:
  unix_seqpacket() noexcept = default;
  explicit unix_seqpacket(io::io_handle handle) noexcept : unix_socket(std::move(handle)) {}

  /// As unix_stream::connect.
  static task<result<unix_seqpacket>> connect(std::string_view name);
  [[nodiscard(WEFT_RESULT_MESSAGE)]] static result<std::pair<unix_seqpacket, unix_seqpacket>>
  pair() noexcept;

  /// Waits for a packet. Size 0: the peer has closed, or has sent a packet of no bytes.
  [[nodiscard("co_await it")]] receive_packet_operation receive(std::span<std::byte> into
                                                                WEFT_LIFETIMEBOUND) {
    return receive_packet_operation(handle_, into);
  }
  /// Errors: message_size, broken_pipe.
  [[nodiscard("co_await it")]] send_message_operation send(std::span<const std::byte> bytes
                                                           WEFT_LIFETIMEBOUND) {
    return send_message_operation(handle_, bytes);
  }
  [[nodiscard(WEFT_RESULT_MESSAGE)]] result<void> shutdown_write() noexcept {
    return os::shutdown(native(), os::shutdown_side::send);
  }

 private:
  friend class descriptor_functions<unix_seqpacket>;
  io::io_handle& handle() noexcept { return handle_; }
};

struct unix_packet {
  std::size_t size = 0;
  std::string from;  // the sender's name; empty: it has none
  bool truncated = false;
};

class receive_unix_operation final : public message_operation {
 public:
  /// Throws std::bad_alloc: here, where no packet has been taken yet.
  receive_unix_operation(io::io_handle& h, std::span<std::byte> into)
      : message_operation(h, io::io_code::receive_message, into.data(), into.size()) {
    name_.reserve(os::unix_path_max + 1);
    from_.size = 0;
    os::set_message(header_, &part_, 1, &from_, nullptr, 0);
  }
  [[nodiscard(WEFT_RESULT_MESSAGE)]] result<unix_packet> await_resume() noexcept;

 private:
  os::socket_address from_;
  std::string name_;
};

/// Packets to and from names; none is lost on the way, a sender waits while a receiver's buffer is full.
class unix_datagram : public unix_socket, public descriptor_functions<unix_datagram> {
 public:
  unix_datagram() noexcept = default;
  unix_datagram(unix_datagram&&) noexcept = default;
  unix_datagram& operator=(unix_datagram&& other) noexcept {
    path_ = std::move(other.path_);  // first, as in close()
    handle_ = std::move(other.handle_);
    return *this;
  }

  [[nodiscard(WEFT_RESULT_MESSAGE)]] static result<unix_datagram> bind(
      std::string_view name, unix_bind_options options = {});
  /// Without a name: it can send, and nobody can answer.
  [[nodiscard(WEFT_RESULT_MESSAGE)]] static result<unix_datagram> unbound() noexcept;
  [[nodiscard(WEFT_RESULT_MESSAGE)]] static result<std::pair<unix_datagram, unix_datagram>>
  pair() noexcept;

  /// From now on to and from this one only.
  [[nodiscard(WEFT_RESULT_MESSAGE)]] result<void> connect(std::string_view name) noexcept;

  [[nodiscard("co_await it")]] receive_unix_operation receive_from(std::span<std::byte> into
                                                                   WEFT_LIFETIMEBOUND) {
    return receive_unix_operation(handle_, into);
  }
  [[nodiscard("co_await it")]] receive_packet_operation receive(std::span<std::byte> into
                                                                WEFT_LIFETIMEBOUND) {
    return receive_packet_operation(handle_, into);
  }
  /// Sends to a name. While the receiver's buffer is full it looks again every 1 to 64 ms, as the kernel
  /// tells nobody but a connected socket (see send()).
  ///
  /// Errors     message_size; connection_refused: nobody has the name any more
  /// Cancel     lossless: nothing was sent
  /// Lifetimes  `name` outlives the await, too
  task<result<std::size_t>> send_to(std::span<const std::byte> bytes, std::string_view name);
  /// Sends to the peer of connect(), waiting while its buffer is full.
  [[nodiscard("co_await it")]] send_message_operation send(std::span<const std::byte> bytes
                                                           WEFT_LIFETIMEBOUND) {
    return send_message_operation(handle_, bytes);
  }

  // The path goes first: were the socket closed before, another one could bind the path in between, and
  // lose its file.
  void close() noexcept {
    path_.remove();
    basic_socket::close();
  }

 private:
  friend class descriptor_functions<unix_datagram>;
  explicit unix_datagram(io::io_handle handle) noexcept : unix_socket(std::move(handle)) {}
  io::io_handle& handle() noexcept { return handle_; }
  internal::bound_path path_;
};

/// Of unix_stream, or of unix_seqpacket.
template <class S, os::unix_kind Kind>
class unix_listener_of : public unix_socket {
 public:
  unix_listener_of() noexcept = default;
  unix_listener_of(unix_listener_of&&) noexcept = default;
  unix_listener_of& operator=(unix_listener_of&& other) noexcept {
    path_ = std::move(other.path_);  // first, as in close()
    handle_ = std::move(other.handle_);
    return *this;
  }

  /// Errors: address_in_use, permission_denied, filename_too_long.
  [[nodiscard(WEFT_RESULT_MESSAGE)]] static result<unix_listener_of> bind(
      std::string_view name, unix_bind_options options = {}) {
    auto bound = internal::bind_unix(Kind, name, options.replace_stale, options.remove_file,
                                     options.backlog);
    if (!bound) return std::unexpected(bound.error());
    return unix_listener_of(std::move(*bound));
  }

  /// Waits for a connection. Errors, cancel: as tcp_listener::accept.
  [[nodiscard("co_await it")]] accept_operation<S> accept() { return accept_operation<S>(handle_); }

  // The path goes first: were the socket closed before, another one could bind the path in between, and
  // lose its file.
  void close() noexcept {
    path_.remove();
    basic_socket::close();
  }

 private:
  explicit unix_listener_of(internal::bound_unix bound) noexcept
      : unix_socket(std::move(bound.handle)), path_(std::move(bound.path)) {}
  internal::bound_path path_;
};
using unix_listener = unix_listener_of<unix_stream, os::unix_kind::stream>;
using unix_seqpacket_listener = unix_listener_of<unix_seqpacket, os::unix_kind::seqpacket>;

}  // namespace weft::net
