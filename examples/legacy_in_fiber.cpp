// legacy_in_fiber: a C library that blocks, in a fiber: fscanf of libc, which knows nothing of weft. What it reads
// from is a callback; that one waits as a fiber does, and while it waits other jobs run.
#include <cstdio>
#include <span>
#include <string>
#include <weft/weft.hpp>

namespace {

// fscanf is C, and was not made for exceptions to pass through: to a stop, which would unwind the stack, the callback
// answers with an error. The fiber sees it at its next await outside.
ssize_t read_from_pipe(void* cookie, char* to, std::size_t size) {
  auto& from = *static_cast<weft::io::pipe_reader*>(cookie);
  const auto got =
      weft::await(weft::catch_stop(from.read_some(std::as_writable_bytes(std::span(to, size)))));
  return got && *got ? static_cast<ssize_t>(**got) : -1;
}

int count_words(weft::io::pipe_reader& from) {
  const cookie_io_functions_t calls{read_from_pipe, nullptr, nullptr, nullptr};
  std::FILE* const file = fopencookie(&from, "r", calls);
  if (file == nullptr) return -1;
  int words = 0;
  char word[64];
  while (std::fscanf(file, "%63s", word) == 1) ++words;
  std::fclose(file);
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
