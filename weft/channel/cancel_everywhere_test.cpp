// A pipeline of channels, stopped at every await of every job in it: each message is received once, or
// still in line, or still with its sender.
#include "weft/base/config.hpp"

#if WEFT_CENSUS  // the harness needs the hook that only these builds have

#include <gtest/gtest.h>

#include <memory>
#include <thread>
#include <vector>

#include "weft/channel/broadcast.hpp"
#include "weft/channel/message_queue.hpp"
#include "weft/channel/mpmc.hpp"
#include "weft/channel/oneshot.hpp"
#include "weft/channel/watch.hpp"
#include "weft/runtime/block_on.hpp"
#include "weft/runtime/runtime.hpp"
#include "weft/runtime/time.hpp"
#include "weft/task/shield_scope.hpp"
#include "weft/testing/cancel_everywhere.hpp"
#include "weft/together/catch_stop.hpp"

namespace weft {
namespace {

using testing::cancel_everywhere;
using testing::virtual_runtime;
using parcel = std::unique_ptr<int>;

constexpr int parcels = 5;

struct books {
  int made = 0;
  int kept = 0;  // by a sender that was stopped or refused
  int received = 0;
  int in_line = 0;  // at the end
};

task<> send_some(sender<parcel> to, books& b, parcel& mine) {
  for (int i = 0; i < parcels; ++i) {
    mine = std::make_unique<int>(i);
    ++b.made;
    const auto status = co_await to.send_from(mine);
    if (status != send_status::sent) co_return;
  }
}

task<> receive_some(receiver<parcel> from, books& b) {
  for (;;) {
    const auto got = co_await from.recv();
    if (!got) co_return;
    ++b.received;
  }
}

/// The stop comes to the scenario, which hands it on to both; then it counts.
task<> pipeline(books& b, std::size_t capacity) {
  b = books();
  auto ends = channel<parcel>(capacity);
  parcel first_left, second_left;
  auto first = spawn(send_some, ends.sender, std::ref(b), std::ref(first_left));
  auto second = spawn(send_some, ends.sender, std::ref(b), std::ref(second_left));
  auto taker = spawn(receive_some, ends.receiver, std::ref(b));
  const auto both = [](join_handle<void>& x, join_handle<void>& y) -> task<> {
    co_await x;
    co_await y;
  };
  const auto ended = co_await catch_stop(both(first, second));
  const shield_scope to_the_end;
  if (!ended) {
    first.stop();
    taker.stop();
    second.stop();
  } else {
    ends.sender.close();
  }
  const auto end_1 = co_await first.outcome();
  const auto end_2 = co_await second.outcome();
  const auto end_3 = co_await taker.outcome();
  static_cast<void>(end_1), static_cast<void>(end_2), static_cast<void>(end_3);
  b.kept = (first_left != nullptr) + (second_left != nullptr);
  b.in_line = static_cast<int>(ends.receiver.size());
}

/// The scenario's own send and receive are what is stopped; what came before, and after, is counted.
task<> own_awaits(books& b, std::size_t capacity) {
  b = books();
  auto ends = channel<parcel>(capacity);
  parcel left;
  auto taker = spawn(receive_some, ends.receiver, std::ref(b));
  const auto sent = co_await catch_stop(send_some(ends.sender, b, left));
  static_cast<void>(sent);
  const shield_scope to_the_end;
  ends.sender.close();
  const auto end = co_await taker.outcome();
  static_cast<void>(end);
  b.kept = left != nullptr;
  b.in_line = static_cast<int>(ends.receiver.size());
}

task<> receive_parcels(receiver<parcel> from, books& b) {
  for (int i = 0; i < parcels; ++i) {
    const auto got = co_await from.recv();
    if (!got) co_return;
    ++b.received;
  }
}

task<> own_receives(books& b, std::size_t capacity) {
  b = books();
  auto ends = channel<parcel>(capacity);
  parcel left;
  auto giver = spawn(send_some, ends.sender, std::ref(b), std::ref(left));
  const auto took = co_await catch_stop(receive_parcels(ends.receiver, b));
  static_cast<void>(took);
  const shield_scope to_the_end;
  giver.stop();
  const auto end = co_await giver.outcome();
  static_cast<void>(end);
  b.kept = left != nullptr;
  b.in_line = static_cast<int>(ends.receiver.size());
}

task<> answer(oneshot_sender<parcel> to, books& b, parcel& left) {
  co_await yield_now();
  ++b.made;
  auto sent = to.send(std::make_unique<int>(1));
  if (!sent) left = std::move(sent).refused();
}

/// A question whose asker is stopped: the answer is still there for who asks again.
task<> ask(books& b, std::size_t) {
  b = books();
  auto ends = oneshot<parcel>();
  parcel left;
  auto answering = spawn(answer, std::move(ends.sender), std::ref(b), std::ref(left));
  const auto once = [](oneshot_receiver<parcel>& from, books& counts) -> task<> {
    const auto got = co_await from.recv();
    counts.received += got.has_value();
  };
  const auto asked = co_await catch_stop(once(ends.receiver, b));
  const shield_scope to_the_end;
  if (!asked) co_await once(ends.receiver, b);
  const auto end = co_await answering.outcome();
  static_cast<void>(end);
  b.kept = left != nullptr;
}

task<> send_broadcast(broadcast_sender<int> to, books& b) {
  for (int i = 0; i < parcels; ++i) {
    co_await yield_now();
    b.made += to.send(i) == 1;
  }
}
task<> hear(broadcast_receiver<int>& from, books& b) {
  for (;;) {
    const auto got = co_await from.recv();
    if (got) {
      ++b.received;
    } else if (got.error().why == broadcast_lack::lagged) {
      b.kept += static_cast<int>(got.error().missed);
    } else {
      co_return;
    }
  }
}
/// What a stopped receiver had, missed, and has left is what was sent.
task<> broadcast_to_one(books& b, std::size_t capacity) {
  b = books();
  auto ends = broadcast<int>(capacity + 1);
  auto sending = spawn(send_broadcast, std::move(ends.sender), std::ref(b));
  const auto heard = co_await catch_stop(hear(ends.receiver, b));
  static_cast<void>(heard);
  const shield_scope to_the_end;
  const auto end = co_await sending.outcome();
  static_cast<void>(end);
  b.in_line = static_cast<int>(ends.receiver.size());
}

task<> send_changes(watch_sender<int> to) {
  for (int i = 1; i <= parcels; ++i) {
    co_await yield_now();
    to.send(i);
  }
}
task<> see_changes(watch_receiver<int>& from, int& last) {
  for (;;) {
    const bool newer = co_await from.changed();
    if (!newer) co_return;
    last = from.get();
  }
}
/// A stopped changed() has seen nothing: who goes on sees the last value.
task<> watch_one(books& b, std::size_t) {
  b = books();
  auto ends = watch(0);
  auto sending = spawn(send_changes, std::move(ends.sender));
  const auto seen = co_await catch_stop(see_changes(ends.receiver, b.received));
  const shield_scope to_the_end;
  const auto end = co_await sending.outcome();
  static_cast<void>(end);
  if (!seen) co_await see_changes(ends.receiver, b.received);
  b.made = parcels;
}
task<> wait_for_last(watch_receiver<int>& from, int& last) {
  const auto got = co_await from.wait_for([](int v) { return v == parcels; });
  last = got ? **got : -1;
}
task<> watch_until(books& b, std::size_t) {
  b = books();
  auto ends = watch(0);
  auto sending = spawn(send_changes, std::move(ends.sender));
  const auto seen = co_await catch_stop(wait_for_last(ends.receiver, b.received));
  const shield_scope to_the_end;
  if (!seen) co_await wait_for_last(ends.receiver, b.received);
  const auto end = co_await sending.outcome();
  static_cast<void>(end);
  b.made = parcels;
}

task<> queue_some(message_queue<parcel>& q, books& b, parcel& mine) {
  for (int i = 0; i < parcels; ++i) {
    mine = std::make_unique<int>(i);
    ++b.made;
    const auto status = co_await q.send_from(mine);
    if (status == send_status::closed) co_return;
  }
}
task<> take_queued(message_queue<parcel>& q, books& b, bool by_looking) {
  for (;;) {
    std::vector<parcel> out;
    if (by_looking) {
      const bool open = co_await q.readable();
      if (!open) co_return;
      if (q.try_recv()) ++b.received;
      const auto one = co_await q.recv();
      if (!one) co_return;
      ++b.received;
    } else {
      const auto n = co_await q.recv_many(out, 2);
      if (n == 0) co_return;
      b.received += static_cast<int>(n);
    }
  }
}
template <overflow Policy, bool ByLooking>
task<> queue_both(books& b, std::size_t capacity) {
  b = books();
  message_queue<parcel> q(capacity + 1, Policy);
  parcel left;
  auto taking = spawn(take_queued, std::ref(q), std::ref(b), ByLooking);
  const auto sent = co_await catch_stop(queue_some(q, b, left));
  static_cast<void>(sent);
  const shield_scope to_the_end;
  q.close();
  const auto end = co_await taking.outcome();
  static_cast<void>(end);
  const auto stats = q.stats();
  EXPECT_EQ(stats.enqueued, stats.dequeued + stats.dropped + stats.size);
  b.kept = (left != nullptr) + static_cast<int>(stats.dropped);
  b.in_line = static_cast<int>(stats.size);
}
template <bool ByLooking>
task<> queue_reader(books& b, std::size_t capacity) {
  b = books();
  message_queue<parcel> q(capacity + 1);
  parcel left;
  auto giving = spawn(queue_some, std::ref(q), std::ref(b), std::ref(left));
  auto closing = spawn(
      [](message_queue<parcel>& closed) -> task<> {
        for (int i = 0; i < 2 * parcels; ++i) co_await yield_now();
        closed.close();
      },
      std::ref(q));
  const auto took = co_await catch_stop(take_queued(q, b, ByLooking));
  static_cast<void>(took);
  const shield_scope to_the_end;
  q.close();
  const auto end = co_await giving.outcome();
  const auto end_2 = co_await closing.outcome();
  static_cast<void>(end), static_cast<void>(end_2);
  b.kept = left != nullptr;
  b.in_line = static_cast<int>(q.size());
}

/// recv_many() of a channel: what it has taken before the stop is in the vector.
task<> receive_many(receiver<parcel> from, books& b) {
  std::vector<parcel> out;
  for (;;) {
    const auto n = co_await from.recv_many(out, 3);
    if (n == 0) co_return;
    b.received += static_cast<int>(n);
  }
}
task<> own_many(books& b, std::size_t capacity) {
  b = books();
  auto ends = channel<parcel>(capacity);
  parcel left;
  auto giver = spawn(send_some, std::move(ends.sender), std::ref(b), std::ref(left));
  const auto took = co_await catch_stop(receive_many(ends.receiver, b));
  static_cast<void>(took);
  const shield_scope to_the_end;
  giver.stop();
  const auto end = co_await giver.outcome();
  static_cast<void>(end);
  b.kept = left != nullptr;
  b.in_line = static_cast<int>(ends.receiver.size());
}

class channel_cancel : public ::testing::TestWithParam<std::size_t> {
 protected:
  void all_is_conserved(task<> (*scenario)(books&, std::size_t)) {
    books b;
    const auto report = cancel_everywhere(
        [&](virtual_runtime& rt) { return rt.spawn(scenario, std::ref(b), GetParam()); },
        [&](bool) {
          EXPECT_EQ(b.made, b.kept + b.received + b.in_line)
              << "kept " << b.kept << ", received " << b.received << ", in line " << b.in_line;
        });
    EXPECT_GT(report.awaits, 0u);
    EXPECT_GT(report.runs, 4u);
  }
};

TEST_P(channel_cancel, pipeline_loses_no_message) { all_is_conserved(pipeline); }
TEST_P(channel_cancel, stopped_sender_keeps_what_it_did_not_send) { all_is_conserved(own_awaits); }
TEST_P(channel_cancel, stopped_receiver_has_eaten_nothing) { all_is_conserved(own_receives); }
TEST_P(channel_cancel, stopped_recv_many_has_eaten_nothing) { all_is_conserved(own_many); }
TEST_P(channel_cancel, broadcast_counts_each_message_once) { all_is_conserved(broadcast_to_one); }
TEST_P(channel_cancel, stopped_watcher_still_sees_the_last_value) { all_is_conserved(watch_one); }
TEST_P(channel_cancel, stopped_wait_for_may_be_repeated) { all_is_conserved(watch_until); }
TEST_P(channel_cancel, stopped_writer_of_a_queue_keeps_what_it_did_not_send) {
  all_is_conserved(queue_both<overflow::block_writer, false>);
  all_is_conserved(queue_both<overflow::block_writer, true>);
}
TEST_P(channel_cancel, dropping_queue_balances) {
  all_is_conserved(queue_both<overflow::drop_oldest, false>);
}
TEST_P(channel_cancel, stopped_reader_of_a_queue_has_eaten_nothing) {
  all_is_conserved(queue_reader<false>);
  all_is_conserved(queue_reader<true>);
}
TEST_P(channel_cancel, answer_is_received_by_who_asks_again) { all_is_conserved(ask); }

INSTANTIATE_TEST_SUITE_P(capacities, channel_cancel, ::testing::Values(0, 1, 3));

/// Plain threads, without a runtime, on both sides.
TEST(channel_threads, block_on_waits_in_a_plain_thread) {
  message_queue<int> q(2);
  auto [to, from] = broadcast<int>(1000);
  auto [set, seen] = watch(0);
  std::thread other([&q, all = std::move(to), newest = std::move(set)] {
    for (int i = 0; i < 1000; ++i) {
      const auto sent = block_on(q.send(i));
      EXPECT_TRUE(sent);
      all.send(i);
      newest.send(i);
    }
    q.close();
  });
  for (int i = 0; i < 1000; ++i) {
    EXPECT_EQ(block_on(q.recv()), i);
    EXPECT_EQ(block_on(from.recv()), i);
  }
  EXPECT_EQ(block_on(q.recv()), std::nullopt);
  EXPECT_FALSE(block_on(q.readable()));
  other.join();
  EXPECT_TRUE(block_on(seen.changed()));
  EXPECT_EQ(seen.get(), 999);
  EXPECT_FALSE(block_on(seen.changed()));
}

}  // namespace
}  // namespace weft

#endif
