// crowd: places in which visits run, each a job that uses what is tested once; and who stops them.
//
// A visit that was stopped is begun again in its place, until one has ended by itself: so in a round each
// place gets what it came for exactly once, and a wake that is lost hangs. When the round is over and
// no stop is asked for any more, the scenario counts what is there: too little was lost, too much doubled.
//
//   Stops    from two threads of the system, which look at nothing but whether there is a job; and from
//            the tasks that begin the visits, on the workers. One for a job counts; its end says which
//            of the two was first
//   Threads  a place is its visit's while one runs, and its driver's otherwise; `job` is under `lock`
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "weft/base/rng.hpp"
#include "weft/base/spin_lock.hpp"
#include "weft/runtime/options.hpp"
#include "weft/runtime/runtime.hpp"

namespace weft::stops {

/// A visit that takes long, under a sanitizer say, would be stopped for ever: after so many tries it is spared.
inline constexpr unsigned tries_max = 32;
inline constexpr unsigned drivers = 3, crowd_size = 16, places_count = drivers * crowd_size;

/// How far a visit has come.
enum class stage : unsigned char { not_begun, waits, has };

class place {
 public:
  // A visit's.
  rng random{0};
  unsigned index = 0;       // among all
  std::uint64_t round = 0;  // of its driver
  atomic<stage> at{stage::not_begun};
  void has() noexcept { at.store(stage::has, order::relaxed); }

  // Of whoever begins and stops it.
  spin_lock lock;
  join_handle<void> job;   // by the holder of `lock`, as the next three
  bool told = false;       // it was stopped by us
  bool had_ended = false;  // before that
  bool spared = false;     // not to be stopped
  // The driver's alone.
  bool over = false;   // for this round
  unsigned tries = 0;  // in this round
};

/// What is used, and how it is counted. One at a time.
class scenario {
 public:
  explicit scenario(const char* name) noexcept : name_(name) {}
  scenario(const scenario&) = delete;
  scenario& operator=(const scenario&) = delete;
  virtual ~scenario() = default;

  const char* name() const noexcept { return name_; }
  /// Before the visits of a round of one driver, whose places these are.
  virtual void begin(std::span<place> its) { static_cast<void>(its); }
  /// Uses it once. What it does is done when it says mine.has(). On a worker.
  virtual task<> visit(place& mine) = 0;
  /// After the last visit of a round: all of them have ended by themselves.
  virtual void end(std::span<place> its) { static_cast<void>(its); }
  /// When nothing runs any more.
  virtual void count() = 0;

  std::uint64_t lost() const noexcept { return lost_.load(order::relaxed); }
  std::uint64_t doubled() const noexcept { return doubled_.load(order::relaxed); }

 protected:
  void add_lost(std::uint64_t n) noexcept { lost_.fetch_add(n, order::relaxed); }
  void add_doubled(std::uint64_t n) noexcept { doubled_.fetch_add(n, order::relaxed); }
  /// There should be `expected` of something.
  void compare(std::uint64_t there, std::uint64_t expected) noexcept {
    if (there < expected) add_lost(expected - there);
    if (there > expected) add_doubled(there - expected);
  }

 private:
  const char* const name_;
  atomic<std::uint64_t> lost_{0}, doubled_{0};
};

struct tally {
  std::uint64_t injected = 0;
  // How the jobs ended that were stopped; together all that was injected.
  std::uint64_t stopped_unbegun = 0, stopped_waiting = 0, stopped_later = 0;
  std::uint64_t completed = 0;  // the stop came first, but after what it should prevent
  std::uint64_t had_ended = 0;
  std::uint64_t unasked = 0;  // stopped, by nobody
  std::uint64_t lost = 0, doubled = 0;

  tally& operator+=(const tally& other) noexcept;
};

/// Of the whole program, for its last line.
inline tally total;

/// Runs it: as many stops as were asked for, or for a part of a second. Prints a line; fails the test
/// unless nothing is lost or doubled.
void run(scenario& s, driver io = driver::automatic);

}  // namespace weft::stops
