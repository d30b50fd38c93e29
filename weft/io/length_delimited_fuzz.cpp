// Promise: however a stream arrives, the same frames come out, which are those of a simple reader, or the same
// error; each frame that may be written is read as it was. The first byte of the input chooses header and order.
#include <weft/io/length_delimited.hpp>

#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

namespace {

using namespace weft::io;
using header = length_delimited::header;

void check(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "broken: %s\n", what);
  std::abort();
}

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

class outcome {
 public:
  std::vector<std::string> frames;
  std::error_code end;
  bool operator==(const outcome&) const = default;
};

outcome read(std::string_view text, std::size_t head, bool big, std::size_t limit) {
  outcome out;
  while (!text.empty()) {
    out.end = std::make_error_code(std::errc::bad_message);
    if (text.size() < head) return out;
    std::string digits(text.substr(0, head));
    if (!big) digits = std::string(digits.rbegin(), digits.rend());
    unsigned __int128 size = 0;
    for (const char c : digits) size = size * 256 + static_cast<unsigned char>(c);
    if (size > limit) {
      out.end = weft::make_error_code(weft::errc::too_large);
      return out;
    }
    if (size > text.size() - head) return out;
    out.frames.emplace_back(text.substr(head, static_cast<std::size_t>(size)));
    text.remove_prefix(head + static_cast<std::size_t>(size));
    out.end = std::error_code();
  }
  return out;
}

/// As buffered_reader does it.
outcome decode(const length_delimited& codec, std::string_view text, std::size_t piece,
               std::size_t most) {
  outcome out;
  std::size_t begin = 0, end = 0, seen = 0;
  for (bool ended = false;;) {
    const std::string_view buffered = text.substr(begin, end - begin);
    const auto got = codec.decode(bytes_of(buffered), seen, ended);
    if (!got) {
      out.end = got.error();
      return out;
    }
    if (*got) {
      const frame& f = **got;
      check(f.used != 0 && f.begin + f.size == f.used && f.used <= buffered.size(),
            "a frame's bounds");
      out.frames.emplace_back(buffered.substr(f.begin, f.size));
      begin += f.used;
      seen = 0;
      continue;
    }
    if (ended) {
      check(buffered.empty(), "bytes were left at the end");
      return out;
    }
    check(buffered.size() < most, "it reads more than the limit needs");
    seen = buffered.size();
    ended = end == text.size();
    end = std::min(text.size(), end + std::min(piece, text.size()));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  if (size == 0) return 0;
  constexpr header headers[] = {header::u8, header::u16, header::u32, header::u64};
  const header h = headers[data[0] & 3];
  const bool big = (data[0] & 4) == 0;
  const auto head = static_cast<std::size_t>(h);
  const auto order = big ? std::endian::big : std::endian::little;
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  for (const std::size_t limit : {std::size_t{0}, std::size_t{9}, std::size_t{300}}) {
    const length_delimited codec(h, limit, order);
    const outcome expected = read(text, head, big, limit);
    for (const std::size_t piece : {std::size_t{1}, 1 + size % 7, size + 1}) {
      check(decode(codec, text, piece, head + limit) == expected, "not the frames of the stream");
    }
    const auto edges = codec.edges(bytes_of(text));
    check(edges.has_value() == (text.size() <= limit && (head > 1 || text.size() < 256)),
          "what may be written");
    if (!edges) continue;
    std::string written;
    for (const std::byte b : edges->front()) written += static_cast<char>(b);
    written += text;
    const outcome back = decode(codec, written + written, 1 + size % 5, head + limit);
    check(!back.end && back.frames.size() == 2 && back.frames[0] == text && back.frames[1] == text,
          "a frame is read as something else");
  }
  return 0;
}
