// A scheduler that runs a job inside of the call that wakes it: by the time that the waker's call goes on,
// the job has ended, and its frame, what it waited in and what it waited for are gone. ASan sees who
// looks at one of them again. (A worker on another CPU can be as quick.)
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "weft/base/intrusive_list.hpp"
#include "weft/channel/broadcast.hpp"
#include "weft/channel/message_queue.hpp"
#include "weft/channel/mpmc.hpp"
#include "weft/channel/oneshot.hpp"
#include "weft/channel/watch.hpp"
#include "weft/sync/barrier.hpp"
#include "weft/sync/condition_variable.hpp"
#include "weft/sync/event.hpp"
#include "weft/sync/latch.hpp"
#include "weft/sync/mutex.hpp"
#include "weft/sync/notify.hpp"
#include "weft/sync/semaphore.hpp"
#include "weft/sync/shared_mutex.hpp"
#include "weft/task/join_handle.hpp"
#include "weft/task/task_test_support.hpp"
#include "weft/together/race.hpp"
#include "weft/together/select.hpp"
#include "weft/together/stop_token.hpp"
#include "weft/together/when_all.hpp"

namespace weft {
namespace {

class inline_scheduler final : public scheduler {
 public:
  void schedule(job& ready, wake_kind why) noexcept override {
    if (why == wake_kind::yielded) return later_.push(ready);  // it is what runs now
    run(ready);
  }
  void run_yielded() {
    while (job* const next = later_.pop()) run(*next);
  }

