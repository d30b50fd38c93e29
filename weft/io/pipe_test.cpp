#include <gtest/gtest.h>

#include <chrono>
#include <string>

#include "tests/support/seed.hpp"
#include "weft/channel/mpmc.hpp"
#include "weft/io/duplex.hpp"
#include "weft/io/stream_test_support.hpp"
#include "weft/runtime/block_on.hpp"
#include "weft/runtime/runtime.hpp"
#include "weft/runtime/time.hpp"
#include "weft/testing/virtual_time.hpp"
#include "weft/together/select.hpp"
#include "weft/together/timeout.hpp"
#include "weft/together/when_all.hpp"

namespace weft::io {
namespace {

using namespace std::chrono_literals;
using namespace test;
using weft::testing::virtual_runtime;

static_assert(async_reader<pipe_reader> && !async_writer<pipe_reader>);
static_assert(half_closable<pipe_writer> && !async_reader<pipe_writer>);
static_assert(async_stream<duplex_stream>);
static_assert(!async_reader<std::string> && !async_writer<int>);

void on_virtual_time(task<> scenario) {
  virtual_runtime rt;
  rt.block_on(std::move(scenario));
}

task<> write_in_pieces(pipe_writer to, const std::string& text, std::size_t most,
                       std::uint64_t seed) {
  rng random(seed);
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t size = 1 + random.next() % most;
    const auto n = co_await to.write_some(bytes_of(std::string_view(text).substr(at, size)));
    EXPECT_TRUE(n);
    if (!n) co_return;
    EXPECT_GT(*n, 0u);
    EXPECT_LE(*n, size);
    at += *n;
  }
  static_cast<void>(to.shutdown_write());  // it lives as long as the task, which others outlast
}
task<> through_one(std::size_t capacity, std::size_t bite, std::uint64_t seed) {
  const std::string text = some_text(2000, seed);
  auto [from, to] = pipe(capacity);
  std::string got;
  co_await when_all(write_in_pieces(std::move(to), text, 2 * capacity, seed),
                    read_to_end(from, got, bite));
  EXPECT_EQ(got, text) << "capacity " << capacity << ", bite " << bite;
}
TEST(pipe, bytes_come_in_order_whatever_the_pieces) {
  const std::uint64_t seed = test_support::seed();
  for (const std::size_t capacity : {1, 2, 7, 64, 5000}) {
    for (const std::size_t bite : {1, 3, 64, 5000})
      on_virtual_time(through_one(capacity, bite, seed));
  }
}

task<> back_pressure() {
  auto [from, to] = pipe(3);
  const auto first = co_await to.write_some(bytes_of("abcde"));
  EXPECT_EQ(*first, 3u);
  const auto full = co_await timeout(1s, to.write_some(bytes_of("de")));
  EXPECT_EQ(full.error(), errc::timed_out);
  EXPECT_EQ(from.size(), 3u);  // the stopped write has left nothing
  std::string got(2, ' ');
  const auto n = co_await from.read_some(room_in(got));
  EXPECT_EQ(*n, 2u);
  const auto second = co_await to.write_some(bytes_of("de"));
  EXPECT_EQ(*second, 2u);
  const auto end = to.shutdown_write();
  EXPECT_TRUE(end);
  const auto ended = co_await read_to_end(from, got);
  EXPECT_FALSE(ended);
  EXPECT_EQ(got, "abcde");
}
TEST(pipe, full_one_makes_the_writer_wait) { on_virtual_time(back_pressure()); }

task<> let_in() {
  auto [from, to] = pipe(4);
  auto waiting = spawn(
      [](pipe_writer& w) -> task<std::size_t> {
        const auto first = co_await w.write_some(bytes_of("abcd"));
        const auto second = co_await w.write_some(bytes_of("efgh"));
        co_return *first * 10 + *second;
      },
      std::ref(to));
  co_await sleep_for(1s);  // it is full, and the second write waits
  std::string got(3, ' ');
  const auto n = co_await from.read_some(room_in(got));
  EXPECT_EQ(*n, 3u);
  EXPECT_EQ(from.size(), 4u);  // what was made room for is filled at once
  const auto moved = co_await waiting;
  EXPECT_EQ(moved, 43u);
}
TEST(pipe, read_lets_in_the_writer_that_waits) { on_virtual_time(let_in()); }

task<> handed_over() {
  auto [from, to] = pipe(1);
  std::string got(8, ' ');
  auto reading = spawn(
      [](pipe_reader& r, std::string& into) -> task<std::size_t> {
        const auto n = co_await r.read_some(room_in(into));
        co_return *n;
      },
      std::ref(from), std::ref(got));
  co_await sleep_for(1s);
  const auto n = co_await to.write_some(bytes_of("0123456789"));
  EXPECT_EQ(*n, 9u);  // 8 to who waits, and one fits into the pipe
  EXPECT_EQ(from.size(), 1u);
  const auto read = co_await reading;
  EXPECT_EQ(read, 8u);
  EXPECT_EQ(got, "01234567");
}
TEST(pipe, reader_that_waits_is_given_the_bytes_directly) { on_virtual_time(handed_over()); }

task<> two_readers() {
  auto [from, to] = pipe(16);
  std::string a(2, ' '), b(2, ' ');
  const auto read = [](pipe_reader& r, std::string& into) -> task<> {
    const auto n = co_await r.read_some(room_in(into));
    EXPECT_EQ(*n, 2u);
  };
  auto first = spawn(read, std::ref(from), std::ref(a));
  co_await sleep_for(1s);
  auto second = spawn(read, std::ref(from), std::ref(b));
  co_await sleep_for(1s);
  const auto wrote = co_await to.write_all(bytes_of("wxyz"));
  EXPECT_TRUE(wrote);
  co_await first;
  co_await second;
  EXPECT_EQ(a + b, "wxyz");
  EXPECT_EQ(from.size(), 0u);
}
TEST(pipe, readers_of_one_end_are_served_in_their_order) { on_virtual_time(two_readers()); }

task<> three_writers() {
  auto [from, to] = pipe(1);
  std::string got;
  {
    const auto write = [](pipe_writer& w, const char* text) -> task<> {
      const auto done = co_await w.write_some(bytes_of(text));
      EXPECT_EQ(*done, 1u);
    };
    auto a = spawn(write, std::ref(to), "a");
    co_await sleep_for(1s);
    auto b = spawn(write, std::ref(to), "b");
    co_await sleep_for(1s);
    auto c = spawn(write, std::ref(to), "c");
    co_await sleep_for(1s);
    std::string one(1, ' ');
    for (int i = 0; i < 3; ++i) {
      const auto n = co_await from.read_some(room_in(one));
      EXPECT_EQ(*n, 1u);
      got += one;
    }
    co_await a;
    co_await b;
    co_await c;
  }
  EXPECT_EQ(got, "abc");
}
TEST(pipe, writers_of_one_end_are_served_in_their_order) { on_virtual_time(three_writers()); }

task<> ends() {
  auto [from, to] = pipe(4);
  const auto wrote = co_await to.write_some(bytes_of("ab"));
  EXPECT_EQ(*wrote, 2u);
  static_cast<void>(to.shutdown_write());
  const auto late = co_await to.write_some(bytes_of("c"));
  EXPECT_EQ(late.error(), std::errc::broken_pipe);
  std::string got;
  const auto end = co_await read_to_end(from, got);
  EXPECT_FALSE(end);
  EXPECT_EQ(got, "ab");
  std::string room(1, ' ');
  const auto again = co_await from.read_some(room_in(room));
  EXPECT_EQ(*again, 0u);
}
TEST(pipe, what_is_under_way_comes_before_the_end) { on_virtual_time(ends()); }

task<> reader_goes() {
  auto [from, to] = pipe(1);
  auto waiting = spawn(
      [](pipe_writer& w) -> task<std::error_code> {
        const auto done = co_await w.write_all(bytes_of("abc"));
        co_return done ? std::error_code() : done.error();
      },
      std::ref(to));
  co_await sleep_for(1s);
  from = pipe_reader();
  const auto error = co_await waiting;
  EXPECT_EQ(error, std::errc::broken_pipe);
  const auto late = co_await to.write_some(bytes_of("c"));
  EXPECT_EQ(late.error(), std::errc::broken_pipe);
}
TEST(pipe, writer_learns_that_nobody_reads) { on_virtual_time(reader_goes()); }

task<> writer_goes() {
  auto [from, to] = pipe(1);
  auto waiting = spawn(
      [](pipe_reader& r) -> task<std::size_t> {
        std::string room(1, ' ');
        const auto n = co_await r.read_some(room_in(room));
        co_return *n;
      },
      std::ref(from));
  co_await sleep_for(1s);
  to = pipe_writer();
  const auto n = co_await waiting;
  EXPECT_EQ(n, 0u);
}
TEST(pipe, waiting_reader_sees_the_writer_go) { on_virtual_time(writer_goes()); }

task<> own_end() {
  auto [from, to] = pipe(4);
  auto waiting = spawn(
      [](pipe_reader& r) -> task<std::error_code> {
        std::string room(1, ' ');
        const auto n = co_await r.read_some(room_in(room));
        co_return n ? std::error_code() : n.error();
      },
      std::ref(from));
  co_await sleep_for(1s);
  from.close();
  const auto while_waiting = co_await waiting;
  EXPECT_EQ(while_waiting, errc::closed);
  std::string room(1, ' ');
  const auto n = co_await from.read_some(room_in(room));
  EXPECT_EQ(n.error(), errc::closed);
  const auto nothing = co_await from.read_some({});
  EXPECT_EQ(*nothing, 0u);
}
TEST(pipe, read_of_an_end_that_was_closed_is_an_error) { on_virtual_time(own_end()); }

task<> exact() {
  auto [a, b] = duplex(2);
  auto sending = spawn(
      [](duplex_stream& s) -> task<> {
        const auto sent = co_await s.write_all(bytes_of("hello, world"));
        EXPECT_TRUE(sent);
        static_cast<void>(s.shutdown_write());
      },
      std::ref(a));
  std::string word(5, ' '), rest(100, ' ');
  const auto n = co_await b.read_exact(room_in(word));
  EXPECT_EQ(*n, 5u);
  EXPECT_EQ(word, "hello");
  const auto m = co_await b.read_exact(room_in(rest));
  EXPECT_EQ(*m, 7u);  // the stream ended before
  EXPECT_EQ(rest.substr(0, 7), ", world");
  co_await sending;
  // The other direction is open.
  const auto back = co_await b.write_all(bytes_of("hi"));
  EXPECT_TRUE(back);
  b.close();
  std::string heard;
  const auto end = co_await read_to_end(a, heard);
  EXPECT_FALSE(end);
  EXPECT_EQ(heard, "hi");
}
TEST(duplex, half_close_leaves_the_other_direction_open) { on_virtual_time(exact()); }

task<> cut_off() {
  auto [a, b] = duplex(4);
  std::string room(8, ' ');
  const auto sent = co_await a.write_some(bytes_of("abc"));
  EXPECT_EQ(*sent, 3u);
  const auto n = co_await timeout(1s, b.read_exact(room_in(room)));
  EXPECT_EQ(*n, 3u);  // no byte is denied
  EXPECT_EQ(room.substr(0, 3), "abc");
  const auto none = co_await timeout(1s, b.read_exact(room_in(room)));
  EXPECT_EQ(none.error(), errc::timed_out);
  const auto part = co_await timeout(1s, a.write_all(bytes_of("0123456789")));
  EXPECT_EQ(part.error(), std::errc::operation_canceled);
  EXPECT_EQ(b.size(), 4u);
  const auto no_part = co_await timeout(1s, a.write_all(bytes_of("0123456789")));
  EXPECT_EQ(no_part.error(), errc::timed_out);
}
TEST(duplex, cut_off_transfers_say_what_was_done) { on_virtual_time(cut_off()); }

task<> split_ends() {
  auto [a, b] = duplex(4);
  auto [from, to] = std::move(a).split();
  EXPECT_FALSE(a);
  const auto sent = co_await to.write_all(bytes_of("ab"));
  EXPECT_TRUE(sent);
  to = pipe_writer();
  std::string got;
  const auto end = co_await read_to_end(b, got);
  EXPECT_FALSE(end);
  EXPECT_EQ(got, "ab");
  const auto back = co_await b.write_some(bytes_of("c"));
  EXPECT_EQ(*back, 1u);
  EXPECT_EQ(from.size(), 1u);
}
TEST(duplex, directions_may_be_owned_apart) { on_virtual_time(split_ends()); }

/// Of two pipes, whichever has something: what is not chosen is still there.
task<> chosen() {
  auto [from_a, to_a] = pipe(8);
  auto [from_b, to_b] = pipe(8);
  std::string text_a, text_b;
  auto writing = spawn(
      [](pipe_writer& a, pipe_writer& b) -> task<> {
        for (int i = 0; i < 50; ++i) {
          const auto x = co_await a.write_all(bytes_of("aA"));
          const auto y = co_await b.write_all(bytes_of("bB"));
          EXPECT_TRUE(x && y);
        }
        static_cast<void>(a.shutdown_write());
      },
      std::ref(to_a), std::ref(to_b));
  for (;;) {
    std::string a(1, ' '), b(1, ' ');
    const auto which = co_await select(from_a.read_some(room_in(a)), from_b.read_some(room_in(b)));
    if (which.index() == 0) {
      const auto& n = std::get<0>(which);
      if (*n == 0) break;
      text_a += a;
    } else {
      text_b += b;
    }
  }
  co_await writing;
  static_cast<void>(to_b.shutdown_write());
  const auto rest = co_await read_to_end(from_b, text_b);
  EXPECT_FALSE(rest);
  std::string all_a, all_b;
  for (int i = 0; i < 50; ++i) all_a += "aA", all_b += "bB";
  EXPECT_EQ(text_a, all_a);
  EXPECT_EQ(text_b, all_b);
}
TEST(pipe, read_that_lost_a_select_has_taken_nothing) { on_virtual_time(chosen()); }

task<> write_chosen() {
  auto [from, to] = pipe(2);
  auto [never_from, never_to] = pipe(1);
  std::string none(1, ' ');
  for (int i = 0; i < 2; ++i) {
    const auto which =
        co_await select_biased(never_from.read_some(room_in(none)), to.write_some(bytes_of("z")));
    EXPECT_EQ(which.index(), 1u);
  }
  // Full: now both wait, until there is room.
  auto reading = spawn(
      [](pipe_reader& r) -> task<> {
        co_await sleep_for(1s);
        std::string one(1, ' ');
        const auto n = co_await r.read_some(room_in(one));
        EXPECT_EQ(*n, 1u);
      },
      std::ref(from));
  const auto which =
      co_await select_biased(never_from.read_some(room_in(none)), to.write_some(bytes_of("z")));
  EXPECT_EQ(which.index(), 1u);
  co_await reading;
  EXPECT_EQ(from.size(), 2u);
}
TEST(pipe, write_may_stand_in_a_select) { on_virtual_time(write_chosen()); }

/// Both ends on workers of their own, and both cut off by time-outs now and then.
task<> write_with_stops(pipe_writer to, const std::string& text, std::uint64_t seed) {
  rng random(seed);
  for (std::size_t at = 0; at < text.size();) {
    const auto piece = bytes_of(std::string_view(text).substr(at, 1 + random.next() % 300));
    const auto n =
        co_await timeout(std::chrono::microseconds(random.next() % 20), to.write_some(piece));
    if (n) at += *n;
  }
}
task<> read_with_stops(pipe_reader from, std::string& got, std::uint64_t seed) {
  rng random(seed + 1);
  std::string piece(300, ' ');
  for (;;) {
    const auto n = co_await timeout(std::chrono::microseconds(random.next() % 20),
                                    from.read_some(room_in(piece).first(1 + random.next() % 300)));
    if (!n) continue;
    if (*n == 0) co_return;
    got.append(piece, 0, *n);
  }
}
TEST(pipe, stops_lose_no_byte_between_threads) {
  const std::uint64_t seed = test_support::seed();
  const std::string text = some_text(300'000, seed);
  std::string got;
  runtime_options options;
  options.workers = 2;
  runtime rt(options);
  auto [from, to] = pipe(97);
  auto writing = rt.spawn(write_with_stops, std::move(to), std::cref(text), seed);
  auto reading = rt.spawn(read_with_stops, std::move(from), std::ref(got), seed);
  block_on(writing);
  block_on(reading);
  EXPECT_TRUE(got == text) << got.size() << " of " << text.size() << " bytes";
}

}  // namespace
}  // namespace weft::io
