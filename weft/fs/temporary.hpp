// temp_file, temp_directory: things that are removed at the end, whichever way it comes: by remove(), or
// with the object, so also after an exception or a stop.
//
//   auto made = co_await fs::temp_directory::create();
//
//   Names      in TMPDIR, else /tmp, unless you name a folder; nobody can guess them, and nobody else may
//              look inside (modes 0600 and 0700)
//   Lifetimes  the destructor leaves the work to a job of its own on the pool: it is done a moment later, and
//              before the runtime ends. Where there is no runtime it does it itself. A process that is killed
//              leaves them
#pragma once

#include <string>
#include <utility>

#include "weft/base/result.hpp"
#include "weft/fs/file.hpp"
#include "weft/task/task.hpp"

namespace weft::fs {

namespace detail {

/// A name, with all that is below it, that goes with this.
class doomed_path {
 public:
  doomed_path() noexcept = default;
  explicit doomed_path(std::string path) noexcept : path_(std::move(path)) {}
  doomed_path(doomed_path&& other) noexcept : path_(std::exchange(other.path_, {})) {}
  doomed_path& operator=(doomed_path&& other) noexcept {
    std::swap(path_, other.path_);
    return *this;
  }
  ~doomed_path();
  const std::string& path() const noexcept { return path_; }
  std::string release() noexcept { return std::exchange(path_, {}); }

 private:
  std::string path_;
};

/// What the two have in common.
class temporary {
 public:
  temporary() noexcept = default;
  temporary(temporary&&) noexcept = default;
  temporary& operator=(temporary&&) noexcept = default;
  ~temporary();
  /// Empty after remove() and keep().
  const std::string& path() const noexcept { return name_.path(); }
  /// It is not removed any more. Result: its path.
  std::string keep() noexcept { return name_.release(); }

 protected:
  explicit temporary(std::string path) noexcept : name_(std::move(path)) {}
  doomed_path name_;
};

}  // namespace detail

class temp_file : public detail::temporary {
 public:
  temp_file() noexcept = default;
  /// Cancel  one piece of work on the pool: stopped, nothing was made
  static task<result<temp_file>> create(std::string folder = {}, std::string prefix = "weft-");
  fs::file& file() noexcept { return file_; }  // for reading and writing
  /// Closes and removes it, also when a stop comes.
  task<result<void>> remove();

 private:
  explicit temp_file(std::string path, fs::file opened) noexcept
      : temporary(std::move(path)), file_(std::move(opened)) {}
  fs::file file_;
};

class temp_directory : public detail::temporary {
 public:
  temp_directory() noexcept = default;
  static task<result<temp_directory>> create(std::string folder = {}, std::string prefix = "weft-");
  /// Removes it and all that is in it, also when a stop comes. Errors: the first one; it is not tried again.
  task<result<void>> remove();

 private:
  using temporary::temporary;
};

}  // namespace weft::fs
