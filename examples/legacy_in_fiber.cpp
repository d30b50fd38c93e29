// legacy_in_fiber: code that was written for threads, and calls back, in a fiber. It knows nothing of weft;
// what waits is the reader that it was given, and while that waits other jobs run.
#include <cstdio>
#include <functional>
#include <string>
#include <weft/weft.hpp>

namespace legacy {

/// Calls `next` until there is no more, and gives each word to `word`.
void for_each_word(const std::function<int()>& next, const std::function<void(std::string)>& word) {
  std::string now;
  for (int c = next();; c = next()) {
    if (c > ' ') {
      now += static_cast<char>(c);
      continue;
    }
    if (!now.empty()) word(now);
    now.clear();
    if (c < 0) return;
  }
}

}  // namespace legacy

namespace {

int count_words(weft::io::pipe_reader& from) {
  int words = 0;
  const auto next = [&from] {
    std::byte c;
    const auto n = weft::await(from.read_some({&c, 1}));
    return n.value_or(0) == 0 ? -1 : std::to_integer<int>(c);
  };
  legacy::for_each_word(next, [&](const std::string&) { ++words; });
  return words;
}

weft::task<> start() {
  auto [from, to] = weft::io::pipe(16);
  auto words = weft::go([text = std::move(from)]() mutable { return count_words(text); });
  const std::string text = "a fiber waits where a thread would block";
  const auto sent = co_await to.write_all(std::as_bytes(std::span(text)));
  if (!sent) co_return;
  to.shutdown_write();
  const int n = co_await words;
  std::printf("%d words\n", n);
}

}  // namespace

int main() { return weft::run(start()); }
