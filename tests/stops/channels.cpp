// Messages: each is received once, whoever was stopped. A sender that was stopped still has its message.
#include <gtest/gtest.h>

#include <array>
#include <memory>
#include <optional>
#include <vector>

#include "tests/stops/crowd.hpp"
#include "weft/channel/broadcast.hpp"
#include "weft/channel/message_queue.hpp"
#include "weft/channel/mpmc.hpp"
#include "weft/channel/oneshot.hpp"
#include "weft/channel/watch.hpp"
#include "weft/runtime/time.hpp"
#include "weft/sync/semaphore.hpp"
#include "weft/together/select.hpp"

namespace weft::stops {
namespace {

using message = std::unique_ptr<std::uint64_t>;

/// Half of the places send, half receive. Each message is a number that its sender and the round make.
class messages : public scenario {
 public:
  using scenario::scenario;
  void begin(std::span<place> its) override {
    for (place& p : its) {
      if (!sends(p) || gives_permit(p)) continue;
      unsent_[p.index] = std::make_unique<std::uint64_t>(p.round * places_count + p.index);
    }
  }
  void count() override {
    for (unsigned i = 0; i < places_count; ++i) {
      compare(received_[i].load(order::relaxed), sent_[i]);
    }
  }
  void end(std::span<place> its) override {
    for (place& p : its) sent_[p.index] += sends(p) && !gives_permit(p) ? 1 : 0;
  }

 protected:
  static bool sends(const place& p) noexcept { return p.index % 2 == 0; }
  /// Instead of a message, where there are permits.
  virtual bool gives_permit(const place&) const noexcept { return false; }
  message& unsent(const place& mine) noexcept { return unsent_[mine.index]; }
  /// The receivers of a message tell it here. They may be another driver's.
  void had(const message& m) noexcept {
    const unsigned sender = static_cast<unsigned>(*m % places_count);
    const std::uint64_t round = *m / places_count;
    // The sum of the rounds tells what a count does not: one lost and another doubled.
    received_[sender].fetch_add(1, order::relaxed);
    rounds_[sender].fetch_add(round + 1, order::relaxed);
  }
  void count_rounds() {
    for (unsigned i = 0; i < places_count; ++i) {
      if (rounds_[i].load(order::relaxed) != sent_[i] * (sent_[i] + 1) / 2) {
        add_lost(1);
        add_doubled(1);
      }
    }
  }

 private:
  std::array<message, places_count> unsent_;
  std::array<std::uint64_t, places_count> sent_{};
  std::array<atomic<std::uint64_t>, places_count> received_{}, rounds_{};
};

class channels final : public messages {
 public:
  channels(const char* name, std::size_t capacity)
      : messages(name), ends_(channel<message>(capacity)) {}
  task<> visit(place& mine) override {
    if (sends(mine)) {
      const auto status = co_await ends_.sender.send_from(unsent(mine));
      if (status != send_status::sent) add_lost(1);
    } else {
      const auto got = co_await ends_.receiver.recv();
      got ? had(*got) : add_lost(1);
    }
    mine.has();
  }
  void count() override {
    messages::count();
    count_rounds();
    compare(ends_.receiver.size(), 0);
  }

 private:
  channel_ends<message> ends_;
};
TEST(stops_stress, channel) {
  channels s("channel", 2);
  run(s);
}
TEST(stops_stress, rendezvous) {
  channels s("rendezvous", 0);
  run(s);
}

class queues final : public messages {
 public:
  queues() : messages("message_queue") {}
  task<> visit(place& mine) override {
    if (sends(mine)) {
      const auto status = co_await all_.send_from(unsent(mine));
      if (status != send_status::sent) add_lost(1);
    } else {
      const auto got = co_await all_.recv();
      got ? had(*got) : add_lost(1);
    }
    mine.has();
  }
  void count() override {
    messages::count();
    count_rounds();
    const auto books = all_.stats();
    compare(books.enqueued, books.dequeued + books.size);
  }

 private:
  message_queue<message> all_{2, overflow::block_writer};
};
TEST(stops_stress, message_queue) {
  queues s;
  run(s);
}

/// A sender has a message for one of two channels, or a permit; a receiver takes whatever comes first.
class selects final : public messages {
 public:
  selects() : messages("select") {}
  task<> visit(place& mine) override {
    if (!sends(mine)) {
      const auto w = co_await select(x_.receiver.recv(), permits_.acquire(), y_.receiver.recv());
      if (w.index() == 0) had(*std::get<0>(w));
      if (w.index() == 1) taken_.fetch_add(1, order::relaxed);
      if (w.index() == 2) had(*std::get<2>(w));
    } else if (gives_permit(mine)) {
      co_await yield_now();
      given_.fetch_add(1, order::relaxed);
      permits_.release();
    } else {
      // The same message for both: who gets it first has it.
      const auto w =
          co_await select(x_.sender.send_from(unsent(mine)), y_.sender.send_from(unsent(mine)));
      static_cast<void>(w);
    }
    mine.has();
  }
  void count() override {
    messages::count();
    count_rounds();
    compare(taken_.load(order::relaxed), given_.load(order::relaxed));
    compare(permits_.available() + x_.receiver.size() + y_.receiver.size(), 0);
  }

