// A pipeline of channels, stopped at every await of every job in it: each message is received once, or
// still in line, or still with its sender.
#include "weft/base/config.hpp"

#if WEFT_CENSUS  // the harness needs the hook that only these builds have

#include <gtest/gtest.h>

#include <memory>
#include <vector>

#include "weft/channel/mpmc.hpp"
#include "weft/channel/oneshot.hpp"
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
TEST_P(channel_cancel, answer_is_received_by_who_asks_again) { all_is_conserved(ask); }

INSTANTIATE_TEST_SUITE_P(capacities, channel_cancel, ::testing::Values(0, 1, 3));

}  // namespace
}  // namespace weft

#endif
