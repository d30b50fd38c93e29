// A stop that was caught is not forgotten: each later await ends the job, also where what it asks for is
// there already, and has had no effect. Under a shield each goes on.
#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "weft/channel/broadcast.hpp"
#include "weft/channel/message_queue.hpp"
#include "weft/channel/mpmc.hpp"
#include "weft/channel/oneshot.hpp"
#include "weft/channel/watch.hpp"
#include "weft/runtime/blocking.hpp"
#include "weft/runtime/time.hpp"
#include "weft/sync/barrier.hpp"
#include "weft/sync/condition_variable.hpp"
#include "weft/sync/event.hpp"
#include "weft/sync/latch.hpp"
#include "weft/sync/mutex.hpp"
#include "weft/sync/notify.hpp"
#include "weft/sync/once.hpp"
#include "weft/sync/semaphore.hpp"
#include "weft/sync/shared_mutex.hpp"
#include "weft/task/shield_scope.hpp"
#include "weft/testing/virtual_time.hpp"
#include "weft/together/catch_stop.hpp"
#include "weft/together/race.hpp"
#include "weft/together/scope.hpp"
#include "weft/together/select.hpp"
#include "weft/together/timeout.hpp"
#include "weft/together/when_all.hpp"

namespace weft {
namespace {

using namespace std::chrono_literals;
using testing::virtual_runtime;

/// All that can be waited for, and each is ready: an await of it goes on at once unless it sees the stop.
struct things {
  semaphore permits{1};
  mutex lock;
  shared_mutex read_lock;
  event bell{event::auto_reset, true};
  event gate{event::manual_reset, true};
  latch open{0};
  barrier alone{1};
  notify news;
  once made;
  channel_ends<int> line = channel<int>(2);
  message_queue<int> queue{2, overflow::block_writer};
  broadcast_ends<int> all = broadcast<int>(2);
  watch_ends<int> latest = watch(0);
  oneshot_ends<int> answer = oneshot<int>();
  int made_count = 0;
  int begun = 0;

