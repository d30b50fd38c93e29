// An exception at each place where a program's own code runs, in each kind of job: it comes out where the
// documentation says, as it was, and nothing is left.
#include <gtest/gtest.h>

#include <functional>
#include <iterator>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "weft/runtime/runtime.hpp"
#include "weft/runtime/time.hpp"
#include "weft/testing/virtual_time.hpp"
#include "weft/together/catch_stop.hpp"
#include "weft/together/fork_join.hpp"
#include "weft/together/join_set.hpp"
#include "weft/together/race.hpp"
#include "weft/together/scope.hpp"
#include "weft/together/select.hpp"
#include "weft/together/shield.hpp"
#include "weft/together/timeout.hpp"
#include "weft/together/when_all.hpp"

namespace weft {
namespace {

using namespace std::chrono_literals;
using testing::virtual_runtime;

struct mishap : std::runtime_error {
  explicit mishap(const char* where) : std::runtime_error(where) {}
};

int alive = 0;  // objects in frames
class held {
 public:
  held() noexcept { ++alive; }
  held(const held&) noexcept { ++alive; }
  ~held() { --alive; }
};

// ---- the places

/// An awaitable of the program's own, which throws in one of its members.
enum class member { none, operator_co_await, await_ready, await_suspend, await_resume };
class own_awaitable {
 public:
  explicit own_awaitable(member m) noexcept : throws_(m) {}
  class awaiter {
   public:
    explicit awaiter(member m) noexcept : throws_(m) {}
    bool await_ready() const {
      if (throws_ == member::await_ready) throw mishap("await_ready");
      return throws_ != member::await_suspend;
    }
    bool await_suspend(std::coroutine_handle<>) const {
      if (throws_ == member::await_suspend) throw mishap("await_suspend");
      return false;
    }
    int await_resume() const {
      if (throws_ == member::await_resume) throw mishap("await_resume");
      return 1;
    }

   private:
    member throws_;
  };
  awaiter operator co_await() const {
    if (throws_ == member::operator_co_await) throw mishap("operator co_await");
    return awaiter(throws_);
  }

 private:
  member throws_;
};

task<int> awaits_own(member m) {
  const held h;
  const own_awaitable awaitable(m);
  const int n = co_await awaitable;
  co_return n;
}
task<int> in_operator_co_await() {
  const int n = co_await awaits_own(member::operator_co_await);
  co_return n;
}
task<int> in_await_ready() {
  const int n = co_await awaits_own(member::await_ready);
  co_return n;
}
task<int> in_await_suspend() {
  const int n = co_await awaits_own(member::await_suspend);
  co_return n;
}
task<int> in_await_resume() {
  const int n = co_await awaits_own(member::await_resume);
  co_return n;
}

task<int> before_the_first_wait() {
  const held h;
  throw mishap("body");
  co_return 1;
}
task<int> after_a_wait() {
  const held h;
  co_await sleep_for(1ms);
  throw mishap("after a wait");
  co_return 1;
}
task<int> while_another_is_handled() {
  const held h;
  std::string what;
  try {
    co_await before_the_first_wait();
  } catch (const mishap& first) {
    what = first.what();
  }
  co_await sleep_for(1ms);
  throw mishap((what + ", again").c_str());
  co_return 1;
}

/// A plain function: what it throws comes before there is a coroutine.
task<int> before_there_is_a_frame() { throw mishap("no coroutine"); }

struct copy_throws {
  copy_throws() noexcept = default;
  copy_throws(const copy_throws&) { throw mishap("copy of an argument"); }
  held h;
};
task<int> takes(copy_throws) { co_return 1; }
task<int> in_the_copy_of_an_argument() {
  const held h;
  const copy_throws argument;
  const int n = co_await takes(argument);
  co_return n;
}

struct local_ctor_throws {
  local_ctor_throws() { throw mishap("constructor of a local"); }
  held h;
};
task<int> in_the_constructor_of_a_local() {
  const held h;
  const local_ctor_throws here;
  co_return 1;
}

/// A destructor that says noexcept(false): on the way of a return it is an exception of the task.
struct end_throws {
  ~end_throws() noexcept(false) { throw mishap("destructor"); }
  held h;
};
task<int> in_a_destructor() {
  const held h;
  {
    const end_throws here;
    co_await sleep_for(1ms);
  }
  co_return 1;
}

/// The value that is returned: moved into the frame's result, and on from there.
class move_throws {
 public:
  explicit move_throws(int moves) noexcept : moves_left_(moves) {}
  move_throws(move_throws&& o) : moves_left_(o.moves_left_ - 1) {
    if (moves_left_ == 0) throw mishap("move of the result");
  }
  held h;

