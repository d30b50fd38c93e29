// Each wait of the streams of weft/io in a fiber: it waits, goes on with the right bytes, and a stop unwinds it and
// loses none.
#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <utility>

#include "weft/fiber/one_wait_test_support.hpp"
#include "weft/io/buffered_reader.hpp"
#include "weft/io/buffered_writer.hpp"
#include "weft/io/copy.hpp"
#include "weft/io/copy_bidirectional.hpp"
#include "weft/io/duplex.hpp"
#include "weft/io/length_delimited.hpp"
#include "weft/io/lines.hpp"
#include "weft/io/pipe.hpp"
#include "weft/io/stream_test_support.hpp"

namespace weft::io {
namespace {

using namespace test;
using test_support::in_each_way;
using test_support::one_wait;
using test_support::wait_end;

/// Writes all of it, in a fiber.
template <class W>
void puts(W& to, std::string_view text) {
  const auto sent = await(to.write_all(bytes_of(text)));
  EXPECT_TRUE(sent);
}
/// Takes what is there, n bytes.
template <class R>
std::string takes(R& from, std::size_t n) {
  std::string got(n, ' ');
  const auto read = await(from.read_exact(room_in(got)));
  EXPECT_TRUE(read);
  return got.substr(0, read.value_or(0));
}

// --- in memory ------------------------------------------------------------------------------------

TEST(await_io, pipe_read_some_and_read_exact) {
  in_each_way([](const one_wait& wait) {
    auto [from, to] = pipe(16);
    std::string room(4, ' ');
    wait([&] { EXPECT_EQ(await(from.read_some(room_in(room))), 2u); }, [&] { puts(to, "ab"); });
    EXPECT_EQ(room, "ab  ");
    wait([&] { EXPECT_EQ(await(from.read_exact(room_in(room))), 4u); }, [&] { puts(to, "cdef"); });
    EXPECT_EQ(room, "cdef");
  });
}

TEST(await_io, pipe_write_some_and_write_all) {
  in_each_way([](const one_wait& wait) {
    auto [from, to] = pipe(2);
    puts(to, "ab");
    wait([&] { EXPECT_EQ(await(to.write_some(bytes_of("cd"))), 2u); },
         [&] { EXPECT_EQ(takes(from, 2), "ab"); });
    join_handle<std::string> reader;
    wait(
        [&] {
          const auto sent = await(to.write_all(bytes_of("efgh")));
          EXPECT_TRUE(sent);
        },
        [&] { reader = go([&] { return takes(from, 6); }); });
    EXPECT_EQ(await(reader), "cdefgh");
  });
}

TEST(await_io, duplex_both_ways) {
  in_each_way([](const one_wait& wait) {
    auto [near, far] = duplex(2);
    std::string room(2, ' ');
    wait([&] { EXPECT_EQ(await(near.read_some(room_in(room))), 2u); }, [&] { puts(far, "ab"); });
    EXPECT_EQ(room, "ab");
    wait([&] { EXPECT_EQ(await(near.read_exact(room_in(room))), 2u); }, [&] { puts(far, "cd"); });
    EXPECT_EQ(room, "cd");
    puts(near, "ef");
    wait([&] { EXPECT_EQ(await(near.write_some(bytes_of("gh"))), 2u); },
         [&] { EXPECT_EQ(takes(far, 2), "ef"); });
    EXPECT_EQ(takes(far, 2), "gh");
  });
}

// --- with a buffer --------------------------------------------------------------------------------

TEST(await_io, buffered_reader_fill_peek_and_reads) {
  in_each_way([](const one_wait& wait) {
    auto [near, far] = duplex(32);
    buffered_reader in(near, 16);
    std::string room(2, ' ');
    const auto gives = [&](std::string_view text) { return [&, text] { puts(far, text); }; };
    wait([&] { EXPECT_EQ(await(in.fill()), 3u); }, gives("abc"));
    wait([&] { EXPECT_EQ(text_of(await(in.peek(5)).value()), "abcde"); }, gives("de"));
    in.consume(5);
    wait([&] { EXPECT_EQ(await(in.read_some(room_in(room))), 2u); }, gives("fg"));
    EXPECT_EQ(room, "fg");
    wait([&] { EXPECT_EQ(await(in.read_exact(room_in(room))), 2u); }, gives("hi"));
    EXPECT_EQ(room, "hi");
  });
}

TEST(await_io, buffered_reader_lines_and_frames) {
  in_each_way([](const one_wait& wait) {
    auto [near, far] = duplex(64);
    buffered_reader in(near, 32);
    puts(far, "a l");
    wait([&] { EXPECT_EQ(await(in.read_line()).value(), "a line"); }, [&] { puts(far, "ine\n"); });
    puts(far, "up");
    wait(
        [&] { EXPECT_EQ(text_of(await(in.read_until(std::byte{'!'})).value().value()), "up to!"); },
        [&] { puts(far, " to!"); });
    wait(
        [&] {
          EXPECT_EQ(text_of(await(in.read_frame(length_delimited())).value().value()), "frame");
        },
        [&] {
          const auto sent = await(write_frame(far, length_delimited(), bytes_of("frame")));
          EXPECT_TRUE(sent);
        });
    wait([&] { EXPECT_EQ(text_of(await(in.read_frame(lines())).value().value()), "by codec"); },
         [&] { puts(far, "by codec\n"); });
  });
}

TEST(await_io, buffered_writer_and_write_frame) {
  in_each_way([](const one_wait& wait) {
    auto [near, far] = duplex(4);
    buffered_writer out(near, 4);
    const auto keeps = [&](std::string_view text) {  // all at once would go past the buffer
      for (const char& c : text) EXPECT_TRUE(out.try_write(bytes_of({&c, 1})));
    };
    puts(near, "full");
    keeps("abcd");
    wait(
        [&] {
          const auto flushed = await(out.flush());
          EXPECT_TRUE(flushed);
        },
        [&] { EXPECT_EQ(takes(far, 4), "full"); });
    keeps("efgh");
    wait([&] { EXPECT_EQ(await(out.write_some(bytes_of("ij"))), 2u); },
         [&] { EXPECT_EQ(takes(far, 4), "abcd"); });
    EXPECT_EQ(takes(far, 4), "efgh");
    const auto flushed = await(out.flush());
    EXPECT_TRUE(flushed);
    EXPECT_EQ(takes(far, 2), "ij");
    puts(near, "full");
    join_handle<std::string> reader;
    wait(
        [&] {
          const auto sent = await(write_frame(near, lines(), bytes_of("line")));
          EXPECT_TRUE(sent);
        },
        [&] { reader = go([&] { return takes(far, 9); }); });
    EXPECT_EQ(await(reader), "fullline\n");
    puts(near, "full");
    puts(out, "kl");
    wait(
        [&] {
          const auto ended = await(out.shutdown_write());
          EXPECT_TRUE(ended);
        },
        [&] { EXPECT_EQ(takes(far, 4), "full"); });
    EXPECT_EQ(takes(far, 9), "kl");
  });
}

// --- from one to the other ------------------------------------------------------------------------

TEST(await_io, copy) {
  in_each_way([](const one_wait& wait) {
    auto [source, near] = duplex(16);
    auto [far, sink] = duplex(16);
    buffered_reader in(near, 16);
    puts(source, "abc");
    wait([&] { EXPECT_EQ(await(copy(in, far)), wait.how() == wait_end::stopped ? 3u : 6u); },
         [&] {
           puts(source, "def");
           source.close();
         });
    EXPECT_EQ(takes(sink, 6), "abcdef");
  });
}

TEST(await_io, copy_bidirectional) {
  in_each_way([](const one_wait& wait) {
    auto [left, near] = duplex(16);
    auto [far, right] = duplex(16);
    wait(
        [&] {
          const auto moved = await(copy_bidirectional(near, far));
          ASSERT_TRUE(moved);
          EXPECT_EQ(moved->forth, 5u);
          EXPECT_EQ(moved->back, 4u);
        },
        [&] {
          puts(left, "there");
          puts(right, "back");
          EXPECT_TRUE(left.shutdown_write());
          EXPECT_TRUE(right.shutdown_write());
        });
    EXPECT_EQ(takes(right, 9), "there");
    EXPECT_EQ(takes(left, 9), "back");
  });
}

}  // namespace
}  // namespace weft::io
