#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "weft/io/buffered_reader.hpp"
#include "weft/io/buffered_writer.hpp"
#include "weft/io/length_delimited.hpp"
#include "weft/io/lines.hpp"
#include "weft/io/stream_test_support.hpp"
#include "weft/runtime/block_on.hpp"

namespace weft::io {
namespace {

using namespace test;
using header = length_delimited::header;

static_assert(frame_decoder<lines> && frame_encoder<lines>);
static_assert(frame_decoder<length_delimited> && frame_encoder<length_delimited>);
static_assert(frame_decoder<until> && !frame_encoder<until>);

/// What the codec makes of a text that comes in pieces: its frames, then how it ended.
template <class C>
task<> decode_all(C codec, std::string text, std::size_t bite, std::vector<std::string>& out) {
  scripted from(text, bite);
  buffered_reader in(from, 64);
  for (;;) {
    const auto got = co_await in.read_frame(codec);
    if (!got) {
      out.push_back("! " + got.error().message());
      co_return;
    }
    if (!*got) co_return;
    out.push_back(text_of(**got));
  }
}
template <class C>
std::vector<std::string> frames(C codec, const std::string& text) {
  std::vector<std::string> whole;
  block_on(decode_all(codec, text, 1000, whole));
  for (const std::size_t bite : {1, 2, 3, 5}) {
    std::vector<std::string> pieces;
    block_on(decode_all(codec, text, bite, pieces));
    EXPECT_EQ(pieces, whole) << "in pieces of " << bite;
  }
  return whole;
}
using list = std::vector<std::string>;
const std::string too_large = "! " + make_error_code(errc::too_large).message();
const std::string bad_message = "! " + std::make_error_code(std::errc::bad_message).message();
std::string raw(std::initializer_list<int> bytes) {
  std::string s;
  for (const int b : bytes) s += static_cast<char>(b);
  return s;
}

TEST(lines, end_with_lf_or_crlf) {
  EXPECT_EQ(frames(lines(), "a\nbc\r\n\n\r\nlast"), (list{"a", "bc", "", "", "last"}));
  EXPECT_EQ(frames(lines(), ""), list{});
  EXPECT_EQ(frames(lines(), "\n"), list{""});
}
TEST(lines, keep_a_cr_that_ends_nothing) {
  EXPECT_EQ(frames(lines(), "a\rb\r\r\nc\r"), (list{"a\rb\r", "c\r"}));
}
TEST(lines, limit_is_exact_and_does_not_depend_on_the_pieces) {
  EXPECT_EQ(frames(lines(3), "abc\nabc\r\nabc"), (list{"abc", "abc", "abc"}));
  EXPECT_EQ(frames(lines(3), "ok\nabcd\n"), (list{"ok", too_large}));
  EXPECT_EQ(frames(lines(3), "abcd"), list{too_large});
  EXPECT_EQ(frames(lines(3), "abc\r"), list{too_large});  // at the end of the stream it is a byte
  EXPECT_EQ(frames(lines(3), "abc\rd\n"), list{too_large});
  EXPECT_EQ(frames(lines(0), "\n\r\nx"), (list{"", "", too_large}));
}
TEST(lines, refuse_to_write_what_would_be_read_differently) {
  EXPECT_TRUE(lines().edges(bytes_of("a\rb")));
  EXPECT_EQ(lines().edges(bytes_of("a\nb")).error(), std::errc::invalid_argument);
  EXPECT_EQ(lines().edges(bytes_of("a\r")).error(), std::errc::invalid_argument);
  EXPECT_EQ(lines(2).edges(bytes_of("abc")).error(), errc::too_large);
}

TEST(until, keeps_the_delimiter) {
  EXPECT_EQ(frames(until(std::byte{';'}, 10), "a;;bc;d"), (list{"a;", ";", "bc;", "d"}));
}
TEST(until, limit_counts_the_delimiter) {
  EXPECT_EQ(frames(until(std::byte{';'}, 3), "ab;abc"), (list{"ab;", "abc"}));
  EXPECT_EQ(frames(until(std::byte{';'}, 3), "abc;"), list{too_large});
  EXPECT_EQ(frames(until(std::byte{';'}, 3), "abcd"), list{too_large});
}

TEST(length_delimited, reads_each_header_in_both_orders) {
  EXPECT_EQ(frames(length_delimited(header::u8), raw({2, 'a', 'b', 0, 1, 'c'})),
            (list{"ab", "", "c"}));
  EXPECT_EQ(frames(length_delimited(header::u16), raw({0, 1, 'x'})), list{"x"});
  EXPECT_EQ(frames(length_delimited(header::u16, 9, std::endian::little), raw({1, 0, 'x'})),
            list{"x"});
  EXPECT_EQ(frames(length_delimited(), raw({0, 0, 0, 1, 'x'})), list{"x"});
  EXPECT_EQ(frames(length_delimited(header::u32, 9, std::endian::little), raw({1, 0, 0, 0, 'x'})),
            list{"x"});
  EXPECT_EQ(frames(length_delimited(header::u64), raw({0, 0, 0, 0, 0, 0, 0, 1, 'x'})), list{"x"});
}
TEST(length_delimited, limit_is_seen_before_the_payload) {
  EXPECT_EQ(frames(length_delimited(header::u8, 3), raw({3, 'a', 'b', 'c', 4})),
            (list{"abc", too_large}));
  const std::string huge = raw({255, 255, 255, 255, 255, 255, 255, 255});
  EXPECT_EQ(frames(length_delimited(header::u64, ~std::size_t{0} - 1), huge), list{too_large});
  // More than the buffer holds is found when that is full.
  EXPECT_EQ(frames(length_delimited(header::u8, 200), raw({100}) + std::string(100, 'x')),
            list{too_large});
}
TEST(length_delimited, stream_that_is_cut_off_is_an_error) {
  EXPECT_EQ(frames(length_delimited(header::u8), raw({1, 'a', 2, 'b'})), (list{"a", bad_message}));
  EXPECT_EQ(frames(length_delimited(header::u16), raw({0})), list{bad_message});
  EXPECT_EQ(frames(length_delimited(header::u16), ""), list{});
}
TEST(length_delimited, refuses_what_its_header_cannot_say) {
  const std::string text(300, 'x');
  EXPECT_EQ(length_delimited(header::u8).edges(bytes_of(text)).error(), errc::too_large);
  EXPECT_TRUE(length_delimited(header::u8).edges(bytes_of(text).first(255)));
  EXPECT_EQ(length_delimited(header::u16, 299).edges(bytes_of(text)).error(), errc::too_large);
}

template <class C>
task<> write_frames(C codec, std::string& out, std::size_t bite) {
  scripted to("", bite);
  buffered_writer writer(to, 5);
  for (const char* text : {"", "a", "a longer one"}) {
    const auto wrote = co_await write_frame(writer, codec, bytes_of(text));
    EXPECT_TRUE(wrote);
  }
  const auto refused = co_await write_frame(writer, codec, bytes_of(std::string(20, '\n')));
  EXPECT_FALSE(refused);  // and nothing of it was written
  const auto flushed = co_await writer.flush();
  EXPECT_TRUE(flushed);
  out = to.output;
}
TEST(codecs, what_is_written_is_read) {
  const list texts{"", "a", "a longer one"};
  for (const std::size_t bite : {1, 4, 100}) {
    std::string out;
    block_on(write_frames(lines(12), out, bite));
    EXPECT_EQ(out, "\na\na longer one\n");
    block_on(write_frames(lines(12, lines::ending::crlf), out, bite));
    EXPECT_EQ(out, "\r\na\r\na longer one\r\n");
    EXPECT_EQ(frames(lines(), out), texts);
    for (const auto order : {std::endian::big, std::endian::little}) {
      for (const auto h : {header::u8, header::u16, header::u32, header::u64}) {
        const length_delimited codec(h, 12, order);
        block_on(write_frames(codec, out, bite));
        EXPECT_EQ(frames(codec, out), texts);
      }
    }
  }
}

}  // namespace
}  // namespace weft::io