  things() {
    news.notify_one();
    EXPECT_TRUE(line.sender.try_send(1));
    EXPECT_TRUE(queue.try_send(1));
    EXPECT_EQ(all.sender.send(1), 1u);
    EXPECT_TRUE(latest.sender.send(1));
    EXPECT_TRUE(answer.sender.send(1).has_value());
  }
  /// Nothing was used up, or all of it that an await uses up.
  std::string state() {
    std::string s;
    s += permits.available() == 1 ? 'p' : '-';
    s += bell.is_set() ? 'b' : '-';
    s += made_count == 0 ? 'm' : '-';
    s += line.receiver.size() == 1 ? 'l' : '-';
    s += queue.stats() == untouched_queue() ? 'q' : '-';
    s += all.receiver.size() == 1 ? 'a' : '-';
    s += latest.receiver.has_changed() ? 'w' : '-';
    s += begun == 0 ? 't' : '-';
    s += !lock.is_locked() && bool(read_lock.try_lock()) ? 'u' : '-';
    return s;
  }
  static message_queue_stats untouched_queue() {
    message_queue<int> same(2, overflow::block_writer);
    EXPECT_TRUE(same.try_send(1));
    return same.stats();
  }
};

task<int> begins(things& t) {
  ++t.begun;
  co_await sleep_for(1ms);
  co_return 1;
}

using wait = task<> (*)(things&);
struct way {
  const char* name;
  wait waits;
};
const std::vector<way> ways = {
    {"sleep", [](things&) -> task<> { co_await sleep_for(1ms); }},
    {"sleep that is over", [](things&) -> task<> { co_await sleep_for(0ms); }},
    {"yield", [](things&) -> task<> { co_await yield_now(); }},
    {"semaphore",
     [](things& t) -> task<> {
       co_await t.permits.acquire();
       t.permits.release();
     }},
    {"mutex", [](things& t) -> task<> { const auto held = co_await t.lock.lock(); }},
    {"shared", [](things& t) -> task<> { const auto held = co_await t.read_lock.lock_shared(); }},
    {"unique", [](things& t) -> task<> { const auto held = co_await t.read_lock.lock(); }},
    {"auto event", [](things& t) -> task<> { co_await t.bell.wait(); }},
    {"event", [](things& t) -> task<> { co_await t.gate.wait(); }},
    {"latch", [](things& t) -> task<> { co_await t.open.wait(); }},
    {"barrier", [](things& t) -> task<> { static_cast<void>(co_await t.alone.arrive_and_wait()); }},
    {"notify", [](things& t) -> task<> { co_await t.news.wait(); }},
    {"once",
     [](things& t) -> task<> {
       const auto make = [&t] { ++t.made_count; };
       co_await t.made.call(make);
     }},
    {"receive", [](things& t) -> task<> { static_cast<void>(co_await t.line.receiver.recv()); }},
    {"send", [](things& t) -> task<> { static_cast<void>(co_await t.line.sender.send(2)); }},
    {"queue", [](things& t) -> task<> { static_cast<void>(co_await t.queue.recv()); }},
    {"queue send", [](things& t) -> task<> { static_cast<void>(co_await t.queue.send(2)); }},
    {"broadcast", [](things& t) -> task<> { static_cast<void>(co_await t.all.receiver.recv()); }},
    {"watch", [](things& t) -> task<> { static_cast<void>(co_await t.latest.receiver.changed()); }},
    {"oneshot", [](things& t) -> task<> { static_cast<void>(co_await t.answer.receiver.recv()); }},
    {"pool", [](things&) -> task<> { co_await spawn_blocking([] {}); }},
    {"timeout", [](things& t) -> task<> { static_cast<void>(co_await timeout(1h, begins(t))); }},
    {"when_all",
     [](things& t) -> task<> { static_cast<void>(co_await when_all(begins(t), begins(t))); }},
    {"race", [](things& t) -> task<> { static_cast<void>(co_await race(begins(t), begins(t))); }},
    {"select",
     [](things& t) -> task<> {
       static_cast<void>(co_await select(t.line.receiver.recv(), t.bell.wait()));
     }},
    {"scope",
     [](things& t) -> task<> {
       co_await scope([&t](scope_ref s) -> task<> {
         s.spawn(begins, std::ref(t));
         co_await sleep_for(1ms);
       });
     }},
};

task<> never_ends() { co_await sleep_for(1h); }

/// Catches its stop, then waits as told.
task<> goes_on(things& t, wait waits, bool shielded, std::string& trace) {
  const auto ended = co_await catch_stop(never_ends());
  trace += ended.has_value() ? '?' : 'c';
  if (shielded) {
    const shield_scope held;
    co_await waits(t);
    trace += 's';
  }
  if (shielded) {
    co_await never_ends();
  } else {
    co_await waits(t);
  }
  trace += '!';
}

task<bool> stopped_in(things& t, wait waits, bool shielded, std::string& trace) {
  auto job = spawn(goes_on, std::ref(t), waits, shielded, std::ref(trace));
  co_await sleep_for(1ms);
  job.stop();
  const auto end = co_await job.outcome();
  co_return end.stopped();
}

TEST(caught_stop, ends_the_job_at_the_next_wait_which_has_no_effect) {
  for (const way& w : ways) {
    SCOPED_TRACE(w.name);
    virtual_runtime rt({.io = driver::epoll});
    things t;
    const std::string before = t.state();
    EXPECT_EQ(before, "pbmlqawtu");
    std::string trace;
    EXPECT_TRUE(rt.block_on(stopped_in(t, w.waits, false, trace)));
    EXPECT_EQ(trace, "c");
    EXPECT_EQ(t.state(), before);
    EXPECT_EQ(rt.elapsed(), 1ms);
  }
}

TEST(caught_stop, is_hidden_by_a_shield_and_seen_behind_it) {
  for (const way& w : ways) {
    SCOPED_TRACE(w.name);
    virtual_runtime rt({.io = driver::epoll});
    things t;
    std::string trace;
    EXPECT_TRUE(rt.block_on(stopped_in(t, w.waits, true, trace)));
    EXPECT_EQ(trace, "cs");
  }
}

/// Caught again and again, it is still there.
TEST(caught_stop, is_there_however_often_it_is_caught) {
  virtual_runtime rt({.io = driver::epoll});
  int caught = 0;
  const bool stopped = rt.block_on([](int& n) -> task<bool> {
    auto job = spawn(
        [](int& count) -> task<> {
          for (int i = 0; i < 5; ++i) {
            const auto ended = co_await catch_stop(never_ends());
            count += ended.has_value() ? 0 : 1;
          }
          co_await never_ends();
        },
        std::ref(n));
    co_await sleep_for(1ms);
    job.stop();
    const auto end = co_await job.outcome();
    co_return end.stopped();
  }(caught));
  EXPECT_TRUE(stopped);
  EXPECT_EQ(caught, 5);
  EXPECT_EQ(rt.elapsed(), 1ms);
}

}  // namespace
}  // namespace weft