 private:
  bool gives_permit(const place& p) const noexcept override { return p.index % 8 == 2; }
  channel_ends<message> x_ = channel<message>(0), y_ = channel<message>(1);
  semaphore permits_{0};
  atomic<std::uint64_t> taken_{0}, given_{0};
};
TEST(stops_stress, select) {
  selects s;
  run(s);
}

/// Two places are a pair: one answers, one waits for the answer, and waits again if it was stopped.
class answers final : public scenario {
 public:
  answers() : scenario("oneshot") {}
  void begin(std::span<place> its) override {
    for (place& p : its) {
      if (p.index % 2 == 0) pairs_[p.index / 2].emplace(oneshot<message>());
    }
  }
  task<> visit(place& mine) override {
    auto& pair = *pairs_[mine.index / 2];
    if (mine.index % 2 == 0) {
      co_await yield_now();
      const auto sent = pair.sender.send(std::make_unique<std::uint64_t>(mine.round));
      if (!sent) add_lost(1);
    } else {
      const auto got = co_await pair.receiver.recv();
      if (!got) add_lost(1);
      if (got && **got != mine.round) add_doubled(1);
    }
    mine.has();
  }
  void count() override {}

 private:
  std::array<std::optional<oneshot_ends<message>>, places_count / 2> pairs_;
};
TEST(stops_stress, oneshot) {
  answers s;
  run(s);
}

/// The first place of a driver sends a few, and each of the others must get all of them, in order.
class broadcasts final : public scenario {
 public:
  broadcasts() : scenario("broadcast") {}
  task<> visit(place& mine) override {
    const unsigned driver = mine.index / crowd_size;
    std::uint64_t& next = next_[mine.index];
    const std::uint64_t end = (mine.round + 1) * each;
    if (mine.index % crowd_size == 0) {
      while (next != end) {
        co_await yield_now();
        ends_[driver].sender.send(next++);
      }
    } else {
      auto& from = receivers_[mine.index];
      while (next != end) {
        const auto got = co_await from.recv();
        if (!got) {
          add_lost(1);
          break;
        }
        if (*got < next) add_doubled(1);
        if (*got > next) add_lost(*got - next);
        next = *got + 1;
      }
    }
    mine.has();
  }
  void count() override {
    for (unsigned i = 0; i < places_count; ++i) {
      if (i % crowd_size != 0) compare(receivers_[i].size(), 0);
    }
  }

 private:
  static constexpr std::uint64_t each = 4;  // in a round; as many as are kept, so that none lags
  std::vector<broadcast_ends<std::uint64_t>> ends_ = [] {
    std::vector<broadcast_ends<std::uint64_t>> all;
    for (unsigned i = 0; i < drivers; ++i) all.push_back(broadcast<std::uint64_t>(each));
    return all;
  }();
  std::vector<broadcast_receiver<std::uint64_t>> receivers_ = [this] {
    std::vector<broadcast_receiver<std::uint64_t>> all;
    for (unsigned i = 0; i < places_count; ++i) all.push_back(ends_[i / crowd_size].receiver);
    return all;
  }();
  std::array<std::uint64_t, places_count> next_{};
};
TEST(stops_stress, broadcast) {
  broadcasts s;
  run(s);
}

/// The first place of a driver changes the value a few times, and each of the others must see the last one,
/// and none twice.
class watches final : public scenario {
 public:
  watches() : scenario("watch") {}
  task<> visit(place& mine) override {
    const unsigned driver = mine.index / crowd_size;
    std::uint64_t& last = last_[mine.index];
    const std::uint64_t end = (mine.round + 1) * each;
    if (mine.index % crowd_size == 0) {
      while (last != end) {
        co_await yield_now();
        ends_[driver].sender.send(++last);
      }
    } else {
      auto& from = receivers_[mine.index];
      while (last != end) {
        const bool newer = co_await from.changed();
        const auto seen = from.borrow_and_see();
        if (!newer) add_lost(1);
        if (*seen <= last) add_doubled(1);
        last = *seen;
      }
    }
    mine.has();
  }
  void count() override {
    for (unsigned i = 0; i < places_count; ++i) {
      if (i % crowd_size != 0) compare(receivers_[i].has_changed() ? 1 : 0, 0);
    }
  }

 private:
  static constexpr std::uint64_t each = 4;
  std::vector<watch_ends<std::uint64_t>> ends_ = [] {
    std::vector<watch_ends<std::uint64_t>> all;
    for (unsigned i = 0; i < drivers; ++i) all.push_back(watch<std::uint64_t>(0));
    return all;
  }();
  std::vector<watch_receiver<std::uint64_t>> receivers_ = [this] {
    std::vector<watch_receiver<std::uint64_t>> all;
    for (unsigned i = 0; i < places_count; ++i) all.push_back(ends_[i / crowd_size].receiver);
    return all;
  }();
  std::array<std::uint64_t, places_count> last_{};
};
TEST(stops_stress, watch) {
  watches s;
  run(s);
}

}  // namespace
}  // namespace weft::stops
