// What the tests of streams of bytes share.
#pragma once

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "weft/base/rng.hpp"
#include "weft/io/duplex.hpp"
#include "weft/io/reader_writer.hpp"

namespace weft::io::test {

inline std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}
inline std::span<std::byte> room_in(std::string& text) {
  return std::as_writable_bytes(std::span(text.data(), text.size()));
}
inline std::string text_of(std::span<const std::byte> bytes) {
  return std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}
/// Bytes of which no two short pieces are alike.
inline std::string some_text(std::size_t size, std::uint64_t seed) {
  rng random(seed);
  std::string text(size, ' ');
  for (char& c : text) c = static_cast<char>(random.next());
  return text;
}

/// Appends what comes, in bites of `bite`, until the end of the stream.
template <async_reader R>
task<std::error_code> read_to_end(R& from, std::string& got, std::size_t bite = 3) {
  std::string piece(bite, ' ');
  for (;;) {
    const result<std::size_t> n = co_await from.read_some(room_in(piece));
    if (!n) co_return n.error();
    if (*n == 0) co_return std::error_code();
    got.append(piece, 0, *n);
  }
}

/// A stream that is written down: gives `input` in pieces of `bite`, then the end, or `fails` if that is set;
/// takes at most `bite` at a time, and fails behind `room` bytes.
class scripted {
 public:
  scripted(std::string in, std::size_t most) : input(std::move(in)), bite(most) {}
  task<result<std::size_t>> read_some(std::span<std::byte> to) {
    ++reads;
    if (input.empty() && fails) co_return std::unexpected(fails);
    const std::size_t n = std::min({to.size(), bite, input.size()});
    for (std::size_t i = 0; i < n; ++i) to[i] = static_cast<std::byte>(input[i]);
    input.erase(0, n);
    co_return n;
  }
  task<result<std::size_t>> write_some(std::span<const std::byte> from) {
    ++writes;
    if (output.size() >= room) {
      co_return std::unexpected(std::make_error_code(std::errc::broken_pipe));
    }
    const std::size_t n = std::min({from.size(), bite, room - output.size()});
    output += text_of(from.first(n));
    co_return n;
  }
  result<void> shutdown_write() {
    ++shut;
    return {};
  }

  std::string input;
  std::string output;
  std::size_t bite;
  std::size_t room = std::string::npos;
  std::error_code fails;
  int reads = 0;
  int writes = 0;
  int shut = 0;
};

}  // namespace weft::io::test
