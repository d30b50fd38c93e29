// file_watch: the system tells what happens to names in folders.
//
//   Errors   values; EINTR is dealt with here
//   Threads  one reads. add_watch() blocks: it looks up a path
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "weft/base/result.hpp"
#include "weft/os/fd.hpp"

namespace weft::os {

enum class watch_code : std::uint8_t {
  made,
  removed,
  modified,
  moved_from,  // beside a moved_to of the same cookie, if that is watched, too
  moved_to,
  moved,     // the watched thing itself
  gone,      // the watched thing itself: nothing more is told of it
  overflow,  // some were lost
};

struct raw_watch_event {
  watch_code code{};
  bool is_folder = false;  // what the name is
  int number = -1;         // of the watched thing, as add_watch() gave it; overflow: of none
  std::uint32_t cookie = 0;
  std::string name;  // in the folder; empty: the watched thing itself
};

/// Polls as readable when there is something to read; never blocks.
[[nodiscard]] result<fd> make_watch() noexcept;
/// Result: its number, which none had before; the one it has, if it is watched already.
/// Errors: no_such_file_or_directory; no_space_on_device: the user's limit of watches.
[[nodiscard]] result<int> add_watch(int watch, const std::string& path) noexcept;
/// The same of a folder, and of nothing that a link leads to. Errors: not_a_directory, too.
[[nodiscard]] result<int> add_folder_watch(int watch, const std::string& path) noexcept;
/// Nothing more is told of it. What has been told and not been read stays.
void remove_watch(int watch, int number) noexcept;
/// What has happened, in order; bounded. Errors: operation_would_block: nothing. not_enough_memory: what was
/// read is lost.
[[nodiscard]] result<std::vector<raw_watch_event>> read_watch(int watch) noexcept;

}  // namespace weft::os
