// Fibers that wait in each kind of operation, stopped at every await: the stacks are unwound, nothing is kept, and
// what did not come to the one that was stopped is still there. Each kind alone: await_*_test.cpp.
#include "weft/base/config.hpp"

#if WEFT_CENSUS  // the harness needs the hook that only these builds have

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "weft/channel/broadcast.hpp"
#include "weft/channel/message_queue.hpp"
#include "weft/channel/watch.hpp"
#include "weft/fs/file.hpp"
#include "weft/fs/fs_test_support.hpp"
#include "weft/net/tcp.hpp"
#include "weft/runtime/futex.hpp"
#include "weft/runtime/go.hpp"
#include "weft/runtime/interval.hpp"
#include "weft/runtime/time.hpp"
#include "weft/sync/event.hpp"
#include "weft/sync/rate_limiter.hpp"
#include "weft/task/shield_scope.hpp"
#include "weft/testing/cancel_everywhere.hpp"
#include "weft/together/join_set.hpp"

namespace weft {
namespace {

using namespace std::chrono_literals;
using fs::test::bytes_of;

class counts {
 public:
  explicit counts(std::atomic<int>& n) noexcept : alive_(n) { ++alive_; }
  ~counts() { --alive_; }
  counts(const counts&) = delete;
  counts& operator=(const counts&) = delete;

 private:
  std::atomic<int>& alive_;
};

constexpr int each = 3;

struct place {
  broadcast_ends<int> all = broadcast<int>(8);
  watch_ends<int> newest = watch(0);
  message_queue<int> q{1};
  rate_limiter calls{1000, 1};
  event at_the_word;
  std::atomic<std::uint32_t> word = 0;
  std::atomic<int> alive = 0;
  int sent = 0, heard = 0;
  int queued = 0, dequeued = 0;
  int joined = 0;
};

/// Goes on when the one that it gives to has been stopped, until the end of the runtime.
void gives(place& p) {
  const counts here(p.alive);
  for (int i = 1; i <= each; ++i) {
    await(sleep_for(1ms));
    p.sent += p.all.sender.send(i) == 1;
  }
  for (int i = 1; i <= each; ++i) {
    await(sleep_for(1ms));
    const auto put = await(p.q.send(i));
    p.queued += static_cast<bool>(put);
  }
  for (int i = 1; i <= each; ++i) {
    await(sleep_for(1ms));
    p.newest.sender.send(i);
  }
  await(p.at_the_word.wait());  // the clock stands still while somebody waits there
  await(yield_now());
  p.word = 1;
  futex_wake(p.word, 1);
}

task<int> ends_later(place& p, int ms) {
  const counts here(p.alive);
  co_await sleep_for(1ms * ms);
  co_return ms;
}

void takes(place& p) {
  const counts here(p.alive);
  go(gives, std::ref(p)).detach();
  while (p.heard < each) {
    const auto got = await(p.all.receiver.recv());
    EXPECT_EQ(got, ++p.heard);
  }
  while (p.dequeued < each) {
    const auto got = await(p.q.recv());
    EXPECT_EQ(got, ++p.dequeued);
  }
  while (p.newest.receiver.get() != each) {
    const counts second(p.alive);
    EXPECT_TRUE(await(p.newest.receiver.changed()));
  }
  p.at_the_word.set();
  while (p.word == 0) await(futex_wait(p.word, 0));
  for (int i = 0; i < 2; ++i) await(p.calls.acquire());
  interval every(1ms);
  for (int i = 0; i < 2; ++i) await(every.tick());
  const auto body = [&](join_set<int>& set) -> task<> {
    for (int i = 1; i <= each; ++i) set.spawn(ends_later, std::ref(p), i);
    while (auto ended = co_await set.next()) p.joined += ended->value();
  };
  await(with_join_set<int>(body));
}

TEST(go_stop_everywhere, what_jobs_wait_for_is_there_afterwards_or_was_taken) {
  std::unique_ptr<place> p;
  const auto seen = testing::cancel_everywhere(
      [&](testing::virtual_runtime& rt) {
        p = std::make_unique<place>();
        return rt.get().go(takes, std::ref(*p));
      },
      [&](bool stopped) {
        EXPECT_EQ(p->alive, 0);
        EXPECT_EQ(p->heard + static_cast<int>(p->all.receiver.size()), p->sent);
        EXPECT_EQ(p->dequeued + static_cast<int>(p->q.size()), p->queued);
        EXPECT_TRUE(stopped || p->joined == 1 + 2 + 3);
        p.reset();
      });
  EXPECT_GT(seen.awaits, 20u);
  EXPECT_GT(seen.stopped, 20u);
}

// --- sockets and files ----------------------------------------------------------------------------

const net::endpoint loopback{net::address::loopback_v4(), 0};

void answers(net::tcp_listener& listener, std::atomic<int>& alive) {
  const counts here(alive);
  auto stream = await(listener.accept());
  if (!stream) return;
  await(yield_now());
  const auto first = await(stream->write_all(bytes_of("hel")));
  await(yield_now());
  const auto rest = await(stream->write_all(bytes_of("lo")));
  static_cast<void>(first && rest);
}

struct io_place {
  fs::test::folder here;
  std::atomic<int> alive = 0;
  bool whole = false;
};

void asks(io_place& p) {
  const counts first(p.alive);
  auto listener = net::tcp_listener::bind(loopback);
  ASSERT_TRUE(listener);
  bool all_came = false;
  {
    auto server = go(answers, std::ref(*listener), std::ref(p.alive));
    const struct ends_first {  // it uses the listener
      join_handle<>& h;
      explicit ends_first(join_handle<>& of) noexcept : h(of) {}
      ends_first(const ends_first&) = delete;
      ends_first& operator=(const ends_first&) = delete;
      ~ends_first() {
        const shield_scope to_the_end;
        h.stop();
        static_cast<void>(await(h.outcome()));
      }
    } guard(server);
    auto stream = await(net::tcp_stream::connect(listener->local_endpoint().value()));
    ASSERT_TRUE(stream);
    std::array<std::byte, 5> room;
    EXPECT_TRUE(await(stream->wait_readable()));
    const auto n = await(stream->read_exact(room));
    ASSERT_TRUE(n);
    all_came = *n == room.size();  // or a stop came after a part of it, and the next await finds it
    EXPECT_EQ(await(stream->read_some(room)), 0u);
  }
  auto f = await(fs::open(p.here.at("a"), {.read = true, .write = true, .create = true}));
  ASSERT_TRUE(f);
  EXPECT_TRUE(await(f->write_at(bytes_of("text"), 0)));
  std::array<std::byte, 8> room;
  EXPECT_EQ(await(f->read_at(room, 0)), 4u);
  EXPECT_TRUE(await(f->close()));
  p.whole = all_came;
}

class go_stop_io : public fs::test::on_each_driver {};

TEST_P(go_stop_io, no_stack_connection_or_open_file_is_left) {
  io_place p;
  const auto seen = testing::cancel_everywhere(
      [&](testing::virtual_runtime& rt) {
        p.whole = false;
        return rt.get().go(asks, std::ref(p));
      },
      [&](bool stopped) {
        EXPECT_EQ(p.alive, 0);
        EXPECT_TRUE(stopped || p.whole);
      },
      testing::virtual_options{.io = GetParam()});
  EXPECT_GT(seen.awaits, 3u);
  EXPECT_GT(seen.stopped, 3u);
}

INSTANTIATE_TEST_SUITE_P(drivers, go_stop_io, fs::test::all_drivers, fs::test::driver_name);

}  // namespace
}  // namespace weft

#endif
