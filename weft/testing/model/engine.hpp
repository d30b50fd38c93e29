// engine: runs a model again and again, each time with the next sequence of choices, until all have
// been tried: which thread moves, which value a load returns, whether a weak operation fails.
//
//   Search    depth first; an execution is replayed from its start, so a model must do the same
//             thing whenever it gets the same choices (no clocks, no addresses, no real threads)
//   Bounds    preemptions (leaving a thread that could have gone on), stale reads, spurious
//             failures, steps. Leaving a thread that waits, steps back or has ended is free
//   Verdicts  a failed check or assertion, a data race, a use after the lifetime, threads that
//             sleep for ever (a lost wake), more steps than allowed (a livelock)
//   Schedule  the choices that were not the first offer, as "point:choice,...": it needs no bound
//             to be replayed, and stays short
//   Reduction a word that only one thread ever touches is no reason to switch threads. Which words
//             are shared is learned while searching; when one is added, the search starts over, so
//             that nothing has been skipped in the end
//   Reduction an execution ends where one has been before that had as much left of the bounds: what
//             follows is the same. visited.hpp says when two points are one
//
//   After  loom and CHESS (bounded search over real code), wmc (our own sketch)
#pragma once

#include <cstdint>
#include <ctime>
#include <functional>
#include <set>
#include <string>
#include <vector>

#include "weft/testing/model/fiber.hpp"
#include "weft/testing/model/heap.hpp"
#include "weft/testing/model/memory.hpp"
#include "weft/testing/model/visited.hpp"

namespace weft::model {

/// Ends the execution with a bug: called by the model's checks and by the checker itself.
[[noreturn]] void fail(std::string why);

struct limits {
  int preemptions = 3;
  int stale_reads = 3;
  int spurious = 1;        // weak compare-exchanges and futex waits that end for nothing
  long steps = 4000;       // in one execution
  long executions = 0;     // 0: all
  double seconds = 60;     // of processor time; then it is given up as too big
  bool skip_known = true;  // points at which the search has been before: see visited.hpp
  unsigned forgets = 0;    // parts that fingerprints leave out: for the checker's own tests
};

struct verdict {
  long executions = 0;
  long steps = 0;
  double milliseconds = 0;  // of processor time
  bool complete = false;    // everything within the limits was tried
  bool bug = false;
  std::string why;
  std::string schedule;  // of the bug
  bool mutant_reached = false;
  std::set<std::string> outcomes;  // what model.outcome() was told, over all executions
};

class engine {
 public:
  /// The engine whose execution is under way; null outside.
  static engine* current() noexcept { return current_; }

  engine();
  ~engine();
  verdict explore(const std::function<void()>& body, const limits& within, const char* mutant);
  /// One execution, told step by step on stdout.
  verdict replay(const std::function<void()>& body, const limits& within, const char* mutant,
                 const std::string& schedule);

  // What a model's body calls.
  void add_thread(std::string name, std::function<void()> f);
  /// Until none can move. Without `explore` in one order only. Result: how many sleep.
  int run_threads(bool explore);
  void outcome(const std::string& text);
  bool mutant(const char* id) noexcept;
  void label(const char* text);
  void note(const std::string& text);
  int running() const noexcept { return me_; }
  [[noreturn]] void fail(std::string why);

  // What the shim calls.
  unsigned create(std::uint64_t initial);
  void destroy(unsigned location);
  std::uint64_t load(unsigned location, order o);
  void store(unsigned location, std::uint64_t value, order o);
  std::uint64_t update(unsigned location, hook::rmw kind, std::uint64_t operand, unsigned bytes,
                       order o);
  bool compare_exchange(unsigned location, std::uint64_t& expected, std::uint64_t desired,
                        order success, order failure, bool weak);
  void fence(order o);
  void heavy_fence();
  void pause();
  /// False: the deadline came.
  bool futex_wait(unsigned location, std::uint32_t expected, bool has_deadline);
  void futex_wake(unsigned location, int count);
  memory& plain_memory() noexcept { return memory_; }
  execution_heap& heap() noexcept { return heap_; }
  void* own(unsigned bytes) noexcept;
  void ghost_read() noexcept { memory_.ghost_read(me_); }
  void ghost_write() noexcept { memory_.ghost_write(me_); }

 private:
  enum class state { fresh, ready, asleep, done };
  struct thread {
    fiber stack;
    std::string name;
    std::function<void()> f;
    state now = state::fresh;
    bool stepped_back = false;  // in a spin loop, until somebody has changed something
    unsigned asleep_on = 0;
    unsigned asleep_on_key = 0;  // that word's name_of_word
    bool woken = false;
    unsigned created = 0;   // how many words it has constructed
    fingerprint chosen_at;  // its history when it was last chosen to move
    void* own = nullptr;    // its thread_local
  };
  struct choice {
    long point;
    int offered;
    int taken;
  };
  struct name_of_word {
    unsigned key;  // creator and its count: the same word in every execution
    std::string label;
    int users = 0;  // bit set of the threads that touched it
  };

  static void enter_fiber();
  void body_main();
  void thread_main();
  void execute();
  bool next_execution();
  bool over_limit(const limits& within) const;
  void begin(const std::function<void()>& body, const limits& within, const char* mutant);
  void end();

  int choose(int offered);
  int choose_stale(int offered);
  int choose_spurious(int ways);  // 0: no
  void step(unsigned location);
  void step_shared();
  void count_step();
  void reschedule(bool can_go_on);
  int pick(bool can_go_on);
  bool been_here(bool can_go_on);
  [[noreturn]] void leave();  // ends the execution here
  void places_matter();
  void note(part p, memory::event what) noexcept;  // for H1 and H2 of visited.hpp
  void moved();  // the running thread changed something: spinners may look again
  bool shared(unsigned location);
  std::string schedule() const;
  void tell(const char* format, ...) __attribute__((format(printf, 2, 3)));
  std::string word(unsigned location) const;

  static engine* current_;

  memory memory_;
  fiber host_;
  thread threads_[threads_max];  // 0 is the body
  int thread_count_ = 1;
  int me_ = 0;
  const std::function<void()>* body_ = nullptr;
  limits within_;
  verdict result_;
  const char* mutant_ = nullptr;

  visited visited_;
  std::vector<choice> path_;
  std::size_t position_ = 0;
  std::size_t looked_at_ = 0;  // the position when the last point was looked up
  long point_ = 0;
  std::vector<std::pair<long, int>> script_;  // of a replay
  std::size_t script_position_ = 0;
  bool replaying_ = false;
  int preemptions_ = 0;
  int stale_ = 0;
  int spurious_ = 0;
  long steps_ = 0;
  bool ran_ = false;
  bool winding_down_ = false;  // no choices any more

  std::vector<name_of_word> words_;  // by index
  std::vector<bool> shared_[threads_max];
  bool learned_ = false;      // a shared word was met for the first time: start over
  bool with_places_ = false;  // learned, too: H5 of visited.hpp
  std::string label_;
  unsigned labelled_ = 0;
  execution_heap heap_;
  std::clock_t started_ = 0;
};

}  // namespace weft::model
