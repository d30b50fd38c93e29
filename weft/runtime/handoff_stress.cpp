// Processors that change hands all the time: nothing is lost, and nothing runs twice.
//
//   WEFT_STRESS_OPERATIONS   how many handoffs there are with each driver (without it: as many as come in 2 s)
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/seed.hpp"
#include "weft/base/rng.hpp"
#include "weft/fs/file.hpp"
#include "weft/net/unix.hpp"
#include "weft/runtime/await.hpp"
#include "weft/runtime/blocking_in_place.hpp"
#include "weft/runtime/go.hpp"
#include "weft/runtime/runtime.hpp"
#include "weft/runtime/time.hpp"
#include "weft/runtime/yield_if_due.hpp"
#include "weft/sync/event.hpp"
#include "weft/sync/semaphore.hpp"
#include "weft/together/fork_join.hpp"
#include "weft/together/select.hpp"
#include "weft/together/timeout.hpp"

namespace weft {
namespace {

using namespace std::chrono_literals;

void burn(std::chrono::microseconds d) {
  const auto end = std::chrono::steady_clock::now() + d;
  while (std::chrono::steady_clock::now() < end) {
  }
}

enum class kind { job, stream, select_read, select_event, file, fiber, migrating_fiber };
constexpr std::array kind_names = {"jobs",  "streams", "selects that read",  "selects of an event",
                                   "files", "fibers",  "fibers that migrate"};

/// A file of which each byte says where it stands.
class counting_file {
 public:
  static constexpr std::size_t bytes = 4096;
  static std::byte at(std::size_t offset) { return std::byte(offset * 7 + offset / 256); }
  counting_file() {
    const int fd = ::mkstemp(path_.data());
    std::array<std::byte, bytes> all;
    for (std::size_t i = 0; i < bytes; ++i) all[i] = at(i);
    if (fd < 0 || ::write(fd, all.data(), bytes) != static_cast<ssize_t>(bytes)) std::abort();
    ::close(fd);
  }
  ~counting_file() { ::unlink(path_.c_str()); }
  counting_file(const counting_file&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_ = ::testing::TempDir() + "weft_handoff_stress.XXXXXX";
};

struct totals {
  struct tally {
    std::atomic<long> begun{0};
    std::atomic<long> ended{0};
  };
  std::array<tally, kind_names.size()> of;
  semaphore few{2};
  const counting_file file;

