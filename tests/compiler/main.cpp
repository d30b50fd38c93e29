// Runs every pattern in a child process and compares what it did with what is known.
//
// A child a pattern, because the verdicts under test include SIGILL, SIGSEGV and a heap that
// aborts: those are results here, not the end of the run.

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <string>
#include <string_view>

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lifetime.hpp"
#include "suite.hpp"

// A sanitizer's report is a verdict as well: give it a status that no pattern uses. Leaks are
// counted by the patterns themselves, which know what ought to be alive.
inline constexpr int sanitizer_status = 66;
extern "C" const char* __asan_default_options() { return "exitcode=66:detect_leaks=0"; }
extern "C" const char* __tsan_default_options() { return "exitcode=66"; }

namespace conformance {
namespace {

constexpr unsigned child_time_max_s = 20;
constexpr std::size_t note_size_max = 128;

int note_fd = -1;  // where the child tells the parent what it saw
bool failed = false;

struct outcome {
  verdict seen;
  std::string why;
};

[[noreturn]] void run_child(const pattern& row, int fd) {
  note_fd = fd;
  const rlimit no_core{0, 0};
  setrlimit(RLIMIT_CORE, &no_core);
  alarm(child_time_max_s);
  if (std::getenv("CONFORMANCE_VERBOSE") == nullptr) {
    const int null_fd = open("/dev/null", O_WRONLY);
    dup2(null_fd, STDERR_FILENO);
  }
  try {
    row.body();
  } catch (...) {
    fail("let an exception out");
  }
  if (!object::alive().empty()) fail("left an object alive");
  // No atexit handlers: they would be the parent's.
  _exit(failed ? 1 : 0);
}

std::string name_of_signal(int number) {
  switch (number) {
    case SIGALRM: return "ran for too long";
    case SIGILL: return "SIGILL";
    case SIGSEGV: return "SIGSEGV";
    case SIGABRT: return "SIGABRT";
    case SIGBUS: return "SIGBUS";
    case SIGTRAP: return "SIGTRAP";
    default: return "signal " + std::to_string(number);
  }
}

outcome judge(int status, std::string note) {
  if (WIFSIGNALED(status)) return {verdict::bad, name_of_signal(WTERMSIG(status))};
  if (WEXITSTATUS(status) == 0) return {verdict::good, ""};
  if (WEXITSTATUS(status) == sanitizer_status) return {verdict::bad, "sanitizer report"};
  if (note.empty()) note = "exit status " + std::to_string(WEXITSTATUS(status));
  return {verdict::bad, std::move(note)};
}

outcome run(const pattern& row) {
  int ends[2];
  if (pipe(ends) != 0) return {verdict::bad, "no pipe"};
  std::fflush(stdout);
  const pid_t child = fork();
  if (child < 0) return {verdict::bad, "no process"};
  if (child == 0) {
    close(ends[0]);
    run_child(row, ends[1]);
  }
  close(ends[1]);
  char note[note_size_max];
  const ssize_t length = read(ends[0], note, sizeof note);
  close(ends[0]);
  int status = 0;
  waitpid(child, &status, 0);
  return judge(status, length > 0 ? std::string(note, static_cast<std::size_t>(length)) : "");
}

const char* word(verdict v) { return v == verdict::good ? "good" : "bad"; }

bool report(const pattern& row, const outcome& result) {
  const bool as_expected = result.seen == row.expected;
  std::printf("%-4s %-4s %-46s %-5s %s%s%s\n", as_expected ? "ok" : "FAIL", row.id, row.name,
              word(row.expected), word(result.seen), result.why.empty() ? "" : ": ",
              result.why.c_str());
  if (!as_expected && row.expected == verdict::bad) {
    std::printf("     this compiler has been fixed: drop the rule from README.md, %s\n", row.id);
  }
  return as_expected;
}

}  // namespace

void fail(const char* what) noexcept {
  // Only the first note: what follows a wrong lifetime is noise.
  if (!std::exchange(failed, true)) {
    [[maybe_unused]] const ssize_t sent = write(note_fd, what, strnlen(what, note_size_max));
  }
}

}  // namespace conformance

// weft_compiler_conformance [NAME]: all patterns, or those whose name contains NAME.
int main(int argc, char** argv) {
  using namespace conformance;
  const std::string_view only = argc > 1 ? argv[1] : "";
  int passed = 0;
  int failures = 0;
  std::printf("%-4s %-4s %-46s %-5s %s\n", "", "id", "pattern", "known", "seen");
  for (const auto table : {captures(), aggregates(), ternaries(), conditions(),
                           symmetric_transfer(), alignment(), allocation(), lifetimes(),
                           exceptions(), thread_locals()}) {
    for (const pattern& row : table) {
      if (std::string_view(row.name).find(only) == std::string_view::npos) continue;
      ++(report(row, run(row)) ? passed : failures);
    }
  }
  std::printf("%d passed, %d failed\n", passed, failures);
  return failures == 0 && passed > 0 ? 0 : 1;  // a NAME that no pattern has is no success
}
