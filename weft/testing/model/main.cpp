// The main of each model executable: runs its models at rising bounds, then their mutants, and
// prints a table. A lower bound finds a bug in a fraction of the time; what passes the highest is
// proved for it.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "weft/testing/model/engine.hpp"
#include "weft/testing/model/model.hpp"

namespace weft::model {

namespace {

struct settings {
  const char* filter = "";
  int bound = 0;  // 0: as the model says
  double seconds = 400;
  bool skip_known = true;
  bool outcomes = false;
  const char* mutant = nullptr;
  const char* replay = nullptr;
};

struct totals {
  int passed = 0;
  int failed = 0;
  int mutants_killed = 0;
  int mutants = 0;
  long executions = 0;
  double milliseconds = 0;
};

const char* program = "";

limits limits_of(const test& t, const settings& s, int bound) {
  limits l;
  l.preemptions = bound;
  l.stale_reads = t.stale_max >= 0 ? t.stale_max : bound;
  l.spurious = t.spurious_max;
  l.steps = t.steps_max;
  l.executions = t.executions_max;
  l.seconds = s.seconds;
  l.skip_known = s.skip_known;
  return l;
}

std::function<void()> body_of(const test& t) {
  return [&t] {
    world w;
    t.body(w);
  };
}

void row(const char* name, int bound, const verdict& v, const char* says) {
  std::printf("%-52s %5d %12ld %9.0f  %s\n", name, bound, v.executions, v.milliseconds, says);
  std::fflush(stdout);
}

void show(const test& t, const verdict& v, const char* mutant) {
  std::printf("    %s\n    replay: %s '%s'%s%s --replay %s\n", v.why.c_str(), program, t.name,
              mutant ? " --mutant " : "", mutant ? mutant : "", v.schedule.c_str());
}

bool outcomes_fit(const test& t, const verdict& v) {
  bool fit = true;
  for (const char* o : t.reaches) {
    if (v.outcomes.count(o)) continue;
    std::printf("    never reached, though it should be: %s\n", o);
    fit = false;
  }
  for (const char* o : t.never) {
    if (!v.outcomes.count(o)) continue;
    std::printf("    reached, though it never should be: %s\n", o);
    fit = false;
  }
  return fit;
}

bool run_right(engine& e, const test& t, const settings& s, totals& sum) {
  const int bound_max = s.bound ? s.bound : t.bound_max;
  const auto body = body_of(t);
  for (int bound = 1; bound <= bound_max; ++bound) {
    const verdict v = e.explore(body, limits_of(t, s, bound), nullptr);
    sum.executions += v.executions;
    sum.milliseconds += v.milliseconds;
    if (v.bug && t.expects_bug) {
      const bool right = v.why.find(t.expects_bug) != std::string::npos;
      row(t.name, bound, v,
          right ? "bug found, as it must be" : "FAILED: another bug than expected");
      if (!right) show(t, v, nullptr);
      return right;
    }
    if (v.bug) {
      row(t.name, bound, v, "FAILED");
      show(t, v, nullptr);
      return false;
    }
    const bool capped = !v.complete && t.executions_max && v.executions >= t.executions_max;
    if (!v.complete && !capped) {
      row(t.name, bound, v, "FAILED: too big; state a lower bound_max or an executions_max");
      return false;
    }
    if (bound < bound_max) {
      // The lower bounds are only steps on the way: a line each would hide the table.
      continue;
    }
    if (t.expects_bug) {
      row(t.name, bound, v, "FAILED: its bug was not found");
      return false;
    }
    row(t.name, bound, v, capped ? "ok, capped" : "ok, complete");
    if (s.outcomes) {
      for (const std::string& o : v.outcomes) std::printf("    outcome: %s\n", o.c_str());
    }
    if (!outcomes_fit(t, v)) return false;
  }
  return true;
}

bool run_mutant(engine& e, const test& t, const settings& s, const char* id, totals& sum) {
  ++sum.mutants;
  const int bound_max = s.bound ? s.bound : t.bound_max;
  const auto body = body_of(t);
  bool reached = false;
  for (int bound = 1; bound <= bound_max; ++bound) {
    const verdict v = e.explore(body, limits_of(t, s, bound), id);
    sum.executions += v.executions;
    sum.milliseconds += v.milliseconds;
    reached = reached || v.mutant_reached;
    if (v.bug) {
      ++sum.mutants_killed;
      const std::string says = "killed: " + v.why;
      row((std::string("  mutant ") + id).c_str(), bound, v, says.c_str());
      return true;
    }
    if (bound == bound_max) {
      row((std::string("  mutant ") + id).c_str(), bound, v,
          reached ? "FAILED: it survives"
                  : "FAILED: the code under test never asks for this mutant");
    }
  }
  return false;
}

int replay(const test& t, const settings& s) {
  engine e;
  std::printf("%s%s%s\n  point thread         what it does\n", t.name, s.mutant ? ", mutant " : "",
              s.mutant ? s.mutant : "");
  const verdict v = e.replay(body_of(t), limits_of(t, s, t.bound_max), s.mutant, s.replay);
  std::printf("%s\n", v.bug ? v.why.c_str() : "this schedule shows no bug");
  return v.bug ? 1 : 0;
}

int usage() {
  std::printf(
      "usage: %s [FILTER] [--bound N] [--seconds S] [--mutant ID] [--replay SCHEDULE] "
      "[--all-orders]\n"
      "          [--outcomes] [--list]\n"
      "  FILTER             only models whose name contains it\n"
      "  --bound N          preemptions up to N, whatever the models say\n"
      "  --seconds S        give up a search after S seconds of processor time (400)\n"
      "  --all-orders       search also behind points where it has been: slower, to doubt the "
      "checker\n"
      "  --outcomes         show what was told to model.outcome()\n"
      "  --mutant ID        only this mutant, not the right code\n"
      "  --replay SCHEDULE  tell one execution step by step\n",
      program);
  return 2;
}

bool parse(int argc, char** argv, settings& s, bool& list) {
  for (int i = 1; i < argc; ++i) {
    const std::string a = argv[i];
    const char* value = i + 1 < argc ? argv[i + 1] : nullptr;
    if (a == "--list") {
      list = true;
    } else if (a == "--all-orders") {
      s.skip_known = false;
    } else if (a == "--outcomes") {
      s.outcomes = true;
    } else if (a.rfind("--", 0) != 0) {
      s.filter = argv[i];
    } else if (!value) {
      return false;
    } else {
      ++i;
      if (a == "--bound") {
        s.bound = std::atoi(value);
      } else if (a == "--seconds") {
        s.seconds = std::atof(value);
      } else if (a == "--mutant") {
        s.mutant = value;
      } else if (a == "--replay") {
        s.replay = value;
      } else {
        return false;
      }
    }
  }
  return true;
}

int run(int argc, char** argv) {
  program = argc ? argv[0] : "model";
  settings s;
  bool list = false;
  if (!parse(argc, argv, s, list)) return usage();
  std::vector<const test*> chosen;
  for (const test& t : registered()) {
    if (s.replay ? !std::strcmp(t.name, s.filter) : std::strstr(t.name, s.filter) != nullptr) {
      chosen.push_back(&t);
    }
  }
  if (chosen.empty()) {
    std::printf("no model is called %s\n", s.filter);
    return 2;
  }
  if (list) {
    for (const test* t : chosen) std::printf("%s\n", t->name);
    return 0;
  }
  if (s.replay) return replay(*chosen.front(), s);

  std::printf("%-52s %5s %12s %9s  %s\n", "model", "bound", "executions", "ms", "verdict");
  engine e;
  totals sum;
  for (const test* t : chosen) {
    bool good = true;
    if (!s.mutant) good = run_right(e, *t, s, sum);
    for (const char* id : t->kills) {
      if (s.mutant && std::strcmp(id, s.mutant) != 0) continue;
      good = run_mutant(e, *t, s, id, sum) && good;
    }
    ++(good ? sum.passed : sum.failed);
  }
  std::printf("%ld executions in %.1f s; mutants killed %d / %d\n%d passed, %d failed\n",
              sum.executions, sum.milliseconds / 1000, sum.mutants_killed, sum.mutants, sum.passed,
              sum.failed);
  return sum.failed ? 1 : 0;
}

}  // namespace

}  // namespace weft::model

int main(int argc, char** argv) { return weft::model::run(argc, argv); }
