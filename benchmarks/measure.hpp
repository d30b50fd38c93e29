// measure: what the C++ programs of ./bench share, ours and the peers': options, repetitions, and the
// line of figures that ./bench reads. README.md has the protocol.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <initializer_list>
#include <map>
#include <string>
#include <vector>

namespace bench {

/// The result is not what it must be: a quick wrong answer must not win.
[[noreturn, gnu::format(printf, 1, 2)]] inline void wrong(const char* format, ...) {
  std::va_list more;
  va_start(more, format);
  std::fputs("wrong: ", stderr);
  std::vfprintf(stderr, format, more);
  std::fputc('\n', stderr);
  va_end(more);
  std::exit(1);
}

/// This work cannot be done here yet; ./bench says so in the table, and goes on.
[[noreturn]] inline void not_built(const char* missing) {
  std::printf("not built yet: %s\n", missing);
  std::exit(3);
}

struct options {
  std::string what;
  unsigned workers = 1;
  std::size_t n = 10'000;
  unsigned repeat = 5;  // measured repetitions, after one that is not
  std::size_t tasks = 1;
  std::string file;  // for those that read one
};

inline options parse(int argc, char** argv, std::initializer_list<const char*> known) {
  options o;
  o.what = *known.begin();
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string name = argv[i];
    const auto number = std::strtoull(argv[i + 1], nullptr, 10);
    if (name == "--what") o.what = argv[i + 1];
    if (name == "--workers") o.workers = static_cast<unsigned>(number);
    if (name == "--n") o.n = number;
    if (name == "--repeat") o.repeat = static_cast<unsigned>(number);
    if (name == "--tasks") o.tasks = number;
    if (name == "--file") o.file = argv[i + 1];
  }
  const bool is_known =
      std::any_of(known.begin(), known.end(), [&](const char* name) { return o.what == name; });
  if (is_known && o.workers != 0 && o.n != 0 && o.repeat != 0 && o.tasks != 0) return o;
  std::fprintf(stderr, "usage: %s --what", argv[0]);
  for (const char* name : known) std::fprintf(stderr, " %s", name);
  std::fprintf(stderr, " --workers W --n N --repeat R --tasks T (all above zero)\n");
  std::exit(2);
}

using clock = std::chrono::steady_clock;

inline std::int64_t now_ns() {
  return std::chrono::nanoseconds(clock::now().time_since_epoch()).count();
}

inline void spin_ns(std::int64_t ns) {
  for (const auto end = now_ns() + ns; now_ns() < end;) {
  }
}

/// Samples by name, a list each: {"ns": [1.5, 1.4]}
class figures {
 public:
  void add(const char* name, double sample) { samples_[name].push_back(sample); }
  /// A stretch of time, spread over n operations.
  void add_ns_each(std::int64_t begin_ns, std::size_t n) {
    add("ns", static_cast<double>(now_ns() - begin_ns) / static_cast<double>(n));
  }
  void print() const {
    const char* before = "{";
    for (const auto& [name, samples] : samples_) {
      std::printf("%s\"%s\": [", before, name.c_str());
      for (std::size_t i = 0; i < samples.size(); i++)
        std::printf("%s%.4g", i == 0 ? "" : ", ", samples[i]);
      std::printf("]");
      before = ", ";
    }
    std::printf("}\n");
  }

 private:
  std::map<std::string, std::vector<double>> samples_;
};

/// The sample that `share` of the others do not exceed; sorts them.
inline double quantile(std::vector<double>& samples, double share) {
  std::sort(samples.begin(), samples.end());
  const auto last = static_cast<double>(samples.size() - 1);
  return samples[static_cast<std::size_t>(share * last + 0.5)];
}

/// A number for each i, the same in every language: mixed, so that neighbours differ.
inline std::uint64_t mixed(std::uint64_t i) {
  std::uint64_t z = (i + 1) * 0x9E3779B97F4A7C15u;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
  return z ^ (z >> 31);
}

/// Bytes of this process that are in memory.
inline double resident_bytes() {
  std::FILE* file = std::fopen("/proc/self/statm", "r");
  unsigned long all = 0, resident = 0;
  if (file == nullptr || std::fscanf(file, "%lu %lu", &all, &resident) != 2)
    wrong("/proc/self/statm cannot be read");
  std::fclose(file);
  return static_cast<double>(resident) * 4096.0;
}

/// A figure of /proc/self/status, by its format.
inline double status_kib(const char* format) {
  std::FILE* file = std::fopen("/proc/self/status", "r");
  char line[256];
  unsigned long kib = 0;
  while (file != nullptr && std::fgets(line, sizeof line, file) != nullptr)
    if (std::sscanf(line, format, &kib) == 1) break;
  if (file != nullptr) std::fclose(file);
  return static_cast<double>(kib);
}

/// The most memory that this process ever had, MB.
inline double peak_mb() { return status_kib("VmHWM: %lu") / 1024.0; }

/// What the kernel holds to know where this process's memory is; not counted as resident.
inline double page_table_bytes() { return status_kib("VmPTE: %lu") * 1024.0; }

/// The CPU time of this process and all its threads, seconds.
inline double cpu_s() {
  timespec t{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) * 1e-9;
}

}  // namespace bench
