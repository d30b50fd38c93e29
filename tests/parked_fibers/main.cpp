// parked_fibers: a million fibers wait at once, each in a page and little more, all of them are woken, and
// their memory goes back to the system. A program of its own: it looks at the process's memory.
//
//   parked_fibers [N]    so many at most; without it 10^6, in a debug build 20 000
#include <chrono>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <new>
#include <string>
#include <vector>

#include "weft/base/config.hpp"
#include "weft/weft.hpp"

namespace {

constexpr int skipped = 77;  // CTest shows it as that
constexpr std::size_t first_count =
    1000;  // what the first ones cost is not what a further one does
#ifdef NDEBUG
constexpr bool is_release = true;
#else
constexpr bool is_release =
    false;  // its frames are larger; the bound is of those that programs have
#endif
constexpr std::size_t usual_count = is_release ? 1'000'000 : 20'000;
// A page, its job, the handle, and its part of what the pool knows. A second page would be seen.
constexpr double bytes_max = is_release ? 4700 : 4096 + 4096;
// An entry for each page of the stack and of its guard, in pages of the table of their own at worst.
constexpr double table_bytes_max = 1024;
constexpr double kept_mib_max = 16;                       // over what there was before
constexpr auto trim_wait_max = std::chrono::seconds(60);  // of an otherwise idle runtime
constexpr auto trim_look_every = std::chrono::milliseconds(20);

/// A figure of /proc, KiB, in bytes; 0: there is none.
double figure(const char* path, const char* name) {
  std::ifstream file(path);
  std::string line;
  while (std::getline(file, line)) {
    if (line.rfind(name, 0) == 0)
      return std::strtod(line.c_str() + std::strlen(name), nullptr) * 1024;
  }
  return 0;
}
double resident() { return figure("/proc/self/status", "VmRSS:"); }
double tables() { return figure("/proc/self/status", "VmPTE:"); }
double available() { return figure("/proc/meminfo", "MemAvailable:"); }

struct gate {
  std::size_t waiting = 0, woken = 0;  // by the only worker
  weft::event opened;
};

using handles = std::vector<weft::join_handle<std::size_t>>;

/// False: there is no memory, or no address space, for more than those in `all`.
bool park(gate& at, std::size_t count, handles& all) {
  bool is_room = true;
  for (std::size_t i = 0; i < count && is_room; ++i) {
    try {
      all.push_back(weft::go([&at, i] {
        ++at.waiting;
        weft::await(at.opened.wait());
        ++at.woken;
        return i;
      }));
    } catch (const std::bad_alloc&) {
      is_room = false;
    }
  }
  while (at.waiting != all.size()) weft::await(weft::yield_now());
  return is_room;
}

/// The sum of what they give.
std::size_t wake(gate& at, handles& all) {
  at.opened.set();
  std::size_t sum = 0;
  for (auto& each : all) sum += weft::await(each);
  all.clear();
  return sum;
}

double seconds_since(std::chrono::steady_clock::time_point begin) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

bool check(bool good, const char* what) {
  if (!good) std::printf("FAILED: %s\n", what);
  return good;
}

/// Result: the exit code.
int parks_and_wakes(std::size_t count) {
  handles all;
  all.reserve(count);
  {
    gate at;
    const bool is_room = park(at, first_count, all);
    static_cast<void>(wake(at, all));
    if (!check(is_room, "no memory for the first ones")) return 1;
  }
  const double before = resident(), tables_before = tables();
  gate at;
  auto begin = std::chrono::steady_clock::now();
  if (!park(at, count, all)) {
    const std::size_t fit = all.size();
    static_cast<void>(wake(at, all));
    std::printf(
        "parked_fibers: skipped: there was no room for more than %zu (before Linux 6.13 guards "
        "take mappings)\n",
        fit);
    return skipped;
  }
  const auto each = [count](double bytes) { return bytes / static_cast<double>(count); };
  const double bytes = each(resident() - before), table_bytes = each(tables() - tables_before);
  std::printf("%zu parked in %.2f s: %.0f bytes each, and %.0f of page table\n", count,
              seconds_since(begin), bytes, table_bytes);
  begin = std::chrono::steady_clock::now();
  const std::size_t sum = wake(at, all);
  std::printf("woken and joined in %.2f s\n", seconds_since(begin));
  std::fflush(stdout);
  bool good = check(sum == count * (count - 1) / 2, "they do not give what they should");
  good = check(at.woken == count, "not all were woken, or some twice") && good;
  good = check(bytes <= bytes_max, "a parked fiber takes too much memory") && good;
  good = check(table_bytes <= table_bytes_max, "its page table is too large") && good;

  begin = std::chrono::steady_clock::now();
  const double enough =
      before + static_cast<double>(count) * sizeof(handles::value_type) + kept_mib_max * (1 << 20);
  double now = resident();
  while (now > enough && std::chrono::steady_clock::now() - begin < trim_wait_max) {
    weft::await(weft::sleep_for(trim_look_every));
    now = resident();
  }
  std::printf("%.1f MiB more than before stay resident, after %.2f s\n", (now - before) / (1 << 20),
              seconds_since(begin));
  return check(now <= enough, "memory was not given back") && good ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  if (WEFT_ASAN || WEFT_TSAN) {
    std::puts("parked_fibers: skipped: under a sanitizer memory says nothing");
    return skipped;
  }
  std::size_t count = argc > 1 ? std::strtoull(argv[1], nullptr, 10) : usual_count;
  const auto fit = static_cast<std::size_t>(available() * 0.8 / (bytes_max + table_bytes_max));
  if (count > fit) {
    std::printf(
        "parked_fibers: skipped: %zu take more memory than there is, which is enough for %zu\n",
        count, fit);
    return skipped;
  }
  weft::runtime rt({.workers = 1});
  auto main_fiber = rt.go(parks_and_wakes, count);
  return rt.block_on(main_fiber);
}
