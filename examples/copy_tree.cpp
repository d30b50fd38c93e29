// Copies a folder with all that is in it, many files at once, and says how fast.
#include <weft/weft.hpp>

#include <chrono>
#include <cstdio>
#include <string>

namespace fs = weft::fs;

constexpr unsigned at_once = 32;

class tally {
 public:
  std::uint64_t files = 0, bytes = 0, failed = 0;

  void fail(const std::string& path, std::error_code why) {
    ++failed;
    std::fprintf(stderr, "copy_tree: %s: %s\n", path.c_str(), why.message().c_str());
  }
};

// What is counted is kept by the jobs of one worker after the other: under a mutex.
class books {
 public:
  weft::mutex lock;
  tally seen;
};

weft::task<> copy_one(std::string from, std::string to, weft::semaphore& permits, books& kept) {
  const auto copied = co_await fs::copy(from, to);
  permits.release();
  const auto held = co_await kept.lock.lock();
  if (copied) {
    ++kept.seen.files;
    kept.seen.bytes += *copied;
  } else {
    kept.seen.fail(from, copied.error());
  }
}

weft::task<int> copy_tree(std::string from, std::string to) {
  while (from.size() > 1 && from.ends_with('/')) from.pop_back();
  const std::size_t above = from == "/" ? 0 : from.size();  // of each path, not copied
  const auto begun = std::chrono::steady_clock::now();
  weft::semaphore permits(at_once);
  books kept;
  const auto all_of_it = [&](weft::scope_ref copies) -> weft::task<> {
    auto all = fs::walk(from);
    for (;;) {
      const auto next = co_await all.next();
      if (!next) break;
      const std::string target = to + next->path.substr(above);
      std::error_code why = next->error;
      if (!why && next->kind == fs::file_kind::regular) {
        co_await permits.acquire();  // no more jobs than that, however long the list is
        copies.spawn(copy_one, next->path, target, std::ref(permits), std::ref(kept));
        continue;
      }
      if (!why && next->kind == fs::file_kind::directory) {
        const auto made = co_await fs::create_directory(target);
        if (!made && made.error() != std::errc::file_exists) why = made.error();
      } else if (!why) {
        why = std::make_error_code(std::errc::operation_not_supported);  // a link, a pipe, a device
      }
      if (why) {
        const auto held = co_await kept.lock.lock();
        kept.seen.fail(next->path, why);
      }
    }
  };
  co_await weft::scope(all_of_it);
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begun;
  const tally& seen = kept.seen;
  std::printf("%llu files, %llu bytes, %.0f files/s\n", static_cast<unsigned long long>(seen.files),
              static_cast<unsigned long long>(seen.bytes),
              static_cast<double>(seen.files) / took.count());
  co_return seen.failed == 0 ? 0 : 1;
}

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: copy_tree FROM TO\n");
    return 2;
  }
  return weft::run(copy_tree(argv[1], argv[2]));
}
