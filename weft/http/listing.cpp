#include <weft/http/listing.hpp>

#include <weft/http/date.hpp>
#include <weft/http/path.hpp>
#include <weft/http/syntax.hpp>

#include <array>

namespace weft::http {
namespace {

constexpr std::string_view replacement = "\xef\xbf\xbd";  // U+FFFD

// The size of the UTF-8 character at the front, or 0 when there is none.
std::size_t character_size(std::string_view text) noexcept {
  for (std::size_t size = 1; size <= 4 && size <= text.size(); ++size) {
    if (is_utf8(text.substr(0, size))) return size;
  }
  return 0;
}

}  // namespace

std::string directory_page(std::string_view url_path, std::span<const listing_entry> entries) {
  std::string out =
      "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width\">\n<title>";
  append_html_escaped(out, url_path);
  out +=
      "</title>\n<style>body{font:16px sans-serif;margin:2em}td{padding:.1em 1.5em .1em 0}"
      "td+td{text-align:right;white-space:nowrap}</style>\n</head>\n<body>\n<h1>";
  append_html_escaped(out, url_path);
  out += "</h1>\n<table>\n";
  if (url_path != "/") out += "<tr><td><a href=\"../\">../</a></td><td></td><td></td></tr>\n";

  for (const listing_entry& entry : entries) {
    const std::string_view slash = entry.directory ? "/" : "";
    out += "<tr><td><a href=\"./";
    append_percent_encoded(out, entry.name);
    out.append(slash).append("\">");
    append_html_escaped(out, entry.name);
    out.append(slash).append("</a></td><td>");
    if (!entry.directory) out += std::to_string(entry.size);
    std::array<char, date_bytes> date;
    format_date(entry.modified, date);
    // "06 Nov 1994 08:49": the day of the week and the seconds tell a reader nothing.
    out.append("</td><td>").append(date.data() + 5, 17).append("</td></tr>\n");
  }
  return out += "</table>\n</body>\n</html>\n";
}

void append_html_escaped(std::string& out, std::string_view text) {
  while (!text.empty()) {
    const std::size_t size = character_size(text);
    if (size == 0 || is_control(text.front())) {
      out += replacement;
      text.remove_prefix(1);
      continue;
    }
    switch (text.front()) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        out.append(text.substr(0, size));
    }
    text.remove_prefix(size);
  }
}

}  // namespace weft::http
