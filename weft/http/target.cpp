#include <weft/http/target.hpp>

#include <weft/http/syntax.hpp>

#include <array>
#include <cstddef>

namespace weft::http {
namespace {

constexpr std::uint8_t in_host = 1;    // of a name or an IPv4 address
constexpr std::uint8_t in_target = 2;  // '#' is not: a fragment never travels

constexpr std::array<std::uint8_t, 256> make_table() {
  std::array<std::uint8_t, 256> table{};
  for (std::size_t c = 0x21; c < 0x7f; ++c) table[c] = c == '#' ? 0 : in_target;
  for (int c = '0'; c <= '9'; ++c) table[static_cast<std::size_t>(c)] |= in_host;
  for (int c = 'a'; c <= 'z'; ++c) table[static_cast<std::size_t>(c)] |= in_host;
  for (int c = 'A'; c <= 'Z'; ++c) table[static_cast<std::size_t>(c)] |= in_host;
  for (const char c : std::string_view("-._~!$&'()*+;="))
    table[static_cast<unsigned char>(c)] |= in_host;
  return table;
}

constexpr std::array<std::uint8_t, 256> table = make_table();

// How many bytes at the front are of that class.
std::size_t span_of(std::string_view text, std::uint8_t kind) noexcept {
  const char* at = text.data();
  const char* const end = at + text.size();
  while (at != end && (table[static_cast<unsigned char>(*at)] & kind) != 0) ++at;
  return static_cast<std::size_t>(at - text.data());
}

void split_query(std::string_view text, target_parts& parts) noexcept {
  const std::size_t mark = text.find('?');
  parts.path = text.substr(0, mark);
  if (mark != std::string_view::npos) parts.query = text.substr(mark + 1);
}

}  // namespace

std::optional<target_parts> parse_target(method m, std::string_view target) noexcept {
  if (target.empty() || span_of(target, in_target) != target.size()) return std::nullopt;
  target_parts parts;

  if (m == method::connect) {
    // The port is what CONNECT is about: RFC 9112 section 3.2.3 wants it always.
    const std::size_t colon = target.rfind(':');
    if (colon == std::string_view::npos || colon + 1 == target.size()) return std::nullopt;
    if (!is_valid_authority(target)) return std::nullopt;
    parts.form = target_form::authority;
    parts.authority = target;
    return parts;
  }
  if (target == "*") {
    if (m != method::options) return std::nullopt;
    parts.form = target_form::asterisk;
    return parts;
  }
  if (target.front() == '/') {
    split_query(target, parts);
    return parts;
  }

  const std::size_t scheme_end = target.find("://");
  if (scheme_end == std::string_view::npos) return std::nullopt;
  const std::string_view scheme = target.substr(0, scheme_end);
  if (!equals_ignore_case(scheme, "http") && !equals_ignore_case(scheme, "https"))
    return std::nullopt;
  const std::string_view rest = target.substr(scheme_end + 3);
  const std::size_t authority_end = rest.find_first_of("/?");
  parts.form = target_form::absolute;
  parts.authority = rest.substr(0, authority_end);
  if (!is_valid_authority(parts.authority)) return std::nullopt;
  if (authority_end != std::string_view::npos) split_query(rest.substr(authority_end), parts);
  if (parts.path.empty()) parts.path = "/";
  return parts;
}

bool is_valid_authority(std::string_view text) noexcept {
  std::string_view port;
  if (!text.empty() && text.front() == '[') {
    const std::size_t end = text.find(']');
    if (end == std::string_view::npos || end < 3) return false;  // "[::]" is the shortest
    for (const char c : text.substr(1, end - 1)) {
      if (hex_value(c) < 0 && c != ':' && c != '.') return false;
    }
    text.remove_prefix(end + 1);
    if (text.empty()) return true;
    if (text.front() != ':') return false;
    port = text.substr(1);
  } else {
    const std::size_t host = span_of(text, in_host);
    if (host == 0) return false;
    if (host == text.size()) return true;
    if (text[host] != ':') return false;
    port = text.substr(host + 1);
  }
  if (port.empty()) return true;  // "host:" means the default port (RFC 3986 section 3.2.3)
  std::uint32_t number = 0;
  for (const char c : port) {
    if (!is_digit(c)) return false;
    number = number * 10 + static_cast<std::uint32_t>(c - '0');
    if (number > 65535) return false;
  }
  return true;
}

}  // namespace weft::http
