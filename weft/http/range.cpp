#include <weft/http/range.hpp>

#include <weft/http/syntax.hpp>

#include <algorithm>

namespace weft::http {
namespace {

// As parse_decimal(), but a number too large for 64 bits is the largest one:
// "bytes=0-99999999999999999999" is a valid way to ask for everything. Result: false if it is no
// number.
bool parse_position(std::string_view text, std::uint64_t& value) noexcept {
  if (text.empty()) return false;
  for (const char c : text) {
    if (!is_digit(c)) return false;
  }
  if (!parse_decimal(text, value)) value = UINT64_MAX;
  return true;
}

}  // namespace

byte_range parse_range(std::string_view value, std::uint64_t size) noexcept {
  constexpr byte_range whole{};
  constexpr byte_range unsatisfiable{range_kind::unsatisfiable, 0, 0};
  const std::size_t equals = value.find('=');
  if (equals == std::string_view::npos || !equals_ignore_case(value.substr(0, equals), "bytes")) {
    return whole;
  }
  const std::string_view set = trim(value.substr(equals + 1));
  if (set.find(',') != std::string_view::npos) return whole;
  const std::size_t dash = set.find('-');
  if (dash == std::string_view::npos) return whole;

  std::uint64_t first = 0;
  std::uint64_t last = UINT64_MAX;
  if (dash == 0) {  // "-500": the last 500 bytes
    std::uint64_t suffix = 0;
    if (!parse_position(set.substr(1), suffix)) return whole;
    if (suffix == 0 || size == 0) return unsatisfiable;
    const std::uint64_t count = std::min(suffix, size);
    return {range_kind::part, size - count, count};
  }
  if (!parse_position(set.substr(0, dash), first)) return whole;
  const std::string_view end = set.substr(dash + 1);
  if (!end.empty() && !parse_position(end, last)) return whole;
  if (last < first) return whole;  // malformed, not unsatisfiable
  if (first >= size) return unsatisfiable;
  return {range_kind::part, first, std::min(last, size - 1) - first + 1};
}

std::string content_range(const byte_range& range, std::uint64_t size) {
  std::string out = "bytes ";
  if (range.kind == range_kind::part) {
    out += std::to_string(range.first) + '-' + std::to_string(range.first + range.count - 1);
  } else {
    out += '*';
  }
  return out += '/' + std::to_string(size);
}

}  // namespace weft::http