  void begins(kind k) { ++of[static_cast<std::size_t>(k)].begun; }
  void ends(kind k) { ++of[static_cast<std::size_t>(k)].ended; }
};

task<long> add(long a, long b) {
  burn(std::chrono::microseconds(a % 200));
  co_return a + b;
}
task<long> sum(long n) {
  if (n < 2) co_return n;
  auto [a, b] = co_await fork_join([n] { return sum(n / 2); }, [n] { return sum(n - n / 2); });
  const long both = co_await add(a, b);
  co_return both;
}

using stream = net::unix_stream;
using byte = std::array<std::byte, 1>;

task<> ping(stream* s, int times) {
  byte in{};
  for (int i = 0; i < times; ++i) {
    const auto n = co_await s->read_some(in);
    EXPECT_TRUE(n.has_value() && *n == 1);
    const auto m = co_await s->write_some(in);
    EXPECT_TRUE(m.has_value());
  }
}
task<> write_one(stream* to) {
  static constexpr byte sent{std::byte{42}};
  const auto n = co_await to->write_some(sent);
  EXPECT_TRUE(n.has_value() && *n == 1);
}
task<> set(event* e) {
  e->set();
  co_return;
}

task<> ping_pong() {
  auto both = stream::pair();
  EXPECT_TRUE(both.has_value());
  auto other = spawn(ping, &both->second, 3);
  byte c{};
  for (int k = 0; k < 3; ++k) {
    const auto n = co_await both->first.write_some(c);
    EXPECT_TRUE(n.has_value());
    burn(50us);
    const auto m = co_await both->first.read_some(c);
    EXPECT_TRUE(m.has_value());
  }
  co_await other;
}

/// One of two things happens, and that one is what the select gives.
task<> selects(bool reads, std::chrono::microseconds first_burns) {
  auto both = stream::pair();
  EXPECT_TRUE(both.has_value());
  event other;
  byte in{};
  auto happens = reads ? spawn(write_one, &both->second) : spawn(set, &other);
  burn(first_burns);
  const auto won = co_await select(both->first.read_some(in), other.wait(), sleep_for(10min));
  const std::size_t index = won.index();
  EXPECT_EQ(index, reads ? 0u : 1u);
  EXPECT_EQ(in[0], reads ? std::byte{42} : std::byte{0});
  co_await happens;
}

task<> reads_file(const counting_file* of, std::size_t offset, std::chrono::microseconds burns) {
  auto opened = co_await fs::open(of->path(), {.read = true});
  EXPECT_TRUE(opened.has_value());
  if (!opened.has_value()) co_return;
  burn(burns);
  std::array<std::byte, 64> in{};
  const auto n = co_await opened->read_at(in, offset);
  EXPECT_EQ(n.value_or(0), std::min(in.size(), counting_file::bytes - offset));
  for (std::size_t i = 0; i < n.value_or(0); ++i) EXPECT_EQ(in[i], counting_file::at(offset + i));
  const auto closed = co_await opened->close();
  EXPECT_TRUE(closed.has_value());
}

/// In a fiber: what stands on its stack is there after each await, on whatever thread that goes on.
long fiber_steps(rng random, totals* all, kind which) {
  const auto mine = std::array{random.next(), random.next(), random.next(), random.next()};
  const auto some = [&random](unsigned up_to) {
    return std::chrono::microseconds(random.below(up_to));
  };
  auto kept = mine;
  long steps = 0;
  for (; steps < 4; ++steps) {
    switch (random.below(7)) {
      case 0:
        burn(some(300));
        await(yield_now());
        break;
      case 1:
        await(sleep_for(some(300)));
        break;
      case 2:
        await(all->few.acquire());
        burn(some(100));
        all->few.release();
        break;
      case 3:
        EXPECT_EQ(await(sum(6)), 6);
        break;
      case 4:
        all->begins(kind::select_read);
        await(selects(true, some(100)));
        all->ends(kind::select_read);
        break;
      case 5: {
        auto both = stream::pair();
        EXPECT_TRUE(both.has_value());
        auto other = spawn(write_one, &both->second);
        byte in{};
        burn(some(100));
        const auto n = await(both->first.read_some(in));
        EXPECT_TRUE(n.has_value() && *n == 1 && in[0] == std::byte{42});
        await(other);
        break;
      }
      default:
        weft::blocking([&] { std::this_thread::sleep_for(some(200)); });
        await(yield_if_due());
    }
    EXPECT_EQ(kept, mine);
    kept = mine;
  }
  all->ends(which);
  return steps;
}

task<> one(rng random, totals* all, int depth) {
  std::vector<join_handle<>> children;
  std::vector<join_handle<long>> fibers;
  const auto some = [&random](unsigned up_to) {
    return std::chrono::microseconds(random.below(up_to));
  };
  for (int i = 0; i < 6; ++i) {
    switch (random.below(13)) {
      case 0:
        burn(some(400));
        break;
      case 1:
        co_await sleep_for(some(300));
        break;
      case 2: {
        std::vector<std::unique_ptr<int>> made;
        for (int k = 0; k < 200; ++k) made.push_back(std::make_unique<int>(k));
        break;
      }
      case 3:
        co_await yield_if_due();
        break;
      case 4: {
        const long n = co_await sum(12);
        EXPECT_EQ(n, 12);
        break;
      }
      case 5: {
        const auto how = co_await timeout(100us, sleep_for(some(200)));
        static_cast<void>(how);
        break;
      }
      case 6:
        co_await all->few.acquire();
        burn(some(100));
        all->few.release();
        break;
      case 7:
        weft::blocking([&some] { std::this_thread::sleep_for(some(300)); });
        break;
      case 8:
        all->begins(kind::stream);
        co_await ping_pong();
        all->ends(kind::stream);
        break;
      case 9: {
        const bool reads = random.below(2) == 0;
        const kind which = reads ? kind::select_read : kind::select_event;
        all->begins(which);
        co_await selects(reads, some(100));
        all->ends(which);
        break;
      }
      case 10:
        all->begins(kind::file);
        co_await reads_file(&all->file, random.below(counting_file::bytes), some(100));
        all->ends(kind::file);
        break;
      case 11: {
        const bool migrates = random.below(2) == 0;
        const kind which = migrates ? kind::migrating_fiber : kind::fiber;
        all->begins(which);
        fibers.push_back(
            go(spawn_options{.migrates = migrates}, fiber_steps, rng(random.next()), all, which));
        break;
      }
      default:
        if (depth > 0) {
          all->begins(kind::job);
          children.push_back(spawn(spawn_options{.worker = random.below(3) == 0 ? 0 : any_worker},
                                   one, rng(random.next()), all, depth - 1));
        }
    }
  }
  for (auto& c : children) co_await c;
  for (auto& f : fibers) {
    const long steps = co_await f;
    EXPECT_EQ(steps, 4);
  }
  all->ends(kind::job);
}

class handoff_stress : public ::testing::TestWithParam<driver> {};
INSTANTIATE_TEST_SUITE_P(drivers, handoff_stress,
                         ::testing::Values(driver::epoll, driver::io_uring, driver::poll));

TEST_P(handoff_stress, all_that_is_spawned_ends) {
  rng random(test_support::seed());
  totals all;
  std::uint64_t handoffs = 0;
  const char* const asked = std::getenv("WEFT_STRESS_OPERATIONS");
  const std::uint64_t least = asked != nullptr ? std::strtoull(asked, nullptr, 10) : 0;
  constexpr std::uint64_t some = 100;
  const auto until = std::chrono::steady_clock::now() + 2s;
  const auto give_up = until + 60s;  // on a machine that does much else they are few
  std::chrono::steady_clock::time_point now;
  do {
    std::unique_ptr<runtime> rt;
    try {
      rt = std::make_unique<runtime>(runtime_options{
          .workers = 3, .io = GetParam(), .preempt_after = 50us, .report_stuck = false});
    } catch (const error&) {
      GTEST_SKIP() << "the system has no such driver";
    }
    std::vector<join_handle<>> roots;
    for (int i = 0; i < 40; ++i) {
      all.begins(kind::job);
      roots.push_back(rt->spawn(one, rng(random.next()), &all, 3));
    }
    for (auto& r : roots) rt->block_on(r);
    handoffs += rt->metrics().handoffs;
    for (std::size_t k = 0; k < kind_names.size(); ++k) {
      EXPECT_EQ(all.of[k].begun.load(), all.of[k].ended.load()) << kind_names[k];
    }
    now = std::chrono::steady_clock::now();
  } while (now < until || handoffs < least || (handoffs < some && now < give_up));
  EXPECT_GE(handoffs, some) << "it was about nothing";
  RecordProperty("handoffs", static_cast<int>(handoffs));
  std::printf("%llu handoffs", static_cast<unsigned long long>(handoffs));
  for (std::size_t k = 0; k < kind_names.size(); ++k) {
    EXPECT_GT(all.of[k].ended.load(), 0) << kind_names[k] << ": it was about none of them";
    std::printf(", %ld %s", all.of[k].ended.load(), kind_names[k]);
  }
  std::printf("\n");
}

}  // namespace
}  // namespace weft
