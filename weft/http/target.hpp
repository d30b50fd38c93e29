// The request target taken apart (RFC 9112 section 3.2), and the syntax of Host.
#pragma once

#include <weft/http/method.hpp>

#include <cstdint>
#include <optional>
#include <string_view>

namespace weft::http {

enum class target_form : std::uint8_t {
  origin,     ///< "/path?query"
  absolute,   ///< "http://host/path?query": what a proxy is sent; servers must take it too
  authority,  ///< "host:port": CONNECT only
  asterisk,   ///< "*": OPTIONS only
};

struct target_parts {
  target_form form = target_form::origin;
  std::string_view authority;  ///< absolute and authority form
  std::string_view path;       ///< origin and absolute form; "/" when an absolute target has none
  std::string_view query;      ///< after the first '?', without it
};

/// Result: nothing when the form does not fit the method, a byte is not allowed (controls, SP,
/// 0x80 and up, '#': a fragment never travels), or the authority is malformed or carries user
/// information. Percent-encodings stay as they are: path.hpp decodes, once.
[[nodiscard]] std::optional<target_parts> parse_target(method m, std::string_view target) noexcept;

/// host[:port], the host a name, an IPv4 address or an [IPv6] literal; the port at most 65535.
/// Stricter than RFC 3986: no empty host, no user information, no comma, no percent-encoding.
/// What differs between readers of a Host field is how caches and virtual hosts are poisoned.
[[nodiscard]] bool is_valid_authority(std::string_view text) noexcept;

}  // namespace weft::http
