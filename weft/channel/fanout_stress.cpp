// broadcast, watch and message_queue on real threads, while jobs that wait are stopped all the time: what
// was received, missed, dropped and left adds up to what was sent, exactly.
#include <gtest/gtest.h>

#include <cstdio>
#include <memory>
#include <thread>
#include <vector>

#include "tests/support/seed.hpp"
#include "weft/channel/broadcast.hpp"
#include "weft/channel/channel_test_support.hpp"
#include "weft/channel/message_queue.hpp"
#include "weft/channel/watch.hpp"

namespace weft {
namespace {

using namespace test_support;

#if WEFT_TSAN || WEFT_ASAN
constexpr std::uint32_t scale = 10;
#else
constexpr std::uint32_t scale = 1;
#endif

constexpr std::uint32_t writers = 2;

struct numbered {
  std::uint32_t writer, number;
  std::shared_ptr<const std::uint32_t> same;  // one that is damaged or half copied shows
};
numbered make(std::uint32_t writer, std::uint32_t number) {
  return {writer, number, std::make_shared<std::uint32_t>(number)};
}

struct reader_state {
  std::uint64_t received = 0, missed = 0;
  std::uint32_t next[writers] = {};  // the least that may come
  bool ordered = true;

  void had(const numbered& m) {
    if (m.number < next[m.writer] || *m.same != m.number) ordered = false;
    next[m.writer] = m.number + 1;
    ++received;
  }
};

/// Two threads run jobs until it goes.
class crew {
 public:
  crew() {
    for (int i = 0; i < 2; ++i) threads_.emplace_back([this] { executor.work(); });
  }
  ~crew() {
    executor.quit();
    for (auto& t : threads_) t.join();
  }
  crew(const crew&) = delete;
  crew& operator=(const crew&) = delete;
  test_executor executor;

