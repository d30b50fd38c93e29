// codec: how a stream of bytes is cut into frames. A decoder looks at what is buffered and says what its
// front is; it keeps nothing, so it cannot lose anything, and a stop between two looks has no effect.
//
//   io::buffered_reader in(stream);
//   const auto frame = co_await in.read_frame(io::length_delimited());      // length_delimited.hpp
//   const auto line = co_await in.read_line();                              // lines.hpp
//
//   A decoder  result<std::optional<io::frame>> decode(bytes, seen, ended) const. `bytes` is all that was
//              read and not used; the first `seen` of them were there the last time, when it said nothing;
//              `ended`: no more will come. Result: the frame at the front; std::nullopt: more is needed. At
//              the end of the stream that means that nothing is left: what is cut off is an error
//   An encoder result<io::frame_edges> edges(payload) const: what stands before and behind it
//   Limits     each has one; it is an error (errc::too_large) as soon as it is certain, before what is too
//              large has been read, and it does not depend on how the bytes arrived
#pragma once

#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "weft/base/result.hpp"
#include "weft/io/reader_writer.hpp"

namespace weft::io {

/// Where a frame is in the bytes that were looked at.
class frame {
 public:
  constexpr frame(std::size_t where, std::size_t bytes, std::size_t all) noexcept
      : begin(where), size(bytes), used(all) {}
  std::size_t begin;
  std::size_t size;
  std::size_t used;  // with what stands before and behind it; not 0
};

/// What an encoder puts around a payload.
class frame_edges {
 public:
  constexpr frame_edges() noexcept : before{}, behind{} {}
  std::span<const std::byte> front() const noexcept { return std::span(before).first(before_size); }
  std::span<const std::byte> back() const noexcept { return std::span(behind).first(behind_size); }

  std::array<std::byte, 8> before;
  std::array<std::byte, 2> behind;
  std::uint8_t before_size = 0;
  std::uint8_t behind_size = 0;
};

template <class C>
concept frame_decoder =
    std::copyable<C> && requires(const C& c, std::span<const std::byte> bytes, std::size_t seen) {
      { c.decode(bytes, seen, false) } -> std::same_as<result<std::optional<frame>>>;
    };

template <class C>
concept frame_encoder =
    std::copyable<C> && requires(const C& c, std::span<const std::byte> payload) {
      { c.edges(payload) } -> std::same_as<result<frame_edges>>;
    };

/// The bytes up to a delimiter, with it. What stands behind the last delimiter is a frame, too.
class until {
 public:
  constexpr until(std::byte delimiter, std::size_t limit) noexcept
      : delimiter_(delimiter), limit_(limit) {}
  /// Errors: errc::too_large.
  result<std::optional<frame>> decode(std::span<const std::byte> bytes, std::size_t seen,
                                      bool ended) const noexcept;

 private:
  std::byte delimiter_;
  std::size_t limit_;  // with the delimiter
};

/// Writes one frame: its front, the payload, its back.
///
/// Errors  the encoder's, of which nothing is written; the writer's
/// Cancel  as io::write_all, of the three together. Into a buffered_writer that has room for all of it
///         (io::framed_size_max of room besides the payload) it does not wait
template <async_writer W, frame_encoder C>
task<result<void>> write_frame(W& to, C codec, std::span<const std::byte> payload) {
  const result<frame_edges> edges = codec.edges(payload);
  if (!edges) co_return std::unexpected(edges.error());
  bool begun = false;
  for (const std::span<const std::byte> part : {edges->front(), payload, edges->back()}) {
    if (part.empty()) continue;
    if (!begun) {
      const result<void> wrote = co_await write_all(to, part);
      if (!wrote) co_return wrote;
      begun = true;
    } else {
      const auto wrote = co_await catch_stop(write_all(to, part));
      if (!wrote) co_return std::unexpected(std::make_error_code(std::errc::operation_canceled));
      if (!*wrote) co_return std::unexpected(wrote->error());
    }
  }
  co_return result<void>();
}
/// What an encoder adds to a payload, at most.
inline constexpr std::size_t framed_size_max = 10;

}  // namespace weft::io
