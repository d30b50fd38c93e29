// length_delimited: frames behind their length, a number of 1, 2, 4 or 8 bytes.
//
//   Length   of the payload, without the number itself. 0 is a frame
//   Limit    bytes of a payload; errc::too_large, which is found before the payload is read
//   The end  of the stream may be between two frames only; else std::errc::bad_message
#pragma once

#include <bit>

#include "weft/io/codec.hpp"

namespace weft::io {

class length_delimited {
 public:
  enum class header : std::uint8_t { u8 = 1, u16 = 2, u32 = 4, u64 = 8 };
  /// With the header of 4 bytes it fits into a buffered_reader as that is made by default.
  static constexpr std::size_t limit_default = 8188;

  constexpr explicit length_delimited(header bytes = header::u32, std::size_t limit = limit_default,
                                      std::endian order = std::endian::big) noexcept
      : header_(bytes), order_(order), limit_(limit) {}

  /// Errors: errc::too_large, bad_message.
  result<std::optional<frame>> decode(std::span<const std::byte> bytes, std::size_t seen,
                                      bool ended) const noexcept;
  /// Errors: errc::too_large, also if the length does not fit into the header.
  result<frame_edges> edges(std::span<const std::byte> payload) const noexcept;

 private:
  header header_;
  std::endian order_;
  std::size_t limit_;
};

}  // namespace weft::io
