// The reduction of visited.hpp finds what the whole search finds: on the litmus models, and on programs
// that are drawn from a seed. And each part of a fingerprint is needed: without it an outcome is lost.
#include <gtest/gtest.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "weft/os/futex.hpp"
#include "weft/testing/model/engine.hpp"
#include "weft/testing/model/model.hpp"

#include "weft/testing/model/litmus_model.cpp"  // its models are registered here, too

namespace weft::model {
namespace {

limits bounds(int preemptions, int stale_reads, int spurious) {
  limits l;
  l.preemptions = preemptions;
  l.stale_reads = stale_reads;
  l.spurious = spurious;
  l.seconds = 1e9;
  return l;
}

verdict search(const std::function<void()>& body, limits within, bool reduced,
               unsigned forgets = 0) {
  within.skip_known = reduced;
  within.forgets = forgets;
  engine e;
  return e.explore(body, within, nullptr);
}

/// What a search has found: outcomes, or that there is a bug.
std::set<std::string> found(const verdict& v) {
  return v.bug ? std::set<std::string>{"bug"} : v.outcomes;
}

// ---- programs from a seed -----------------------------------------------------------------------

/// SplitMix64, so that the same seed is the same program with every library.
class dice {
 public:
  explicit dice(std::uint64_t seed) noexcept : state_(seed) {}
  unsigned below(unsigned n) noexcept {
    std::uint64_t z = state_ += 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return static_cast<unsigned>((z ^ (z >> 31)) >> 33) % n;
  }

 private:
  std::uint64_t state_;
};

struct instruction {
  enum class kind {
    load,
    store,
    add,
    weak_exchange,
    fence,
    heavy_fence,
    pause,
    wait,
    wake,
    look_at_note,
    write_note,
    come_and_go,
    last
  };
  kind what;
  unsigned word;
  order how;
};

struct program {
  std::vector<std::vector<instruction>> threads;

