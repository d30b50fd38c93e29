// lines: text in lines that end with LF or CRLF.
//
//   A line     does not contain its end. A CR that no LF follows belongs to the line. What stands behind the
//              last end, if anything, is a line, too
//   Limit      bytes of a line without its end; errc::too_large
//   Encoding   LF is put behind (CRLF on demand). What would be read as something else is refused,
//              invalid_argument: a payload that contains LF, or ends with CR
#pragma once

#include "weft/io/codec.hpp"

namespace weft::io {

class lines {
 public:
  enum class ending : std::uint8_t { lf, crlf };
  static constexpr std::size_t limit_default = 8190;

  constexpr explicit lines(std::size_t limit = limit_default, ending writes = ending::lf) noexcept
      : limit_(limit), writes_(writes) {}

  /// Errors: errc::too_large.
  result<std::optional<frame>> decode(std::span<const std::byte> bytes, std::size_t seen,
                                      bool ended) const noexcept;
  /// Errors: errc::too_large, invalid_argument.
  result<frame_edges> edges(std::span<const std::byte> payload) const noexcept;

 private:
  std::size_t limit_;
  ending writes_;
};

}  // namespace weft::io
