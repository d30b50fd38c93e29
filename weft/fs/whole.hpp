// whole: files that are read or written as one piece.
//
//   Errors  values; too_large: more than the limit
//   Cost    small ones: one trip to the pool. What is read goes on in pieces of 1 MiB after the first
//   Cancel  read: between two pieces, nothing is lost. write_all, append: stopped, nothing was done; begun
//           they end, and their result is given
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "weft/base/result.hpp"
#include "weft/task/task.hpp"

namespace weft::fs {

/// Bytes that are read of one file unless you say otherwise.
inline constexpr std::size_t read_all_limit = std::size_t{256} << 20;

/// All of a file. Errors: errc::too_large: it has more than `limit` bytes.
task<result<std::vector<std::byte>>> read_all(std::string path, std::size_t limit = read_all_limit);
task<result<std::string>> read_text(std::string path, std::size_t limit = read_all_limit);

struct write_options {
  // On the medium at the end, the name, too: it waits for the disk. Without, a loss of power soon after
  // write_all() may leave an empty file in the place of the old one.
  bool durable = true;
  std::uint32_t mode = 0666;  // of one that is new, less the process's umask
};

/// Puts `bytes` in the place of a file, or makes it. Others see the old file or the new one, each whole; an
/// error or a stop leaves the old one, and nothing else. So does a loss of power, if it is `durable`; else it
/// may leave an empty file. Permissions stay, and the owner where the system allows (else it is yours, without
/// special bits, and without rights for your group that were another group's); not ACLs, attributes, hard
/// links. A link is followed, also to a file that is to be made.
///
/// Errors  invalid_argument: what is there is no regular file. After an error in the last step of a durable
///         one (the folder's sync) the new file is there, and perhaps not on the medium
task<result<void>> write_all(std::string path, std::span<const std::byte> bytes,
                             write_options how = {});
task<result<void>> write_text(std::string path, std::string_view text, write_options how = {});

/// Adds to the end of a file, or makes it. Errors: a part may be there after one.
task<result<void>> append(std::string path, std::span<const std::byte> bytes,
                          write_options how = {});
task<result<void>> append_text(std::string path, std::string_view text, write_options how = {});

}  // namespace weft::fs
