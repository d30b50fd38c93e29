#include <weft/http/target.hpp>

#include <weft/http/syntax.hpp>

namespace weft::http {
namespace {

bool is_host_name_byte(char c) noexcept {
  const char lower = to_lower(c);
  return (lower >= 'a' && lower <= 'z') || is_digit(c) || c == '-' || c == '.' || c == '_' ||
         c == '~' || c == '!' || c == '$' || c == '&' || c == '\'' || c == '(' || c == ')' ||
         c == '*' || c == '+' || c == ';' || c == '=';
}

bool has_only_target_bytes(std::string_view text) noexcept {
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte <= 0x20 || byte >= 0x7f || c == '#') return false;
  }
  return true;
}

void split_query(std::string_view text, target_parts& parts) noexcept {
  const std::size_t mark = text.find('?');
  parts.path = text.substr(0, mark);
  if (mark != std::string_view::npos) parts.query = text.substr(mark + 1);
}

}  // namespace

std::optional<target_parts> parse_target(method m, std::string_view target) noexcept {
  if (target.empty() || !has_only_target_bytes(target)) return std::nullopt;
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
    const std::size_t colon = text.find(':');
    const std::string_view host = text.substr(0, colon);
    if (host.empty()) return false;
    for (const char c : host) {
      if (!is_host_name_byte(c)) return false;
    }
    if (colon == std::string_view::npos) return true;
    port = text.substr(colon + 1);
  }
  if (port.empty()) return true;  // "host:" means the default port (RFC 3986 section 3.2.3)
  std::uint64_t number = 0;
  return parse_decimal(port, number) && number <= 65535;
}

}  // namespace weft::http