 private:
  std::vector<std::thread> threads_;
};

// --- broadcast ------------------------------------------------------------------------------------

task<> hear(broadcast_receiver<numbered>& from, reader_state& mine, std::size_t slow) {
  for (std::size_t n = 0;; ++n) {
    const auto got = co_await from.recv();
    if (got) {
      mine.had(*got);
    } else if (got.error().why == broadcast_lack::lagged) {
      mine.missed += got.error().missed;
    } else {
      co_return;
    }
    if (slow != 0 && n % slow == 0) sched_yield();
  }
}

void broadcasts(std::size_t capacity, std::uint32_t each, bool stops) {
  auto ends = std::make_unique<broadcast_ends<numbered>>(broadcast<numbered>(capacity));
  std::vector<broadcast_receiver<numbered>> receivers(4, ends->receiver);
  std::vector<reader_state> states(receivers.size());
  std::uint64_t stopped = 0;
  {
    crew workers;
    auto begin = [&](std::size_t i) {
      return start(workers.executor, hear, std::ref(receivers[i]), std::ref(states[i]), i);
    };
    std::vector<started<void>> jobs;
    for (std::size_t i = 0; i < receivers.size(); ++i) jobs.push_back(begin(i));
    std::vector<std::thread> threads;
    for (std::uint32_t w = 0; w < writers; ++w) {
      threads.emplace_back([w, each, to = ends->sender] {
        for (std::uint32_t i = 0; i < each; ++i) EXPECT_GE(to.send(make(w, i)), 4u);
      });
    }
    // Copies and subscribers come and go; what they miss is nobody else's.
    threads.emplace_back([from = std::move(ends->receiver), each]() mutable {
      for (std::uint32_t i = 0; i < each / 20; ++i) {
        auto copy = from;
        auto fresh = from.subscribe();
        static_cast<void>(copy.try_recv());
        static_cast<void>(fresh.try_recv());
        if (i % 3 == 0) static_cast<void>(from.try_recv());
      }
    });
    ends.reset();
    stopped = keep_going(jobs, seed(), stops, begin);
    for (auto& t : threads) t.join();
  }
  std::uint64_t missed = 0;
  for (std::size_t i = 0; i < receivers.size(); ++i) {
    EXPECT_TRUE(states[i].ordered);
    EXPECT_EQ(states[i].received + states[i].missed, std::uint64_t{writers} * each) << i;
    EXPECT_EQ(receivers[i].size(), 0u);
    missed += states[i].missed;
  }
  std::printf("missed %llu, stopped %llu\n", static_cast<unsigned long long>(missed),
              static_cast<unsigned long long>(stopped));
}

TEST(broadcast_stress, received_and_missed_is_what_was_sent) {
  broadcasts(16, 100'000 / scale, false);
}
TEST(broadcast_stress, with_a_single_slot) { broadcasts(1, 50'000 / scale, false); }
TEST(broadcast_stress, stops_lose_nothing) { broadcasts(7, 50'000 / scale, true); }

// --- watch ----------------------------------------------------------------------------------------

struct pair_of {
  std::uint64_t a, b;  // the same, or a version was changed while it was lent
};
struct watcher_state {
  std::uint64_t last = 0, changes = 0;
  bool good = true;
};
task<> follow(watch_receiver<pair_of>& from, watcher_state& mine) {
  for (;;) {
    const bool newer = co_await from.changed();
    if (!newer) co_return;
    const auto lent = from.borrow();
    if (lent->a != lent->b || lent->a < mine.last) mine.good = false;
    mine.last = lent->a;
    ++mine.changes;
  }
}

void watches(std::uint64_t each, bool stops) {
  auto ends = std::make_unique<watch_ends<pair_of>>(watch(pair_of{0, 0}));
  std::vector<watch_receiver<pair_of>> receivers(3, ends->receiver);
  std::vector<watcher_state> states(receivers.size());
  {
    crew workers;
    auto begin = [&](std::size_t i) {
      return start(workers.executor, follow, std::ref(receivers[i]), std::ref(states[i]));
    };
    std::vector<started<void>> jobs;
    for (std::size_t i = 0; i < receivers.size(); ++i) jobs.push_back(begin(i));
    std::vector<std::thread> threads;
    for (std::uint32_t w = 0; w < writers; ++w) {
      threads.emplace_back([each, to = ends->sender] {
        for (std::uint64_t i = 0; i < each; ++i) {
          EXPECT_TRUE(to.send_if_modified([](pair_of& p) { return ++p.a, ++p.b, true; }));
        }
      });
    }
    ends.reset();
    static_cast<void>(keep_going(jobs, seed(), stops, begin));
    for (auto& t : threads) t.join();
  }
  for (std::size_t i = 0; i < receivers.size(); ++i) {
    EXPECT_TRUE(states[i].good);
    EXPECT_EQ(receivers[i].get().a, writers * each) << "a modification was lost";
    EXPECT_EQ(states[i].last, writers * each) << "the last value was not reported";
    EXPECT_FALSE(receivers[i].has_changed());
  }
}

TEST(watch_stress, last_value_reaches_all_and_no_modification_is_lost) {
  watches(50'000 / scale, false);
}
TEST(watch_stress, stops_lose_no_change) { watches(50'000 / scale, true); }

// --- message_queue --------------------------------------------------------------------------------

struct writer_state {
  std::uint32_t number = 0;
  std::unique_ptr<numbered> unsent;
  std::uint64_t sent = 0;
};
task<> put_all(message_queue<std::unique_ptr<numbered>>& q, writer_state& mine,
               std::uint32_t writer, std::uint32_t end) {
  while (mine.number != end || mine.unsent) {
    if (!mine.unsent) mine.unsent = std::make_unique<numbered>(make(writer, mine.number++));
    const auto status = co_await q.send_from(mine.unsent);
    if (status == send_status::closed) co_return;
    if (status == send_status::full) {
      sched_yield();
    } else {
      ++mine.sent;
    }
  }
}
task<> get_all(message_queue<std::unique_ptr<numbered>>& q, reader_state& mine, bool looks) {
  for (;;) {
    if (looks) {
      const bool open = co_await q.readable();
      if (!open) co_return;
      const auto got = q.try_recv();
      if (got) mine.had(**got);
    } else {
      const auto got = co_await q.recv();
      if (!got) co_return;
      mine.had(**got);
    }
  }
}

void queues(std::size_t capacity, overflow policy, std::uint32_t each, bool stops) {
  message_queue<std::unique_ptr<numbered>> q(capacity, policy);
  writer_state sent[writers];
  std::vector<reader_state> states(3);
  {
    crew workers;
    auto write = [&](std::size_t i) {
      return start(workers.executor, put_all, std::ref(q), std::ref(sent[i]),
                   static_cast<std::uint32_t>(i), each);
    };
    auto read = [&](std::size_t i) {
      return start(workers.executor, get_all, std::ref(q), std::ref(states[i]), i == 2);
    };
    std::vector<started<void>> senders, readers;
    for (std::size_t i = 0; i < writers; ++i) senders.push_back(write(i));
    for (std::size_t i = 0; i < states.size(); ++i) readers.push_back(read(i));
    atomic<bool> over(false);
    std::thread auditor([&] {
      while (!over.load(order::acquire)) {
        const auto books = q.stats();
        EXPECT_EQ(books.enqueued, books.dequeued + books.dropped + books.size);
        EXPECT_LE(books.size, books.high_water);
        EXPECT_LE(books.high_water, capacity);
        sched_yield();
      }
    });
    std::thread other([&] { static_cast<void>(keep_going(readers, seed() + 1, stops, read)); });
    static_cast<void>(keep_going(senders, seed(), stops, write));
    q.close();
    other.join();
    over.store(true, order::release);
    auditor.join();
  }
  std::uint64_t in = 0, out = 0;
  for (const auto& s : sent) in += s.sent;
  for (const auto& s : states) {
    EXPECT_TRUE(s.ordered);
    out += s.received;
  }
  const auto books = q.stats();
  EXPECT_EQ(in, std::uint64_t{writers} * each);
  EXPECT_EQ(books.enqueued, in);
  EXPECT_EQ(books.dequeued, out);
  EXPECT_EQ(books.size, 0u);
  EXPECT_EQ(books.enqueued, books.dequeued + books.dropped);
  std::printf("dropped %llu\n", static_cast<unsigned long long>(books.dropped));
  if (policy != overflow::drop_oldest) {
    EXPECT_EQ(books.dropped, 0u);
  }
}

TEST(message_queue_stress, block_writer) {
  queues(8, overflow::block_writer, 50'000 / scale, false);
}
TEST(message_queue_stress, drop_oldest) { queues(4, overflow::drop_oldest, 50'000 / scale, false); }
TEST(message_queue_stress, fail) { queues(4, overflow::fail, 2'000 / scale, false); }
TEST(message_queue_stress, stops_lose_nothing_block_writer) {
  queues(2, overflow::block_writer, 20'000 / scale, true);
}
TEST(message_queue_stress, stops_lose_nothing_drop_oldest) {
  queues(2, overflow::drop_oldest, 20'000 / scale, true);
}

}  // namespace
}  // namespace weft
