// Takes the chunked transfer coding off a body, byte by byte or all at once with the same result.
//
// Why not llhttp for this part too: docs/decisions/0001-http-parser.md. In short: it takes a bare
// LF at the end of the trailer section, folded trailers, Content-Length as a trailer and any number
// of leading zeros, and tells a caller too late how long a size line has become.
#pragma once

#include <weft/http/limits.hpp>
#include <weft/http/parse_error.hpp>

#include <cstddef>
#include <cstdint>
#include <expected>
#include <span>
#include <string>

namespace weft::http {

class chunk_decoder {
 public:
  /// Decodes a prefix of `bytes` and appends the data to `out`. Stops after the last byte of the
  /// trailer section.
  /// `body_room`: bytes of data that may still come; a chunk that announces more is refused when
  /// its size is known, before its data.
  /// Result: bytes consumed. Errors are final: do not feed again.
  [[nodiscard]] std::expected<std::size_t, parse_error> feed(std::span<const char> bytes,
                                                             const limits& limit,
                                                             std::uint64_t& body_room,
                                                             std::string& out);

  [[nodiscard]] bool done() const noexcept { return state_ == state::done; }

  /// Ready for another body; keeps the line buffer.
  void reset() noexcept;
  /// Of that buffer.
  [[nodiscard]] std::size_t kept_bytes() const noexcept { return line_.capacity(); }

 private:
  enum class state : std::uint8_t {
    size,
    extension,
    size_lf,
    data,
    data_cr,
    data_lf,
    trailer,
    done
  };

  std::expected<void, parse_error> size_known(std::uint64_t body_room) noexcept;
  std::expected<void, parse_error> trailer_line(const limits& limit);

  state state_ = state::size;
  std::uint8_t digits_ = 0;
  std::uint64_t left_ = 0;  // the chunk's size while it is read, then its bytes still to come
  std::size_t extension_bytes_ = 0;
  std::size_t trailer_bytes_ = 0;
  std::size_t trailer_fields_ = 0;
  std::string line_;  // the trailer line being collected, bounded by limits::trailer_bytes
};

}  // namespace weft::http
