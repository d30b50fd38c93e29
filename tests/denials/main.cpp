// weft_denials: what a container's policy, an old kernel or a limit may take away, each as a row: the
// scenarios of tests/faults, jobs that hold their worker (stuck.hpp), and the drivers' own tests, run
// without it, and must come to the same.
//
//   weft_denials                     all rows, the scenarios only: half a minute
//   weft_denials --all PROGRAM       with the drivers' tests, too: PROGRAM is weft_io_test. Minutes
//   weft_denials --handoff PROGRAM   only rows without membarrier, with the tests of handing over, too:
//                                    PROGRAM is weft_runtime_test
//   weft_denials [--all PROGRAM] [--handoff PROGRAM] --row NAME
//   weft_denials --list
//
//   A row is right when   what it denies was asked for, and denied (counted, or tried here); the driver that
//                         was chosen, and the reason in the metrics, are those of the row; and every
//                         scenario found its bytes as if nothing were denied, or, where the table says
//                         so, was given an error
#include <sched.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>
#include <string>
#include <vector>

#include "intercept.hpp"
#include "scenarios.hpp"
#include "stuck.hpp"
#include "weft/base/config.hpp"

namespace {

using namespace weft::faults;

constexpr int skipped = 77;  // CTest shows it as that
constexpr unsigned seconds_max = WEFT_ASAN || WEFT_TSAN ? 90 : 30;
constexpr unsigned seconds_of_tests_max = WEFT_ASAN || WEFT_TSAN ? 900 : 240;
// What the child's exit code says.
constexpr int absorbed = 0, gave_error = 10, went_wrong = 11, not_set_up = 12;

bool of_proc(const call_seen& c) { return path_of(c, 1).starts_with("/proc"); }
bool of_sys(const call_seen& c) { return path_of(c, 1).starts_with("/sys"); }
bool of_list(const call_seen& c) { return c.data.args[1] > 0; }

// ---- What is no system call. Result: false where it cannot be set up, or is not in force afterwards.

bool limit(int which, rlim_t most) {
  const rlimit l{most, most};
  return ::setrlimit(static_cast<__rlimit_resource>(which), &l) == 0;
}
bool few_descriptors() { return limit(RLIMIT_NOFILE, 64) && ::dup2(0, 64) < 0 && errno == EBADF; }
bool small_stacks() { return limit(RLIMIT_STACK, 256 * 1024); }
bool no_locked_memory() {
  constexpr uid_t nobody = 65534;
  if (::geteuid() == 0 && ::setresuid(nobody, nobody, nobody) != 0) return false;
  alignas(4096) static char page[4096];
  return limit(RLIMIT_MEMLOCK, 0) && ::mlock(page, sizeof page) != 0;
}
bool one_cpu() {
  cpu_set_t all, one;
  if (::sched_getaffinity(0, sizeof all, &all) != 0) return false;
  CPU_ZERO(&one);
  for (int i = 0; i < CPU_SETSIZE && CPU_COUNT(&one) == 0; ++i) {
    if (CPU_ISSET(i, &all)) CPU_SET(i, &one);
  }
  return ::sched_setaffinity(0, sizeof one, &one) == 0;
}
bool wants_epoll() { return ::setenv("WEFT_DRIVER", "epoll", 1) == 0; }
bool wants_poll() { return ::setenv("WEFT_DRIVER", "poll", 1) == 0; }

constexpr const char* any_driver = "*";
enum class fires : unsigned char { certainly, perhaps, by_setup };
enum class so : unsigned char { absorbed, errors, some_errors };

struct denial {
  const char* name;
  std::vector<rule> rules;  // the last of them is what the row is about
  const char* driver = "";  // "": what is chosen where nothing is denied
  const char* why = "";     // is part of the reason in the metrics
  bool (*set_up)() = nullptr;
  so ends = so::absorbed;
  fires does = fires::certainly;
  bool epoll_is_gone = false;       // its own tests are left out
  bool tests = true;                // the drivers' tests make sense
  unsigned milliseconds_least = 0;  // a scenario takes at least so long
  const char* only = "";            // this scenario
};

using rules = std::vector<rule>;
rules deny(std::initializer_list<int> calls, int error) {
  rules all;
  for (const int c : calls) all.push_back({.call = c, .error = error});
  return all;
}
rules operator+(rules a, const rules& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}
rules no_io_uring(int error = EPERM) {
  return deny({SYS_io_uring_setup, SYS_io_uring_enter, SYS_io_uring_register}, error);
}
#ifdef SYS_epoll_wait
rules no_epoll_wait() { return deny({SYS_epoll_pwait, SYS_epoll_wait}, EPERM); }
#else
rules no_epoll_wait() { return deny({SYS_epoll_pwait}, EPERM); }
#endif
rules no_files(bool (*which)(const call_seen&)) {
  return {{.call = SYS_openat, .error = ENOENT, .applies = which}};
}
rules no_ppoll(int error, unsigned times) {
  return {{.call = SYS_ppoll, .error = error, .times = times, .applies = of_list}};
}

std::vector<denial> denials() {
  return {
      {.name = "nothing", .rules = {}, .does = fires::perhaps},
      // The ring
      {.name = "io_uring_setup_EPERM",
       .rules = deny({SYS_io_uring_setup}, EPERM),
       .driver = "epoll",
       .why = "io_uring_setup is denied (EPERM"},
      {.name = "io_uring_setup_ENOSYS",
       .rules = deny({SYS_io_uring_setup}, ENOSYS),
       .driver = "epoll",
       .why = "has no io_uring (ENOSYS)"},
      {.name = "io_uring_setup_ENOMEM",
       .rules = deny({SYS_io_uring_setup}, ENOMEM),
       .driver = "epoll",
       .why = "see RLIMIT_MEMLOCK"},
      {.name = "io_uring_setup_EMFILE",
       .rules = deny({SYS_io_uring_setup}, EMFILE),
       .driver = "epoll",
       .why = "no descriptor was left for a ring"},
      {.name = "io_uring_setup_EINVAL",
       .rules = deny({SYS_io_uring_setup}, EINVAL),
       .driver = "epoll",
       .why = "io_uring_setup failed"},
      {.name = "io_uring_enter_EPERM",
       .rules = deny({SYS_io_uring_enter}, EPERM),
       .driver = "epoll",
       .why = "io_uring_enter is denied (EPERM"},
      {.name = "io_uring_enter_ENOSYS",
       .rules = deny({SYS_io_uring_enter}, ENOSYS),
       .driver = "epoll",
       .why = "a NOP did not make it"},
      {.name = "io_uring_register_EPERM",
       .rules = deny({SYS_io_uring_register}, EPERM),
       .does = fires::perhaps},
      {.name = "io_uring_register_EINVAL",
       .rules = deny({SYS_io_uring_register}, EINVAL),
       .does = fires::perhaps},
      // epoll, where the ring is denied, too
      {.name = "epoll_create1_EPERM",
       .rules = no_io_uring() + deny({SYS_epoll_create1}, EPERM),
       .driver = "poll",
       .why = "neither io_uring nor epoll may be used (epoll: EPERM",
       .epoll_is_gone = true},
      {.name = "epoll_create1_ENOSYS",
       .rules = no_io_uring(ENOSYS) + deny({SYS_epoll_create1}, ENOSYS),
       .driver = "poll",
       .why = "there is neither io_uring nor epoll (epoll: ENOSYS",
       .epoll_is_gone = true},
      {.name = "epoll_ctl_EPERM",
       .rules = no_io_uring() + deny({SYS_epoll_ctl}, EPERM),
       .driver = "poll",
       .epoll_is_gone = true},
      {.name = "epoll_wait_EPERM",
       .rules = no_io_uring() + no_epoll_wait(),
       .driver = "poll",
       .epoll_is_gone = true},
#ifdef SYS_epoll_pwait2
      {.name = "epoll_pwait2_ENOSYS",
       .rules = no_io_uring() + deny({SYS_epoll_pwait2}, ENOSYS),
       .driver = "epoll"},
      {.name = "epoll_pwait2_EPERM",
       .rules = no_io_uring() + deny({SYS_epoll_pwait2}, EPERM),
       .driver = "epoll"},
#endif
      {.name = "eventfd2_EPERM",
       .rules = deny({SYS_eventfd2}, EPERM),
       .driver = "poll",
       .why = "may be used (epoll: EPERM",
       .epoll_is_gone = true},
      {.name = "eventfd2_ENOSYS",
       .rules = deny({SYS_eventfd2}, ENOSYS),
       .driver = "poll",
       .epoll_is_gone = true},
      // poll
      {.name = "every_driver_EPERM",
       .rules = no_io_uring() + deny({SYS_epoll_create1}, EPERM) + no_ppoll(EPERM, -1u),
       .ends = so::errors,
       .tests = false},
      {.name = "pipe2_EMFILE",
       .rules = no_io_uring() + deny({SYS_epoll_create1, SYS_pipe2}, EMFILE),
       .ends = so::errors,
       .tests = false},
      {.name = "ppoll_ENOMEM_200_times",  // it naps meanwhile, and does not spin
       .rules = no_io_uring() + deny({SYS_epoll_create1}, EPERM) + no_ppoll(ENOMEM, 200),
       .driver = "poll",
       .tests = false,
       .milliseconds_least = 60,
       .only = "timeouts"},
  // Threads, words, fences
#ifdef SYS_futex_waitv
      {.name = "futex_waitv_ENOSYS",
       .rules = no_io_uring() + deny({SYS_futex_waitv}, ENOSYS),
       .driver = "epoll"},
      {.name = "futex_waitv_EPERM",
       .rules = no_io_uring() + deny({SYS_futex_waitv}, EPERM),
       .driver = "epoll"},
#endif
      {.name = "membarrier_ENOSYS", .rules = deny({SYS_membarrier}, ENOSYS)},
      {.name = "membarrier_EPERM", .rules = deny({SYS_membarrier}, EPERM)},
      {.name = "clone3_ENOSYS", .rules = deny({SYS_clone3}, ENOSYS)},
      {.name = "threads_EAGAIN",
       .rules = deny({SYS_clone, SYS_clone3}, EAGAIN),
       .ends = so::some_errors,  // a guest without a pool needs none
       .tests = false},
      {.name = "getrandom_ENOSYS", .rules = deny({SYS_getrandom}, ENOSYS), .does = fires::perhaps},
      {.name = "prctl_EPERM", .rules = deny({SYS_prctl}, EPERM), .tests = false},
      // Clocks, files
      {.name = "timerfd_create_EPERM",
       .rules = deny({SYS_timerfd_create}, EPERM),
       .ends = so::some_errors,  // a guest's host is told by it
       .tests = false},
      {.name = "openat2_ENOSYS", .rules = deny({SYS_openat2}, ENOSYS), .tests = false},
      {.name = "openat2_EPERM", .rules = deny({SYS_openat2}, EPERM), .tests = false},
      {.name = "statx_ENOSYS",
       .rules = deny({SYS_statx}, ENOSYS),
       .does = fires::perhaps,
       .tests = false},
      {.name = "sendfile_ENOSYS",
       .rules = deny({SYS_sendfile}, ENOSYS),
       .ends = so::some_errors,
       .tests = false},
      // The machine
      {.name = "sched_getaffinity_EPERM", .rules = deny({SYS_sched_getaffinity}, EPERM)},
      {.name = "sched_setaffinity_EPERM",
       .rules = deny({SYS_sched_setaffinity}, EPERM),
       .does = fires::perhaps},
      {.name = "no_proc", .rules = no_files(of_proc)},
      {.name = "no_sys", .rules = no_files(of_sys)},
      {.name = "one_cpu", .rules = {}, .set_up = one_cpu, .does = fires::by_setup},
      // Limits
      {.name = "64_descriptors",
       .rules = {},
       .set_up = few_descriptors,
       .does = fires::by_setup,
       .tests = false},
      {.name = "stacks_of_256_KiB", .rules = {}, .set_up = small_stacks, .does = fires::by_setup},
      {.name = "no_locked_memory",
       .rules = {},
       .driver = any_driver,  // some kernels count the ring's memory
       .set_up = no_locked_memory,
       .does = fires::by_setup,
       .tests = false},
      // Whole policies
      {.name = "container_of_2020",  // calls that its list does not know are EPERM, clone3 excepted
       .rules = no_io_uring() +
                deny({SYS_openat2,
#ifdef SYS_epoll_pwait2
                      SYS_epoll_pwait2,
#endif
#ifdef SYS_futex_waitv
                      SYS_futex_waitv,
#endif
                      SYS_pidfd_open, SYS_close_range, SYS_faccessat2},
                     EPERM) +
                deny({SYS_clone3}, ENOSYS),
       .driver = "epoll",
       .why = "io_uring_setup is denied (EPERM"},
      {.name = "sandbox",  // a kernel in a program, which lacks what is new
       .rules =
           no_io_uring(ENOSYS) + deny({SYS_openat2, SYS_pidfd_open, SYS_close_range, SYS_clone3,
#ifdef SYS_epoll_pwait2
                                       SYS_epoll_pwait2,
#endif
#ifdef SYS_futex_waitv
                                       SYS_futex_waitv,
#endif
                                       SYS_membarrier},
                                      ENOSYS),
       .driver = "epoll",
       .why = "has no io_uring (ENOSYS)"},
      // The program's or its user's wish
      {.name = "WEFT_DRIVER_epoll",
       .rules = {},
       .driver = "epoll",
       .why = "forced by WEFT_DRIVER",
       .set_up = wants_epoll,
       .does = fires::by_setup,
       .tests = false},
      {.name = "WEFT_DRIVER_poll",
       .rules = {},
       .driver = "poll",
       .why = "forced by WEFT_DRIVER",
       .set_up = wants_poll,
       .does = fires::by_setup,
       .tests = false},
  };
}

/// In the child. What it says: `driver NAME|REASON`, errors, and what is wrong.
int perform(const scenario& s, const denial& d, const world& around) {
  if (d.set_up != nullptr && !d.set_up()) {
    std::printf("it cannot be set up here: %s\n", std::strerror(errno));
    return not_set_up;
  }
  book found;
  count_calls(true);
  try {
    s.run(weft::driver::automatic, around, found);
  } catch (const std::system_error& e) {
    found.error(e.what(), e.code());
  } catch (const std::bad_alloc&) {
    found.error("the scenario", std::make_error_code(std::errc::not_enough_memory));
  }
  count_calls(false);
  std::printf("driver %s\n", found.driver().c_str());
  for (const auto& e : found.errors()) std::printf("error: %s\n", e.c_str());
  for (const auto& w : found.wrongs()) std::printf("WRONG: %s\n", w.c_str());
  if (!found.wrongs().empty()) return went_wrong;
  return found.errors().empty() ? absorbed : gave_error;
}

std::string line_after(const std::string& text, const std::string& start) {
  const std::size_t at = text.find(start);
  if (at == std::string::npos) return "";
  const std::size_t from = at + start.size();
  return text.substr(from, text.find('\n', from) - from);
}

class row_report {
 public:
  explicit row_report(const denial& d) : d_(d) {}
  bool wrong(const std::string& what) {
    std::printf("FAILED: %s: %s\n", d_.name, what.c_str());
    good_ = false;
    return false;
  }
  bool good() const noexcept { return good_; }

