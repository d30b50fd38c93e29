#include <weft/http/path.hpp>

#include <weft/http/syntax.hpp>

#include <algorithm>
#include <array>

namespace weft::http {
namespace {

bool is_unreserved(char c) noexcept {
  const char lower = to_lower(c);
  return (lower >= 'a' && lower <= 'z') || is_digit(c) || c == '-' || c == '.' || c == '_' ||
         c == '~';
}

// Windows opens a device for these, whatever the folder and whatever comes after the first dot.
bool is_windows_device(std::string_view segment) noexcept {
  std::string_view stem = segment.substr(0, segment.find('.'));
  while (!stem.empty() && stem.back() == ' ') stem.remove_suffix(1);
  constexpr std::array<std::string_view, 6> names = {"con", "prn",    "aux",
                                                     "nul", "conin$", "conout$"};
  if (std::any_of(names.begin(), names.end(),
                  [&](std::string_view n) { return equals_ignore_case(n, stem); })) {
    return true;
  }
  if (stem.size() < 4) return false;
  const std::string_view port = stem.substr(0, 3);
  if (!equals_ignore_case(port, "com") && !equals_ignore_case(port, "lpt")) return false;
  const std::string_view number = stem.substr(3);
  // The superscript digits one, two and three count as digits there.
  return (number.size() == 1 && is_digit(number[0])) || number == "\xc2\xb9" ||
         number == "\xc2\xb2" || number == "\xc2\xb3";
}

bool is_refused(std::string_view segment, bool first, path_options options) noexcept {
  if (segment.size() > path_segment_bytes_max) return true;
  // Also "...": some systems have taken it for the folder above the folder above.
  if (segment.size() > 1 && segment.find_first_not_of('.') == std::string_view::npos) return true;
  if (!options.hidden && segment.front() == '.' && !(first && segment == ".well-known"))
    return true;
  if (options.windows_names) return false;
  return segment.find(':') != std::string_view::npos || segment.back() == '.' ||
         segment.back() == ' ' || is_windows_device(segment);
}

}  // namespace

status answer(path_errc e) noexcept {
  return e == path_errc::malformed ? status::bad_request : status::not_found;
}

std::expected<resolved_path, path_errc> resolve_path(std::string_view url_path,
                                                     path_options options) {
  if (url_path.empty() || url_path.front() != '/') return std::unexpected(path_errc::malformed);

  // Malformed is found first, over the whole path, so that 400 does not depend on the order.
  std::string decoded;
  decoded.reserve(url_path.size());
  if (!append_percent_decoded(decoded, url_path)) return std::unexpected(path_errc::malformed);
  for (const char c : decoded) {
    if (is_control(c) || c == '\\') return std::unexpected(path_errc::malformed);
  }
  if (!is_utf8(decoded)) return std::unexpected(path_errc::malformed);
  if (decoded.size() > path_bytes_max) return std::unexpected(path_errc::refused);
  // An encoded slash is not a separator, and a file name cannot contain one.
  if (std::count(decoded.begin(), decoded.end(), '/') !=
      std::count(url_path.begin(), url_path.end(), '/')) {
    return std::unexpected(path_errc::refused);
  }

  resolved_path out;
  out.relative.reserve(decoded.size());
  std::string_view rest = decoded;
  while (!rest.empty()) {
    rest.remove_prefix(1);  // the slash
    const std::size_t end = std::min(rest.find('/'), rest.size());
    const std::string_view segment = rest.substr(0, end);
    rest.remove_prefix(end);
    out.directory = segment.empty() || segment == ".";
    if (out.directory) continue;
    if (is_refused(segment, out.relative.empty(), options))
      return std::unexpected(path_errc::refused);
    if (!out.relative.empty()) out.relative.push_back('/');
    out.relative.append(segment);
  }
  if (out.relative.empty()) out.relative.push_back('.');  // = "." trips GCC 12's -Wrestrict
  return out;
}

void append_percent_encoded(std::string& out, std::string_view segment) {
  constexpr std::string_view digits = "0123456789ABCDEF";
  for (const char c : segment) {
    if (is_unreserved(c)) {
      out.push_back(c);
    } else {
      const auto byte = static_cast<unsigned char>(c);
      out.push_back('%');
      out.push_back(digits[byte >> 4]);
      out.push_back(digits[byte & 15]);
    }
  }
}

bool append_percent_decoded(std::string& out, std::string_view text) {
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out.push_back(text[i]);
      continue;
    }
    if (text.size() - i < 3) return false;
    const int high = hex_value(text[i + 1]);
    const int low = hex_value(text[i + 2]);
    if (high < 0 || low < 0) return false;
    out.push_back(static_cast<char>(high << 4 | low));
    i += 2;
  }
  return true;
}

bool is_utf8(std::string_view text) noexcept {
  std::size_t i = 0;
  const auto byte = [&](std::size_t at) { return static_cast<unsigned char>(text[at]); };
  while (i < text.size()) {
    const unsigned char lead = byte(i);
    std::size_t size = 0;
    unsigned char low = 0x80;  // bounds of the second byte: they are what rules out overlong forms,
    unsigned char high = 0xbf;  // surrogates and code points that do not exist
    if (lead < 0x80) {
      ++i;
      continue;
    }
    if (lead >= 0xc2 && lead <= 0xdf) {
      size = 2;
    } else if (lead >= 0xe0 && lead <= 0xef) {
      size = 3;
      if (lead == 0xe0) low = 0xa0;
      if (lead == 0xed) high = 0x9f;
    } else if (lead >= 0xf0 && lead <= 0xf4) {
      size = 4;
      if (lead == 0xf0) low = 0x90;
      if (lead == 0xf4) high = 0x8f;
    } else {
      return false;
    }
    if (text.size() - i < size) return false;
    if (byte(i + 1) < low || byte(i + 1) > high) return false;
    for (std::size_t k = 2; k < size; ++k) {
      if ((byte(i + k) & 0xc0) != 0x80) return false;
    }
    i += size;
  }
  return true;
}

}  // namespace weft::http
