// The files below one folder as a handler: GET and HEAD, validators, ranges, index pages, listings.
//
//   auto root = fs::directory::blocking_open("public");
//   http::static_files files(std::move(*root));
//   http::server site(files);
//
// Safety: a path is resolved by resolve_path() and opened beneath the folder, so that neither ".."
//   in any encoding nor a symbolic link leads out. Names that begin with a dot are not there.
// Cost: one call on the blocking pool a request: open, look, and read if the file is small.
// Threads: any number of requests at once.
#pragma once

#include <weft/fs/file.hpp>
#include <weft/http/handler.hpp>
#include <weft/http/path.hpp>

#include <cstddef>
#include <string_view>
#include <utility>

namespace weft::http {

struct file_options {
  path_options path;
  bool listing = true;                    ///< show a folder without an index page; else 404
  std::string_view index = "index.html";  ///< must outlive the handler; "" for none
  /// Up to this size a file is read at once and sent with the head in one write; a larger one goes
  /// from the page cache to the socket without a copy.
  std::size_t inline_bytes = 64 * 1024;
  std::size_t listing_entries_max = 10'000;  ///< more are left out, which the page says
};

/// Answers 403 for what may not be read, 404 for what is not there (or is nobody's business), 301
/// for a folder without its slash, 405 for other methods.
class static_files final : public handler {
 public:
  explicit static_files(fs::directory root, file_options options = {})
      : root_(std::move(root)), options_(options) {}

  task<response> respond(const request& asked) override;

 private:
  response blocking_answer(const request& asked, const resolved_path& path) const;
  response blocking_answer_folder(const request& asked, const resolved_path& path,
                                  const fs::file& folder) const;
  response blocking_answer_file(const request& asked, std::string_view name, fs::file opened) const;

  fs::directory root_;
  file_options options_;
};

}  // namespace weft::http
