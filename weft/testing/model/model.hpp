// model: how to write a model, that is a small program over the code under test which the checker
// runs in every order that matters, with every value that the memory model lets a load return.
//
//   // in weft/queue/spin_lock_model.cpp; `// model-sources: other.cpp` on the first lines adds sources
//   #include "weft/testing/model/model.hpp"
//   namespace weft {
//   WEFT_MODEL_TEST(spin_lock, keeps_one_in, model::kills("spin_lock.unlock.relaxed")) {
//     spin_lock lock;                        // fresh for each execution: what the body declares is
//     plain<int> inside(0);                  // built and destroyed each time. plain<T> sees data races
//     for (int i = 0; i < 2; ++i) {
//       model.thread([&] {                   // at most 7
//         spin_guard held(lock);
//         inside.set(inside.get() + 1);
//       });
//     }
//     model.run();                           // every thread ends, or it is a bug (deadlock)
//     model.check(inside.get() == 2, "both were in");   // here, or in a thread
//   }
//   }
//
// A program that sleeps on purpose: `model.run_until_idle()` returns how many threads sleep; look
// around, wake them, and `model.wind_down()` (or run(), if the end is to be explored, too).
// Too many executions? Fewer threads and operations; stale_max(1) and spurious_max(0) where another
// model covers them; bound_max(2). A mutant shows what the smaller search still sees.
// Options, after the name: kills("mutant", ...) each of which must make the model fail (ids of
//   WEFT_MUTATE, or asked for by model.mutant("id")); reaches("outcome", ...) and never("outcome", ...)
//   about what model.outcome() was told; expects_bug("part of its message"); bound_max(n, "why");
//   stale_max(n, "why"); spurious_max(n, "why"); executions_max(n, "why"); steps_max(n).
// Rules: the body must do the same for the same choices (no clocks, addresses, random numbers), must
//   not keep state in function statics, and needs no cleverness about threads: they are fibers.
//   WEFT_ASSERT, races, uses after the lifetime, lost wakes and livelocks are found without asking.
//   A spin loop must call cpu_pause() (or spin_wait_yield()).
// The executable: `x_model [FILTER] [--bound N] [--seconds S] [--mutant ID] [--replay SCHEDULE]`.
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

struct test {
  const char* name;
  void (*body)(world&);
  std::vector<const char*> kills;
  std::vector<const char*> reaches;
  std::vector<const char*> never;
  const char* expects_bug = nullptr;
  int bound_max = 3;
  int stale_max = -1;     // as the bound
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

#define WEFT_MODEL_TEST(suite, name, ...)                                            \
  static void suite##_##name(::weft::model::world& model);                           \
  static const ::weft::model::registration suite##_##name##_registration(            \
      #suite "." #name, &suite##_##name __VA_OPT__(, ) __VA_ARGS__);                 \
  static void suite##_##name([[maybe_unused]] ::weft::model::world& model)