 private:
  static void run(job& next) noexcept {
    next.refill_budget(64);
    job* const before = exchange_current_job(&next);
    next.run();
    exchange_current_job(before);
  }
  intrusive_queue<job, &job::next> later_;
};

/// What is waited for: `a` and `b` were started one after the other, and wait.
template <class Thing>
struct shared_thing {
  explicit shared_thing(std::unique_ptr<Thing> made) : thing(std::move(made)) {}
  std::unique_ptr<Thing> thing;
  int through = 0;
  int users = 0;
};

/// Waits, and destroys what it waited for if it was the last: also when it is stopped.
template <class Thing, class Wait>
task<> waits_for(shared_thing<Thing>& s, Wait wait) {
  struct user {
    shared_thing<Thing>& of;
    explicit user(shared_thing<Thing>& o) noexcept : of(o) { ++of.users; }
    user(const user&) = delete;
    ~user() {
      if (--of.users == 0) of.thing.reset();
    }
  };
  const user here(s);
  co_await wait(*s.thing);
  ++s.through;
}

template <class F, class... A>
auto begin(inline_scheduler& on, F f, A... args) {
  auto& made = make_job(on, f, args...);
  join_handle<> handle(made);
  launch(made);
  return handle;
}

/// `wake` lets `count` waiters through; then the same with one that is stopped, at each place.
template <class Thing, class Wait, class Wake>
void woken_and_stopped(Wait wait, Wake wake, int count, auto... thing_args) {
  const auto make = [&] {
    return std::make_unique<shared_thing<Thing>>(std::make_unique<Thing>(thing_args...));
  };
  const auto waiter = [](shared_thing<Thing>& s, Wait w) { return waits_for(s, w); };
  for (int stopped = -1; stopped < count; ++stopped) {
    SCOPED_TRACE(stopped);
    inline_scheduler inside;
    auto s = make();
    std::vector<join_handle<>> jobs;
    for (int i = 0; i < count; ++i) jobs.push_back(begin(inside, waiter, std::ref(*s), wait));
    EXPECT_EQ(s->through, 0);
    if (stopped == -1) {
      for (auto& j : jobs) j.detach();  // nobody else keeps the job
    } else {
      jobs[static_cast<std::size_t>(stopped)].stop();
      EXPECT_TRUE(jobs[static_cast<std::size_t>(stopped)].done());
    }
    for (int i = 0; i < count && s->thing != nullptr; ++i) wake(*s->thing);
    inside.run_yielded();
    EXPECT_EQ(s->through, stopped == -1 ? count : count - 1);
    EXPECT_EQ(s->thing, nullptr);
  }
}

TEST(inline_wake, semaphore) {
  woken_and_stopped<semaphore>([](semaphore& s) { return s.acquire(); },
                               [](semaphore& s) { s.release(); }, 3, 0u);
}
TEST(inline_wake, events_latch_and_notify) {
  woken_and_stopped<event>([](event& e) { return e.wait(); }, [](event& e) { e.set(); }, 3,
                           event::auto_reset);
  // One call lets all through, and the last of them destroys it.
  woken_and_stopped<event>([](event& e) { return e.wait(); }, [](event& e) { e.set(); }, 3);
  woken_and_stopped<latch>([](latch& l) { return l.wait(); }, [](latch& l) { l.count_down(); }, 3,
                           1u);
  woken_and_stopped<notify>([](notify& n) { return n.wait(); }, [](notify& n) { n.notify_one(); },
                            3);
}

/// The one that has the lock unlocks, and the next one runs in there.
template <class Mutex>
task<> locks(std::unique_ptr<Mutex>& m, int& entered, int& users, bool shared) {
  struct user {
    std::unique_ptr<Mutex>& of;
    int& n;
    user(std::unique_ptr<Mutex>& o, int& count) noexcept : of(o), n(count) { ++n; }
    user(const user&) = delete;
    ~user() {
      if (--n == 0) of.reset();
    }
  };
  const user here(m, users);
  if constexpr (std::is_same_v<Mutex, shared_mutex>) {
    if (shared) {
      const auto held = co_await m->lock_shared();
      ++entered;
      co_return;
    }
  }
  const auto held = co_await m->lock();
  ++entered;
}
template <class Mutex>
void mutexes() {
  for (int stopped = -1; stopped < 3; ++stopped) {
    for (unsigned kinds = 0; kinds < 8; ++kinds) {
      inline_scheduler inside;
      auto m = std::make_unique<Mutex>();
      int entered = 0, users = 0;
      {
        auto held = m->try_lock();
        std::vector<join_handle<>> jobs;
        for (unsigned i = 0; i < 3; ++i) {
          jobs.push_back(begin(inside, locks<Mutex>, std::ref(m), std::ref(entered),
                               std::ref(users), (kinds >> i & 1) != 0));
        }
        if (stopped == -1) {
          for (auto& j : jobs) j.detach();
        } else {
          jobs[static_cast<std::size_t>(stopped)].stop();
        }
        EXPECT_EQ(entered, 0);
        auto going = std::move(held);  // before the handles
      }
      inside.run_yielded();
      EXPECT_LE(entered, 3);
      EXPECT_EQ(m, nullptr);
    }
  }
}
TEST(inline_wake, mutex_is_unlocked_into_the_next_one_which_destroys_it) { mutexes<mutex>(); }
TEST(inline_wake, shared_mutex_is_unlocked_into_the_next_one_which_destroys_it) {
  mutexes<shared_mutex>();
}

template <class T>
task<> recv_all(receiver<T> from, int& sum) {
  for (;;) {
    const auto got = co_await from.recv();
    if (!got) co_return;
    sum += **got;
  }
}
template <class T>
task<> send_some(sender<T> to, int count) {
  for (int i = 1; i <= count; ++i) {
    const auto sent = co_await to.send(std::make_unique<int>(i));
    if (!sent) co_return;
  }
}
TEST(inline_wake, channel_whose_ends_wake_each_other_goes_with_the_last_of_them) {
  for (const std::size_t capacity : {0u, 1u, 2u}) {
    for (const bool sender_first : {true, false}) {
      inline_scheduler inside;
      int sum = 0;
      auto ends = channel<std::unique_ptr<int>>(capacity);
      auto& send = make_job(inside, send_some<std::unique_ptr<int>>, std::move(ends.sender), 5);
      auto& recv =
          make_job(inside, recv_all<std::unique_ptr<int>>, std::move(ends.receiver), std::ref(sum));
      join_handle<> a(send), b(recv);
      launch(sender_first ? send : recv);
      a.detach(), b.detach();
      launch(sender_first ? recv : send);
      inside.run_yielded();
      EXPECT_EQ(sum, 15);
    }
  }
}

TEST(inline_wake, oneshot_broadcast_and_watch_wake_who_takes_the_last_handle_along) {
  inline_scheduler inside;
  std::string trace;
  {
    auto ends = oneshot<int>();
    begin(
        inside,
        [](oneshot_receiver<int>* from, std::string& to) -> task<> {
          auto mine = std::move(*from);
          const auto got = co_await mine.recv();
          to += got ? 'o' : '-';
        },
        &ends.receiver, std::ref(trace))
        .detach();
    EXPECT_TRUE(ends.sender.send(1).has_value());
  }
  {
    auto ends = broadcast<int>(2);
    begin(
        inside,
        [](broadcast_receiver<int>* from, std::string& to) -> task<> {
          auto mine = std::move(*from);
          for (int i = 0; i < 2; ++i) {
            const auto got = co_await mine.recv();
            to += got ? 'b' : '-';
          }
        },
        &ends.receiver, std::ref(trace))
        .detach();
    EXPECT_EQ(ends.sender.send(1), 1u);
    EXPECT_EQ(ends.sender.send(2), 1u);
    EXPECT_EQ(ends.sender.send(3), 0u);
  }
  {
    auto ends = watch(0);
    begin(
        inside,
        [](watch_receiver<int>* from, std::string& to) -> task<> {
          auto mine = std::move(*from);
          const auto there = co_await mine.changed();
          to += there ? 'w' : '-';
        },
        &ends.receiver, std::ref(trace))
        .detach();
    ends.sender.send(1);
  }
  EXPECT_EQ(trace, "obbw");
}

/// The stopped operation ends inside of stop(), and so do the job and those that wait for it.
TEST(inline_wake, stop_of_what_others_wait_for_ends_them_all_inside_of_it) {
  for (int what = 0; what < 4; ++what) {
    SCOPED_TRACE(what);
    inline_scheduler inside;
    event never;
    bool ended = false;
    auto handle = begin(
        inside,
        [](event& e, int how, bool& end) -> task<> {
          struct says {
            bool& said;
            explicit says(bool& s) noexcept : said(s) {}
            says(const says&) = delete;
            ~says() { said = true; }
          };
          const says at_the_end(end);
          const auto inner = [](event& of) -> task<> { co_await of.wait(); };
          if (how == 0) co_await inner(e);
          if (how == 1) co_await when_all(inner(e), inner(e));
          if (how == 2) static_cast<void>(co_await race(inner(e), inner(e)));
          if (how == 3) static_cast<void>(co_await select(e.wait(), e.wait()));
        },
        std::ref(never), what, std::ref(ended));
    EXPECT_FALSE(ended);
    handle.stop();
    inside.run_yielded();
    EXPECT_TRUE(ended);
    EXPECT_TRUE(handle.done());
  }
}

}  // namespace
}  // namespace weft
