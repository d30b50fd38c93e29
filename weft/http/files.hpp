// The files below one folder as a handler: GET and HEAD, validators, ranges, index pages, listings.
//
//   auto root = fs::directory::blocking_open("public");
//   http::static_files files(std::move(*root));
//   http::server site(files);
//
// Safety: a path is resolved by resolve_path() and opened beneath the folder, so that neither ".."
//   in any encoding nor a symbolic link leads out. Names that begin with a dot are not there.
// Freshness: what was found is kept for `fresh_for` (one second): a file that was changed, replaced,
//   removed or forbidden is so for every request that comes later than that; `fresh_for` of 0 looks
//   each time. A small file is sent as it was when it was read. Of a large one the descriptor is kept,
//   and asked for each request whether that file has changed, so that the head and its tag are true; what
//   is changed while it is sent is mixed, and one that becomes shorter then ends the connection rather
//   than the promised length.
// Descriptors: those kept are at most cache_descriptors. One that was not asked for goes with one of the
//   next requests that look at something after fresh_for, and all of them go when there are none left to
//   open a file with. Contents may be kept longer than they are used: only the bounds end that.
// Cost: nothing waits and nothing is opened for a file that is kept; fstat() of a large one. Else one call
//   on the blocking pool: open, look, and read if the file is small. Names that are written in an unusual way
//   ("/a//b", "/%61") are not kept: their number has no bound.
// Threads: any number of requests at once.
#pragma once

#include <weft/fs/file.hpp>
#include <weft/http/file_cache.hpp>
#include <weft/http/handler.hpp>
#include <weft/http/path.hpp>

#include <chrono>
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
  std::chrono::milliseconds fresh_for{
      1'000};                          ///< how old an answer about a file may be; 0: not at all
  std::size_t cache_entries = 512;     ///< files kept at most
  std::size_t cache_descriptors = 64;  ///< of large ones that are kept; 0: those are not
  std::size_t cache_bytes = 16 * 1024 * 1024;  ///< of memory, for contents and what belongs to them
};

/// Answers 403 for what may not be read, 404 for what is not there (or is nobody's business), 301
/// for a folder without its slash, 405 for other methods.
class static_files final : public handler {
 public:
  explicit static_files(fs::directory root, file_options options = {})
      : root_(std::move(root)),
        options_(options),
        cache_({options.cache_entries, options.cache_bytes, options.cache_descriptors}) {}

  bool try_respond(const request& asked, response& answer) override;
  task<response> respond(const request& asked) override;

 private:
  using snapshot = detail::file_cache::snapshot;

  // What is kept of it and may still be said, or null.
  snapshot find_kept(const request& asked);
  task<response> respond_kept(const request& asked, snapshot file) const;
  task<response> respond_found(const request& asked);
  // For a descriptor it gives up those that are kept, `file`'s too.
  result<fs::file> blocking_open(const std::string& relative, snapshot& file);
  // `file`: what was known of it; afterwards what is, or null if no regular file was found.
  response blocking_answer(const request& asked, const resolved_path& path, snapshot& file);
  response blocking_answer_folder(const request& asked, const resolved_path& path,
                                  const fs::file& folder, snapshot& file);
  response blocking_answer_file(const request& asked, std::string_view name, fs::file opened,
                                snapshot& file) const;

  fs::directory root_;
  file_options options_;
  detail::file_cache cache_;
};

}  // namespace weft::http