 private:
  int moves_left_;
};
template <int Moves>
task<move_throws> gives_what_cannot_be_moved() {
  co_await sleep_for(1ms);
  move_throws value(Moves);
  co_return std::move(value);
}
template <int Moves>
task<int> in_the_move_of_a_result() {
  const held h;
  const move_throws got = co_await gives_what_cannot_be_moved<Moves>();
  static_cast<void>(got);
  co_return 1;
}

struct place {
  const char* name;  // what is thrown there
  task<int> (*throws)();
};
const std::vector<place> places = {
    {"body", before_the_first_wait},
    {"after a wait", after_a_wait},
    {"body, again", while_another_is_handled},
    {"no coroutine", before_there_is_a_frame},
    {"operator co_await", in_operator_co_await},
    {"await_ready", in_await_ready},
    {"await_suspend", in_await_suspend},
    {"await_resume", in_await_resume},
    {"copy of an argument", in_the_copy_of_an_argument},
    {"constructor of a local", in_the_constructor_of_a_local},
    {"destructor", in_a_destructor},
    {"move of the result", in_the_move_of_a_result<1>},
    {"move of the result", in_the_move_of_a_result<2>},
};

// ---- the jobs

using thrower = task<int> (*)();

task<int> awaited(thrower f) {
  const int n = co_await f();
  co_return n;
}
task<int> joined(thrower f) {
  auto beside = spawn(f);
  const int n = co_await beside;
  co_return n;
}
task<int> seen_as_an_outcome(thrower f) {
  auto beside = spawn(f);
  const auto end = co_await beside.outcome();
  EXPECT_EQ(end.kind(), outcome_kind::exception);
  if (end.exception()) std::rethrow_exception(end.exception());
  co_return 1;
}
task<int> in_time(thrower f) {
  const auto n = co_await timeout(1h, f());
  co_return n.value_or(0);
}
task<int> under_catch_stop(thrower f) {
  const auto n = co_await catch_stop(f());
  co_return n.value_or(0);
}
task<> long_sleep() {
  const held h;
  co_await sleep_for(1h);
}
task<int> beside_another(thrower f) {
  const auto all = co_await when_all(f(), long_sleep());
  static_cast<void>(all);
  co_return 1;
}
task<int> of_a_race(thrower f) {
  const auto first = co_await race(f(), long_sleep());
  static_cast<void>(first);
  co_return 1;
}
task<int> of_a_select(thrower f) {
  const auto first = co_await select(f(), sleep_for(1h));
  static_cast<void>(first);
  co_return 1;
}
task<int> as_a_branch(thrower f) {
  const auto all = co_await fork_join([f] { return f(); }, [] { return long_sleep(); });
  static_cast<void>(all);
  co_return 1;
}
task<int> as_a_child(thrower f) {
  co_await scope([f](scope_ref s) -> task<> {
    s.spawn(f);
    s.spawn(long_sleep);
    co_await sleep_for(1h);
  });
  co_return 1;
}
task<int> as_the_body(thrower f) {
  co_await scope([f](scope_ref s) -> task<> {
    s.spawn(long_sleep);
    co_await f();
  });
  co_return 1;
}
task<int> deep_inside(thrower f) {
  const held h;
  const int n = co_await awaited(f);
  co_return n;
}

struct way {
  const char* name;
  task<int> (*takes)(thrower);
};
const std::vector<way> ways = {
    {"awaited", awaited},         {"three deep", deep_inside},
    {"joined", joined},           {"outcome", seen_as_an_outcome},
    {"timeout", in_time},         {"catch_stop", under_catch_stop},
    {"when_all", beside_another}, {"race", of_a_race},
    {"select", of_a_select},      {"fork_join", as_a_branch},
    {"child", as_a_child},        {"body", as_the_body},
};

TEST(throw_points, whatever_throws_wherever_it_comes_out_as_it_was) {
  for (const place& p : places) {
    for (const way& w : ways) {
      SCOPED_TRACE(std::string(p.name) + " / " + w.name);
      virtual_runtime rt({.io = driver::epoll});
      std::string said = "nothing";
      try {
        rt.block_on(w.takes(p.throws));
      } catch (const mishap& m) {
        said = m.what();
      }
      EXPECT_EQ(said, p.name);
      EXPECT_EQ(alive, 0);
      EXPECT_EQ(rt.get().metrics().jobs_alive, 0u);
      // The runtime goes on.
      EXPECT_EQ(rt.block_on([]() -> task<int> {
        co_await sleep_for(1ms);
        co_return 5;
      }()),
                5);
    }
  }
}

/// The awaitable is the operand itself, and no task stands between it and who combines.
template <class A>
task<int> combined(int how, A make) {
  const held h;
  if (how == 0) {
    const auto n = co_await timeout(1h, make());
    co_return n.value_or(0);
  }
  if (how == 1) {
    const auto n = co_await catch_stop(make());
    co_return n.value_or(0);
  }
  if (how == 2) {
    const int n = co_await shield(make());
    co_return n;
  }
  if (how == 3) {
    const auto all = co_await when_all(make(), long_sleep());
    co_return std::get<0>(all);
  }
  if (how == 4) {
    const auto first = co_await race(make(), long_sleep());
    static_cast<void>(first);
    co_return 1;
  }
  const auto first = co_await select(make(), sleep_for(1h));
  static_cast<void>(first);
  co_return 1;
}

TEST(throw_points, what_an_operand_throws_at_its_await_is_as_what_a_task_throws) {
  constexpr member members[] = {member::operator_co_await, member::await_ready,
                                member::await_suspend, member::await_resume};
  constexpr const char* names[] = {"operator co_await", "await_ready", "await_suspend",
                                   "await_resume"};
  for (std::size_t m = 0; m < std::size(members); ++m) {
    for (int how = 0; how < 6; ++how) {
      SCOPED_TRACE(std::string(names[m]) + " / " + std::to_string(how));
      virtual_runtime rt({.io = driver::epoll});
      std::string said = "nothing";
      const auto make = [in = members[m]] { return own_awaitable(in); };
      try {
        rt.block_on(combined(how, make));
      } catch (const mishap& e) {
        said = e.what();
      }
      EXPECT_EQ(said, names[m]);
      EXPECT_EQ(alive, 0);
      EXPECT_EQ(rt.elapsed(), 0ns);
    }
  }
}

/// Nobody joins it: it is said once, and the worker goes on.
TEST(throw_points, whatever_throws_in_a_detached_job_is_said_once) {
  for (const place& p : places) {
    SCOPED_TRACE(p.name);
    ::testing::internal::CaptureStderr();
    {
      runtime rt({.workers = 1, .on_panic = panic_policy::log});
      rt.spawn(p.throws).detach();
      rt.block_on(sleep_for(2ms));
      while (rt.metrics().jobs_alive != 0) rt.block_on(yield_now());
      EXPECT_EQ(rt.block_on([]() -> task<int> { co_return 5; }()), 5);
    }
    const std::string said = ::testing::internal::GetCapturedStderr();
    const std::size_t first = said.find(std::string("joined: ") + p.name + '\n');
    EXPECT_NE(first, std::string::npos) << said;
    EXPECT_EQ(said.find("joined: ", first + 1), std::string::npos) << said;
    EXPECT_EQ(alive, 0);
  }
}

/// A function or an argument that cannot be copied into the job: the caller of spawn() has it, and there is
/// no job.
TEST(throw_points, what_the_copy_into_a_job_throws_is_the_callers) {
  virtual_runtime rt({.io = driver::epoll});
  rt.block_on([]() -> task<> {
    const copy_throws argument;
    std::string said;
    try {
      spawn(takes, argument).detach();
    } catch (const mishap& m) {
      said = m.what();
    }
    EXPECT_EQ(said, "copy of an argument");
    said.clear();
    try {
      co_await scope([&argument](scope_ref s) -> task<> {
        s.spawn(long_sleep);
        s.spawn(takes, argument);
        co_return;
      });
    } catch (const mishap& m) {
      said = m.what();
    }
    EXPECT_EQ(said, "copy of an argument");
  }());
  EXPECT_EQ(alive, 0);
}

}  // namespace
}  // namespace weft
