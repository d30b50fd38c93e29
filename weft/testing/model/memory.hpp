// memory: what a C++ program may read. An operational form of the C++20 memory model: each word has
// the list of the values written to it, each thread has views of how far it has surely seen them.
//
//   A view      for each thread, up to which of its moments everything is known (a vector clock),
//               and for each word, the oldest value that may still be read
//   A message   one value of one word, with the view that an acquiring reader of it gains
//   A thread    three views: what it knows; what an acquire fence would add; what a release fence
//               froze for its later relaxed stores
//   The world   one view S that seq_cst fences and accesses read and raise, in the order in which
//               they happen. It carries words only, no clocks: a seq_cst fence alone orders
//               accesses to atomics, never to plain variables
//
// What it does not show (the gaps, each stated by a litmus test where it can be):
//   G1  load buffering: a load never returns a value that is written later
//   G2  a store never takes its place before an existing value of the word (no 2+2W outcome)
//   G3  an order S that contradicts happens-before through accesses of mixed strength
//   G4  consume is not offered by the shim; mixed-size access does not exist
// G1 and G2 hide behaviour, so a proof here is a proof for machines without them: x86, and for ARM
// and POWER as far as the code does not build on plain loads and stores racing in those two shapes.
//
//   After  the view machines of Kang et al. (POPL 2017) without promises; RC11's seq_cst fences
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "weft/base/atomic.hpp"
#include "weft/testing/model/fingerprint.hpp"

namespace weft::model {

inline constexpr int threads_max = 8;      // number 0 is the model's own body
inline constexpr int locations_max = 504;  // alive at the same moment

/// Clocks first, then a timestamp for each location.
struct view {
  static constexpr int width = threads_max + locations_max;
  std::int16_t at[width] = {};
  int used = width;  // what follows is zero, whatever stands there

  std::int16_t& clock(int thread) noexcept { return at[thread]; }
  std::int16_t& place(int location) noexcept { return at[threads_max + location]; }
};

struct thread_views {
  view known;       // happened before what this thread does next
  view acquirable;  // what an acquire fence would add to it
  view released;    // what the last release fence froze
  bool has_released = false;
};

class memory {
 public:
  /// Forgets everything: a new execution starts. `statics` are the initial values of the words that
  /// were constructed before any execution; they get the first numbers.
  void reset(const std::vector<std::uint64_t>& statics);

  thread_views& thread(int t) noexcept { return views_[t]; }
  /// `child` knows from its start on what `parent` knows now.
  void start(int child, int parent);
  /// `t` comes to know all that `other` does (a join).
  void join(int t, int other);

  unsigned create(int t, std::uint64_t initial);
  void destroy(int t, unsigned location);

  /// How many of the word's values thread t may read now: 1 means only the newest.
  int readable(int t, unsigned location, order o);
  /// The value `age` steps behind the newest, without reading it.
  std::uint64_t peek(unsigned location, int age);
  std::uint64_t read(int t, unsigned location, order o, int age);
  void write(int t, unsigned location, std::uint64_t value, order o);
  /// Reads the newest and appends `value` in one step, in the release sequence of what it read.
  void read_and_write(int t, unsigned location, std::uint64_t value, order o);
  void fence(int t, order o);
  void heavy_fence(int t, int thread_count);

  unsigned create_plain(int t);
  void destroy_plain(int t, unsigned cell);
  void read_plain(int t, unsigned cell);
  void write_plain(int t, unsigned cell);

  /// The number of a location within this execution, without its generation.
  static int index_of(unsigned location) noexcept {
    return static_cast<int>(location & index_mask);
  }
  /// False if the object that carries this number has been destroyed.
  bool alive(unsigned location) const noexcept;

  // For fingerprints of points: see visited.hpp.

  /// What joins a thread's history beside what it reads and writes.
  enum class event : unsigned {
    failed_for_nothing,
    woke_for_nothing,
    timed_out,
    wakes,
    steps_back
  };
  void note(int t, event what) noexcept;
  const fingerprint& past(int t) const noexcept { return past_[t]; }
  /// Thread t reads or writes a variable that only the model knows (ghost<T>).
  void ghost_read(int t) noexcept;
  void ghost_write(int t) noexcept;
  /// The same for two executions if, and but for chance only if, what every thread has read and written
  /// so far is the same, and so is the order of the writes of each word. Where the words lie is in
  /// it if `places` says so.
  fingerprint so_far(int thread_count, bool places) noexcept;
  /// For the checker's own tests: parts that are left out.
  void forget(unsigned parts) noexcept { forgets_ = parts; }

 private:
  // A location's number is its index and, above, how often the index was used before: an object
  // that outlived its atomic is recognised although the index has a new owner.
  static constexpr unsigned index_bits = 12;
  static constexpr unsigned index_mask = (1u << index_bits) - 1;

  struct message {
    std::uint64_t value;
    const view* carries;  // null: nothing
    fingerprint id;       // of this write: of all that its thread had done before
  };
  struct location {
    std::vector<message> messages;
    std::int16_t base = 1;  // the timestamp of messages[0]
    fingerprint writes;     // of the messages, in their order
    unsigned generation = 0;
    bool alive = false;
    std::int16_t touched[threads_max];  // the clock of each thread's last access
    int creator = 0;
    std::int16_t created = 0;
  };
  struct cell {
    unsigned generation = 0;
    bool alive = false;
    int writer = 0;
    std::int16_t written = 0;
    std::int16_t read[threads_max];
  };

  location& find(int t, unsigned number);
  cell& find_plain(unsigned number);
  void append(int t, location& l, int index, std::uint64_t value, order o, const view* sequence);
  void see(int t, location& l, int index, order o, int age);
  void tick(int t);
  void join_all(view& to, const view& from) const noexcept;
  void join_places(view& to, const view& from) const noexcept;
  // Between views of threads, which are zero behind what is in use.
  void copy(view& to, const view& from) const noexcept;
  view* new_copy(const view& of);
  int in_use() const noexcept;
  bool knows(part p) const noexcept { return (forgets_ & static_cast<unsigned>(p)) == 0; }
  void written(location& l, const fingerprint& id) noexcept;
  fingerprint of_seq_cst() noexcept;

  fingerprint past_[threads_max];  // of what each thread has done and read
  fingerprint writes_;             // of the words that are alive: each one's in their order
  fingerprint ghosts_;
  unsigned forgets_ = 0;
  thread_views views_[threads_max];
  view seq_cst_;
  std::vector<location> locations_;
  std::vector<int> free_locations_;
  int location_count_ = 0;  // indices ever used in this execution
  std::vector<cell> cells_;
  std::vector<int> free_cells_;
  int cell_count_ = 0;
  std::vector<std::unique_ptr<view[]>> views_pool_;
  std::size_t views_used_ = 0;
};

}  // namespace weft::model
