// watch_state: what a watcher is: the events that came and were not given yet, and where its folders are.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include "weft/fs/watch.hpp"
#include "weft/fs/watch_tree.hpp"
#include "weft/io/driver.hpp"

namespace weft::os {
struct raw_watch_event;
}

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
  /// An event that next() has not given yet.
  struct told {
    watch_event event;
    std::uint32_t cookie = 0;  // not 0: it went away; where to, an event to come may say
    int folder = none;         // that the name is in
    int moved = none;          // the folder that went away
  };
  /// A folder to be watched, if it is not, and to be looked through.
  struct look {
    int parent = none;
    std::string name;        // none, empty: the root
    bool announces = false;  // nobody has been told of it, perhaps
    bool tells = false;      // what is in it, also if it is watched already
  };
  void take(const os::raw_watch_event& raw);
  void take_all(const std::vector<os::raw_watch_event>& all);
  void take_new(const os::raw_watch_event& raw);
  void lost_some();
  told& give(watch_kind kind, int folder, const std::string& name);
  void give_up_front();
  bool completes_move(const os::raw_watch_event& raw);
  void forget(const std::vector<int>& folders) noexcept;
  task<result<void>> look_through();

  io::io_handle handle_;
  std::deque<told> line_;
  bool gone_ = false;  // it has been told, or is in the line
  const bool recursive_;
  bool begun_ = false;   // watch() has ended: what a look finds is new
  bool lost_ = false;    // events were; all is being looked at again
  bool missed_ = false;  // events were, for want of memory; nothing has been done about it yet
  watch_tree tree_;
  std::deque<look> looks_;
};

}  // namespace weft::fs::detail
