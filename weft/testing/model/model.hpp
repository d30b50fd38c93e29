// model: how to write a model, that is a small program over the code under test which the checker
// runs in every order that matters, with every value that the memory model lets a load return.
//
//   #include "weft/testing/model/model.hpp"      // in weft/queue/spin_lock_model.cpp
//   namespace weft {
//   WEFT_MODEL_TEST(spin_lock, keeps_one_in, model::kills("spin_lock.unlock.relaxed")) {
//     spin_lock lock;          // what the body declares is fresh for each execution
//     plain<int> inside(0);    // plain<T> sees data races
//     for (int i = 0; i < 2; ++i) {
//       model.thread([&] {     // at most 7
//         spin_guard held(lock);
//         inside.set(inside.get() + 1);
//       });
//     }
//     model.run();             // every thread ends, or it is a bug (deadlock)
//     model.check(inside.get() == 2, "both were in");      // here, or in a thread
//   }
//   }
//
// Sleep on purpose: `model.run_until_idle()` returns how many threads sleep; look around, wake
//   them, and `model.wind_down()` (or run(), if the end is to be explored, too).
// Options, after the name:
//   kills("id", ...)          each must make the model fail: ids of WEFT_MUTATE in the code under
//                             test, or asked for by model.mutant("id") in the model
//   reaches("...", ...), never("...", ...)     about what model.outcome() was told
//   expects_bug("part of its message")         the model is of something wrong
//   bound_max(n, "why"), stale_max(n, "why"), spurious_max(n, "why"), executions_max(n, "why"),
//   steps_max(n)              the search's limits, with the reason
// Too many executions? Fewer threads and operations; stale_max(1) and spurious_max(0) where another
//   model covers them; bound_max(2). The mutants show what the smaller search still sees.
// Rules: the body must do the same for the same choices (no clocks, addresses, random numbers), and
//   must not keep state in a function's statics. Threads are fibers: no thread_local (weft's own is one a
//   fiber), no real wait. An execution may be left in the middle: destructors do not run then, and the
//   memory comes back. A thread's function captures references.
//   What a variable that is neither atomic nor plain<T> holds must follow from what its thread has read,
//   as in plain C++ without a race: each thread writes its own and the body reads them when all have
//   ended, or all only count up. One that a thread notes in and another one looks at meanwhile is a
//   ghost<T>: the search skips what differs only in the order of steps that do not touch each other.
//   WEFT_ASSERT, races, uses after the lifetime, lost wakes and livelocks are found without asking.
//   A spin loop must call cpu_pause() (or spin_wait_yield()).
// The platform here: os::futex_wait and futex_wake (a wait may end for nothing, and one with a
//   deadline may time out: spurious_max times an execution), os::heavy_fence, spin_wait_yield.
// The build: each *_model.cpp is an executable; a line `// model-sources: weft/x/y.cpp` among its
//   first adds sources. It takes [FILTER] [--bound N] [--seconds S] [--mutant ID]
//   [--replay SCHEDULE] [--all-orders] [--outcomes] [--list]; a failure prints the line that replays it.
// What the memory model leaves out is stated in memory.hpp and pinned down by litmus_model.cpp.
#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "weft/base/assert.hpp"
#include "weft/base/atomic.hpp"

namespace weft::model {

/// What a model's body is given.
class world {
 public:
  /// Starts with run(). Knows what the body did before.
  void thread(std::function<void()> f) { thread({}, std::move(f)); }
  void thread(std::string name, std::function<void()> f);
  /// Lets the threads run until all have ended; one that sleeps for ever is a bug.
  void run();
  /// Lets them run until none can move. Result: how many sleep.
  int run_until_idle();
  /// As run(), but in one order only: for the way out, after what is to be explored.
  void wind_down();

  void check(bool holds, const char* otherwise);
  /// Something that happened, for reaches() and never().
  void outcome(const std::string& text);
  /// True while the search asks for this mutant of the model's own code.
  bool mutant(const char* id);
  /// Names the words constructed from here on, for the trace.
  void label(const char* text);
  /// A line in the trace.
  void note(const std::string& text);
};

void ghost_read() noexcept;
void ghost_write() noexcept;

/// A variable that the code under test knows nothing of: what a model notes in one thread and looks at in
/// another one while both run. Each sees what was done last, no access is ordered by it, and none is a
/// reason to switch threads.
template <class T>
class ghost {
 public:
  explicit ghost(T initial) noexcept : value_(initial) {}
  T get() const noexcept {
    ghost_read();
    return value_;
  }
  void set(T v) noexcept {
    ghost_write();
    value_ = v;
  }

 private:
  T value_;
};

struct test {
  const char* name;
  void (*body)(world&);
  std::vector<const char*> kills;
  std::vector<const char*> reaches;
  std::vector<const char*> never;
  const char* expects_bug = nullptr;
  int bound_max = 3;
  int stale_max = -1;  // as the bound
  int spurious_max = 1;
  long executions_max = 0;
  long steps_max = 4000;
  std::vector<const char*> whys;
};

template <class... Ids>
auto kills(Ids... ids) {
  return [=](test& t) { (t.kills.push_back(ids), ...); };
}
template <class... Texts>
auto reaches(Texts... texts) {
  return [=](test& t) { (t.reaches.push_back(texts), ...); };
}
template <class... Texts>
auto never(Texts... texts) {
  return [=](test& t) { (t.never.push_back(texts), ...); };
}
/// The model is of something wrong, and the checker must say so.
inline auto expects_bug(const char* part) {
  return [=](test& t) { t.expects_bug = part; };
}
inline auto bound_max(int n, const char* why) {
  return [=](test& t) { t.bound_max = n, t.whys.push_back(why); };
}
inline auto stale_max(int n, const char* why) {
  return [=](test& t) { t.stale_max = n, t.whys.push_back(why); };
}
inline auto spurious_max(int n, const char* why) {
  return [=](test& t) { t.spurious_max = n, t.whys.push_back(why); };
}
/// The search of each bound ends here: not a proof any more, and the table says so.
inline auto executions_max(long n, const char* why) {
  return [=](test& t) { t.executions_max = n, t.whys.push_back(why); };
}
inline auto steps_max(long n) {
  return [=](test& t) { t.steps_max = n; };
}

std::vector<test>& registered();

struct registration {
  template <class... Options>
  registration(const char* name, void (*body)(world&), Options... options) {
    test t;
    t.name = name;
    t.body = body;
    (options(t), ...);
    registered().push_back(std::move(t));
  }
};

}  // namespace weft::model

#define WEFT_MODEL_TEST(suite, name, ...)                                 \
  static void suite##_##name(::weft::model::world& model);                \
  static const ::weft::model::registration suite##_##name##_registration( \
      #suite "." #name, &suite##_##name __VA_OPT__(, ) __VA_ARGS__);      \
  static void suite##_##name([[maybe_unused]] ::weft::model::world& model)
