// From a URL path to a file name that is safe to open below a directory.
//
// Safety: what comes out has no ".." segment, no empty segment, no control character, no backslash
//   and is valid UTF-8; it is meant for openat2(RESOLVE_BENEATH), which also stops symbolic links
//   that lead out. Neither is enough alone: this function sees no links, and not every system has
//   the call.
#pragma once

#include <weft/http/status.hpp>

#include <cstddef>
#include <cstdint>
#include <expected>
#include <string>
#include <string_view>

namespace weft::http {

struct path_options {
  /// Serve names that begin with a dot. "/.well-known/" (RFC 8615) is served always.
  bool hidden = false;
  /// Serve names that mean something else on Windows: "con.txt", "a:b", "x.", "x ". Refused
  /// everywhere by default, so that a site behaves the same on every system.
  bool windows_names = false;
};

inline constexpr std::size_t path_bytes_max = 4096;         ///< decoded, whole path
inline constexpr std::size_t path_segment_bytes_max = 255;  ///< decoded, one name

enum class path_errc : std::uint8_t {
  malformed,  ///< 400: "%" without two digits, NUL, control character, backslash, not UTF-8
  refused,    ///< 404: "..", an encoded slash, a hidden or Windows name, too long. Not 403: whether
              ///< something is there is nobody's business
};

[[nodiscard]] status answer(path_errc e) noexcept;

struct resolved_path {
  std::string relative;    ///< without leading or trailing slash; "." for the root itself
  bool directory = false;  ///< the URL ended in "/": only a directory fits
};

/// `url_path`: still percent-encoded, without the query, beginning with "/" (request::path()).
/// It is decoded exactly once: "%252e" is a file called "%2e". "." segments and empty ones are
/// dropped; ".." is refused even where it would stay inside, for no browser sends it.
[[nodiscard]] std::expected<resolved_path, path_errc> resolve_path(std::string_view url_path,
                                                                   path_options options = {});

/// For a link: every byte but unreserved ones becomes %XX. "/" too: it is for one segment.
void append_percent_encoded(std::string& out, std::string_view segment);

/// One percent-decoding. Result: false when a "%" has no two digits after it; `out` is then what
/// came before.
[[nodiscard]] bool append_percent_decoded(std::string& out, std::string_view text);

/// True for well-formed UTF-8: no overlong form (0xC0 0xAE is a "." to a careless reader), no
/// surrogate, nothing above U+10FFFF.
[[nodiscard]] bool is_utf8(std::string_view text) noexcept;

}  // namespace weft::http
