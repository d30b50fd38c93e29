#include <weft/http/method.hpp>

#include <array>

namespace weft::http {
namespace {

constexpr std::array<std::string_view, 10> names = {
    "GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", ""};

}  // namespace

std::string_view to_string(method m) noexcept {
  const auto index = static_cast<std::size_t>(m);
  return index < names.size() ? names[index] : std::string_view();
}

method parse_method(std::string_view name) noexcept {
  for (std::size_t i = 0; i + 1 < names.size(); ++i) {
    if (names[i] == name) return static_cast<method>(i);
  }
  return method::other;
}

}  // namespace weft::http
