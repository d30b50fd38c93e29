// fiber: threads where others have fibers: std::thread, a mutex and a condition variable.
#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>

#include "../../measure.hpp"

namespace {

void spawn_and_join(std::size_t n, std::size_t at_once) {
  std::vector<std::thread> all;
  all.reserve(at_once);
  for (std::size_t done = 0; done < n; done += at_once) {
    for (std::size_t i = 0; i < at_once; i++) all.emplace_back([] {});
    for (auto& one : all) one.join();
    all.clear();
  }
}

/// A channel of one, between two.
class place {
 public:
  void put(std::uint64_t value) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return !full_; });
    value_ = value;
    full_ = true;
    changed_.notify_one();
  }
  std::uint64_t take() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return full_; });
    full_ = false;
    changed_.notify_one();
    return value_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::uint64_t value_ = 0;
  bool full_ = false;
};

/// There and back are two passes.
void pingpong(std::size_t n) {
  place to, from;
  std::uint64_t theirs = 0;
  std::thread other([&] {
    for (std::size_t i = 0; i < n / 2; i++) {
      const auto got = to.take();
      theirs += got;
      from.put(got);
    }
  });
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < n / 2; i++) {
    to.put(i);
    sum += from.take();
  }
  other.join();
  if (sum != theirs || sum != (n / 2) * (n / 2 - 1) / 2)
    bench::wrong("the messages add up to %lu", sum);
}

}  // namespace

int main(int argc, char** argv) {
  const auto o = bench::parse(argc, argv, {"spawn", "pingpong"});
  bench::figures figures;
  for (unsigned i = 0; i <= o.repeat; i++) {  // the first one warms up
    const auto begin = bench::now_ns();
    if (o.what == "spawn") spawn_and_join(o.n, o.tasks);
    if (o.what == "pingpong") pingpong(o.n);
    if (i != 0) figures.add_ns_each(begin, o.n);
  }
  figures.print();
}
