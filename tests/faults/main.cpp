// weft_faults: each system call that a scenario makes is refused once, with each error that the kernel
// may give, at each of its occurrences.
//
//   weft_faults --all                every row, about ten minutes
//   weft_faults --sample N           N rows, chosen by WEFT_SEED (else by the clock), which is printed
//   weft_faults --row ROW            that one again: driver/scenario/call/error/n
//   weft_faults --list [--only TEXT] rows; --only also narrows --all and --sample
//   weft_faults --calls              what each scenario calls, and how often
//   weft_faults --all --shard I/N    every N-th row, from the I-th (1..N) on
//
//   A row is right when    its fault did fire, and then nothing was noticed, or somebody was given an error
//                          as a value (or weft's exception), or, for a few that table.cpp marks, the
//                          program was ended by a message that says what to do
//   and wrong when         it hangs, crashes, loses bytes without a word, or leaves a descriptor, a
//                          frame, a job, a timer or a thread behind
#include <dirent.h>
#include <signal.h>
#include <sys/syscall.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <new>
#include <random>
#include <string>

#include "intercept.hpp"
#include "scenarios.hpp"
#include "table.hpp"
#include "weft/base/census.hpp"
#include "weft/base/config.hpp"

namespace {

using namespace weft::faults;

constexpr int skipped = 77;  // CTest shows it as that
constexpr unsigned seconds_max = WEFT_ASAN || WEFT_TSAN ? 90 : 20;
constexpr unsigned occurrences_max = 30;  // of one call in one scenario, spread over all there are
// Which thread makes the n-th call is not the same in each run, so a late one may not come at all.
constexpr double unreached_share_max = 0.25;

// What the child's exit code says.
constexpr int absorbed = 0, gave_error = 10, went_wrong = 11, left_something = 12;

struct driver_name {
  const char* name;
  weft::driver what;
};
constexpr driver_name drivers[] = {{"automatic", weft::driver::automatic},  // epoll beside a ring
                                   {"epoll", weft::driver::epoll},
                                   {"io_uring", weft::driver::io_uring},
                                   {"poll", weft::driver::poll}};

struct row {
  const driver_name* driver;
  const scenario* what;
  const fault* fails;
  unsigned n;
  std::string name() const {
    return std::string(driver->name) + "/" + what->name + "/" + fails->call + "/" +
           fails->error_name + "/" + std::to_string(n);
  }
};

int open_descriptors() {
  DIR* const all = ::opendir("/proc/self/fd");
  if (all == nullptr) return 0;
  int n = 0;
  while (::readdir(all) != nullptr) ++n;
  ::closedir(all);
  return n;
}

/// In the child: the scenario, and what it left.
int perform(const row& r, const world& around) {
  book found;
  const int before = open_descriptors();
  count_calls(true);
  try {
    r.what->run(r.driver->what, around, found);
  } catch (const std::system_error& e) {
    found.error(e.what(), e.code());
  } catch (const std::bad_alloc&) {
    found.error("the scenario", std::make_error_code(std::errc::not_enough_memory));
  }
  count_calls(false);
  for (const auto& e : found.errors()) std::printf("error: %s\n", e.c_str());
  for (const auto& w : found.wrongs()) std::printf("WRONG: %s\n", w.c_str());
  if (!found.wrongs().empty()) return went_wrong;
  int left = 0;
  const auto leaks = [&left](const char* what, long n) {
    if (n == 0) return;
    std::printf("LEFT: %ld %s\n", n, what);
    left = left_something;
  };
  const weft::census now = weft::live_census();
  leaks("coroutine frames", now.frames);
  leaks("jobs", now.jobs);
  leaks("descriptors by weft's own count", now.fds);
  leaks("timers", now.timers);
  leaks("threads", now.threads);
  leaks("descriptors", open_descriptors() - before);
  if (left != 0) return left;
  return found.errors().empty() ? absorbed : gave_error;
}

enum class verdict : unsigned char { absorbed, error, message, unreached, wrong, cannot };
struct judged {
  verdict what;
  std::string text;
};

judged judge(const row& r, const run_report& run, unsigned refused) {
  if (run.how == ending::cannot) return {verdict::cannot, run.text};
  const bool exited = run.how == ending::exited;
  const bool good = exited && (run.code == absorbed || run.code == gave_error);
  if (refused == 0) {
    // Whatever else came out: without its fault it has to be right.
    return exited && run.code == absorbed
               ? judged{verdict::unreached, ""}
               : judged{verdict::wrong, "without the fault: " + run.text};
  }
  if (good) return {run.code == absorbed ? verdict::absorbed : verdict::error, run.text};
  const bool said = run.text.find("weft: ") != std::string::npos;
  if (run.how == ending::signalled && run.code == SIGABRT && said &&
      r.fails->at_worst == worst::message) {
    return {verdict::message, run.text};
  }
  const char* const how = run.how == ending::hung ? "hung" : exited ? "exit code " : "signal ";
  return {verdict::wrong,
          how + (run.how == ending::hung ? "" : std::to_string(run.code)) + "\n" + run.text};
}

judged run_row(const row& r, const world& around) {
  std::vector<rule> rules{{.call = r.fails->number,
                           .error = r.fails->error,
                           .first = r.n,
                           .times = 1,
                           .applies = r.fails->applies}};
  const run_report run =
      run_under(rules, seconds_max, false, [&r, &around] { return perform(r, around); });
  return judge(r, run, rules[0].refused);
}

/// How often a scenario makes the call of each fault; the fewest of two runs. Empty: it does not work here
/// even if nothing is refused.
std::vector<unsigned> count(const driver_name& d, const scenario& s, const world& around,
                            std::string& why_not) {
  std::vector<unsigned> fewest;
  for (int i = 0; i < 2; ++i) {
    std::vector<rule> rules;
    for (const fault& f : faults()) rules.push_back({.call = f.number, .applies = f.applies});
    const row plain{&d, &s, nullptr, 0};
    const run_report run =
        run_under(rules, seconds_max, false, [&] { return perform(plain, around); });
    if (run.how != ending::exited || run.code != absorbed) {
      why_not = run.text.empty() ? "it ended with " + std::to_string(run.code) : run.text;
      return {};
    }
    for (std::size_t f = 0; f < rules.size(); ++f) {
      if (i == 0) fewest.push_back(rules[f].seen);
      fewest[f] = std::min(fewest[f], rules[f].seen);
    }
  }
  return fewest;
}

/// The first ones each (what is set up), then spread over all that there are.
std::vector<unsigned> occurrences(unsigned there_are) {
  constexpr unsigned first = occurrences_max / 2;
  std::vector<unsigned> chosen;
  for (unsigned n = 1; n <= std::min(there_are, first); ++n) chosen.push_back(n);
  const unsigned rest = there_are > first ? there_are - first : 0;
  const unsigned more = std::min(rest, occurrences_max - first);
  for (unsigned i = 1; i <= more; ++i) chosen.push_back(first + rest * i / more);
  return chosen;
}

struct options {
  bool all = false, list = false, calls = false;
  unsigned sample = 0;
  unsigned shard = 1, shards = 1;
  std::string row, only;
};

/// Every row, by a run of each scenario in which nothing is refused. Result: false if one does not work.
bool make_rows(const world& around, const options& asked, std::vector<row>& rows) {
  bool good = true;
  for (const driver_name& d : drivers) {
    for (const scenario& s : scenarios()) {
      if (s.guest && d.what == weft::driver::poll) continue;
      const std::string name = std::string(d.name) + "/" + s.name;
      std::string why_not;
      const auto counts = count(d, s, around, why_not);
      if (counts.empty()) {
        // Where a driver cannot be had at all, that is no fault of ours.
        const bool refused = why_not.find("no I/O driver could be made") != std::string::npos;
        std::printf("%s: %s: %s\n", refused ? "left out" : "FAILED", name.c_str(), why_not.c_str());
        good = good && refused;
        continue;
      }
      for (std::size_t i = 0; i < counts.size(); ++i) {
        const fault& f = faults()[i];
        if (asked.calls && counts[i] != 0 && (i == 0 || faults()[i - 1].number != f.number)) {
          std::printf("%-18s %-18s %u\n", name.c_str(), f.call, counts[i]);
        }
        const bool on_epoll = d.what == weft::driver::epoll || d.what == weft::driver::automatic;
        if (f.not_on_epoll && on_epoll) continue;
        for (const unsigned n : occurrences(counts[i])) rows.push_back({&d, &s, &f, n});
      }
    }
  }
  return good;
}

bool parse_row(const std::string& text, row& r) {
  for (const driver_name& d : drivers) {
    for (const scenario& s : scenarios()) {
      for (const fault& f : faults()) {
        r = {&d, &s, &f, 0};
        const std::string name = r.name();
        const std::string front = name.substr(0, name.size() - 1);
        if (!text.starts_with(front)) continue;
        r.n = static_cast<unsigned>(std::strtoul(text.c_str() + front.size(), nullptr, 10));
        if (r.n != 0) return true;
      }
    }
  }
  return false;
}

constexpr const char* names[] = {"absorbed", "error", "message", "not reached", "WRONG", "cannot"};

int run_rows(const std::vector<row>& rows, const world& around, const char* program) {
  std::map<verdict, unsigned> sum;
  std::map<std::string, std::map<verdict, unsigned>> of_fault;
  const auto begin = std::chrono::steady_clock::now();
  for (const row& r : rows) {
    judged j = run_row(r, around);
    if (j.what == verdict::unreached) j = run_row(r, around);  // another schedule
    ++sum[j.what];
    ++of_fault[std::string(r.fails->call) + " " + r.fails->error_name][j.what];
    if (j.what != verdict::wrong) continue;
    std::printf("FAILED: %s\n%s\n  again: %s --row %s\n", r.name().c_str(), j.text.c_str(), program,
                r.name().c_str());
    std::fflush(stdout);
  }
  for (const auto& [name, by] : of_fault) {
    std::printf("%-28s", name.c_str());
    for (const auto& [v, n] : by) std::printf(" %s %u", names[static_cast<int>(v)], n);
    std::printf("\n");
  }
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
  std::printf("%zu runs in %.0f s:", rows.size(), took.count());
  for (const auto& [v, n] : sum) std::printf(" %u %s,", n, names[static_cast<int>(v)]);
  std::printf(" nothing else\n");
  if (sum[verdict::unreached] > unreached_share_max * static_cast<double>(rows.size()) + 2) {
    std::printf("FAILED: too many faults did not fire\n");
    return 1;
  }
  return sum[verdict::wrong] == 0 && sum[verdict::cannot] == 0 ? 0 : 1;
}

bool parse(int argc, char** argv, options& asked) {
  for (int i = 1; i < argc; ++i) {
    const std::string arg = argv[i];
    const char* const next = i + 1 < argc ? argv[i + 1] : "";
    if (arg == "--all") {
      asked.all = true;
    } else if (arg == "--list") {
      asked.list = true;
    } else if (arg == "--calls") {
      asked.calls = true;
    } else if (arg == "--sample" && std::atoi(next) > 0) {
      asked.sample = static_cast<unsigned>(std::atoi(next));
      ++i;
    } else if (arg == "--row") {
      asked.row = next;
      ++i;
    } else if (arg == "--only") {
      asked.only = next;
      ++i;
    } else if (arg == "--shard" && std::sscanf(next, "%u/%u", &asked.shard, &asked.shards) == 2) {
      ++i;
    } else {
      return false;
    }
  }
  return asked.shard >= 1 && asked.shard <= asked.shards &&
         (asked.all || asked.list || asked.calls || asked.sample != 0 || !asked.row.empty());
}

}  // namespace

