// watch_look: a visit of the blocking pool to folders that are to be watched. Each is watched first, and then
// listed: in the other order what is made in between is missed.
//
//   Bounded  a visit ends when it has so many names; where it stopped, the next one goes on. So a tree of
//            any size costs the worker, and whoever stops it, no more than a visit at a time
#pragma once

#include <cstddef>
#include <string>
#include <system_error>
#include <vector>

#include "weft/base/result.hpp"
#include "weft/os/fd.hpp"
#include "weft/os/file_tree.hpp"

namespace weft::fs::detail {

inline constexpr std::size_t looks_at_once = 64;  // folders, in a visit
inline constexpr std::size_t names_at_once =
    256;  // that it brings, and what the last read had more
inline constexpr std::size_t names_read_max = 16384;  // of which it leaves out those nobody wants

struct folder_asked {
  std::string path;
  int number = -1;  // it is watched already: the root, or it is open
  int open = -1;    // its descriptor: it has been read in part
  bool is_root = false;
};

/// Trivially copyable.
struct look_options {
  bool lists = true;         // else they are watched only
  bool folders_only = true;  // no other names are wanted
  bool checks_root = false;  // whether its path leads to it still
};

/// What was seen of a folder.
struct folder_seen {
  std::error_code error;
  int number = -1;
  bool is_gone = false;  // the root: what is at its path is another one, or nothing
  bool at_end = true;
  os::fd opened;  // not at its end: goes on from there, if it was not open before
  std::vector<os::folder_entry> entries;
};

/// Of the first of them, or of all. Errors: not_enough_memory, of all of them: what was open is to be read
/// from its beginning.
[[nodiscard]] result<std::vector<folder_seen>> look_at(int watch, look_options how,
                                                       std::vector<folder_asked> asked) noexcept;

}  // namespace weft::fs::detail
