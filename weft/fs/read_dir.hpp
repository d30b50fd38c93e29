// read_dir, walk: what is in a folder, and in all below it, as streams.
//
//   auto all = fs::walk("src");
//   for (;;) {
//     auto next = co_await all.next();
//     if (!next) break;
//     if (next->error) ...                    // of this one; the walk goes on
//   }
//
//   Memory  bounded: a piece of 32 KiB of each folder that is open
//   Order   of the file system. What is made or removed meanwhile is seen or not
//   Cancel  between two pieces; the folders that were open are closed
#pragma once

#include <string>
#include <system_error>

#include "weft/base/result.hpp"
#include "weft/fs/file.hpp"
#include "weft/os/file_tree.hpp"
#include "weft/together/stream.hpp"

namespace weft::fs {

using os::folder_entry;

/// The names in a folder, without "." and "..". An error is the last element.
stream<result<folder_entry>> read_dir(std::string path);

struct walk_options {
  bool follow_links = false;  // go into the folders that links lead to
  unsigned depth_max = 256;   // open at once; deeper ones are told of with too_many_files_open
};

/// Not an aggregate: GCC 12 would destroy one twice that is given by co_yield.
struct walk_entry {
  walk_entry() noexcept {}
  std::string path;  // begins with that of the walk
  file_kind kind = file_kind::other;
  unsigned depth = 0;  // 0: where the walk began
  std::error_code
      error;  // it could not be entered, or not be read to its end (it comes again then)
};

/// Where it begins, and all below it, depth first, each folder before what is in it. Never goes through a
/// link, also where one takes the place of a folder meanwhile, unless `follow_links`: then a link that
/// leads back to a folder that is being walked is told of with too_many_symbolic_link_levels, and not entered.
stream<walk_entry> walk(std::string path, walk_options how = {});

}  // namespace weft::fs
