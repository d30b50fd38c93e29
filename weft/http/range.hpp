// The Range field (RFC 9110 section 14): one range of bytes of a file whose size is known.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace weft::http {

enum class range_kind : std::uint8_t {
  whole,          ///< no usable Range: 200 and the whole file
  part,           ///< 206 with Content-Range
  unsatisfiable,  ///< 416 with "Content-Range: bytes */size"
};

struct byte_range {
  range_kind kind = range_kind::whole;
  std::uint64_t first = 0;  ///< part: first byte
  std::uint64_t count = 0;  ///< part: bytes, at least 1; first + count <= size
};

/// Malformed fields, units other than "bytes" and several ranges give `whole`, which RFC 9110
/// section 14.2 allows always. Several ranges are a way to make a server send a file many times
/// over for one request; the clients that need parts ask for one.
[[nodiscard]] byte_range parse_range(std::string_view value, std::uint64_t size) noexcept;

/// "bytes 0-99/1234" for a part, "bytes */1234" otherwise.
[[nodiscard]] std::string content_range(const byte_range& range, std::uint64_t size);

}  // namespace weft::http
