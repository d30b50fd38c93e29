// The character classes and list rules of HTTP (RFC 9110 section 5.6), shared by parser and writer.
//
// Why own tables: <cctype> asks the locale, and a byte that is a letter in one locale and not in
// another is how two programs come to read one message differently.
#pragma once

#include <cstdint>
#include <string_view>

namespace weft::http {

/// True for 1*tchar: what a method or a field name may be.
[[nodiscard]] bool is_token(std::string_view text) noexcept;

/// True when every byte may stand in a field value: HTAB, SP, visible ASCII, 0x80-0xff. No CR, LF,
/// NUL or other control character; the empty value is valid.
[[nodiscard]] bool is_field_value(std::string_view text) noexcept;

/// ASCII only; never the locale.
[[nodiscard]] bool equals_ignore_case(std::string_view a, std::string_view b) noexcept;

/// Without SP and HTAB at either end.
[[nodiscard]] constexpr std::string_view trim(std::string_view text) noexcept {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

/// Takes the next element off a comma-separated list, trimmed; empty elements are passed over.
/// Result: false when the list is used up. Quoted strings are not understood: use it for lists of
/// tokens (Connection, Transfer-Encoding, Expect).
[[nodiscard]] bool next_list_item(std::string_view& rest, std::string_view& item) noexcept;

[[nodiscard]] constexpr bool is_digit(char c) noexcept { return c >= '0' && c <= '9'; }

[[nodiscard]] constexpr char to_lower(char c) noexcept {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

/// The value of a hexadecimal digit, or -1.
[[nodiscard]] constexpr int hex_value(char c) noexcept {
  if (is_digit(c)) return c - '0';
  const char lower = to_lower(c);
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

/// True for CTL: 0x00-0x1f and 0x7f, HTAB included.
[[nodiscard]] constexpr bool is_control(char c) noexcept {
  const auto byte = static_cast<unsigned char>(c);
  return byte < 0x20 || byte == 0x7f;
}

/// Whole text as a decimal number of digits only. Result: false when it is empty, has another
/// byte, or does not fit; `value` is then untouched. (A sign, a space or "0x" is another byte.)
[[nodiscard]] bool parse_decimal(std::string_view text, std::uint64_t& value) noexcept;

}  // namespace weft::http
