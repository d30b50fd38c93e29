#include "weft/sync/shared_mutex.hpp"

#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "weft/sync/event.hpp"
#include "weft/sync/sync_test_support.hpp"

namespace weft {
namespace {

using namespace test_support;

class shared_mutex_test : public ::testing::Test {
 protected:
  auto reads(char name) {
    return start(
        executor,
        [](shared_mutex_test& t, char the_name) -> task<> {
          const auto held = co_await t.m.lock_shared();
          t.trace += the_name;
        },
        std::ref(*this), name);
  }
  auto writes(char name) {
    return start(
        executor,
        [](shared_mutex_test& t, char the_name) -> task<> {
          const auto held = co_await t.m.lock();
          t.trace += the_name;
        },
        std::ref(*this), name);
  }
  test_executor executor;
  shared_mutex m;
  std::string trace;
};

TEST_F(shared_mutex_test, readers_are_in_together_and_a_writer_is_alone) {
  auto a = m.try_lock_shared(), b = m.try_lock_shared();
  EXPECT_TRUE(a && b);
  EXPECT_FALSE(m.try_lock());
  a.unlock();
  b.unlock();
  auto c = m.try_lock();
  EXPECT_TRUE(c);
  EXPECT_FALSE(m.try_lock());
  EXPECT_FALSE(m.try_lock_shared());
}

/// What gets in now, each time for a moment.
unsigned all_that_get_in(shared_mutex& m, bool writes) {
  unsigned n = 0;
  while (n < 1000 && (writes ? bool(m.try_lock()) : bool(m.try_lock_shared()))) ++n;
  return n;
}

TEST_F(shared_mutex_test, readers_overtake_a_waiting_writer_so_often_and_no_more) {
  auto in = m.try_lock_shared();
  auto w = writes('w');
  executor.run_until_idle();
  EXPECT_EQ(all_that_get_in(m, false), shared_mutex::overtakes_max);
  auto r = reads('r');
  executor.run_until_idle();
  EXPECT_EQ(trace, "");
  EXPECT_FALSE(m.try_lock_shared());
  in.unlock();
  EXPECT_FALSE(m.try_lock());  // it is the writer's already
  executor.run_until_idle();
  EXPECT_EQ(trace, "wr");
}

TEST_F(shared_mutex_test, writer_that_is_called_is_overtaken_so_often_and_no_more) {
  for (const bool by_writers : {false, true}) {
    auto in = m.try_lock_shared();
    auto w = writes('w');
    executor.run_until_idle();
    in.unlock();
    EXPECT_EQ(all_that_get_in(m, by_writers), shared_mutex::overtakes_max);
    EXPECT_FALSE(m.try_lock_shared());  // nobody is in, and it is kept for the writer
    auto r = reads('r');
    executor.run_until_idle();
    EXPECT_EQ(std::exchange(trace, ""), "wr");
  }
}

TEST_F(shared_mutex_test, readers_that_are_called_are_overtaken_by_so_many_writers_and_no_more) {
  auto in = m.try_lock();
  auto a = reads('a'), b = reads('b');
  executor.run_until_idle();
  in.unlock();
  EXPECT_EQ(all_that_get_in(m, true), shared_mutex::overtakes_max);
  EXPECT_EQ(all_that_get_in(m, false), 1000u);  // a reader is in nobody's way
  auto w = writes('w');
  executor.run_until_idle();
  EXPECT_EQ(trace, "abw");
}

TEST_F(shared_mutex_test, each_who_waits_costs_the_next_one_so_many_overtakings_and_no_more) {
  auto in = m.try_lock();
  auto u = writes('u'), v = writes('v'), w = writes('w');
  executor.run_until_idle();
  in.unlock();
  for (int turn = 0; turn < 3; ++turn) {
    EXPECT_EQ(all_that_get_in(m, true), shared_mutex::overtakes_max);
    executor.run_one();
  }
  EXPECT_EQ(trace, "uvw");
  EXPECT_EQ(all_that_get_in(m, true), 1000u);  // nobody waits: nothing is counted
}

TEST_F(shared_mutex_test, who_comes_up_in_vain_is_overtaken_no_more) {
  for (const char name : {'w', 'r'}) {
    auto in = m.try_lock();
    auto waiter = name == 'w' ? writes(name) : reads(name);
    executor.run_until_idle();
    in.unlock();
    in = m.try_lock();
    executor.run_until_idle();  // in vain
    auto behind = writes('x');
    executor.run_until_idle();
    in.unlock();
    EXPECT_FALSE(m.try_lock());  // handed over
    executor.run_until_idle();
    EXPECT_EQ(std::exchange(trace, ""), std::string(1, name) + 'x');
  }
}

TEST_F(shared_mutex_test, stopped_when_called_it_lets_the_next_one_in) {
  for (const char name : {'w', 'r'}) {
    auto in = m.try_lock();
    auto waiter = name == 'w' ? writes(name) : reads(name);
    auto next = writes('n');
    executor.run_until_idle();
    in.unlock();
    waiter->stop();
    executor.run_until_idle();
    EXPECT_TRUE(waiter.outcome().stopped());
    EXPECT_EQ(std::exchange(trace, ""), "n");
    EXPECT_EQ(all_that_get_in(m, true), 1000u);
  }
}

TEST_F(shared_mutex_test, many_readers_are_called_together) {
  auto in = m.try_lock();
  std::vector<started<void>> all;
  for (unsigned i = 0; i < 3 * wait_list::batch_max + 1; ++i) all.push_back(reads('.'));
  all.push_back(writes('w'));
  all.push_back(reads('r'));
  executor.run_until_idle();
  in.unlock();
  for (std::size_t i = 0; i + 2 < all.size(); ++i) executor.run_one();
  EXPECT_EQ(trace, std::string(all.size() - 2, '.'));
  executor.run_until_idle();
  EXPECT_EQ(trace, std::string(all.size() - 2, '.') + "wr");
  EXPECT_TRUE(m.try_lock());
}

TEST_F(shared_mutex_test, many_readers_that_come_up_in_vain_are_overtaken_no_more) {
  auto in = m.try_lock();
  std::vector<started<void>> all;
  for (unsigned i = 0; i < 2 * wait_list::batch_max + 1; ++i) all.push_back(reads('.'));
  executor.run_until_idle();
  in.unlock();
  in = m.try_lock();
  executor.run_until_idle();  // in vain
  EXPECT_EQ(trace, "");
  in.unlock();
  for (std::size_t i = 0; i < all.size(); ++i) {
    EXPECT_FALSE(m.try_lock()) << i << " have read; the others were handed it, too";
    executor.run_one();
  }
  EXPECT_EQ(trace, std::string(all.size(), '.'));
  EXPECT_EQ(all_that_get_in(m, true), 1000u);
}

TEST_F(shared_mutex_test, readers_between_two_writers_come_in_together) {
  auto in = m.try_lock();
  std::vector<started<void>> all;
  for (const char name : std::string("abWcX")) {
    all.push_back(name < 'a' ? writes(name) : reads(name));
  }
  executor.run_until_idle();
  in.unlock();
  executor.run_one();
  executor.run_one();  // one after the other, with no turn of somebody else in between
  EXPECT_EQ(trace, "ab");
  executor.run_until_idle();
  EXPECT_EQ(trace, "abWcX");
}

TEST_F(shared_mutex_test, stopped_writer_lets_the_readers_behind_it_in) {
  auto in = m.try_lock_shared();
  auto w = writes('w');
  executor.run_until_idle();
  static_cast<void>(all_that_get_in(m, false));
  std::vector<started<void>> all;
  for (int i = 0; i < 70; ++i) all.push_back(reads('.'));
  executor.run_until_idle();
  EXPECT_EQ(trace, "");
  w->stop();
  executor.run_until_idle();
  EXPECT_TRUE(w.outcome().stopped());
  EXPECT_EQ(trace.size(), 70u);
  in.unlock();
  EXPECT_TRUE(m.try_lock());
}

TEST_F(shared_mutex_test, who_was_handed_the_lock_and_is_stopped_then_unlocks_it) {
  auto in = m.try_lock_shared();
  auto w = writes('w');
  executor.run_until_idle();
  static_cast<void>(all_that_get_in(m, false));
  in.unlock();
  w->stop();
  executor.run_until_idle();
  EXPECT_EQ(trace, "w");
  EXPECT_TRUE(m.try_lock());
}

TEST_F(shared_mutex_test, stopped_before_it_began_it_does_not_lock) {
  auto a = start(
      executor,
      [](shared_mutex& m) -> task<> {
        current_job()->stop();
        const auto held = co_await m.lock_shared();
      },
      std::ref(m));
  executor.run_until_idle();
  EXPECT_TRUE(a.outcome().stopped());
  EXPECT_TRUE(m.try_lock());
}

TEST_F(shared_mutex_test, writer_is_not_starved_by_loops_of_readers) {
  bool written = false;
  int reads_after = 0;
  const auto read = [](shared_mutex& m, bool& the_written, int& the_reads_after) -> task<> {
    while (!the_written) {
      const auto held = co_await m.lock_shared();
      ++the_reads_after;
      co_await yield_now();
    }
  };
  testing::virtual_runtime rt;
  rt.block_on(
      [](auto the_read, shared_mutex& m, bool& the_written, int& the_reads_after) -> task<> {
        std::vector<join_handle<>> readers;
        for (int i = 0; i < 64; ++i) {
          readers.push_back(
              spawn(the_read, std::ref(m), std::ref(the_written), std::ref(the_reads_after)));
        }
        for (int i = 0; i < 3; ++i) co_await yield_now();
        the_reads_after = 0;
        {
          const auto held = co_await m.lock();
          the_written = true;
        }
        for (auto& one : readers) co_await one;
      }(read, m, written, reads_after));
  EXPECT_LE(reads_after, 128 + static_cast<int>(shared_mutex::overtakes_max))
      << "each reader was let in once more at most, before it and after it, but for overtakings";
}

task<> writes_once(shared_mutex& m) { const auto held = co_await m.lock(); }
/// Returns when a writer waits, and readers are not let in before it any more.
task<> until_a_writer_is_next(shared_mutex& m) {
  for (;;) {
    const auto now = m.try_lock_shared();
    if (!now) co_return;
    co_await yield_now();
  }
}

#ifndef NDEBUG
task<> reads_twice(shared_mutex& m) {
  const auto first = co_await m.lock_shared();
  auto writer = spawn(writes_once, std::ref(m));
  co_await until_a_writer_is_next(m);
  const auto second = co_await m.lock_shared();
}
task<> reads_and_asks_to_write(shared_mutex& m) {
  const auto reading = co_await m.lock_shared();
  const auto writing = co_await m.lock();
}

TEST(shared_mutex_death_test, reader_that_would_wait_for_itself_is_reported) {
  for (const auto wrong : {&reads_twice, &reads_and_asks_to_write}) {
    EXPECT_DEATH(
        {
          shared_mutex m;
          static_cast<void>(run(wrong, std::ref(m)));
        },
        "would wait for itself");
  }
}
#endif

task<> keeps_until(shared_mutex_guard<false> held, event& end) {
  const auto mine = std::move(held);
  co_await end.wait();
}
task<> opens(event& end) {
  end.set();
  co_return;
}

// The share that it had is another job's now, so it does not wait for itself.
TEST(shared_mutex, reader_whose_guard_was_handed_on_may_ask_again_behind_a_writer) {
  runtime rt({.workers = 1});
  shared_mutex m;
  const auto reads_again = [](shared_mutex& the_m) -> task<> {
    event end;
    auto first = co_await the_m.lock_shared();
    auto keeper = spawn(keeps_until, std::move(first), std::ref(end));
    auto writer = spawn(writes_once, std::ref(the_m));
    co_await until_a_writer_is_next(the_m);
    auto opener = spawn(opens, std::ref(end));  // runs when this one waits
    const auto second = co_await the_m.lock_shared();
    co_await keeper;
    co_await writer;
    co_await opener;
  };
  rt.block_on(reads_again(m));
}

// Nor is a share that was given back, by whomever: the job reads no more.
TEST(shared_mutex, reader_that_was_unlocked_by_another_job_may_ask_again_behind_a_writer) {
  runtime rt({.workers = 1});
  shared_mutex m;
  const auto reads_again = [](shared_mutex& the_m) -> task<> {
    auto first = co_await the_m.lock_shared();
    auto other = spawn([&first] { first.unlock(); });
    co_await other;
    auto in = the_m.try_lock();
    EXPECT_TRUE(in);
    auto opener = spawn([&in] { in.unlock(); });
    const auto second = co_await the_m.lock_shared();  // behind one that writes
    co_await opener;
  };
  rt.block_on(reads_again(m));
}

using shared_mutex_workers = on_workers;
TEST_P(shared_mutex_workers, readers_see_whole_writes) {
  shared_mutex m;
  int a = 0, b = 0;
  atomic<int> torn{0};
  const auto write = [](shared_mutex& the_m, int& the_a, int& the_b) -> task<> {
    for (int i = 0; i < 300; ++i) {
      const auto held = co_await the_m.lock();
      ++the_a;
      if (i % 8 == 0) co_await yield_now();
      ++the_b;
    }
  };
  const auto read = [](shared_mutex& the_m, int& the_a, int& the_b,
                       atomic<int>& the_torn) -> task<> {
    for (int i = 0; i < 300; ++i) {
      const auto held = co_await the_m.lock_shared();
      if (the_a != the_b) the_torn.fetch_add(1, order::relaxed);
      if (i % 16 == 0) co_await yield_now();
    }
  };
  std::vector<join_handle<>> all;
  for (int i = 0; i < 4; ++i) {
    all.push_back(rt.spawn(write, std::ref(m), std::ref(a), std::ref(b)));
    all.push_back(rt.spawn(read, std::ref(m), std::ref(a), std::ref(b), std::ref(torn)));
  }
  for (auto& one : all) rt.block_on(one);
  EXPECT_EQ(torn.load(order::relaxed), 0);
  EXPECT_EQ(a, 1200);
  EXPECT_EQ(b, 1200);
}
WEFT_ON_WORKERS(shared_mutex_workers);

}  // namespace
}  // namespace weft
