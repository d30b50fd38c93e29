// Replays a fuzz target without libFuzzer, in every build: all files of the corpus folder, then
// seeded random mutations of them. Usage: PROGRAM CORPUS_DIR [MUTATIONS] [SEED]
//
// The long search is libFuzzer's (preset `fuzz`); this keeps what it found from coming back, on
// both compilers and under every sanitizer. The mutations depend on nothing but the corpus and the
// seed, so the same command meets the same input again; the one that ends the program is named.
#include <algorithm>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

#include <unistd.h>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);
extern "C" [[gnu::weak]] void __sanitizer_set_death_callback(void (*)());  // null without one

namespace {

using bytes = std::vector<std::uint8_t>;

constexpr std::size_t input_bytes_max = 64 * 1024;
constexpr std::size_t random_inputs = 64;  // where there is no corpus
constexpr std::size_t random_bytes_max = 512;

char current[512];  // which input is being fed, ready to be written from a signal handler
std::size_t current_size;

void name_input(const char* what, const std::string& which, unsigned long seed) {
  const int n =
      std::snprintf(current, sizeof current, "fuzz_replay: while feeding %s %s (seed %lu)\n", what,
                    which.c_str(), seed);
  current_size = std::min(static_cast<std::size_t>(n), sizeof current - 1);
}

void write_current() {
  [[maybe_unused]] const ssize_t written = write(STDERR_FILENO, current, current_size);
}

void on_signal(int number) {
  write_current();
  std::signal(number, SIG_DFL);
  std::raise(number);
}

void name_the_input_that_ends_us() {
  std::signal(SIGABRT, on_signal);  // a failed assertion
  if (__sanitizer_set_death_callback != nullptr) {
    __sanitizer_set_death_callback(write_current);  // it handles the other signals itself
  } else {
    for (const int number : {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP}) {
      std::signal(number, on_signal);
    }
  }
}

struct corpus_files {
  std::vector<std::string> names;
  std::vector<bytes> contents;
};

corpus_files read_corpus(const std::filesystem::path& folder) {
  std::vector<std::filesystem::path> names;
  if (std::filesystem::is_directory(folder)) {
    for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
      if (entry.is_regular_file()) names.push_back(entry.path());
    }
  }
  std::sort(names.begin(), names.end());  // the order decides which mutation number hits which file
  corpus_files corpus;
  for (const auto& name : names) {
    std::ifstream in(name, std::ios::binary);
    corpus.names.push_back(name.string());
    corpus.contents.emplace_back(std::istreambuf_iterator<char>(in),
                                 std::istreambuf_iterator<char>());
  }
  return corpus;
}

bytes mutate(bytes input, const std::vector<bytes>& corpus, std::mt19937_64& rng) {
  static constexpr std::uint8_t edges[] = {0, 1, 0x7f, 0x80, 0xff, '\r', '\n', ' ', ':', '%'};
  const auto below = [&](std::size_t n) { return static_cast<std::size_t>(rng() % n); };
  for (std::size_t step = 1 + below(8); step > 0; --step) {
    const std::size_t at = below(input.size() + 1);
    const auto here = input.begin() + static_cast<std::ptrdiff_t>(at);
    switch (below(7)) {
      case 0:  // one byte, any value
        if (at < input.size()) input[at] = static_cast<std::uint8_t>(rng());
        break;
      case 1:  // one bit
        if (at < input.size()) input[at] ^= static_cast<std::uint8_t>(1u << below(8));
        break;
      case 2:
        input.insert(here, edges[below(std::size(edges))]);
        break;
      case 3:  // cut out
        input.erase(here, here + static_cast<std::ptrdiff_t>(below(input.size() - at + 1)));
        break;
      case 4:  // cut off: every parser meets the half message
        input.resize(at);
        break;
      case 5: {  // a piece twice
        const bytes piece(here, here + static_cast<std::ptrdiff_t>(below(input.size() - at + 1)));
        input.insert(input.end(), piece.begin(), piece.end());
        break;
      }
      default: {  // continue as another input does
        const bytes& other = corpus[below(corpus.size())];
        input.resize(at);
        const std::size_t from = below(other.size() + 1);
        input.insert(input.end(), other.begin() + static_cast<std::ptrdiff_t>(from), other.end());
      }
    }
    if (input.size() > input_bytes_max) input.resize(input_bytes_max);
  }
  return input;
}

void feed(const bytes& input) {
  // A copy of the exact size, so that the sanitizer sees a read one byte past the end.
  auto* copy = static_cast<std::uint8_t*>(std::malloc(std::max<std::size_t>(input.size(), 1)));
  std::copy(input.begin(), input.end(), copy);
  LLVMFuzzerTestOneInput(copy, input.size());
  std::free(copy);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: %s CORPUS_DIR [MUTATIONS] [SEED]\n", argv[0]);
    return 2;
  }
  const unsigned long mutations = argc > 2 ? std::strtoul(argv[2], nullptr, 0) : 20'000;
  const unsigned long seed = argc > 3 ? std::strtoul(argv[3], nullptr, 0) : 1;
  name_the_input_that_ends_us();
  std::mt19937_64 rng(seed);
  auto [names, corpus] = read_corpus(argv[1]);
  const std::size_t files = corpus.size();
  if (files == 0) {  // mutations of nothing would stay a few bytes long
    for (std::size_t i = 0; i < random_inputs; ++i) {
      bytes& input = corpus.emplace_back(rng() % (random_bytes_max + 1));
      for (std::uint8_t& byte : input) byte = static_cast<std::uint8_t>(rng());
      names.push_back("random " + std::to_string(i));
    }
  }
  corpus.emplace_back();  // the empty input is part of every corpus
  names.emplace_back("(empty)");
  for (std::size_t i = 0; i < corpus.size(); ++i) {
    name_input("input", names[i], seed);
    feed(corpus[i]);
  }

  std::printf("replayed %zu files%s; %lu mutations with seed %lu\n", files,
              files == 0 ? " (random inputs instead)" : "", mutations, seed);
  std::fflush(stdout);  // so that it stands in the log if an input aborts
  for (unsigned long n = 0; n < mutations; ++n) {
    name_input("mutation", std::to_string(n), seed);
    feed(mutate(corpus[static_cast<std::size_t>(rng() % corpus.size())], corpus, rng));
  }
  return 0;
}