int main(int argc, char** argv) {
  options asked;
  if (!parse(argc, argv, asked)) {
    std::puts(
        "weft_faults --all | --sample N | --row ROW | --list | --calls  [--only TEXT] [--shard "
        "I/N]");
    return 2;
  }
  std::string why_not;
  if (!can_intercept(why_not)) {
    std::printf("weft_faults: skipped: %s\n", why_not.c_str());
    return skipped;
  }
  const world around;
  if (!asked.row.empty()) {
    row r{};
    if (!parse_row(asked.row, r)) {
      std::printf("there is no row %s; --list names them\n", asked.row.c_str());
      return 2;
    }
    const judged j = run_row(r, around);
    std::printf("%s: %s\n%s", r.name().c_str(), names[static_cast<int>(j.what)], j.text.c_str());
    return j.what == verdict::wrong || j.what == verdict::cannot ? 1 : 0;
  }
  std::vector<row> rows;
  const bool good = make_rows(around, asked, rows);
  if (!asked.only.empty()) {
    std::erase_if(rows,
                  [&](const row& r) { return r.name().find(asked.only) == std::string::npos; });
  }
  if (rows.empty() && good && !asked.only.empty()) {
    std::printf("there is no row with %s in its name; --list names them\n", asked.only.c_str());
    return 2;
  }
  std::printf("%zu rows\n", rows.size());
  if (asked.list) {
    for (const row& r : rows) std::printf("%s\n", r.name().c_str());
  }
  if (asked.list || asked.calls) return good ? 0 : 1;
  if (asked.sample != 0) {
    const char* const given = std::getenv("WEFT_SEED");
    const std::uint64_t seed =
        given != nullptr ? std::strtoull(given, nullptr, 0) : std::random_device{}();
    std::printf("seed: WEFT_SEED=%llu chooses the same rows\n",
                static_cast<unsigned long long>(seed));
    std::mt19937_64 random(seed);
    std::shuffle(rows.begin(), rows.end(), random);
    rows.resize(std::min<std::size_t>(rows.size(), asked.sample));
  }
  std::vector<row> mine;
  for (std::size_t i = asked.shard - 1; i < rows.size(); i += asked.shards) mine.push_back(rows[i]);
  std::fflush(stdout);
  const int code = run_rows(mine, around, argv[0]);
  return good ? code : 1;
}
