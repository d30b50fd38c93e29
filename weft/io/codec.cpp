#include <algorithm>
#include <cstring>

#include "weft/io/length_delimited.hpp"
#include "weft/io/lines.hpp"

namespace weft::io {
namespace {

constexpr std::byte lf{'\n'};
constexpr std::byte cr{'\r'};

std::unexpected<std::error_code> too_large() noexcept {
  return std::unexpected(make_error_code(errc::too_large));
}

/// Its position, or bytes.size().
std::size_t find(std::byte wanted, std::span<const std::byte> bytes, std::size_t from) noexcept {
  if (from >= bytes.size()) return bytes.size();
  const void* const at =
      std::memchr(bytes.data() + from, std::to_integer<int>(wanted), bytes.size() - from);
  return at == nullptr ? bytes.size()
                       : static_cast<std::size_t>(static_cast<const std::byte*>(at) - bytes.data());
}

}  // namespace

result<std::optional<frame>> until::decode(std::span<const std::byte> bytes, std::size_t seen,
                                           bool ended) const noexcept {
  const std::size_t at = find(delimiter_, bytes, seen);
  const bool found = at != bytes.size();
  const std::size_t size = found ? at + 1 : at;
  // With just so many and no delimiter it may be the end: wait for one byte more, or for none.
  if (size > limit_) return too_large();
  if (!found && (!ended || size == 0)) return std::nullopt;
  return frame(0, size, size);
}

result<std::optional<frame>> lines::decode(std::span<const std::byte> bytes, std::size_t seen,
                                           bool ended) const noexcept {
  const std::size_t at = find(lf, bytes, seen);
  if (at != bytes.size()) {
    const std::size_t size = at != 0 && bytes[at - 1] == cr ? at - 1 : at;
    if (size > limit_) return too_large();
    return frame(0, size, at + 1);
  }
  if (ended) {
    if (at > limit_) return too_large();
    if (at == 0) return std::nullopt;
    return frame(0, at, at);
  }
  // One byte over the limit may be the CR of an end.
  if (at > limit_ && (at - limit_ > 1 || bytes[limit_] != cr)) return too_large();
  return std::nullopt;
}

result<frame_edges> lines::edges(std::span<const std::byte> payload) const noexcept {
  if (payload.size() > limit_) return too_large();
  if (find(lf, payload, 0) != payload.size() || (!payload.empty() && payload.back() == cr)) {
    return std::unexpected(std::make_error_code(std::errc::invalid_argument));
  }
  frame_edges e;
  if (writes_ == ending::crlf) e.behind[e.behind_size++] = cr;
  e.behind[e.behind_size++] = lf;
  return e;
}

result<std::optional<frame>> length_delimited::decode(std::span<const std::byte> bytes, std::size_t,
                                                      bool ended) const noexcept {
  const auto cut_off = [&]() -> result<std::optional<frame>> {
    if (!ended || bytes.empty()) return std::nullopt;
    return std::unexpected(std::make_error_code(std::errc::bad_message));
  };
  const auto head = static_cast<std::size_t>(header_);
  if (bytes.size() < head) return cut_off();
  std::uint64_t size = 0;
  for (std::size_t i = 0; i < head; ++i) {
    const std::byte b = bytes[order_ == std::endian::big ? i : head - 1 - i];
    size = size << 8 | std::to_integer<std::uint64_t>(b);
  }
  if (size > limit_) return too_large();
  if (bytes.size() - head < size) return cut_off();
  return frame(head, static_cast<std::size_t>(size), head + static_cast<std::size_t>(size));
}

result<frame_edges> length_delimited::edges(std::span<const std::byte> payload) const noexcept {
  const auto head = static_cast<std::size_t>(header_);
  const std::uint64_t size = payload.size();
  if (size > limit_ || (head < 8 && size >> (8 * head) != 0)) return too_large();
  frame_edges e;
  e.before_size = static_cast<std::uint8_t>(head);
  for (std::size_t i = 0; i < head; ++i) {
    e.before[order_ == std::endian::big ? head - 1 - i : i] =
        static_cast<std::byte>(size >> (8 * i));
  }
  return e;
}

}  // namespace weft::io
