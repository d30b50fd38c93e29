// Each await of a stream of bytes, stopped at every point: nothing hangs, nothing is left, and no byte is lost
// or comes twice: what did not arrive is still where the header says.
#include "weft/base/config.hpp"

#if WEFT_CENSUS  // the harness needs the hook that only these builds have

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "weft/io/buffered_reader.hpp"
#include "weft/io/buffered_writer.hpp"
#include "weft/io/copy.hpp"
#include "weft/io/copy_bidirectional.hpp"
#include "weft/io/length_delimited.hpp"
#include "weft/io/stream_test_support.hpp"
#include "weft/runtime/runtime.hpp"
#include "weft/runtime/time.hpp"
#include "weft/task/shield_scope.hpp"
#include "weft/testing/cancel_everywhere.hpp"
#include "weft/together/catch_stop.hpp"

namespace weft::io {
namespace {

using namespace test;
using weft::testing::cancel_everywhere;
using weft::testing::virtual_runtime;

const std::string message = "the quick\nbrown fox\r\njumps over\nthe lazy dog";

int cut_off = 0;  // runs in which the stop ended what it was aimed at

class io_cancel : public ::testing::TestWithParam<std::size_t> {
 protected:
  void nothing_is_lost(task<> (*scenario)(std::size_t)) {
    cut_off = 0;
    const auto report = cancel_everywhere(
        [&](virtual_runtime& rt) { return rt.spawn(scenario, GetParam()); }, [](bool) {});
    EXPECT_GT(report.awaits, 4u);
    EXPECT_GT(cut_off, 2);
  }
};

/// The other party: gives `message` in pieces, with pauses in between.
task<> send_in_pieces(duplex_stream stream) {
  for (std::size_t at = 0; at < message.size(); at += 7) {
    const auto sent = co_await stream.write_all(bytes_of(std::string_view(message).substr(at, 7)));
    EXPECT_TRUE(sent);
    co_await yield_now();
  }
}
task<> receive(duplex_stream stream, std::string& got) {
  const auto end = co_await read_to_end(stream, got);
  EXPECT_FALSE(end);
}

/// Runs `read` with a stop, and again under a shield when it was stopped: what it appends to `got` is, all
/// together, the message.
template <class Read>
task<> reading(std::size_t capacity, Read read) {
  auto [near, far] = duplex(capacity);
  buffered_reader in(near, 16);
  auto sender = spawn(send_in_pieces, std::move(far));
  std::string got;
  const auto ended = co_await catch_stop(read(near, in, got));
  const shield_scope to_the_end;
  cut_off += !ended;
  if (!ended) co_await read(near, in, got);
  const auto sent = co_await sender.outcome();
  EXPECT_TRUE(sent.has_value());
  EXPECT_EQ(got, message);
}
using buffered = buffered_reader<duplex_stream>;

task<> by_read_some(duplex_stream& s, buffered&, std::string& got) {
  const auto end = co_await read_to_end(s, got);
  EXPECT_FALSE(end);
}
task<> by_read_exact(duplex_stream& s, buffered&, std::string& got) {
  std::string piece(5, ' ');
  for (;;) {
    const auto n = co_await s.read_exact(room_in(piece));
    EXPECT_TRUE(n);
    got.append(piece, 0, *n);
    if (*n == 0) co_return;
  }
}
task<> by_buffered_read_exact(duplex_stream&, buffered& in, std::string& got) {
  std::string piece(5, ' ');
  for (;;) {
    const auto n = co_await in.read_exact(room_in(piece));
    EXPECT_TRUE(n);
    got.append(piece, 0, *n);
    if (*n == 0) co_return;
  }
}
task<> by_buffered_read_some(duplex_stream&, buffered& in, std::string& got) {
  const auto end = co_await read_to_end(in, got);
  EXPECT_FALSE(end);
}
task<> by_peek(duplex_stream&, buffered& in, std::string& got) {
  for (;;) {
    const auto seen = co_await in.peek(10);
    EXPECT_TRUE(seen);
    const std::size_t n = std::min<std::size_t>(seen->size(), 4);
    got += text_of(seen->first(n));
    in.consume(n);
    if (n == 0) co_return;
  }
}
task<> by_fill(duplex_stream&, buffered& in, std::string& got) {
  for (;;) {
    got += text_of(in.buffered());
    in.consume(in.buffered().size());
    const auto n = co_await in.fill();
    EXPECT_TRUE(n);
    if (*n == 0) co_return;
  }
}
task<> by_read_until(duplex_stream&, buffered& in, std::string& got) {
  for (;;) {
    const auto word = co_await in.read_until(std::byte{'o'});
    EXPECT_TRUE(word);
    if (!*word) co_return;
    got += text_of(**word);
  }
}
/// The lines, with their ends put back.
task<> by_read_line(duplex_stream&, buffered& in, std::string& got) {
  for (;;) {
    const auto line = co_await in.read_line();
    EXPECT_TRUE(line);
    if (!*line) co_return;
    got += **line;
    if (got.size() == 19) got += '\r';
    if (got.size() < message.size()) got += '\n';
  }
}
TEST_P(io_cancel, stopped_read_loses_no_byte) {
  nothing_is_lost([](std::size_t n) { return reading(n, by_read_some); });
}
TEST_P(io_cancel, stopped_read_exact_loses_no_byte) {
  nothing_is_lost([](std::size_t n) { return reading(n, by_read_exact); });
}
TEST_P(io_cancel, stopped_buffered_reads_lose_no_byte) {
  nothing_is_lost([](std::size_t n) { return reading(n, by_buffered_read_some); });
  nothing_is_lost([](std::size_t n) { return reading(n, by_buffered_read_exact); });
  nothing_is_lost([](std::size_t n) { return reading(n, by_peek); });
  nothing_is_lost([](std::size_t n) { return reading(n, by_fill); });
}
TEST_P(io_cancel, stopped_read_line_and_read_until_lose_no_byte) {
  nothing_is_lost([](std::size_t n) { return reading(n, by_read_line); });
  nothing_is_lost([](std::size_t n) { return reading(n, by_read_until); });
}

task<> send_frames(duplex_stream stream) {
  for (std::size_t at = 0; at < message.size(); at += 10) {
    const auto sent = co_await write_frame(stream, length_delimited(),
                                           bytes_of(std::string_view(message).substr(at, 10)));
    EXPECT_TRUE(sent);
  }
}
task<> take_frames(buffered& in, std::string& got) {
  for (;;) {
    const auto part = co_await in.read_frame(length_delimited());
    EXPECT_TRUE(part);
    if (!*part) co_return;
    got += text_of(**part);
  }
}
task<> frames(std::size_t capacity) {
  auto [near, far] = duplex(capacity);
  buffered in(near, 16);
  auto sender = spawn(send_frames, std::move(far));
  std::string got;
  const auto ended = co_await catch_stop(take_frames(in, got));
  const shield_scope to_the_end;
  cut_off += !ended;
  if (!ended) co_await take_frames(in, got);
  const auto sent = co_await sender.outcome();
  EXPECT_TRUE(sent.has_value());
  EXPECT_EQ(got, message);
}
TEST_P(io_cancel, stopped_read_frame_loses_no_byte) { nothing_is_lost(frames); }

task<> by_write_some(duplex_stream& s, std::size_t& at) {
  while (at < message.size()) {
    const auto n = co_await s.write_some(bytes_of(std::string_view(message).substr(at, 7)));
    EXPECT_TRUE(n);
    at += *n;
  }
}
task<> writing(std::size_t capacity) {
  auto [near, far] = duplex(capacity);
  std::string got;
  auto receiver = spawn(receive, std::move(far), std::ref(got));
  std::size_t at = 0;
  const auto ended = co_await catch_stop(by_write_some(near, at));
  const shield_scope to_the_end;
  cut_off += !ended;
  if (!ended) co_await by_write_some(near, at);
  near.close();
  const auto end = co_await receiver.outcome();
  EXPECT_TRUE(end.has_value());
  EXPECT_EQ(got, message);
}
TEST_P(io_cancel, stopped_write_has_sent_nothing) { nothing_is_lost(writing); }

/// Where a stop leaves write_all() is known to the reader only; but nothing comes twice, and the caller learns
/// that a part has happened.
task<> writing_all(std::size_t capacity) {
  auto [near, far] = duplex(capacity);
  std::string got;
  auto receiver = spawn(receive, std::move(far), std::ref(got));
  result<void> said;
  const auto write = [](duplex_stream& s, result<void>& to) -> task<> {
    const auto done = co_await s.write_all(bytes_of(message));
    to = done;
    co_await yield_now();
  };
  const auto ended = co_await catch_stop(write(near, said));
  const shield_scope to_the_end;
  cut_off += !ended;
  near.close();
  const auto end = co_await receiver.outcome();
  EXPECT_TRUE(end.has_value());
  EXPECT_EQ(got, message.substr(0, got.size()));
  EXPECT_TRUE(!ended || got == message) << got;
  if (!said) {
    EXPECT_EQ(said.error(), std::errc::operation_canceled);
    EXPECT_GT(got.size(), 0u);
    EXPECT_LT(got.size(), message.size());
  } else if (!ended) {
    EXPECT_TRUE(got.empty() || got == message) << got;  // nothing, or all before the stop
  }
}
TEST_P(io_cancel, cut_off_write_all_says_so) { nothing_is_lost(writing_all); }

using buffered_out = buffered_writer<duplex_stream>;
task<> by_buffer(buffered_out& out) {
  while (out.taken() < message.size()) {
    const std::string_view rest = std::string_view(message).substr(out.taken());
    const auto wrote = co_await out.write_all(bytes_of(rest.substr(0, 9)));
    EXPECT_TRUE(wrote || wrote.error() == std::errc::operation_canceled);
  }
  const auto flushed = co_await out.flush();
  EXPECT_TRUE(flushed);
}
task<> buffered_writing(std::size_t capacity) {
  auto [near, far] = duplex(capacity);
  std::string got;
  auto receiver = spawn(receive, std::move(far), std::ref(got));
  buffered_out out(near, 6);
  const auto ended = co_await catch_stop(by_buffer(out));
  const shield_scope to_the_end;
  cut_off += !ended;
  if (!ended) co_await by_buffer(out);
  near.close();
  const auto end = co_await receiver.outcome();
  EXPECT_TRUE(end.has_value());
  EXPECT_EQ(got, message);
}
TEST_P(io_cancel, stopped_buffered_write_goes_on_where_it_was) {
  nothing_is_lost(buffered_writing);
}

task<> copy_whole(buffered& from, duplex_stream& to) {
  const auto n = co_await copy(from, to);
  EXPECT_TRUE(n);
}
task<> copying(std::size_t capacity) {
  auto [source, near] = duplex(capacity);
  auto [far, sink] = duplex(capacity);
  std::string got;
  auto sender = spawn(send_in_pieces, std::move(source));
  auto receiver = spawn(receive, std::move(sink), std::ref(got));
  buffered in(near, 16);
  const auto ended = co_await catch_stop(copy_whole(in, far));
  const shield_scope to_the_end;
  cut_off += !ended;
  if (!ended) co_await copy_whole(in, far);
  far.close();
  const auto sent = co_await sender.outcome();
  const auto received = co_await receiver.outcome();
  EXPECT_TRUE(sent.has_value() && received.has_value());
  EXPECT_EQ(got, message);
}
TEST_P(io_cancel, stopped_copy_from_a_buffered_reader_goes_on_where_it_was) {
  nothing_is_lost(copying);
}

/// Of a plain reader a stop may cost what was in the copy's own buffer: so one hole, no longer than what one
/// read gave. The copy that goes on takes the rest.
task<> copy_all_of(duplex_stream& from, duplex_stream& to) {
  const auto n = co_await copy(from, to);
  EXPECT_TRUE(n);
}
std::size_t longest_hole = 0;
task<> plain_copying(std::size_t capacity) {
  auto [source, near] = duplex(capacity);
  auto [far, sink] = duplex(capacity);
  std::string got;
  auto sender = spawn(send_in_pieces, std::move(source));
  auto receiver = spawn(receive, std::move(sink), std::ref(got));
  const auto ended = co_await catch_stop(copy_all_of(near, far));
  const shield_scope to_the_end;
  cut_off += !ended;
  if (!ended) co_await copy_all_of(near, far);
  far.close();
  const auto sent = co_await sender.outcome();
  const auto received = co_await receiver.outcome();
  EXPECT_TRUE(sent.has_value() && received.has_value());
  const std::size_t hole = message.size() - got.size();
  constexpr std::size_t piece = 7;  // a writer that waits gives it straight to the reader
  EXPECT_LE(hole, ended ? 0 : std::min(std::max(capacity, piece), buffer_default));
  longest_hole = std::max(longest_hole, hole);
  std::size_t before = 0;
  while (before < got.size() && got[before] == message[before]) ++before;
  EXPECT_EQ(got.substr(before), message.substr(before + hole)) << "more than one hole";
}
TEST_P(io_cancel, stopped_copy_from_a_plain_reader_loses_what_one_read_gave_at_most) {
  longest_hole = 0;
  nothing_is_lost(plain_copying);
  if (GetParam() < 9) {  // there each piece is through before a stop can come
    EXPECT_GT(longest_hole, 0u) << "lossless: then copy.hpp promises less than it keeps";
  }
}

/// Where a stop leaves write_frame() is known to the reader only, as of write_all(): nothing, or the whole frame,
/// or its beginning, of which the caller learns.
task<> writing_a_frame(std::size_t capacity) {
  std::string whole(length_delimited().edges(bytes_of(message))->front().size(), ' ');
  whole.replace(0, whole.size(), text_of(length_delimited().edges(bytes_of(message))->front()));
  whole += message;
  auto [near, far] = duplex(capacity);
  std::string got;
  auto receiver = spawn(receive, std::move(far), std::ref(got));
  result<void> said;
  const auto write = [](duplex_stream& s, result<void>& to) -> task<> {
    const auto done = co_await write_frame(s, length_delimited(), bytes_of(message));
    to = done;
    co_await yield_now();
  };
  const auto ended = co_await catch_stop(write(near, said));
  const shield_scope to_the_end;
  cut_off += !ended;
  near.close();
  const auto end = co_await receiver.outcome();
  EXPECT_TRUE(end.has_value());
  EXPECT_EQ(got, whole.substr(0, got.size()));
  EXPECT_TRUE(!ended || got == whole) << got;
  if (!said) {
    EXPECT_EQ(said.error(), std::errc::operation_canceled);
    EXPECT_GT(got.size(), 0u);
    EXPECT_LT(got.size(), whole.size());
  } else if (!ended) {
    EXPECT_TRUE(got.empty() || got == whole) << got;
  }
}
TEST_P(io_cancel, cut_off_write_frame_says_so) { nothing_is_lost(writing_a_frame); }

/// Of a proxy, too, a stop may cost what was in the copy's own buffer: what has come is the beginning all the
/// same, and what is missing is no more than that held.
task<> proxy(duplex_stream& near, duplex_stream& far) {
  const auto moved = co_await copy_bidirectional(near, far);
  EXPECT_TRUE(moved);
}
task<> proxying(std::size_t capacity) {
  auto [source, near] = duplex(capacity);
  auto [far, sink] = duplex(capacity);
  auto [source_in, source_out] = std::move(source).split();
  auto [sink_in, sink_out] = std::move(sink).split();
  std::string forth, back;
  const auto send = [](pipe_writer to) -> task<> {
    const auto sent = co_await to.write_all(bytes_of(message));
    EXPECT_TRUE(sent || sent.error() == std::errc::broken_pipe);
  };
  const auto take = [](pipe_reader from, std::string& into) -> task<> {
    const auto end = co_await read_to_end(from, into);
    EXPECT_FALSE(end);
  };
  auto a = spawn(send, std::move(source_out));
  auto b = spawn(send, std::move(sink_out));
  auto c = spawn(take, std::move(source_in), std::ref(back));
  auto d = spawn(take, std::move(sink_in), std::ref(forth));
  const auto ended = co_await catch_stop(proxy(near, far));
  const shield_scope to_the_end;
  cut_off += !ended;
  near.close();
  far.close();
  for (auto* job : {&a, &b, &c, &d}) {
    const auto end = co_await job->outcome();
    EXPECT_TRUE(end.has_value());
  }
  EXPECT_EQ(forth, message.substr(0, forth.size()));
  EXPECT_EQ(back, message.substr(0, back.size()));
  EXPECT_TRUE(!ended || forth + back == message + message) << forth << '|' << back;
}
TEST_P(io_cancel, stopped_proxy_ends_both_ways_and_doubles_nothing) { nothing_is_lost(proxying); }

INSTANTIATE_TEST_SUITE_P(capacities, io_cancel, ::testing::Values(1, 4, 9));

}  // namespace
}  // namespace weft::io

#endif