 private:
  const denial& d_;
  bool good_ = true;
};

unsigned refused(const rules& all) {
  unsigned n = 0;
  for (const rule& r : all) n += r.refused;
  return n;
}

std::string usual_driver;  // where nothing is denied

std::vector<scenario> all_scenarios() {
  std::vector<scenario> all(scenarios().begin(), scenarios().end());
  all.push_back(stuck_jobs);
  return all;
}

bool is_about_membarrier(const denial& d) {
  return !d.rules.empty() && d.rules.back().call == SYS_membarrier;
}

/// Runs `program`'s tests that `filter` names without what the row takes away. Result: how often it was denied.
unsigned run_tests(const denial& d, const char* program, const char* filter, row_report& report) {
  rules r = d.rules;
  const run_report run = run_under(r, seconds_of_tests_max, true, [&] {
    if (d.set_up != nullptr && !d.set_up()) return not_set_up;
    ::execl(program, program, filter, "--gtest_brief=1", nullptr);
    return 1;
  });
  if (run.how != ending::exited || run.code != 0)
    report.wrong(std::string("the tests of ") + program + ":\n" + run.text);
  if (run.text.find("[  PASSED  ]") == std::string::npos) report.wrong("no test was run");
  return refused(r);
}

/// Programs of tests; null: they are left out.
struct programs {
  const char* drivers = nullptr;
  const char* handoff = nullptr;
};

/// Result: 0 wrong, 1 right, 2 left out.
int run_row(const denial& d, const world& around, const programs& tests) {
  row_report report(d);
  unsigned denied = 0, meant = 0, errors = 0, scenarios_run = 0;
  std::string driver, why;
  for (const scenario& s : all_scenarios()) {
    if (*d.only != '\0' && std::strcmp(d.only, s.name) != 0) continue;
    const std::string expected = *d.driver != '\0' ? d.driver : usual_driver;
    if (s.guest && expected == "poll") continue;
    rules r = d.rules;
    const auto begin = std::chrono::steady_clock::now();
    const run_report run = run_under(r, seconds_max, false, [&] { return perform(s, d, around); });
    const auto took = std::chrono::steady_clock::now() - begin;
    if (run.how == ending::exited && run.code == not_set_up) {
      std::printf("left out: %s: %s", d.name, run.text.c_str());
      return 2;
    }
    const std::string in = std::string("in ") + s.name + ": ";
    if (run.how != ending::exited || (run.code != absorbed && run.code != gave_error)) {
      report.wrong(in + (run.how == ending::hung ? "" : "code " + std::to_string(run.code) + " ") +
                   run.text);
      continue;
    }
    ++scenarios_run;
    denied += refused(r);
    meant += r.empty() ? 0 : r.back().refused;
    // So processors change hands without it.
    if (s.run == stuck_jobs.run && is_about_membarrier(d) && r.back().refused == 0) {
      report.wrong(in + "it was never asked for");
    }
    errors += run.code == gave_error ? 1 : 0;
    if (run.code == gave_error && d.ends == so::absorbed) report.wrong(in + run.text);
    if (took < std::chrono::milliseconds(d.milliseconds_least)) {
      report.wrong(in + "it was over so soon that it cannot have paused");
    }
    const std::string chosen = line_after(run.text, "driver ");
    const std::string name = chosen.substr(0, chosen.find('|'));
    if (name.empty()) continue;  // there was no runtime
    driver = name;
    why = chosen.substr(std::min(chosen.size(), chosen.find('|') + 1));
    if (!expected.empty() && expected != any_driver && name != expected)
      report.wrong(in + "the driver was " + chosen);
    if (why.find(d.why) == std::string::npos) report.wrong(in + "the reason was " + chosen);
  }
  if (usual_driver.empty()) usual_driver = driver;
  if (d.does == fires::certainly && meant == 0) report.wrong("it was never asked for");
  if (d.ends == so::errors && errors != scenarios_run) report.wrong("not all were given an error");
  if (d.ends == so::some_errors && errors == 0) report.wrong("nobody was given an error");
  if (tests.drivers != nullptr && d.tests && report.good()) {
    const char* const filter =
        d.epoll_is_gone ? "--gtest_filter=*driver_test*:*driver_poll*-*/epoll:*/epoll_beside_a_ring"
                        : "--gtest_filter=*driver_test*:*driver_poll*:*driver_epoll*";
    denied += run_tests(d, tests.drivers, filter, report);
  }
  if (tests.handoff != nullptr && is_about_membarrier(d) && report.good()) {
    const unsigned there = run_tests(d, tests.handoff, "--gtest_filter=*handoff*", report);
    if (there == 0) report.wrong("the tests of handing over never asked for it");
    denied += there;
  }
  if (report.good()) {
    std::printf("%-26s %6u denied, %u scenarios, %u with errors; %s: %s\n", d.name, denied,
                scenarios_run, errors, driver.c_str(), why.c_str());
  }
  std::fflush(stdout);
  return report.good() ? 1 : 0;
}

}  // namespace

