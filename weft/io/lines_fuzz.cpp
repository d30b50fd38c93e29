// Promise: however a text arrives, the same lines come out, which are those of a simple splitter, or the same
// error; and each line that may be written is read as it was.
#include <weft/io/lines.hpp>

#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

namespace {

using namespace weft::io;

void check(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "broken: %s\n", what);
  std::abort();
}

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

constexpr const char* error = "\n";  // no line is that

std::vector<std::string> split(std::string_view text, std::size_t limit) {
  std::vector<std::string> out;
  while (!text.empty()) {
    const std::size_t at = text.find('\n');
    std::string line(text.substr(0, at));
    if (at != text.npos && line.ends_with('\r')) line.pop_back();
    if (line.size() > limit) {
      out.push_back(error);
      break;
    }
    out.push_back(std::move(line));
    text.remove_prefix(at == text.npos ? text.size() : at + 1);
  }
  return out;
}

/// As buffered_reader does it.
std::vector<std::string> decode(std::string_view text, std::size_t piece, std::size_t limit) {
  const lines codec(limit);
  std::vector<std::string> out;
  std::size_t begin = 0, end = 0, seen = 0;
  for (bool ended = false;;) {
    const std::string_view buffered = text.substr(begin, end - begin);
    const auto got = codec.decode(bytes_of(buffered), seen, ended);
    if (!got) {
      out.push_back(error);
      return out;
    }
    if (*got) {
      const frame& f = **got;
      check(f.used != 0 && f.used <= buffered.size() && f.begin + f.size <= f.used,
            "a frame's bounds");
      check(f.size <= limit, "limit");
      out.emplace_back(buffered.substr(f.begin, f.size));
      begin += f.used;
      seen = 0;
      continue;
    }
    if (ended) {
      check(buffered.empty(), "bytes were left at the end");
      return out;
    }
    check(buffered.size() <= limit + 1, "it reads more than the limit needs");
    seen = buffered.size();
    ended = end == text.size();
    end = std::min(text.size(), end + std::min(piece, text.size()));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  for (const std::size_t limit : {std::size_t{0}, std::size_t{5}, lines::limit_default}) {
    const auto expected = split(text, limit);
    for (const std::size_t piece : {std::size_t{1}, 1 + size % 7, size + 1}) {
      check(decode(text, piece, limit) == expected, "not the lines of the text");
    }
  }
  for (const auto ending : {lines::ending::lf, lines::ending::crlf}) {
    const auto edges = lines(lines::limit_default, ending).edges(bytes_of(text));
    check(edges.has_value() == (size <= lines::limit_default && text.find('\n') == text.npos &&
                                !text.ends_with('\r')),
          "what may be written");
    if (!edges) continue;
    std::string written(text);
    for (const std::byte b : edges->back()) written += static_cast<char>(b);
    const auto back = decode(written + written, 1 + size % 5, lines::limit_default);
    check(back.size() == 2 && back[0] == text && back[1] == text,
          "a line is read as something else");
  }
  return 0;
}
