#include "weft/sync/shared_mutex.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

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

TEST_F(shared_mutex_test, reader_does_not_overtake_a_waiting_writer) {
  auto in = m.try_lock_shared();
  auto w = writes('w');
  executor.run_until_idle();
  auto r = reads('r');
  executor.run_until_idle();
  EXPECT_EQ(trace, "");
  EXPECT_FALSE(m.try_lock_shared());
  in.unlock();
  executor.run_until_idle();
  EXPECT_EQ(trace, "wr");
}

TEST_F(shared_mutex_test, readers_between_two_writers_come_in_together) {
  auto in = m.try_lock();
  std::vector<started<void>> all;
  for (const char name : std::string("abWcX")) {
    all.push_back(name < 'a' ? writes(name) : reads(name));
  }
  executor.run_until_idle();
  in.unlock();
  executor.run_one();  // both readers are in already
  executor.run_until_idle();
  EXPECT_EQ(trace, "abWcX");
}

TEST_F(shared_mutex_test, stopped_writer_lets_the_readers_behind_it_in) {
  auto in = m.try_lock_shared();
  auto w = writes('w');
  executor.run_until_idle();
  std::vector<started<void>> all;
  for (int i = 0; i < 70; ++i) all.push_back(reads('.'));
  executor.run_until_idle();
  w->stop();
  executor.run_until_idle();
  EXPECT_TRUE(w.outcome().stopped());
  EXPECT_EQ(trace.size(), 70u);
  in.unlock();
  EXPECT_TRUE(m.try_lock());
}

TEST_F(shared_mutex_test, who_was_given_the_lock_and_is_stopped_then_unlocks_it) {
  auto in = m.try_lock();
  auto w = writes('w');
  executor.run_until_idle();
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
  EXPECT_LE(reads_after, 128) << "each reader was let in once more at most, before it and after it";
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