int main(int argc, char** argv) {
  programs tests;
  const char* only = nullptr;
  bool list = false;
  for (int i = 1; i < argc; ++i) {
    if (std::strcmp(argv[i], "--all") == 0 && i + 1 < argc) {
      tests.drivers = argv[++i];
    } else if (std::strcmp(argv[i], "--handoff") == 0 && i + 1 < argc) {
      tests.handoff = argv[++i];
    } else if (std::strcmp(argv[i], "--row") == 0 && i + 1 < argc) {
      only = argv[++i];
    } else if (std::strcmp(argv[i], "--list") == 0) {
      list = true;
    } else {
      std::puts("weft_denials [--all PROGRAM] [--handoff PROGRAM] [--row NAME] | --list");
      return 2;
    }
  }
  std::string why_not;
  if (!can_intercept(why_not)) {
    std::printf("weft_denials: skipped: %s\n", why_not.c_str());
    return skipped;
  }
  ::unsetenv("WEFT_DRIVER");  // it is what some rows are about
  ::unsetenv("WEFT_HANDOFF");
  const world around;
  const bool without_others = tests.handoff != nullptr && tests.drivers == nullptr;
  unsigned counts[3] = {};
  for (const denial& d : denials()) {
    if (list) std::puts(d.name);
    const bool wanted = only != nullptr ? std::strcmp(only, d.name) == 0
                                        : !without_others || is_about_membarrier(d);
    // The first one tells what is usual here.
    if (list || (!wanted && !usual_driver.empty())) continue;
    ++counts[run_row(d, around, wanted ? tests : programs{})];
  }
  if (list) return 0;
  std::printf("%u rows are right, %u wrong, %u left out\n", counts[1], counts[0], counts[2]);
  const unsigned rows_min = only != nullptr || without_others ? 1 : 18;
  return counts[0] == 0 && counts[1] >= rows_min ? 0 : 1;
}
