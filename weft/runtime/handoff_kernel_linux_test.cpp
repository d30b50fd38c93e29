// What a thread had begun in the kernel before it was stuck: it ends at the next owner of the processor,
// in whatever way the thread is stuck, and in time. And what the next owner begins itself.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <ranges>
#include <span>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "tests/support/hold.hpp"
#include "weft/io/reader_writer.hpp"
#include "weft/net/tcp_test_support.hpp"
#include "weft/net/unix.hpp"
#include "weft/runtime/blocking.hpp"
#include "weft/runtime/futex.hpp"
#include "weft/runtime/runtime.hpp"
#include "weft/runtime/time.hpp"

namespace weft {
namespace {

using namespace std::chrono_literals;
using test_support::hold;
using test_support::plain_beat;
using test_support::way;
using clock = hold::clock;
using ms = plain_beat::ms;

constexpr auto slice = 10ms;
constexpr int attempts = 5;  // a machine can be late in a way that its plain thread was spared

class handoff_kernel : public ::testing::TestWithParam<std::tuple<driver, way>> {
 protected:
  static driver io() { return std::get<0>(GetParam()); }
  static way how() { return std::get<1>(GetParam()); }
  void SetUp() override {
    if (const char* const reason = test_support::why_not(how())) GTEST_SKIP() << reason;
    std::string_view why;
    if (!detail::real_environment().make_driver(io(), &why)) GTEST_SKIP() << why;
  }
  // What the thread had begun on a ring is told of by way of that thread alone, and so not before it is let go.
  static bool sockets_are_late() {
    return how() == way::cannot_be_woken && io() == driver::io_uring;
  }
  static bool futexes_are_late() {
    return how() == way::cannot_be_woken && (io() == driver::io_uring || io() == driver::automatic);
  }
};
std::string name_of(const ::testing::TestParamInfo<std::tuple<driver, way>>& of) {
  const auto [io, how] = of.param;
  return net::test::driver_name({io, of.index}) + "_" + test_support::name_of(how);
}
INSTANTIATE_TEST_SUITE_P(all, handoff_kernel,
                         ::testing::Combine(net::test::all_drivers_of_files,
                                            ::testing::Values(way::computes, way::waits,
                                                              way::cannot_be_woken)),
                         name_of);

using stream = net::unix_stream;

constexpr std::size_t more_than_fits = 4 << 20;

/// When something should have been seen, and when it was.
struct happening {
  const char* what;
  clock::time_point due{};
  clock::time_point seen{};
};
struct happenings {
  happening in_line{"in line"};
  happening timer{"timer"};
  happening read{"read"};
  happening lent{"read of a pool"};
  happening futex{"futex"};
};
/// Whether all were seen in time. Tells how late they were.
bool are_in_time(const std::vector<happening>& all, ms machine) {
  const ms at_most = test_support::late_at_most(slice, machine);
  bool in_time = true;
  std::printf("  late, ms:");
  for (const auto& h : all) {
    const ms late = h.seen - h.due;
    std::printf(" %s %.1f;", h.what, late.count());
    in_time &= late <= at_most;
  }
  std::printf(" machine %.1f, so %.1f at most\n", machine.count(), at_most.count());
  return in_time;
}

task<bool> reads(stream* s, std::size_t bytes, happening* h) {
  std::vector<std::byte> in(bytes);
  const auto n = co_await io::read_exact(*s, in);
  if (h != nullptr) h->seen = clock::now();
  co_return n.has_value() && *n == bytes;
}
task<bool> reads_of_a_pool(stream* s, std::span<const std::byte> expected, happening* h) {
  const auto came = co_await s->read_pooled();
  h->seen = clock::now();
  co_return came.has_value() && std::ranges::equal(came->bytes(), expected);
}
task<bool> writes(stream* s, std::size_t bytes) {
  const std::vector<std::byte> out(bytes);
  const auto done = co_await io::write_all(*s, out);
  co_return done.has_value();
}
task<bool> waits_for(std::atomic<std::uint32_t>* word, happening* h) {
  while (word->load() == 0) co_await futex_wait(*word, 0u);
  h->seen = clock::now();
  co_return true;
}
task<bool> sleeps(happening* h) {
  h->due = clock::now() + 2ms;
  co_await sleep_until(h->due);
  h->seen = clock::now();
  co_return true;
}
task<int> joined(std::vector<join_handle<bool>>* all) {
  int wrong = 0;
  for (auto& one : *all) {
    const bool right = co_await one;
    if (!right) ++wrong;
  }
  co_return wrong;
}

struct ends {
  std::pair<stream, stream> reader = *stream::pair();
  std::pair<stream, stream> writer = *stream::pair();
  std::pair<stream, stream> lender = *stream::pair();
  std::atomic<std::uint32_t> word{0};
};
const auto sent = net::test::bytes_of("lent");

/// By the next owner, while the other thread is held.
task<int> makes_them_end(ends* of, happenings* seen, hold* held, bool let_go_for_sockets,
                         bool let_go_for_futex) {
  while (!held->is_held()) co_await yield_now();
  seen->in_line.due = held->since();
  seen->in_line.seen = clock::now();
  seen->read.due = clock::now();
  const bool written = co_await writes(&of->reader.second, 1);
  seen->lent.due = clock::now();
  const auto lent = co_await io::write_all(of->lender.second, sent);
  if (let_go_for_sockets) held->let_go();
  const bool read = co_await reads(&of->writer.second, more_than_fits, nullptr);
  if (let_go_for_futex && !let_go_for_sockets) held->let_go();
  seen->futex.due = clock::now();
  of->word.store(1);
  futex_wake(of->word, 1);
  co_return (written ? 0 : 1) + (lent.has_value() ? 0 : 1) + (read ? 0 : 1);
}

/// Has a buffer of the pool while it is stuck, and gives it back when it has lost its processor.
task<bool> is_stuck_with_a_buffer(std::pair<stream, stream>* both, hold* held, way how) {
  const auto done = co_await io::write_all(both->second, sent);
  auto kept = co_await both->first.read_pooled();
  const bool was_let_go = held->stay(how);
  const bool is_there = done && kept && std::ranges::equal(kept->bytes(), sent);
  co_return (was_let_go && is_there);
}

TEST_P(handoff_kernel, what_the_thread_had_begun_ends) {
  for (int attempt = 1;; ++attempt) {
    hold held;
    happenings seen;
    const auto test = [&]() -> task<int> {
      ends all;
      std::vector<join_handle<bool>> begun;
      begun.push_back(spawn(reads, &all.reader.first, std::size_t{1}, &seen.read));
      begun.push_back(spawn(reads_of_a_pool, &all.lender.first, sent, &seen.lent));
      begun.push_back(spawn(writes, &all.writer.first, more_than_fits));
      begun.push_back(spawn(waits_for, &all.word, &seen.futex));
      co_await sleep_for(
          1ms);  // so the one worker has waited in its driver, and submitted all that
      begun.push_back(spawn(sleeps, &seen.timer));
      co_await yield_now();
      auto stuck = spawn([&held] { return held.stay(how()); });
      auto others =
          spawn(makes_them_end, &all, &seen, &held, sockets_are_late(), futexes_are_late());
      int wrong = co_await joined(&begun);
      if (!futexes_are_late()) held.let_go();
      wrong += co_await others;
      const bool was_let_go = co_await stuck;
      co_return wrong + (was_let_go ? 0 : 1);
    };
    plain_beat beside;
    runtime rt({.workers = 1, .io = io(), .preempt_after = slice, .report_stuck = false});
    ASSERT_EQ(rt.block_on(rt.spawn(test)), 0);
    ASSERT_GE(rt.metrics().handoffs, 1u) << "it was about nothing";
    std::vector<happening> judged{seen.in_line, seen.timer};
    if (!sockets_are_late()) judged.insert(judged.end(), {seen.read, seen.lent});
    if (!futexes_are_late()) judged.push_back(seen.futex);
    if (are_in_time(judged, beside.worst())) break;
    ASSERT_LT(attempt, attempts) << "too late each time";
  }
}

TEST_P(handoff_kernel, buffer_that_the_stuck_job_was_lent_stays_its_own) {
  hold held;
  const auto test = [&]() -> task<int> {
    auto near = *stream::pair();
    auto far = *stream::pair();
    auto stuck = spawn(is_stuck_with_a_buffer, &near, &held, how());
    while (!held.is_held()) co_await yield_now();
    int wrong = 0;
    const auto other = net::test::bytes_of("more");
    for (int i = 0; i < 3; ++i) {  // by the next owner
      happening seen{"read of a pool"};
      auto reader = spawn(reads_of_a_pool, &far.first, other, &seen);
      co_await yield_now();
      const auto done = co_await io::write_all(far.second, other);
      const bool read = co_await reader;
      if (!done || !read) ++wrong;
    }
    held.let_go();
    const bool was_let_go = co_await stuck;
    co_return wrong + (was_let_go ? 0 : 1);
  };
  runtime rt({.workers = 1, .io = io(), .preempt_after = slice, .report_stuck = false});
  EXPECT_EQ(rt.block_on(rt.spawn(test)), 0);
  EXPECT_GE(rt.metrics().handoffs, 1u) << "it was about nothing";
}

/// Not with a limit of time on it: nothing but a wake from another thread ends that sleep. Result: the latest.
task<happening> is_woken_from_outside(int times) {
  happening latest{"wake from outside"};
  for (int i = 0; i < times; ++i) {
    const auto due = co_await spawn_blocking([] { return clock::now(); });
    const auto seen = clock::now();
    if (seen - due >= latest.seen - latest.due) latest = {latest.what, due, seen};
  }
  co_return latest;
}

TEST_P(handoff_kernel, next_owner_is_woken_and_begins_anew) {
  for (int attempt = 1;; ++attempt) {
    hold held;
    std::vector<happening> judged;
    const auto test = [&]() -> task<int> {
      co_await yield_now();
      auto stuck = spawn([&held] { return held.stay(how()); });
      auto a = *stream::pair();
      happening read{"read"}, timer{"timer"};
      auto reader = spawn(reads, &a.first, std::size_t{1}, &read);  // so it sleeps in the driver
      const auto woken = co_await is_woken_from_outside(20);
      const bool slept = co_await sleeps(&timer);
      read.due = clock::now();
      const bool written = co_await writes(&a.second, 1);
      const bool was_read = co_await reader;
      EXPECT_TRUE(slept && written && was_read);
      if (how() == way::cannot_be_woken) {
        EXPECT_EQ(held.state(), 'D');
      }
      if (how() == way::waits) {
        EXPECT_EQ(held.state(), 'S');
      }
      held.let_go();
      const bool was_let_go = co_await stuck;
      judged.insert(judged.end(), {woken, timer, read});
      co_return was_let_go ? 0 : 1;
    };
    plain_beat beside;
    runtime rt({.workers = 1, .io = io(), .preempt_after = slice, .report_stuck = false});
    ASSERT_EQ(rt.block_on(rt.spawn(test)), 0);
    ASSERT_GE(rt.metrics().handoffs, 1u) << "it was about nothing";
    if (are_in_time(judged, beside.worst())) break;
    ASSERT_LT(attempt, attempts) << "too late each time";
  }
}

}  // namespace
}  // namespace weft
