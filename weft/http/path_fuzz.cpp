// Promise: what resolve_path() gives stays below the directory it is opened in, whoever reads it.
#include <weft/http/listing.hpp>
#include <weft/http/mime.hpp>
#include <weft/http/path.hpp>
#include <weft/http/syntax.hpp>

#include <cstdio>
#include <cstdlib>
#include <string>

namespace {

using namespace weft::http;

void check(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "broken: %s\n", what);
  std::abort();
}

void check_path(std::string_view url, path_options options) {
  const auto path = resolve_path(url, options);
  if (!path) return;
  const std::string& file = path->relative;
  check(!file.empty() && file.front() != '/' && file.back() != '/', "slash at an end");
  check(file.size() <= path_bytes_max && is_utf8(file), "length or UTF-8");
  for (const char c : file) check(!is_control(c) && c != '\\', "byte");
  std::string again;  // what a client would send for this file
  for (std::string_view rest = file; !rest.empty();) {
    const std::size_t end = std::min(rest.find('/'), rest.size());
    const std::string_view segment = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    check(!segment.empty() && segment.size() <= path_segment_bytes_max, "segment length");
    check(segment != "..", "two dots");
    check(segment != "." || file == ".", "one dot");
    if (!options.hidden && file != ".") {
      check(segment.front() != '.' || segment == ".well-known", "hidden name");
    }
    again += '/';
    append_percent_encoded(again, segment);
  }
  const auto second = resolve_path(again, options);
  check(second && second->relative == file, "encoding the result does not lead back to it");
  (void)media_type(file);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  check_path(text, {});
  check_path(text, {.hidden = true, .windows_names = true});

  std::string encoded, decoded;
  append_percent_encoded(encoded, text);
  check(append_percent_decoded(decoded, encoded) && decoded == text, "percent round trip");

  std::string html;
  append_html_escaped(html, text);
  check(is_utf8(html) && html.find_first_of("<>\"'") == std::string::npos, "HTML");
  for (const char c : html) check(!is_control(c), "control in HTML");
  return 0;
}