  explicit program(std::uint64_t seed) {
    using kind = instruction::kind;
    dice d(seed);
    threads.resize(2 + d.below(2));
    // Few kinds in one program, so that they meet.
    kind kinds[5];
    for (kind& k : kinds) k = static_cast<kind>(d.below(static_cast<unsigned>(kind::last)));
    kinds[0] = kind::load, kinds[1] = kind::store;
    for (auto& t : threads) {
      for (unsigned n = 2 + d.below(threads.size() == 2 ? 4 : 3); n; --n) {
        constexpr order orders[] = {order::relaxed, order::acquire, order::release, order::seq_cst};
        const kind k = kinds[d.below(5)];
        order o = orders[d.below(4)];
        if (k == kind::load && o == order::release) o = order::acquire;
        if (k == kind::store && o == order::acquire) o = order::release;
        if (k == kind::fence && o == order::relaxed) o = order::seq_cst;
        t.push_back({k, d.below(2), o});
      }
    }
  }
};

/// Runs one thread of it. Every value that it gets joins `got`.
void run(const std::vector<instruction>& code, unsigned me, atomic<std::uint32_t>* words,
         ghost<unsigned>& note, std::string& got) {
  unsigned next_value = me * 10;
  const auto saw = [&got](unsigned value) { got += std::to_string(value) + ' '; };
  for (const instruction& i : code) {
    using kind = instruction::kind;
    atomic<std::uint32_t>& word = words[i.word];
    std::uint32_t expected = 0;
    switch (i.what) {
      case kind::load:
        saw(word.load(i.how));
        break;
      case kind::store:
        word.store(++next_value, i.how);
        break;
      case kind::add:
        saw(word.fetch_add(100, i.how));
        break;
      case kind::weak_exchange:
        saw(word.compare_exchange_weak(expected, ++next_value, i.how, order::relaxed));
        saw(expected);
        break;
      case kind::fence:
        fence(i.how);
        break;
      case kind::heavy_fence:
        hook::heavy_fence();
        break;
      case kind::pause:
        cpu_pause();
        break;
      case kind::wait:
        saw(os::futex_wait(word, 0, i.how == order::relaxed ? 1 : never_ns));
        break;
      case kind::wake:
        os::futex_wake(word, 1);
        break;
      case kind::look_at_note:
        saw(note.get());
        break;
      case kind::write_note:
        note.set(++next_value);
        break;
      case kind::come_and_go:
        delete new atomic<std::uint32_t>(0);
        break;
      case kind::last:
        break;
    }
  }
}

std::function<void()> body_of(const program& p) {
  return [&p] {
    world model;
    atomic<std::uint32_t> words[2];
    ghost<unsigned> note(0);
    std::vector<std::string> got(p.threads.size());
    for (unsigned t = 0; t < p.threads.size(); ++t) {
      model.thread([&, t] { run(p.threads[t], t + 1, words, note, got[t]); });
    }
    int asleep = model.run_until_idle();
    std::string all;
    for (const std::string& g : got) all += g + "| ";
    for (auto& w : words) all += std::to_string(w.load(order::seq_cst)) + ' ';
    model.outcome(all + std::to_string(asleep));
    while (asleep) {
      for (auto& w : words) os::futex_wake(w, threads_max);
      asleep = engine::current()->run_threads(false);
    }
  };
}

/// How many programs have lost something.
int losses(unsigned forgets, std::uint64_t first_seed, int programs, bool stop_at_first) {
  int lost = 0;
  for (int i = 0; i < programs; ++i) {
    const program p(first_seed + static_cast<std::uint64_t>(i));
    const auto body = body_of(p);
    for (const limits& within : {bounds(1, 0, 0), bounds(1, 1, 1), bounds(2, 1, 0)}) {
      const verdict all = search(body, within, false);
      const verdict reduced = search(body, within, true, forgets);
      EXPECT_TRUE(all.complete && reduced.complete) << "seed " << first_seed + i;
      if (found(all) == found(reduced)) continue;
      ++lost;
      if (forgets == 0) ADD_FAILURE() << "seed " << first_seed + i << " lost an outcome";
      if (stop_at_first) return lost;
      break;
    }
  }
  return lost;
}

TEST(reduction, finds_what_the_whole_search_finds_in_programs_from_a_seed) {
  EXPECT_EQ(losses(0, 1, 400, true), 0);
}

TEST(reduction, finds_what_the_whole_search_finds_in_the_litmus_models) {
  for (const test& t : registered()) {
    const auto body = [&t] {
      world model;
      t.body(model);
    };
    for (const limits& within : {bounds(0, 0, 0), bounds(1, 0, 0), bounds(1, 1, 0), bounds(0, 2, 1),
                                 bounds(2, 1, 1), bounds(2, 3, 1)}) {
      EXPECT_EQ(found(search(body, within, false)), found(search(body, within, true)))
          << t.name << " with " << within.preemptions << " preemptions, " << within.stale_reads
          << " stale reads";
    }
  }
}

class each_part : public testing::TestWithParam<part> {};
TEST_P(each_part, is_needed) {
  EXPECT_GT(losses(static_cast<unsigned>(GetParam()), 1, 400, true), 0);
}
INSTANTIATE_TEST_SUITE_P(reduction, each_part,
                         testing::Values(part::reads, part::order_of_writes, part::joins,
                                         part::answers, part::wakes, part::pauses, part::ghosts,
                                         part::budgets, part::mover, part::sleepers,
                                         part::steps_back));

// ---- by hand -----------------------------------------------------------------------------------

// The second one sleeps on a word which lies where the first one's was, or it does not: only then it is
// woken by a wake that comes too late. The others are there so that there is a choice before that wake:
// without one no point is looked up.
void wake_of_a_word_that_is_gone() {
  engine& e = *engine::current();
  world model;
  atomic<int> sleeps_soon(0), wakes_soon(0), middle(0);
  bool all_came = false;
  model.thread([&] {
    const unsigned gone = e.create(0);
    e.destroy(gone);
    wakes_soon.store(1, order::relaxed);
    cpu_pause();
    all_came = sleeps_soon.load(order::relaxed) == 1 && middle.load(order::relaxed) == 2;
    e.futex_wake(gone, 1);
  });
  model.thread([&] {
    const unsigned mine = e.create(0);
    sleeps_soon.store(1, order::relaxed);
    e.futex_wait(mine, 0, false);
    e.destroy(mine);
  });
  for (int i = 0; i < 2; ++i) {
    model.thread([&] {
      if (wakes_soon.load(order::relaxed)) middle.fetch_add(1, order::relaxed);
    });
  }
  const bool sleeps = model.run_until_idle() != 0;
  if (all_came) model.outcome(sleeps ? "sleeps" : "woken");
  for (unsigned i = 0; i < 4; ++i) e.futex_wake(i | 1u << 12, 1);
  e.run_threads(false);
}
TEST(reduction, knows_where_words_lie_once_a_wake_comes_too_late) {
  const limits within = bounds(0, 0, 0);
  const std::set<std::string> both{"sleeps", "woken"};
  EXPECT_EQ(found(search(wake_of_a_word_that_is_gone, within, false)), both);
  EXPECT_EQ(found(search(wake_of_a_word_that_is_gone, within, true)), both);
  const auto without = static_cast<unsigned>(part::places);
  EXPECT_NE(found(search(wake_of_a_word_that_is_gone, within, true, without)), both);
}

// The waker goes on between a wake that wakes nobody and its store; there one may go to sleep for ever.
void wake_before_the_store() {
  world model;
  atomic<std::uint32_t> word(0);
  model.thread("waker", [&] {
    os::futex_wake(word, 1);
    word.store(1, order::relaxed);
  });
  model.thread("sleeper", [&] { static_cast<void>(os::futex_wait(word, 0, never_ns)); });
  model.run();
}
TEST(reduction, finds_who_goes_to_sleep_between_a_wake_and_its_store) {
  limits within = bounds(1, 0, 0);
  EXPECT_TRUE(search(wake_before_the_store, within, true).bug);
  const auto without = static_cast<unsigned>(part::wakes);
  EXPECT_FALSE(search(wake_before_the_store, within, true, without).bug);
}

// Two fences in either order, then both read: who came second sees what the first one had written. The
// third one comes after both fences and before both reads.
void two_fences_in_either_order() {
  world model;
  atomic<int> words[2], middle(0);
  int saw[2] = {-1, -1};
  bool came_between[3] = {};
  for (int i = 0; i < 2; ++i) {
    model.thread([&, i] {
      words[i].store(1, order::relaxed);
      fence(order::seq_cst);
      cpu_pause();
      came_between[i] = middle.load(order::relaxed) == 1;
      saw[i] = words[1 - i].load(order::relaxed);
    });
  }
  model.thread([&] {
    came_between[2] = words[0].load(order::relaxed) + words[1].load(order::relaxed) == 2;
    middle.store(1, order::relaxed);
  });
  model.run();
  if (came_between[0] && came_between[1] && came_between[2]) {
    model.outcome(std::to_string(saw[0]) + std::to_string(saw[1]));
  }
}
TEST(reduction, knows_in_which_order_two_fences_were) {
  const limits within = bounds(0, 1, 0);
  const std::set<std::string> all{"01", "10", "11"};
  EXPECT_EQ(found(search(two_fences_in_either_order, within, false)), all);
  EXPECT_EQ(found(search(two_fences_in_either_order, within, true)), all);
  const auto without = static_cast<unsigned>(part::fences);
  EXPECT_NE(found(search(two_fences_in_either_order, within, true, without)), all);
}

// A heavy fence makes a release fence of a thread, which hands on what that one knows by then.
void heavy_fence_before_or_after_a_read() {
  world model;
  plain<int> data(0);
  atomic<int> first(0), second(0), fenced(0);
  model.thread("writer", [&] {
    data.set(1);
    first.store(1, order::seq_cst);
  });
  model.thread("hands on", [&] {
    if (!first.load(order::acquire)) return;
    cpu_pause();
    if (fenced.load(order::relaxed)) second.store(1, order::relaxed);
  });
  model.thread("fences", [&] {
    if (!first.load(order::relaxed)) return;
    hook::heavy_fence();
    fenced.store(1, order::relaxed);
  });
  model.thread("reader", [&] {
    cpu_pause();
    if (second.load(order::acquire)) static_cast<void>(data.get());
  });
  model.run();
}
TEST(reduction, knows_where_a_thread_was_when_a_heavy_fence_came) {
  const limits within = bounds(0, 0, 0);
  EXPECT_TRUE(search(heavy_fence_before_or_after_a_read, within, false).bug);
  EXPECT_TRUE(search(heavy_fence_before_or_after_a_read, within, true).bug);
  const auto without = static_cast<unsigned>(part::heavy_fences);
  EXPECT_FALSE(search(heavy_fence_before_or_after_a_read, within, true, without).bug);
}

TEST(reduction, saves_executions) {
  const auto body = [] {
    world model;
    atomic<int> words[3];
    for (auto& w : words) {
      model.thread([&] {
        for (int i = 0; i < 3; ++i) w.fetch_add(1, order::relaxed);
      });
    }
    model.thread([&] {
      for (auto& w : words) static_cast<void>(w.load(order::relaxed));
    });
    model.run();
  };
  const verdict all = search(body, bounds(2, 0, 0), false);
  const verdict reduced = search(body, bounds(2, 0, 0), true);
  EXPECT_TRUE(all.complete && reduced.complete);
  EXPECT_LT(reduced.steps, all.steps / 2);
}

}  // namespace
}  // namespace weft::model
