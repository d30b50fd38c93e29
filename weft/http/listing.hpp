// A directory as a web page.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace weft::http {

struct listing_entry {
  std::string name;  ///< as the file system gives it, any bytes
  bool directory = false;
  std::uint64_t size = 0;     ///< bytes; not shown for a directory
  std::int64_t modified = 0;  ///< seconds since 1970
};

/// A complete HTML page without scripts, in the order of `entries`. `url_path`: decoded, shown as
/// the title; a link to the parent is added unless it is "/".
/// Safety: names are escaped as HTML, links are percent-encoded and begin with "./", so that a
/// file called "javascript:x" or "<script>" is a file.
[[nodiscard]] std::string directory_page(std::string_view url_path,
                                         std::span<const listing_entry> entries);

/// Escapes & < > " ' and shows control characters and bytes that are not UTF-8 as U+FFFD.
void append_html_escaped(std::string& out, std::string_view text);

}  // namespace weft::http
