#include <gtest/gtest.h>

#include <chrono>
#include <string>

#include "weft/io/buffered_reader.hpp"
#include "weft/io/buffered_writer.hpp"
#include "weft/io/stream_test_support.hpp"
#include "weft/runtime/block_on.hpp"
#include "weft/testing/virtual_time.hpp"
#include "weft/together/timeout.hpp"

namespace weft::io {
namespace {

using namespace std::chrono_literals;
using namespace test;
using weft::testing::virtual_runtime;

static_assert(async_reader<buffered_reader<duplex_stream>>);
static_assert(half_closable<buffered_writer<duplex_stream>>);

task<> reads_lines() {
  scripted from("GET /\r\n\r\nrest", 4);
  buffered_reader in(from);
  const auto first = co_await in.read_line();
  EXPECT_EQ(**first, "GET /");
  const auto second = co_await in.read_line();
  EXPECT_EQ(**second, "");
  const auto third = co_await in.read_line();
  EXPECT_EQ(**third, "rest");
  const auto end = co_await in.read_line();
  EXPECT_TRUE(end && !*end);
  EXPECT_TRUE(in.ended());
}
TEST(buffered_reader, gives_lines_and_then_the_end) { block_on(reads_lines()); }

task<> limited() {
  scripted from("abcdef\nx\n", 4);
  buffered_reader in(from);
  const auto line = co_await in.read_line(3);
  EXPECT_EQ(line.error(), errc::too_large);
  const auto again = co_await in.read_line(3);
  EXPECT_EQ(again.error(), errc::too_large);
  EXPECT_EQ(text_of(in.buffered()), "abcd");  // it looked no further than it had to
  in.consume(2);
  const auto other = co_await in.read_line(4);
  EXPECT_EQ(**other, "cdef");
  const auto next = co_await in.read_line(3);
  EXPECT_EQ(**next, "x");
}
TEST(buffered_reader, line_over_the_limit_stays_readable) { block_on(limited()); }

task<> full() {
  scripted from(std::string(20, 'x') + "\n", 100);
  buffered_reader in(from, 8);
  const auto line = co_await in.read_line();
  EXPECT_EQ(line.error(), errc::too_large);
  EXPECT_EQ(in.buffered().size(), 9u);  // one more: it looked whether the stream ends there
  const auto more = co_await in.peek(9);
  EXPECT_EQ(more.error(), errc::too_large);
  std::string got;
  const auto end = co_await read_to_end(in, got);
  EXPECT_FALSE(end);
  EXPECT_EQ(got, std::string(20, 'x') + "\n");
}
TEST(buffered_reader, line_over_the_capacity_stays_readable) { block_on(full()); }

task<> fills(std::size_t size, bool fits) {
  scripted from(std::string(size, 'x'), 3);
  buffered_reader in(from, 8);
  const auto last = co_await in.read_until(std::byte{'\n'}, 100);
  EXPECT_EQ(last.has_value(), fits) << size;
  if (fits) {
    EXPECT_EQ((*last)->size(), size);
  }
  const auto again = co_await in.read_until(std::byte{'\n'}, 100);
  EXPECT_EQ(again.has_value(), fits) << size;
  if (fits) {
    EXPECT_FALSE(again->has_value()) << "the end";
  } else {
    EXPECT_EQ(again.error(), errc::too_large);
  }
}
TEST(buffered_reader, last_frame_may_be_as_large_as_the_capacity) {
  for (const std::size_t size : {7u, 8u}) block_on(fills(size, true));
  for (const std::size_t size : {9u, 20u}) block_on(fills(size, false));
}

task<> looks() {
  scripted from("abcdefgh", 3);
  buffered_reader in(from, 4);
  const auto two = co_await in.peek(2);
  EXPECT_EQ(text_of(*two), "abc");
  EXPECT_EQ(from.reads, 1);
  in.consume(2);
  const auto four = co_await in.peek(4);  // the front moves to make room
  EXPECT_EQ(text_of(*four), "cdef");
  std::string word(3, ' ');
  const auto n = co_await in.read_exact(room_in(word));
  EXPECT_EQ(*n, 3u);
  EXPECT_EQ(word, "cde");
  const auto rest = co_await in.peek(4);
  EXPECT_EQ(text_of(*rest), "fgh");  // the end of the stream came before
  const auto part = co_await in.read_until(std::byte{'g'});
  EXPECT_EQ(text_of(**part), "fg");
  const auto last = co_await in.read_until(std::byte{'g'});
  EXPECT_EQ(text_of(**last), "h");
  const auto end = co_await in.read_until(std::byte{'g'});
  EXPECT_FALSE(end->has_value());
}
TEST(buffered_reader, looks_ahead_and_takes_what_it_is_told) { block_on(looks()); }

task<> passes_by() {
  scripted from(std::string(100, 'x'), 100);
  buffered_reader in(from, 8);
  std::string large(50, ' ');
  const auto n = co_await in.read_some(room_in(large));
  EXPECT_EQ(*n, 50u);
  EXPECT_EQ(from.reads, 1);
  EXPECT_TRUE(in.buffered().empty());
}
TEST(buffered_reader, large_read_goes_past_the_buffer) { block_on(passes_by()); }

task<> fails() {
  scripted from("half a li", 100);
  from.fails = std::make_error_code(std::errc::connection_reset);
  buffered_reader in(from);
  const auto line = co_await in.read_line();
  EXPECT_EQ(line.error(), std::errc::connection_reset);
  EXPECT_EQ(text_of(in.buffered()), "half a li");
}
TEST(buffered_reader, what_came_before_an_error_is_still_there) { block_on(fails()); }

task<> stopped_line() {
  auto [a, b] = duplex(64);
  buffered_reader in(b);
  const auto sent = co_await a.write_all(bytes_of("first ha"));
  EXPECT_TRUE(sent);
  const auto none = co_await timeout(1s, in.read_line());
  EXPECT_EQ(none.error(), errc::timed_out);
  EXPECT_EQ(text_of(in.buffered()), "first ha");
  const auto rest = co_await a.write_all(bytes_of("lf\n"));
  EXPECT_TRUE(rest);
  const auto line = co_await timeout(1s, in.read_line());
  EXPECT_EQ(**line, "first half");
}
TEST(buffered_reader, line_that_was_waited_for_too_long_comes_whole_later) {
  virtual_runtime rt;
  rt.block_on(stopped_line());
}

task<> gathers() {
  scripted to("", 100);
  buffered_writer out(to, 8);
  for (const char* text : {"ab", "cd", "ef"}) {
    const auto wrote = co_await out.write_all(bytes_of(text));
    EXPECT_TRUE(wrote);
  }
  EXPECT_EQ(to.writes, 0);
  EXPECT_EQ(text_of(out.pending()), "abcdef");
  EXPECT_FALSE(out.try_write(bytes_of("ghi")));
  EXPECT_TRUE(out.try_write(bytes_of("gh")));
  const auto more = co_await out.write_all(bytes_of("i"));
  EXPECT_TRUE(more);
  EXPECT_EQ(to.output, "abcdefgh");
  EXPECT_EQ(to.writes, 1);
  const auto shut = co_await out.shutdown_write();
  EXPECT_TRUE(shut);
  EXPECT_EQ(to.output, "abcdefghi");
  EXPECT_EQ(to.shut, 1);
  EXPECT_EQ(out.taken(), 9u);
}
TEST(buffered_writer, gathers_small_writes) { block_on(gathers()); }

task<> order_is_kept() {
  const std::string text = some_text(1000, 5);
  for (const std::size_t bite : {1, 3, 8, 100}) {
    scripted to("", bite);
    buffered_writer out(to, 8);
    rng random(bite);
    for (std::size_t at = 0; at < text.size();) {
      const auto piece = std::string_view(text).substr(at, 1 + random.next() % 20);
      const auto wrote = co_await out.write_all(bytes_of(piece));
      EXPECT_TRUE(wrote);
      at += piece.size();
      EXPECT_EQ(to.output.size() + out.pending().size(), at);
    }
    const auto flushed = co_await out.flush();
    EXPECT_TRUE(flushed);
    EXPECT_TRUE(to.output == text);
  }
}
TEST(buffered_writer, stream_gets_the_bytes_in_order) { block_on(order_is_kept()); }

task<> write_fails() {
  scripted to("", 100);
  to.room = 3;
  buffered_writer out(to, 8);
  const auto wrote = co_await out.write_all(bytes_of("abcdef"));
  EXPECT_TRUE(wrote);
  const auto flushed = co_await out.flush();
  EXPECT_EQ(flushed.error(), std::errc::broken_pipe);
  EXPECT_EQ(to.output, "abc");
  EXPECT_EQ(text_of(out.pending()), "def");
}
TEST(buffered_writer, what_the_stream_did_not_take_stays_pending) { block_on(write_fails()); }

task<> stopped_flush() {
  auto [a, b] = duplex(4);
  buffered_writer out(a, 16);
  const auto wrote = co_await out.write_all(bytes_of("0123456789"));
  EXPECT_TRUE(wrote);
  const auto late = co_await timeout(1s, out.flush());
  EXPECT_EQ(late.error(), errc::timed_out);
  EXPECT_EQ(text_of(out.pending()), "456789");
  const auto cut = co_await timeout(1s, out.write_all(bytes_of("abcdefghijklmnop")));
  EXPECT_EQ(cut.error(), std::errc::operation_canceled);
  EXPECT_EQ(out.taken(), 20u);  // ten of them
  std::string got(4, ' ');
  const auto n = co_await b.read_exact(room_in(got));
  EXPECT_EQ(*n, 4u);
  EXPECT_EQ(got, "0123");
  EXPECT_EQ(text_of(out.pending()), "456789abcdefghij");
}
TEST(buffered_writer, stop_leaves_what_was_not_handed_over) {
  virtual_runtime rt;
  rt.block_on(stopped_flush());
}

}  // namespace
}  // namespace weft::io
