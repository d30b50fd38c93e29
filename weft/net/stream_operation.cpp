#include "weft/net/stream_operation.hpp"

#include <algorithm>
#include <array>

#include "weft/net/stream_of.hpp"
#include "weft/os/error.hpp"
#include "weft/os/file.hpp"
#include "weft/os/socket_message.hpp"

namespace weft::net {

std::error_code stream_operation::error_of(std::int64_t answer) noexcept {
  return os::from_errno(static_cast<int>(-answer));
}

result<std::size_t> stream_operation::count() const noexcept {
  if (answer >= 0) return static_cast<std::size_t>(answer);
  if (answer == answer_interrupted) return moved;  // read_exact: no byte is denied
  return std::unexpected(error_of(answer));
}

result<void> stream_operation::success() const noexcept {
  if (answer >= 0) return {};
  if (answer == answer_interrupted) {
    return std::unexpected(std::make_error_code(std::errc::operation_canceled));
  }
  return std::unexpected(error_of(answer));
}

namespace internal {
namespace {

/// Bytes handed to one sendfile: what a worker may be busy with before it looks at the others.
constexpr std::size_t file_piece_max = std::size_t{256} << 10;
constexpr std::size_t parts_at_once_max = 64;

}  // namespace

task<result<std::size_t>> send_file(io::io_handle& to, int file, std::uint64_t offset,
                                    std::size_t count) {
  std::size_t sent = 0;
  while (sent < count) {
    const auto n =
        os::send_file_now(to.fd(), file, offset + sent, std::min(count - sent, file_piece_max));
    if (n) {
      if (*n == 0) break;  // the file is shorter than it was
      sent += *n;
      if (sent == count) break;
    } else if (n.error() != std::errc::operation_would_block) {
      co_return std::unexpected(n.error());
    }
    // Also after a piece that went through: here the others get their turn, and a stop its due.
    wait_operation writable(to, io::io_code::wait_writable);
    const auto waited = co_await writable;
    if (!waited) co_return std::unexpected(waited.error());
  }
  co_return sent;
}

result<std::size_t> try_write(int socket, std::span<const std::byte> from) noexcept {
  if (from.empty()) return std::size_t{0};
  return os::send_now(socket, from.data(), from.size());
}

result<std::size_t> try_write(int socket, std::span<const io::io_part> parts) noexcept {
  std::array<os::message_part, parts_at_once_max> some;
  const std::size_t count = std::min(parts.size(), some.size());
  for (std::size_t i = 0; i < count; ++i) {
    some[i] = {const_cast<void*>(parts[i].data), parts[i].size};  // only read
  }
  if (count == 0) return std::size_t{0};
  return os::send_now(socket, std::span<const os::message_part>(some.data(), count));
}

}  // namespace internal

}  // namespace weft::net
