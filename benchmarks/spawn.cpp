// spawn: what a task with its join handle and a yield cost. README.md has the protocol.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>
#include <weft/weft.hpp>

namespace {

weft::task<> empty() { co_return; }

weft::task<> spawn_and_join(std::size_t n) {
  std::vector<weft::join_handle<>> handles;
  handles.reserve(n);
  for (std::size_t i = 0; i < n; i++) handles.push_back(weft::spawn(empty));
  for (auto& handle : handles) co_await handle;
}

weft::task<> yield(std::size_t n) {
  for (std::size_t i = 0; i < n; i++) co_await weft::yield_now();
}

struct settings {
  bool yields = false;
  unsigned workers = 1;
  std::size_t n = 10'000;
  unsigned repeat = 5;
};

weft::task<std::vector<double>> measure(settings s) {
  std::vector<double> all;
  for (unsigned i = 0; i <= s.repeat; i++) {  // the first one warms up
    const auto begin = std::chrono::steady_clock::now();
    if (s.yields)
      co_await yield(s.n);
    else
      co_await spawn_and_join(s.n);
    const std::chrono::duration<double, std::nano> took = std::chrono::steady_clock::now() - begin;
    if (i != 0) all.push_back(took.count() / static_cast<double>(s.n));
  }
  co_return all;
}

const char* option(int argc, char** argv, const char* name, const char* otherwise) {
  for (int i = 1; i + 1 < argc; i++)
    if (std::strcmp(argv[i], name) == 0) return argv[i + 1];
  return otherwise;
}

unsigned long number(int argc, char** argv, const char* name, const char* otherwise) {
  const auto n = std::strtoul(option(argc, argv, name, otherwise), nullptr, 10);
  if (n != 0) return n;
  std::fprintf(stderr, "spawn: %s takes a number above zero\n", name);
  std::exit(2);
}

}  // namespace

int main(int argc, char** argv) {
  const settings s{.yields = std::strcmp(option(argc, argv, "--what", "spawn"), "yield") == 0,
                   .workers = static_cast<unsigned>(number(argc, argv, "--workers", "1")),
                   .n = number(argc, argv, "--n", "10000"),
                   .repeat = static_cast<unsigned>(number(argc, argv, "--repeat", "5"))};
  weft::runtime rt({.workers = s.workers});
  // Spawned, so that it runs on a worker and not on this thread.
  const std::vector<double> all = rt.block_on(rt.spawn(measure, s));
  std::printf("{\"ns\": %.2f, \"all\": [", *std::ranges::min_element(all));
  for (std::size_t i = 0; i < all.size(); i++) std::printf("%s%.2f", i == 0 ? "" : ", ", all[i]);
  std::printf("]}\n");
}
