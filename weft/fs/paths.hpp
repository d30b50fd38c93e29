// paths: what is done to names: looked at, made, renamed, removed.
//
//   Errors  values: std::errc::no_such_file_or_directory, file_exists, directory_not_empty, ...;
//           invalid_argument: a zero byte inside
//   Cancel  one call each, by the ring or on the pool: stopped, it had no effect; begun, it ends and its
//           result is given. Of several steps (create_directories, remove_all): see there
//   Links   are followed on the way; at the end of a path only where it says so
#pragma once

#include <cstdint>
#include <string>

#include "weft/base/result.hpp"
#include "weft/fs/file.hpp"
#include "weft/task/task.hpp"

namespace weft::fs {

/// Of what a link leads to.
task<result<file_metadata>> metadata(std::string path);
/// Of the link itself.
task<result<file_metadata>> link_metadata(std::string path);
/// False if there is none, or a link leads nowhere. Errors: it cannot be known (permission_denied).
task<result<bool>> exists(std::string path);

/// Errors: file_exists, also where it is a folder.
task<result<void>> create_directory(std::string path, std::uint32_t mode = 0777);
/// The folder and those above it that are missing; it is no error that it is there.
///
/// Cancel  one piece of work on the pool: stopped, nothing was made; begun, it ends
task<result<void>> create_directories(std::string path, std::uint32_t mode = 0777);

/// What is at `to` is replaced in one step, if it is of the same kind (and empty, if a folder).
///
/// Errors  cross_device_link: copy() it
task<result<void>> rename(std::string from, std::string to);
/// The same, but std::errc::file_exists where there is something.
task<result<void>> rename_new(std::string from, std::string to);

/// A file, a link or an empty folder.
task<result<void>> remove(std::string path);
/// The same with all that is below a folder. Never follows a link, also where one takes the place of a
/// folder meanwhile, or has a slash behind its name: then the link goes.
///
/// Result  how many names went; 0: there was nothing
/// Errors  the first one; what went before has gone. invalid_argument: the last name is "." or ".."
/// Cancel  between two rounds, each of up to some hundred names: what went has gone
/// Cost    a descriptor a level of depth
task<result<std::uint64_t>> remove_all(std::string path);

struct copy_options {
  // What is there; in one step, when the copy is whole. It is not synced: a loss of power soon after may
  // leave an empty file.
  bool replace = false;
};
/// Copies a regular file and its permissions, inside of the kernel where it can: it may share blocks. Not
/// the special bits (set-uid, set-gid, sticky): the copy is the caller's.
///
/// Result  bytes
/// Errors  file_exists, is_a_directory; invalid_argument: pipes, devices, and a file onto itself
/// Cancel  between two pieces of 16 MiB. A stop and an error leave no half copy; a crash may, without
///         `replace` under its name, with it under a temporary one (".weft-...")
task<result<std::uint64_t>> copy(std::string from, std::string to, copy_options how = {});

}  // namespace weft::fs
