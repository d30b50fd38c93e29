// The request methods of RFC 9110 and PATCH; every other registered method is `other`.
#pragma once

#include <cstdint>
#include <string_view>

namespace weft::http {

/// `other` keeps its name in request::method_name: routers may match it, the library does
/// not.
enum class method : std::uint8_t {
  get,
  head,
  post,
  put,
  delete_,
  connect,
  options,
  trace,
  patch,
  other
};

/// The name on the wire; "" for `other`.
[[nodiscard]] std::string_view to_string(method m) noexcept;

/// Methods are case-sensitive (RFC 9110 section 9.1): "get" is `other`.
[[nodiscard]] method parse_method(std::string_view name) noexcept;

}  // namespace weft::http
