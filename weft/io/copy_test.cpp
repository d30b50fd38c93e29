#include <gtest/gtest.h>

#include <chrono>
#include <string>

#include "weft/io/copy.hpp"
#include "weft/io/copy_bidirectional.hpp"
#include "weft/io/stream_test_support.hpp"
#include "weft/runtime/block_on.hpp"
#include "weft/runtime/runtime.hpp"
#include "weft/runtime/time.hpp"
#include "weft/testing/virtual_time.hpp"
#include "weft/together/timeout.hpp"

namespace weft::io {
namespace {

using namespace std::chrono_literals;
using namespace test;
using weft::testing::virtual_runtime;

task<> copies() {
  const std::string text = some_text(20'000, 3);
  for (const std::size_t bite : {1, 100, 100'000}) {
    scripted from(text, bite), to("", 777);
    const auto n = co_await copy(from, to);
    EXPECT_EQ(*n, text.size());
    EXPECT_TRUE(to.output == text);
    EXPECT_EQ(to.shut, 0);
  }
  scripted nothing("", 1), to("", 1);
  const auto n = co_await copy(nothing, to);
  EXPECT_EQ(*n, 0u);
}
TEST(copy, takes_all_up_to_the_end) { block_on(copies()); }

task<> copies_some() {
  for (const std::size_t limit : {0, 1, 9, 10, 11, 29, 30, 31}) {
    scripted from(std::string(30, 'x'), 10), to("", 4);
    const auto n = co_await copy(from, to, limit);
    EXPECT_EQ(*n, std::min<std::size_t>(limit, 30));
    EXPECT_EQ(to.output.size(), *n);
    EXPECT_EQ(from.input.size(), 30 - *n);  // nothing behind the limit was taken
  }
  // Behind the limit is the reader's buffer.
  scripted from("abcdefgh", 100), to("", 3);
  buffered_reader in(from, 6);
  const auto n = co_await copy(in, to, 5);
  EXPECT_EQ(*n, 5u);
  EXPECT_EQ(to.output, "abcde");
  const auto rest = co_await copy(in, to);
  EXPECT_EQ(*rest, 3u);
  EXPECT_EQ(to.output, "abcdefgh");
}
TEST(copy, takes_nothing_behind_the_limit) { block_on(copies_some()); }

task<> copy_fails() {
  scripted from("abcdef", 2), to("", 1);
  to.room = 3;
  buffered_reader in(from);
  const auto n = co_await copy(in, to);
  EXPECT_EQ(n.error(), std::errc::broken_pipe);
  EXPECT_EQ(to.output + text_of(in.buffered()) + from.input, "abcdef");
  scripted bad("abc", 2), other("", 9);
  bad.fails = std::make_error_code(std::errc::connection_reset);
  const auto m = co_await copy(bad, other);
  EXPECT_EQ(m.error(), std::errc::connection_reset);
  EXPECT_EQ(other.output, "abc");
}
TEST(copy, gives_the_error_of_either_side) { block_on(copy_fails()); }

/// A writer that takes nothing and says that it is fine.
class idle_writer {
 public:
  task<result<std::size_t>> write_some(std::span<const std::byte>) { co_return std::size_t{0}; }
};
task<> broken_writer() {
  scripted from("abc", 2);
  idle_writer to;
  const auto n = co_await copy(from, to);
  EXPECT_EQ(n.error(), std::errc::io_error);
  const auto wrote = co_await write_all(to, bytes_of("abc"));
  EXPECT_EQ(wrote.error(), std::errc::io_error);
}
TEST(copy, does_not_ask_for_ever) { block_on(broken_writer()); }

/// A proxy between two parties, which it sees as near and far.
struct parties {
  explicit parties(std::size_t capacity)
      : client_side(duplex(capacity)), server_side(duplex(capacity)) {}
  duplex_stream& client() { return client_side.first; }
  duplex_stream& near() { return client_side.second; }
  duplex_stream& far() { return server_side.first; }
  duplex_stream& server() { return server_side.second; }
  duplex_ends client_side;
  duplex_ends server_side;
};

task<result<copied_both>> proxy(parties& p) {
  const auto moved = co_await copy_bidirectional(p.near(), p.far());
  co_return moved;
}
task<> ask(duplex_stream& client, const std::string& question, std::string& answer) {
  const auto sent = co_await client.write_all(bytes_of(question));
  EXPECT_TRUE(sent);
  static_cast<void>(client.shutdown_write());
  const auto end = co_await read_to_end(client, answer, 50);
  EXPECT_FALSE(end);
}
/// Answers when the question has ended.
task<> answer_all(duplex_stream& server, std::string& question, const std::string& answer) {
  const auto end = co_await read_to_end(server, question, 50);
  EXPECT_FALSE(end);
  const auto sent = co_await server.write_all(bytes_of(answer));
  EXPECT_TRUE(sent);
  static_cast<void>(server.shutdown_write());
}
task<> half_closes(std::size_t capacity) {
  parties p(capacity);
  const std::string question = some_text(3000, 1), answer = some_text(5000, 2);
  std::string heard, got;
  auto serving = spawn(answer_all, std::ref(p.server()), std::ref(heard), std::cref(answer));
  auto asking = spawn(ask, std::ref(p.client()), std::cref(question), std::ref(got));
  const auto moved = co_await proxy(p);
  co_await serving;
  co_await asking;
  EXPECT_TRUE(heard == question);
  EXPECT_TRUE(got == answer);
  EXPECT_EQ(moved->forth, question.size());
  EXPECT_EQ(moved->back, answer.size());
}
TEST(copy_bidirectional, hands_on_the_end_and_lets_the_other_direction_go_on) {
  for (const std::size_t capacity : {1, 100, 10'000}) {
    virtual_runtime rt;
    rt.block_on(half_closes(capacity));
  }
}
TEST(copy_bidirectional, runs_on_two_workers) {
  runtime_options options;
  options.workers = 2;
  runtime rt(options);
  for (int i = 0; i < 20; ++i) rt.block_on(half_closes(64));
}

task<> far_side_breaks() {
  parties p(4);
  auto proxying = spawn(proxy, std::ref(p));
  co_await sleep_for(1s);  // both directions wait
  p.server().close();      // its writes have ended, and nobody reads
  co_await sleep_for(1s);
  EXPECT_FALSE(proxying.done());  // the end of one direction is no error
  const auto sent = co_await p.client().write_all(bytes_of("x"));
  EXPECT_TRUE(sent);
  const auto moved = co_await proxying;
  EXPECT_EQ(moved.error(), std::errc::broken_pipe);
}
TEST(copy_bidirectional, error_of_one_direction_is_given) {
  virtual_runtime rt;
  rt.block_on(far_side_breaks());
}

/// Reads wait for ever; writes fail.
class one_way {
 public:
  explicit one_way(duplex_stream& s) : silent(s) {}
  pipe_read_operation read_some(std::span<std::byte> to) { return silent.read_some(to); }
  task<result<std::size_t>> write_some(std::span<const std::byte>) {
    co_return std::unexpected(std::make_error_code(std::errc::connection_reset));
  }
  task<result<void>> shutdown_write() { co_return result<void>(); }
  duplex_stream& silent;
};
task<> error_stops_the_other() {
  parties p(4);
  one_way broken(p.far());  // its read would wait for ever
  const auto sent = co_await p.client().write_all(bytes_of("x"));
  EXPECT_TRUE(sent);
  const auto moved = co_await timeout(1h, copy_bidirectional(p.near(), broken));
  EXPECT_EQ(moved.error(), std::errc::connection_reset);
}
TEST(copy_bidirectional, error_of_one_direction_ends_the_other) {
  virtual_runtime rt;
  rt.block_on(error_stops_the_other());
  EXPECT_EQ(rt.elapsed(), 0s);
}

task<> stopped() {
  parties p(4);
  const auto moved = co_await timeout(1s, copy_bidirectional(p.near(), p.far()));
  EXPECT_EQ(moved.error(), errc::timed_out);
}
TEST(copy_bidirectional, stop_ends_both_directions) {
  virtual_runtime rt;
  rt.block_on(stopped());
  EXPECT_EQ(rt.elapsed(), 1s);
}

}  // namespace
}  // namespace weft::io
