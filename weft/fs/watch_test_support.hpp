// What the tests of watched trees share.
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <string>
#include <vector>

#include "weft/fs/fs_test_support.hpp"
#include "weft/fs/watch.hpp"
#include "weft/os/fd.hpp"
#include "weft/together/timeout.hpp"

namespace weft::fs::test {

class watched_tree : public on_each_driver {
 protected:
  /// All until `last` was made; the names are those below the tree.
  task<> until_made(watcher& w, std::string last, std::vector<watch_event>& seen) {
    last = here_.at(last);
    for (;;) {
      auto e = co_await w.next();
      WEFT_REQUIRE(e);
      seen.push_back(*std::move(e));
      if (seen.back().kind == watch_kind::created && seen.back().path == last) co_return;
    }
  }
  /// More than one read takes: what comes before is dealt with before what comes behind is known.
  void fill_a_read() const {
    for (int i = 0; i < 400; ++i) {
      here_.put("fill", "");
      files::remove(here_.at("fill"));
    }
  }
  std::size_t count(const std::vector<watch_event>& seen, watch_kind kind,
                    const std::string& name) const {
    std::size_t n = 0;
    for (const auto& e : seen) n += e.kind == kind && e.path == here_.at(name);
    return n;
  }
};

/// Makes more events in `folder` than the system keeps. Result: false, where that would take too long.
inline bool overflow_by(const std::string& folder) {
  std::ifstream limit("/proc/sys/fs/inotify/max_queued_events");
  unsigned most = 0;
  if (!(limit >> most) || most > 100'000) return false;
  os::fd written[2];  // by turns: no two events become one
  for (int i = 0; i < 2; ++i) {
    const std::string path = folder + "/fill" + std::to_string(i);
    written[i] = os::fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
  }
  for (unsigned i = 0; i <= most; ++i) {
    EXPECT_EQ(::pwrite(written[i % 2].get(), "x", 1, 0), 1);
  }
  return true;
}

}  // namespace weft::fs::test
