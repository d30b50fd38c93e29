// Internal: regular files as they were when they were looked at last, for a short time.
//
// What a kept file promises: it was like that, and could be opened, at some moment less than
// `fresh_for` ago. After that it is looked at anew, by opening the name again: a file that was changed,
// replaced, removed or forbidden is so here, too, at the latest by then.
//
// Memory: bounded in files and bytes; who is over goes, those first that nobody has asked for lately.
//   What goes while it is sent lives until that is done. Contents stay after they have become too old:
//   a look may find that they are still right.
// Descriptors: bounded apart, those go first that were put first. One that is too old is of no more use;
//   it goes with one of the next put(), drop() and find() without a result, a few at each. Without such
//   calls it stays.
// Threads: any. One lock, held for a lookup; contents and descriptors are freed outside of it.
#pragma once

#include <weft/base/spin_lock.hpp>
#include <weft/fs/file.hpp>
#include <weft/http/conditional.hpp>
#include <weft/http/headers.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>

namespace weft::http::detail {

/// One state of one file. It does not change.
struct file_snapshot {
  file_version version;
  std::int64_t modified = 0;  // seconds since 1970
  std::string etag;
  headers fields;                           // of the answer that sends all of it
  std::shared_ptr<const std::string> text;  // its contents, if it is small; else:
  std::shared_ptr<const fs::file> opened;
  /// It had been left alone for a while when it was read. Else another change may have the same time.
  bool settled = false;
};

class file_cache {
 public:
  using moment = std::chrono::steady_clock::time_point;
  using snapshot = std::shared_ptr<const file_snapshot>;

  struct bounds {
    std::size_t entries;
    std::size_t bytes;
    std::size_t descriptors = 64;
  };
  explicit file_cache(bounds most) noexcept : most_(most) {}

  /// The file as it was after `since`; null: not known. What is not newer is too old from now on.
  [[nodiscard]] snapshot find(std::string_view path, moment since);
  /// The same however old.
  [[nodiscard]] snapshot find_stale(std::string_view path);
  /// It was like that after `seen`; no change if something newer is known. Throws std::bad_alloc: it is
  /// not kept then.
  void put(std::string_view path, snapshot file, moment seen);
  /// There is no such file any more.
  void drop(std::string_view path);
  /// No descriptor is kept any more: somebody needs one.
  void drop_opened();

  struct usage {
    std::size_t entries;
    std::size_t bytes;
    std::size_t descriptors;
  };
  [[nodiscard]] usage used() noexcept;

 private:
  struct node;
  using nodes = std::list<node>;
  using places = std::list<nodes::iterator>;
  struct node {
    std::string path;
    snapshot file;
    moment seen;
    std::size_t bytes;
    bool asked_for;              // since it was put, or passed over by make_room()
    places::iterator opened_at;  // in opened_; valid where the file has a descriptor
  };
  static constexpr int swept_at_once = 4;

  [[nodiscard]] static std::size_t bytes_of(std::string_view path, const file_snapshot& file);
  void take_out(nodes::iterator at, nodes& gone);
  // For one more of so many bytes.
  void make_room(std::size_t bytes, nodes& gone);
  // A few whose descriptors are of no more use.
  void sweep(nodes& gone);

  const bounds most_;
  spin_lock lock_;
  // Under lock_:
  nodes nodes_;    // oldest first
  places opened_;  // those with a descriptor, the same
  std::unordered_map<std::string_view, nodes::iterator> index_;  // by the path in the node
  std::size_t bytes_ = 0;
  moment since_ = moment::min();  // what is not newer is too old
};

}  // namespace weft::http::detail
