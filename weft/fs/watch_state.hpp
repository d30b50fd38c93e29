// watch_state: what a watcher is: the events that came and were not given yet, and where its folders are.
#pragma once

#include <cstddef>
#include <deque>
#include <string>
#include <system_error>
#include <vector>

#include "weft/fs/watch.hpp"
#include "weft/fs/watch_look.hpp"
#include "weft/fs/watch_tree.hpp"
#include "weft/io/driver.hpp"
#include "weft/os/fd.hpp"
#include "weft/os/file_watch.hpp"

namespace weft::fs::detail {

class watch_state {
 public:
  /// What tells, and the number of the root in it.
  watch_state(io::io_handle handle, int root, std::string path, bool recursive);
  watch_state(const watch_state&) = delete;
  watch_state& operator=(const watch_state&) = delete;
  ~watch_state();

  /// Of what is there; nothing is told of that. Errors: those of watch().
  task<result<void>> begin();
  task<result<watch_event>> next();

 private:
  static constexpr int none = watch_tree::none;
  /// What belongs to the beginning of a move, which is in front of what was read.
  struct rest_of_move {
    std::size_t to = 0;         // where the other half is; 0: not read
    int folder = none;          // that moves; none: it is not watched, or not known yet
    bool is_whole = false;      // nothing of it is to come
    bool seeks_folder = false;  // its own event is to come, which says which it is
  };
  /// A folder to be watched, if it is not, and to be looked through.
  struct look {
    int parent = none;
    std::string name;        // none, empty: the root
    bool announces = false;  // nobody has been told of it, perhaps
    bool tells = false;      // what is in it, also if it is watched already
    int number = none;       // and
    os::fd folder = {};      // where it was read in part
  };
  bool take_read(std::size_t late);
  void take(const os::raw_watch_event& raw);
  void take_new(const os::raw_watch_event& raw);
  rest_of_move rest_of_front() const noexcept;
  void take_move(const rest_of_move& rest);
  void lost_some();
  watch_event& give(watch_kind kind, int folder, const std::string& name);

  std::vector<folder_asked> next_looks();
  std::error_code take_looks(std::vector<folder_seen>& all);
  std::error_code take_look(look wanted, folder_seen& seen);
  void read_some();
  task<result<void>> look_through();
  task<> clean_up();

  io::io_handle handle_;
  std::deque<watch_event> line_;
  // A move in front of it waits for its other half, and all behind it for that: so what is told of a folder
  // is told when it is known whether it is in the tree, and where.
  std::deque<os::raw_watch_event> read_;
  bool gone_ = false;  // it has been told, or is in the line
  const bool recursive_;
  bool begun_ = false;      // watch() has ended: what a look finds is new
  bool forgets_ = false;    // what looks have seen
  bool lost_ = false;       // events were; all is being looked at again
  bool missed_ = false;     // events were, for want of memory; nothing has been done about it yet
  bool root_gone_ = false;  // which was among what was lost
  watch_tree tree_;
  std::deque<look> looks_;
  std::vector<int> unwanted_;  // numbers that are watched, and are not in the tree
};

}  // namespace weft::fs::detail
