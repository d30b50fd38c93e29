// file_tree: names in folders: listed in pieces, removed, copied, written anew.
//
//   Errors   values; EINTR is dealt with here
//   Threads  any. All of it blocks: for the blocking pool
//   Links    nothing here goes through the last name of a path, if that is a symbolic link, unless it says so
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "weft/base/result.hpp"
#include "weft/os/fd.hpp"
#include "weft/os/file.hpp"
#include "weft/os/file_call.hpp"

namespace weft::os {

/// "a/" is "a": behind a slash the system goes through a link whatever it is told. "/" stays.
std::string without_slashes_at_end(std::string path);

/// Whether the last name is "." or "..": the folder itself, or the one above, however one came there. It has no
/// name that could be removed.
bool ends_in_dots(const std::string& path) noexcept;

/// Opens the folder `path` below `at` to be listed. Errors: not_a_directory; with `follow` off also where
/// it is a link (too_many_symbolic_link_levels), also with a slash behind its name.
[[nodiscard]] result<fd> open_folder(int at, const std::string& path, bool follow) noexcept;

struct folder_entry {
  std::string name;
  file_kind kind = file_kind::other;  // of a link: symbolic_link
  std::uint64_t inode = 0;
};
/// The next of them, in the order of the file system, without "." and ".."; empty at the end, and
/// where the folder was removed meanwhile.
/// Bounded: as many as fit in 32 KiB.
[[nodiscard]] result<std::vector<folder_entry>> next_entries(int folder) noexcept;
/// next_entries() begins again.
void rewind_entries(int folder) noexcept;

/// Which file a name is. `follow`: what a link leads to.
[[nodiscard]] result<file_metadata> stat_at(int folder, const std::string& name,
                                            bool follow) noexcept;

/// What is left of a folder after a round of emptying it.
struct emptied {
  std::vector<std::string> folders;  // were seen, and are not empty perhaps
  std::size_t removed = 0;
  bool at_end = false;  // there was nothing more to see
};
/// Removes the next of its entries that are no folders, and those folders that are empty.
[[nodiscard]] result<emptied> remove_entries(int folder) noexcept;
[[nodiscard]] result<void> remove_at(int folder, const std::string& name, bool a_folder) noexcept;

/// All of it at once, without going through links; what cannot go stays. For a destructor.
void remove_tree(const std::string& path) noexcept;

/// A copy at work. Destroyed before it is done it removes what it has made.
class file_copy {
 public:
  file_copy() noexcept = default;
  file_copy(file_copy&& other) noexcept;
  file_copy& operator=(file_copy&&) = delete;
  ~file_copy();
  /// `replace`: the copy takes the place of what is there in one step, when it is whole; else
  /// std::errc::file_exists. Permissions are those of the original, without
  /// the special bits (set-uid, set-gid, sticky): they would be of whoever copies.
  [[nodiscard]] static result<file_copy> begin(const std::string& from, const std::string& to,
                                               bool replace) noexcept;
  /// Copies up to `limit` bytes more. False: it is done, and in its place. The copy can be stopped
  /// between two steps.
  [[nodiscard]] result<bool> step(std::uint64_t limit) noexcept;
  std::uint64_t bytes() const noexcept { return done_; }

  /// How bytes are moved, best first; each falls back to the next where the system refuses.
  enum class how : std::uint8_t { in_kernel, send_file, read_write };
  how way() const noexcept { return way_; }
  void use(how way) noexcept { way_ = way; }  // for its test

 private:
  [[nodiscard]] result<std::size_t> move_some(std::size_t limit) noexcept;
  [[nodiscard]] result<void> finish() noexcept;
  fd from_;
  fd to_;
  std::string made_;   // to be removed unless it is done; empty: nothing
  std::string place_;  // where it goes when it is done; empty: it is there
  std::uint64_t done_ = 0;
  std::uint32_t permissions_ = 0;
  how way_ = how::in_kernel;
};

/// Puts `bytes` in the place of the file `path`, or makes it: others see the old one or the new one, whole;
/// an error leaves the old one. A link is followed: what it leads to is replaced, or made.
/// `durable`: the new one is on the medium at the end; else a loss of power may leave an empty one.
/// Permissions stay, and owner and group where the system allows; where it does not, no rights that were
/// theirs go to others.
[[nodiscard]] result<void> replace_file(const std::string& path, std::span<const std::byte> bytes,
                                        bool durable, std::uint32_t mode) noexcept;
[[nodiscard]] result<void> append_file(const std::string& path, std::span<const std::byte> bytes,
                                       bool durable, std::uint32_t mode) noexcept;

/// The folder for temporary things: TMPDIR, else /tmp.
std::string temporary_folder();

struct named_fd {
  fd descriptor;
  std::string path;
};
/// A new file, mode 0600, or a new folder, mode 0700, with a name that nobody can guess.
[[nodiscard]] result<named_fd> make_temporary(const std::string& folder, const std::string& prefix,
                                              bool a_folder) noexcept;

}  // namespace weft::os
