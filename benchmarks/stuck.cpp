// stuck: four tasks whose hearts beat once a millisecond, beside others that hold their workers for
// 200 ms: how late the beats are. README.md says what each measures.
#include <dirent.h>
#include <pthread.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>
#include <weft/weft.hpp>

#include <atomic>
#include <cstring>
#include <string>
#include <thread>

#include "measure.hpp"

namespace {

using namespace std::chrono_literals;

constexpr auto beat = 1ms;
constexpr auto hold = 200ms;
constexpr auto wave = 500ms;  // from one crowd of hogs to the next
constexpr unsigned hearts = 4;

void block_in_sleep() {
  timespec left{0, std::chrono::nanoseconds(hold).count()};
  while (::nanosleep(&left, &left) != 0) {
  }
}

void block_in_read() {
  const int timer = ::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
  const itimerspec due{{}, {0, std::chrono::nanoseconds(hold).count()}};
  std::uint64_t times = 0;
  if (timer < 0 || ::timerfd_settime(timer, 0, &due, nullptr) != 0) bench::wrong("no timerfd");
  while (::read(timer, &times, sizeof times) < 0) {
  }
  ::close(timer);
}

void compute(bool allocates) {
  const auto end = bench::clock::now() + hold;
  for (std::size_t n = 1; bench::clock::now() < end; n = n * 7 % 4093) {
    if (!allocates) continue;
    void* volatile const p = std::malloc(n);
    std::free(p);
  }
}

/// A plain function: it awaits nothing, and knows nothing of weft.
void be_stuck(const std::string& how) {
  if (how == "sleep") return block_in_sleep();
  if (how == "read") return block_in_read();
  compute(how == "malloc");
}

weft::task<> heart(const std::atomic<bool>& over, std::vector<double>& late_ms) {
  while (!over.load(std::memory_order_relaxed)) {
    const auto due = bench::clock::now() + beat;
    co_await weft::sleep_until(due);
    const std::chrono::duration<double, std::milli> late = bench::clock::now() - due;
    late_ms.push_back(late.count());
  }
}

weft::task<> waves(std::string how, std::size_t hogs, std::chrono::milliseconds length) {
  const auto begin = bench::clock::now();
  const auto end = begin + length;
  std::vector<weft::join_handle<>> all;
  for (auto next = begin; next < end; next += wave) {
    co_await weft::sleep_until(next);
    for (std::size_t i = 0; i < hogs; i++) all.push_back(weft::spawn(be_stuck, how));
  }
  co_await weft::sleep_until(end);
  for (auto& one : all) co_await one;
}

void measure_hearts(weft::runtime& rt, const std::string& how, const bench::options& o,
                    bench::figures& figures) {
  std::atomic<bool> over{false};
  std::vector<std::vector<double>> late(hearts);
  std::vector<weft::join_handle<>> beating;
  for (auto& each : late) beating.push_back(rt.spawn(heart, std::cref(over), std::ref(each)));
  rt.block_on(rt.spawn(waves, how, o.tasks, std::chrono::milliseconds(o.n)));
  over = true;
  for (auto& one : beating) rt.block_on(one);
  std::vector<double> all;
  for (const auto& each : late) all.insert(all.end(), each.begin(), each.end());
  if (all.size() < 10 * hearts) bench::wrong("%zu beats", all.size());
  if (bench::quantile(all, 0) < 0) bench::wrong("a beat was too early");
  figures.add("p50_ms", bench::quantile(all, 0.5));
  figures.add("p99_ms", bench::quantile(all, 0.99));
  figures.add("p999_ms", bench::quantile(all, 0.999));
  figures.add("worst_ms", all.back());
}

/// CPU time of the thread of that name, ns.
double cpu_ns_of(const char* wanted) {
  double ns = -1;
  DIR* const threads = ::opendir("/proc/self/task");
  while (const dirent* const each = threads != nullptr ? ::readdir(threads) : nullptr) {
    const std::string folder = std::string("/proc/self/task/") + each->d_name;
    char name[32] = "";
    unsigned long long ran = 0;
    if (std::FILE* const file = std::fopen((folder + "/comm").c_str(), "r")) {
      if (std::fscanf(file, "%31s", name) != 1) name[0] = '\0';
      std::fclose(file);
    }
    if (std::strcmp(name, wanted) != 0) continue;
    if (std::FILE* const file = std::fopen((folder + "/schedstat").c_str(), "r")) {
      if (std::fscanf(file, "%llu", &ran) == 1) ns = static_cast<double>(ran);
      std::fclose(file);
    }
  }
  if (threads != nullptr) ::closedir(threads);
  if (ns < 0) bench::wrong("the thread %s, or its schedstat, was not found", wanted);
  return ns;
}

weft::task<> give_way(const std::atomic<bool>& over) {
  while (!over.load(std::memory_order_relaxed)) co_await weft::yield_now();
}

/// A plain thread that only wakes as often as the one that looks: that much is the system's.
class sleeper {
 public:
  sleeper() : thread_([this] { sleep(); }) { ::pthread_setname_np(thread_.native_handle(), name); }
  ~sleeper() {
    over_ = true;
    thread_.join();
  }
  static constexpr const char* name = "sleeper";

 private:
  void sleep() {
    while (!over_.load(std::memory_order_relaxed)) std::this_thread::sleep_for(2500us);
  }

  std::atomic<bool> over_{false};
  std::thread thread_;
};

/// What a thread uses while all workers have work, in percent of a CPU.
double percent_of(const char* thread, weft::runtime& rt, const bench::options& o) {
  std::atomic<bool> over{false};
  std::vector<weft::join_handle<>> all;
  for (unsigned i = 0; i < 2 * o.workers; i++) all.push_back(rt.spawn(give_way, std::cref(over)));
  rt.block_on(weft::sleep_for(50ms));  // by then it runs, and has its name
  const double before = cpu_ns_of(thread);
  const auto begin = bench::now_ns();
  rt.block_on(weft::sleep_for(std::chrono::milliseconds(o.n)));
  const double percent =
      100 * (cpu_ns_of(thread) - before) / static_cast<double>(bench::now_ns() - begin);
  over = true;
  for (auto& one : all) rt.block_on(one);
  return percent;
}

}  // namespace

int main(int argc, char** argv) {
  const auto o = bench::parse(
      argc, argv,
      {"spin", "malloc", "sleep", "read", "spin-alone", "sleep-alone", "monitor", "wakes-alone"});
  const auto alone = o.what.find("-alone");  // nobody goes on with the workers that are held
  const std::string how = o.what.substr(0, alone);
  weft::runtime_options options{.workers = o.workers, .report_stuck = false};
  if (alone != std::string::npos) options.preempt_after = 0ms;
  weft::runtime rt(options);
  bench::figures figures;
  for (unsigned i = 0; i < o.repeat; i++) {
    if (how == "monitor") {
      figures.add("percent", percent_of("weft-mon", rt, o));
    } else if (how == "wakes") {
      const sleeper beside;
      figures.add("percent", percent_of(sleeper::name, rt, o));
    } else {
      measure_hearts(rt, how, o, figures);
    }
  }
  figures.print();
}
