#include "weft/testing/model/memory.hpp"

#include <algorithm>
#include <cstring>

#include "weft/testing/model/engine.hpp"

namespace weft::model {

namespace {

constexpr int join_step = 16;  // views are joined in blocks that the compiler turns into vectors
static_assert(view::width % join_step == 0);
constexpr std::size_t pool_block = 256;  // views
constexpr std::int16_t clock_max = 32000;

/// What joins a thread's history beside which write it reads, and before the events.
enum did : unsigned { started = 1, created, destroyed, wrote, fenced, was_fenced, events };

bool acquires(order o) noexcept {
  return o == order::acquire || o == order::acq_rel || o == order::seq_cst;
}
bool releases(order o) noexcept {
  return o == order::release || o == order::acq_rel || o == order::seq_cst;
}

void join_range(std::int16_t* to, const std::int16_t* from, int blocks) noexcept {
  for (int b = 0; b < blocks; ++b) {
    for (int i = 0; i < join_step; ++i) {
      const std::int16_t f = from[b * join_step + i];
      std::int16_t& t = to[b * join_step + i];
      t = t < f ? f : t;
    }
  }
}

}  // namespace

int memory::in_use() const noexcept {
  return (threads_max + location_count_ + join_step - 1) / join_step * join_step;
}

void memory::join_all(view& to, const view& from) const noexcept {
  join_range(to.at, from.at, std::min(in_use(), from.used) / join_step);
}

void memory::copy(view& to, const view& from) const noexcept {
  std::memcpy(to.at, from.at, static_cast<std::size_t>(in_use()) * sizeof(to.at[0]));
}

void memory::join_places(view& to, const view& from) const noexcept {
  std::int16_t clocks[threads_max];
  std::memcpy(clocks, to.at, sizeof clocks);
  join_all(to, from);
  std::memcpy(to.at, clocks, sizeof clocks);
}

view* memory::new_copy(const view& of) {
  const std::size_t block = views_used_ / pool_block;
  if (block == views_pool_.size()) views_pool_.push_back(std::make_unique<view[]>(pool_block));
  view* v = &views_pool_[block][views_used_++ % pool_block];
  v->used = in_use();
  copy(*v, of);
  return v;
}

void memory::reset(const std::vector<std::uint64_t>& statics) {
  const std::size_t bytes = static_cast<std::size_t>(in_use()) * sizeof(std::int16_t);
  for (thread_views& v : views_) {
    for (view* one : {&v.known, &v.acquirable, &v.released}) std::memset(one->at, 0, bytes);
    v.has_released = false;
  }
  std::memset(seq_cst_.at, 0, bytes);
  for (int i = 0; i < location_count_; ++i) {
    location& l = locations_[static_cast<std::size_t>(i)];
    l.messages.clear();
    l.base = 1;
    l.generation = 0;
    l.alive = false;
  }
  std::fill(past_, past_ + threads_max, fingerprint());
  writes_ = ghosts_ = fingerprint();
  free_locations_.clear();
  location_count_ = 0;
  for (int i = 0; i < cell_count_; ++i) cells_[static_cast<std::size_t>(i)] = cell();
  free_cells_.clear();
  cell_count_ = 0;
  views_used_ = 0;
  views_[0].known.clock(0) = 1;
  for (const std::uint64_t initial : statics) create(0, initial);
}

void memory::tick(int t) {
  if (++views_[t].known.clock(t) >= clock_max) fail("an execution is too long for the checker");
}

void memory::start(int child, int parent) {
  copy(views_[child].known, views_[parent].known);
  copy(views_[child].acquirable, views_[parent].known);
  views_[child].has_released = false;
  views_[child].known.clock(child) = 1;
  if (knows(part::joins)) past_[child].add(past_[parent]);
  past_[parent].add(did::started);
  tick(parent);
}

void memory::join(int t, int other) {
  join_all(views_[t].known, views_[other].known);
  if (knows(part::joins)) past_[t].add(past_[other]);
}

// ---- words ----------------------------------------------------------------------------------

unsigned memory::create(int t, std::uint64_t initial) {
  int index;
  if (free_locations_.empty()) {
    index = location_count_++;
    if (index >= locations_max) {
      --location_count_;
      fail("more atomics alive than the checker has room for (locations_max)");
    }
    if (static_cast<std::size_t>(index) == locations_.size()) locations_.emplace_back();
  } else {
    index = free_locations_.back();
    free_locations_.pop_back();
  }
  location& l = locations_[static_cast<std::size_t>(index)];
  l.alive = true;
  ++l.generation;
  std::fill(l.touched, l.touched + threads_max, std::int16_t{0});
  thread_views& v = views_[t];
  l.creator = t;
  l.created = v.known.clock(t);
  past_[t].add(did::created);
  l.messages.push_back({initial, nullptr, past_[t]});
  l.writes = fingerprint();
  writes_.add_in_any_order(l.writes);
  written(l, past_[t]);
  v.known.place(index) = l.base;
  return static_cast<unsigned>(index) | l.generation << index_bits;
}

bool memory::alive(unsigned number) const noexcept {
  const unsigned index = number & index_mask;
  if (static_cast<int>(index) >= location_count_) return false;
  const location& l = locations_[index];
  return l.alive && l.generation == number >> index_bits;
}

memory::location& memory::find(int t, unsigned number) {
  if (!alive(number)) {
    fail(
        "an atomic was used after its lifetime (or it is a function's static, which models may not "
        "have)");
  }
  location& l = locations_[number & index_mask];
  view& known = views_[t].known;
  if (l.creator != t && known.clock(l.creator) < l.created) {
    fail("data race: an atomic was used by a thread that does not happen after its construction");
  }
  l.touched[t] = known.clock(t);
  return l;
}

void memory::destroy(int t, unsigned number) {
  if (!alive(number)) fail("an atomic was destroyed twice");
  location& l = locations_[number & index_mask];
  for (int i = 0; i < threads_max; ++i) {
    if (i != t && views_[t].known.clock(i) < l.touched[i]) {
      fail(
          "data race: an atomic was destroyed although another thread's access does not happen "
          "before");
    }
  }
  past_[t].add(did::destroyed);
  writes_.remove(l.writes);
  l.alive = false;
  l.base = static_cast<std::int16_t>(l.base + static_cast<std::int16_t>(l.messages.size()));
  l.messages.clear();
  free_locations_.push_back(static_cast<int>(number & index_mask));
}

int memory::readable(int t, unsigned number, order o) {
  location& l = find(t, number);
  const int index = index_of(number);
  std::int16_t oldest = std::max(l.base, views_[t].known.place(index));
  if (o == order::seq_cst) oldest = std::max(oldest, seq_cst_.place(index));
  return static_cast<int>(l.messages.size()) - (oldest - l.base);
}

std::uint64_t memory::peek(unsigned number, int age) {
  const auto& m = locations_[number & index_mask].messages;
  return m[m.size() - 1 - static_cast<std::size_t>(age)].value;
}

void memory::see(int t, location& l, int index, order o, int age) {
  thread_views& v = views_[t];
  const std::size_t k = l.messages.size() - 1 - static_cast<std::size_t>(age);
  const auto stamp = static_cast<std::int16_t>(l.base + static_cast<std::int16_t>(k));
  v.known.place(index) = std::max(v.known.place(index), stamp);
  if (knows(part::reads)) past_[t].add(l.messages[k].id);
  if (const view* carries = l.messages[k].carries) {
    if (acquires(o)) {
      join_all(v.known, *carries);
    } else {
      join_all(v.acquirable, *carries);
    }
  }
  if (o == order::seq_cst) seq_cst_.place(index) = std::max(seq_cst_.place(index), stamp);
}

std::uint64_t memory::read(int t, unsigned number, order o, int age) {
  location& l = find(t, number);
  see(t, l, index_of(number), o, age);
  return peek(number, age);
}

void memory::append(int t, location& l, int index, std::uint64_t value, order o,
                    const view* sequence) {
  thread_views& v = views_[t];
  const auto stamp =
      static_cast<std::int16_t>(l.base + static_cast<std::int16_t>(l.messages.size()));
  v.known.place(index) = stamp;
  const view* own = releases(o) ? &v.known : v.has_released ? &v.released : nullptr;
  const view* carries = sequence;
  if (own) {
    view* joined = new_copy(*own);
    if (sequence) join_all(*joined, *sequence);
    carries = joined;
  }
  past_[t].add(did::wrote);
  l.messages.push_back({value, carries, past_[t]});
  written(l, past_[t]);
  if (o == order::seq_cst) seq_cst_.place(index) = std::max(seq_cst_.place(index), stamp);
  if (releases(o)) tick(t);
}

void memory::write(int t, unsigned number, std::uint64_t value, order o) {
  append(t, find(t, number), index_of(number), value, o, nullptr);
}

void memory::read_and_write(int t, unsigned number, std::uint64_t value, order o) {
  location& l = find(t, number);
  const view* sequence = l.messages.back().carries;
  see(t, l, index_of(number), o, 0);
  append(t, l, index_of(number), value, o, sequence);
}

void memory::fence(int t, order o) {
  thread_views& v = views_[t];
  if (acquires(o)) join_all(v.known, v.acquirable);
  if (o == order::seq_cst) {
    past_[t].add(did::fenced);
    if (knows(part::fences)) past_[t].add(of_seq_cst());
    join_places(v.known, seq_cst_);
    join_places(seq_cst_, v.known);
  }
  if (releases(o)) {
    copy(v.released, v.known);
    v.has_released = true;
    tick(t);
  }
}

// The kernel makes each thread pass a full barrier at some moment between the caller's two. Two
// other threads get no order between each other from it, so they see only what stood in S before.
void memory::heavy_fence(int t, int thread_count) {
  fence(t, order::seq_cst);
  const view before = seq_cst_;  // whole copies: this is rare
  view after = seq_cst_;
  for (int i = 1; i < thread_count; ++i) {
    if (i == t) continue;
    seq_cst_ = before;
    const fingerprint past = past_[i];
    past_[i].add(did::was_fenced);
    fence(i, order::seq_cst);
    if (!knows(part::heavy_fences)) past_[i] = past;
    join_places(after, seq_cst_);
  }
  seq_cst_ = after;
  fence(t, order::seq_cst);
}

// ---- what was done so far --------------------------------------------------------------------

void memory::note(int t, event what) noexcept {
  past_[t].add(did::events + static_cast<unsigned>(what));
}

// All ghosts are one word to this: what happened to one of them is ordered with what happened to any.
void memory::ghost_read(int t) noexcept {
  if (knows(part::ghosts)) past_[t].add(ghosts_);
}
void memory::ghost_write(int t) noexcept {
  if (!knows(part::ghosts)) return;
  past_[t].add(did::wrote);
  ghosts_.add(past_[t]);
}

void memory::written(location& l, const fingerprint& id) noexcept {
  writes_.remove(l.writes);
  if (knows(part::order_of_writes)) {
    l.writes.add(id);
  } else {
    l.writes.add_in_any_order(id);
  }
  writes_.add_in_any_order(l.writes);
}

// Commutes: two threads may raise S at different words in either order.
fingerprint memory::of_seq_cst() noexcept {
  fingerprint all;
  for (int i = 0; i < location_count_; ++i) {
    const location& l = locations_[static_cast<std::size_t>(i)];
    const int stamp = seq_cst_.place(i);
    if (l.alive && stamp >= l.base) {
      all.add_in_any_order(l.messages[static_cast<std::size_t>(stamp - l.base)].id);
    }
  }
  return all;
}

// S is not in it: it is the join of what the threads have put there, and what each has put there follows
// from its history, in which each fence has left what it met in S.
fingerprint memory::so_far(int thread_count, bool places) noexcept {
  fingerprint all = ghosts_;
  all.add(writes_);
  for (int t = 0; t < thread_count; ++t) all.add(past_[t]);
  if (places && knows(part::places)) {
    for (int i = 0; i < location_count_; ++i) {
      const location& l = locations_[static_cast<std::size_t>(i)];
      all.add(l.alive ? l.writes : fingerprint());
    }
    for (const int i : free_locations_) all.add(static_cast<unsigned>(i));
  }
  return all;
}

// ---- plain variables ------------------------------------------------------------------------

unsigned memory::create_plain(int t) {
  int index;
  if (free_cells_.empty()) {
    index = cell_count_++;
    if (static_cast<std::size_t>(index) == cells_.size()) cells_.emplace_back();
    if (static_cast<unsigned>(index) > index_mask)
      fail("more plain cells than the checker has room for");
  } else {
    index = free_cells_.back();
    free_cells_.pop_back();
  }
  cell& c = cells_[static_cast<std::size_t>(index)];
  c.alive = true;
  ++c.generation;
  c.writer = t;
  c.written = views_[t].known.clock(t);
  std::fill(c.read, c.read + threads_max, std::int16_t{0});
  return static_cast<unsigned>(index) | c.generation << index_bits;
}

memory::cell& memory::find_plain(unsigned number) {
  const unsigned index = number & index_mask;
  if (static_cast<int>(index) >= cell_count_ || !cells_[index].alive ||
      cells_[index].generation != number >> index_bits) {
    fail("a plain variable was used after its lifetime");
  }
  return cells_[index];
}

void memory::read_plain(int t, unsigned number) {
  cell& c = find_plain(number);
  view& known = views_[t].known;
  if (known.clock(c.writer) < c.written)
    fail("data race: a plain variable is read while it may be written");
  c.read[t] = known.clock(t);
}

void memory::write_plain(int t, unsigned number) {
  cell& c = find_plain(number);
  view& known = views_[t].known;
  if (known.clock(c.writer) < c.written)
    fail("data race: a plain variable is written by two threads");
  for (int i = 0; i < threads_max; ++i) {
    if (known.clock(i) < c.read[i])
      fail("data race: a plain variable is written while it may be read");
  }
  c.writer = t;
  c.written = known.clock(t);
}

void memory::destroy_plain(int t, unsigned number) {
  write_plain(t, number);
  cell& c = find_plain(number);
  c.alive = false;
  free_cells_.push_back(static_cast<int>(number & index_mask));
}

}  // namespace weft::model
