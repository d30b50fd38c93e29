#include "tests/stops/crowd.hpp"

#include <gtest/gtest.h>

#include <sched.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <thread>

#include "tests/support/seed.hpp"
#include "weft/runtime/time.hpp"

namespace weft::stops {
namespace {

constexpr unsigned stoppers = 2, workers = 3;
constexpr unsigned scenarios = 27;  // so many share the number that was asked for
constexpr auto usual_time = std::chrono::milliseconds(250);

struct limit {
  std::uint64_t stops = UINT64_MAX;
  std::chrono::steady_clock::time_point end = std::chrono::steady_clock::time_point::max();
};
limit asked_for() {
  const char* const s = std::getenv("WEFT_STRESS_OPERATIONS");
  if (s != nullptr) return {.stops = std::strtoull(s, nullptr, 0) / scenarios + 1};
  return {.end = std::chrono::steady_clock::now() + usual_time};
}

class crowd {
 public:
  crowd(scenario& s, rng& seeds) : scenario_(s), until_(asked_for()) {
    for (unsigned i = 0; i < places_count; ++i) {
      places_[i].index = i;
      places_[i].random = rng(seeds.next());
    }
  }

  /// Begins the visits of one part of the places, round after round, and notes how they end.
  task<> drive(unsigned which, std::uint64_t seed) {
    rng random(seed);
    tally mine;
    const std::span<place> all =
        std::span(places_.get(), places_count).subspan(which * crowd_size, crowd_size);
    while (goes_on()) {
      for (place& p : all) {
        p.over = false;
        p.tries = 0;
      }
      scenario_.begin(all);
      for (place& p : all) begin(p);
      for (unsigned left = crowd_size; left != 0;) {
        for (place& p : all) {
          if (p.over) continue;
          if (!is_done(p)) {
            if (random.below(8) == 0) stop(p, random);
            continue;
          }
          join_handle<void> job;
          bool told = false, had_ended = false;
          {
            const spin_guard guard(p.lock);
            job = std::move(p.job);
            told = p.told;
            had_ended = p.had_ended;
          }
          const auto end = co_await job.outcome();
          note(mine, p, end, told, had_ended);
          if (end.stopped()) {
            begin(p);
          } else {
            p.over = true;
            --left;
          }
        }
        co_await yield_now();
      }
      scenario_.end(all);
      for (place& p : all) ++p.round;
    }
    const spin_guard guard(lock_);
    found_ += mine;
  }

  /// In a thread of its own, until over().
  void stop_now_and_then(std::uint64_t seed) {
    rng random(seed);
    while (!over_.load(order::acquire)) {
      if (goes_on()) stop(places_[random.below(places_count)], random);
      const unsigned pause = random.below(256);
      for (unsigned i = 0; i < pause; ++i) cpu_pause();
      if (pause == 0 || !goes_on()) sched_yield();
    }
  }
  void over() noexcept { over_.store(true, order::release); }

  tally found() const noexcept {
    tally t = found_;
    t.lost = scenario_.lost();
    t.doubled = scenario_.doubled();
    return t;
  }
  std::uint64_t injected() const noexcept { return injected_.load(order::relaxed); }

 private:
  bool goes_on() const noexcept {
    return injected_.load(order::relaxed) < until_.stops &&
           (until_.stops != UINT64_MAX || std::chrono::steady_clock::now() < until_.end);
  }
  static task<> visit(scenario& s, place& p) {
    p.at.store(stage::waits, order::relaxed);
    return s.visit(p);
  }
  void begin(place& p) {
    p.at.store(stage::not_begun, order::relaxed);
    auto job = spawn(&visit, std::ref(scenario_), std::ref(p));
    const spin_guard guard(p.lock);
    p.told = p.had_ended = false;
    p.spared = ++p.tries > tries_max;
    p.job = std::move(job);
  }
  static bool is_done(place& p) {
    const spin_guard guard(p.lock);
    return p.job.done();
  }
  /// One that has not begun is let begin half of the time: there is more to see later.
  void stop(place& p, rng& random) {
    if (p.at.load(order::relaxed) == stage::not_begun && random.below(2) != 0) return;
    const spin_guard guard(p.lock);
    if (!p.job || p.told || p.spared) return;
    p.told = true;
    p.had_ended = p.job.done();
    p.job.stop();
    injected_.fetch_add(1, order::relaxed);
  }
  static void note(tally& mine, const place& p, const outcome<void>& end, bool told,
                   bool had_ended) {
    EXPECT_NE(end.kind(), outcome_kind::exception);
    if (!told) {
      mine.unasked += end.stopped() ? 1 : 0;
      return;
    }
    ++mine.injected;
    const stage at = p.at.load(order::relaxed);
    if (!end.stopped()) {
      // It ends by itself only behind what it does.
      EXPECT_EQ(at, stage::has);
      ++(had_ended ? mine.had_ended : mine.completed);
    } else if (had_ended) {
      ++mine.unasked;
    } else {
      ++(at == stage::not_begun ? mine.stopped_unbegun
         : at == stage::waits   ? mine.stopped_waiting
                                : mine.stopped_later);
    }
  }

  scenario& scenario_;
  const limit until_;
  std::unique_ptr<place[]> places_ = std::make_unique<place[]>(places_count);
  atomic<std::uint64_t> injected_{0};
  atomic<bool> over_{false};
  spin_lock lock_;
  tally found_;  // under lock_
};

task<> drive_all(crowd& c, std::uint64_t seed) {
  std::vector<join_handle<void>> all;
  for (unsigned i = 0; i < drivers; ++i) {
    all.push_back(
        spawn([](crowd& of, unsigned which, std::uint64_t its) { return of.drive(which, its); },
              std::ref(c), i, seed + i));
  }
  for (auto& one : all) co_await one;
}

unsigned long long of(std::uint64_t n) { return n; }

}  // namespace

tally& tally::operator+=(const tally& other) noexcept {
  injected += other.injected;
  stopped_unbegun += other.stopped_unbegun;
  stopped_waiting += other.stopped_waiting;
  stopped_later += other.stopped_later;
  completed += other.completed;
  had_ended += other.had_ended;
  unasked += other.unasked;
  lost += other.lost;
  doubled += other.doubled;
  return *this;
}

void run(scenario& s, driver io) {
  rng seeds(test_support::seed());
  crowd c(s, seeds);
  {
    runtime rt({.workers = workers, .io = io});
    std::vector<std::thread> threads;
    for (unsigned i = 0; i < stoppers; ++i) {
      threads.emplace_back([&c, seed = seeds.next()] { c.stop_now_and_then(seed); });
    }
    rt.block_on(rt.spawn(drive_all, std::ref(c), seeds.next()));
    c.over();
    for (auto& t : threads) t.join();
  }
  s.count();
  const tally t = c.found();
  std::printf(
      "%-14s %9llu stops: ended before it began %llu, waiting %llu, later %llu; completed all the "
      "same %llu, before %llu; lost %llu, doubled %llu\n",
      s.name(), of(t.injected), of(t.stopped_unbegun), of(t.stopped_waiting), of(t.stopped_later),
      of(t.completed), of(t.had_ended), of(t.lost), of(t.doubled));
  EXPECT_EQ(t.injected, c.injected());
  EXPECT_EQ(t.unasked, 0u) << "a job was stopped that nobody stopped, or that had ended before";
  EXPECT_EQ(t.lost, 0u);
  EXPECT_EQ(t.doubled, 0u);
  EXPECT_GT(t.injected, 0u);
  total += t;
}

}  // namespace weft::stops
