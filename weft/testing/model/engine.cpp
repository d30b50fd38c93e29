#include "weft/testing/model/engine.hpp"

#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace weft::model {

engine* engine::current_ = nullptr;

// Words of namespace scope, constructed before any execution (hooks.cpp keeps their values).
std::vector<std::uint64_t>& static_words();

void fail(std::string why) { engine::current()->fail(std::move(why)); }

namespace {

const char* text(order o) {
  switch (o) {
    case order::relaxed:
      return "relaxed";
    case order::acquire:
      return "acquire";
    case order::release:
      return "release";
    case order::acq_rel:
      return "acq_rel";
    case order::seq_cst:
      return "seq_cst";
  }
  return "?";
}

std::uint64_t apply(hook::rmw kind, std::uint64_t old, std::uint64_t operand, unsigned bytes) {
  std::uint64_t v = operand;
  switch (kind) {
    case hook::rmw::exchange:
      break;
    case hook::rmw::add:
      v = old + operand;
      break;
    case hook::rmw::sub:
      v = old - operand;
      break;
    case hook::rmw::bit_and:
      v = old & operand;
      break;
    case hook::rmw::bit_or:
      v = old | operand;
      break;
  }
  return bytes >= 8 ? v : v & ((std::uint64_t{1} << (8 * bytes)) - 1);
}

const char* text(hook::rmw kind) {
  switch (kind) {
    case hook::rmw::exchange:
      return "exchange";
    case hook::rmw::add:
      return "fetch_add";
    case hook::rmw::sub:
      return "fetch_sub";
    case hook::rmw::bit_and:
      return "fetch_and";
    case hook::rmw::bit_or:
      return "fetch_or";
  }
  return "?";
}

using u64 = unsigned long long;

// Processor time: how much a search has done, however many others share the machine.
double seconds_since(std::clock_t started) {
  return static_cast<double>(std::clock() - started) / CLOCKS_PER_SEC;
}

}  // namespace

engine::engine() = default;
engine::~engine() = default;

// ---- one execution --------------------------------------------------------------------------

void engine::enter_fiber() {
  engine& e = *current_;
  if (e.me_ == 0) {
    e.body_main();
  } else {
    e.thread_main();
  }
  std::abort();  // neither returns
}

void engine::body_main() {
  (*body_)();
  if (!ran_) fail("the model's body never called model.run()");
  for (int i = 1; i < thread_count_; ++i) {
    if (threads_[i].now != state::done)
      fail("the model's body returned while a thread still sleeps");
  }
  threads_[0].stack.switch_to(host_);
}

void engine::thread_main() {
  thread& self = threads_[me_];
  self.f();
  if (replaying_) tell("ends");
  self.now = state::done;
  moved();
  reschedule(false);
}

void engine::execute() {
  position_ = looked_at_ = 0;
  point_ = 0;
  script_position_ = 0;
  preemptions_ = stale_ = spurious_ = 0;
  steps_ = 0;
  ran_ = false;
  winding_down_ = false;
  label_.clear();
  words_.clear();
  for (thread& t : threads_) {
    t.created = 0;
    t.now = state::fresh;
    t.stepped_back = false;
    t.own = nullptr;
  }
  thread_count_ = 1;
  me_ = 0;
  memory_.reset(static_words());
  for (std::size_t i = 0; i < static_words().size(); ++i) {
    words_.push_back({threads_[0].created++, "static." + std::to_string(i)});
  }
  threads_[0].stack.prepare(&enter_fiber);
  execution_heap::is_on = true;
  host_.switch_to(threads_[0].stack);
  execution_heap::is_on = true;  // it may have been left in the checker's code
  for (int i = 1; i < thread_count_; ++i) threads_[i].f = nullptr;
  execution_heap::is_on = false;
  heap_.give_all_back();
  ++result_.executions;
  result_.steps += steps_;
}

void engine::fail(std::string why) {
  execution_heap::is_on = false;
  result_.bug = true;
  result_.why.assign(why);  // a copy: the argument's memory goes with the execution
  result_.schedule = schedule();
  if (replaying_) tell("BUG: %s", result_.why.c_str());
  leave();
}

void engine::leave() {
  threads_[me_].stack.switch_to(host_);
  std::abort();  // it is never resumed
}

void engine::outcome(const std::string& text) {
  const checker_code here;
  result_.outcomes.insert(std::string(text.c_str()));
}

std::string engine::schedule() const {
  if (replaying_) return {};
  std::string s;
  for (std::size_t i = 0; i < position_; ++i) {
    if (path_[i].taken == 0) continue;
    if (!s.empty()) s += ',';
    s += std::to_string(path_[i].point) + ':' + std::to_string(path_[i].taken);
  }
  return s.empty() ? "0:0" : s;
}

// ---- the search -----------------------------------------------------------------------------

void engine::begin(const std::function<void()>& body, const limits& within, const char* mutant) {
  body_ = &body;
  within_ = within;
  mutant_ = mutant;
  result_ = verdict();
  path_.clear();
  visited_.clear();
  memory_.forget(within.forgets);
  current_ = this;
  started_ = std::clock();
}

void engine::end() {
  current_ = nullptr;
  result_.milliseconds = 1000 * seconds_since(started_);
}

bool engine::over_limit(const limits& within) const {
  if (within.executions && result_.executions >= within.executions) return true;
  constexpr int look_every = 256;  // executions between two looks at the clock
  if (result_.executions % look_every) return false;
  return seconds_since(started_) > within.seconds;
}

bool engine::next_execution() {
  if (learned_) {
    learned_ = false;
    path_.clear();
    visited_.clear();
    return true;
  }
  while (!path_.empty() && path_.back().taken + 1 >= path_.back().offered) path_.pop_back();
  if (path_.empty()) return false;
  ++path_.back().taken;
  return true;
}

verdict engine::explore(const std::function<void()>& body, const limits& within,
                        const char* mutant) {
  for (auto& s : shared_) s.clear();
  with_places_ = false;
  replaying_ = false;
  begin(body, within, mutant);
  for (;;) {
    execute();
    if (result_.bug) break;
    if (!next_execution()) {
      result_.complete = true;
      break;
    }
    if (over_limit(within)) break;
  }
  end();
  return result_;
}

verdict engine::replay(const std::function<void()>& body, const limits& within, const char* mutant,
                       const std::string& schedule) {
  script_.clear();
  for (const char* p = schedule.c_str(); *p;) {
    char* after;
    const long point = std::strtol(p, &after, 10);
    if (*after != ':') break;
    const int taken = static_cast<int>(std::strtol(after + 1, &after, 10));
    if (taken) script_.emplace_back(point, taken);
    p = *after == ',' ? after + 1 : after;
  }
  replaying_ = true;
  begin(body, within, mutant);
  execute();
  replaying_ = false;
  result_.schedule = schedule;
  end();
  return result_;
}

int engine::choose(int offered) {
  const long point = point_++;
  if (replaying_) {
    if (script_position_ == script_.size() || script_[script_position_].first != point) return 0;
    const int taken = script_[script_position_++].second;
    if (taken >= offered) fail("the schedule does not fit this model");
    return taken;
  }
  if (offered <= 1 || winding_down_) return 0;
  if (position_ == path_.size()) {
    const checker_code here;
    path_.push_back({point, offered, 0});
  }
  const choice& c = path_[position_];
  if (c.point != point || c.offered != offered) {
    fail("the model is not deterministic: the same choices led elsewhere");
  }
  ++position_;
  return c.taken;
}

int engine::choose_stale(int offered) {
  if (!replaying_ && stale_ >= within_.stale_reads) offered = 1;
  const int age = choose(offered);
  if (age) ++stale_;
  return age;
}

int engine::choose_spurious(int ways) {
  const bool offer = me_ != 0 && (replaying_ || spurious_ < within_.spurious);
  const int way = choose(offer ? 1 + ways : 1);
  if (way) ++spurious_;
  return way;
}

// ---- threads --------------------------------------------------------------------------------

void engine::add_thread(std::string name, std::function<void()> f) {
  if (me_ != 0) fail("model.thread() belongs in the model's body");
  if (thread_count_ == threads_max) fail("a model has more threads than the checker (threads_max)");
  const int i = thread_count_++;
  threads_[i].f = std::move(f);
  const checker_code here;
  threads_[i].name = name.empty() ? "thread " + std::to_string(i) : std::string(name.c_str());
}

int engine::run_threads(bool explore) {
  winding_down_ = !explore;
  if (me_ != 0) fail("model.run() belongs in the model's body");
  ran_ = true;
  for (int i = 1; i < thread_count_; ++i) {
    thread& t = threads_[i];
    if (t.now != state::fresh) continue;
    memory_.start(i, 0);
    t.stack.prepare(&enter_fiber);
    t.now = state::ready;
  }
  reschedule(false);
  int asleep = 0;
  for (int i = 1; i < thread_count_; ++i) {
    memory_.join(0, i);
    asleep += threads_[i].now == state::asleep;
  }
  return asleep;
}

int engine::pick(bool can_go_on) {
  int candidates[threads_max];
  int n = 0;
  if (can_go_on) candidates[n++] = me_;
  for (int i = 1; i < thread_count_; ++i) {
    const thread& t = threads_[i];
    if ((i != me_ || !can_go_on) && t.now == state::ready && !t.stepped_back) candidates[n++] = i;
  }
  if (n == 0) {
    for (int i = 1; i < thread_count_; ++i) {
      threads_[i].stepped_back = false;
      if (threads_[i].now == state::ready) candidates[n++] = i;
    }
    if (n == 0) return 0;
  }
  if (can_go_on && preemptions_ >= within_.preemptions && !replaying_) n = 1;
  const bool just_chosen = can_go_on && threads_[me_].chosen_at == memory_.past(me_);
  if (just_chosen && within_.skip_known && !replaying_) {
    n = 1;
  } else if ((n > 1 || looked_at_ != position_) && been_here(can_go_on)) {
    leave();
  }
  const int k = choose(n);
  if (can_go_on && k) ++preemptions_;
  const int next = candidates[k];
  if (next != me_ || !can_go_on) threads_[next].chosen_at = memory_.past(next);
  return next;
}

// A point on the way that is replayed was noted by the execution that came there first.
bool engine::been_here(bool can_go_on) {
  if (replaying_ || !within_.skip_known || position_ != path_.size()) return false;
  if (winding_down_ && me_ != 0) return false;  // one way on: where it begins is enough
  const checker_code here;
  looked_at_ = position_;
  const auto knows = [this](part p) { return (within_.forgets & static_cast<unsigned>(p)) == 0; };
  fingerprint point = memory_.so_far(thread_count_, with_places_);
  std::uint64_t who = winding_down_;
  for (int i = 1; i < thread_count_; ++i) {
    const thread& t = threads_[i];
    std::uint64_t how = 0;
    if (knows(part::sleepers)) how = static_cast<std::uint64_t>(t.now);
    if (t.stepped_back && knows(part::steps_back)) how |= 4;
    who |= how << (3 * i);
    if (t.now != state::asleep || !knows(part::sleepers)) continue;
    point.add(t.asleep_on_key);
    if (with_places_ && knows(part::places)) point.add(t.asleep_on);
  }
  point.add(who);
  used spent;
  if (knows(part::budgets)) {
    spent = {static_cast<std::uint8_t>(preemptions_), static_cast<std::uint8_t>(stale_),
             static_cast<std::uint8_t>(spurious_)};
  }
  if (can_go_on && knows(part::mover)) spent.mover = static_cast<std::uint8_t>(me_);
  return visited_.been_at(point, spent);
}

void engine::places_matter() {
  if (with_places_) return;
  with_places_ = learned_ = true;
}

void engine::reschedule(bool can_go_on) {
  const int from = me_;
  const int next = pick(can_go_on);
  if (next == from) return;
  me_ = next;
  threads_[from].stack.switch_to(threads_[next].stack);
}

void engine::count_step() {
  if (++steps_ > within_.steps) {
    fail("livelock: more than " + std::to_string(within_.steps) + " steps without an end");
  }
}

void engine::step_shared() {
  if (me_ == 0) return;
  count_step();
  reschedule(true);
}

void engine::step(unsigned location) {
  if (me_ == 0) return;
  if (shared(location)) {
    step_shared();
  } else {
    count_step();
    // A replay may come from a search that had learned more or less: the point counts anyway.
    if (replaying_) {
      reschedule(true);
    } else {
      ++point_;
    }
  }
}

bool engine::shared(unsigned location) {
  if (!memory_.alive(location)) return true;
  name_of_word& w = words_[static_cast<std::size_t>(memory::index_of(location))];
  const unsigned creator = w.key / 65536;
  const unsigned number = w.key % 65536;
  auto& known = shared_[creator];
  if (number < known.size() && known[number]) return true;
  w.users |= 1 << me_;
  if (w.users & (w.users - 1)) {
    const checker_code here;
    if (known.size() <= number) known.resize(number + 1);
    known[number] = true;
    learned_ = true;
    return true;
  }
  return false;
}

void engine::note(part p, memory::event what) noexcept {
  if ((within_.forgets & static_cast<unsigned>(p)) == 0) memory_.note(me_, what);
}

void engine::moved() {
  for (int i = 1; i < thread_count_; ++i) {
    if (i != me_) threads_[i].stepped_back = false;
  }
}

void engine::pause() {
  if (me_ == 0) fail("the model's body spins, but no thread runs meanwhile");
  if (replaying_) tell("steps back");
  count_step();
  note(part::pauses, memory::event::steps_back);
  threads_[me_].stepped_back = true;
  reschedule(false);
}

// ---- words ----------------------------------------------------------------------------------

unsigned engine::create(std::uint64_t initial) {
  const checker_code here;
  const unsigned location = memory_.create(me_, initial);
  const auto index = static_cast<std::size_t>(memory::index_of(location));
  if (words_.size() <= index) words_.resize(index + 1);
  name_of_word& w = words_[index];
  w.key = static_cast<unsigned>(me_) * 65536 + threads_[me_].created++;
  w.users = 0;
  if (replaying_) {
    w.label = label_.empty() ? "word " + std::to_string(index)
                             : label_ + "." + std::to_string(labelled_++);
    tell("constructs %s = %llu", w.label.c_str(), static_cast<u64>(initial));
  }
  return location;
}

void engine::destroy(unsigned location) {
  const checker_code here;
  if (replaying_) tell("destroys %s", word(location).c_str());
  for (int i = 1; i < thread_count_; ++i) {
    if (threads_[i].now == state::asleep && threads_[i].asleep_on == location) places_matter();
  }
  memory_.destroy(me_, location);
}

std::uint64_t engine::load(unsigned location, order o) {
  step(location);
  const int age = choose_stale(memory_.readable(me_, location, o));
  const std::uint64_t v = memory_.read(me_, location, o, age);
  if (replaying_)
    tell("%s load %s -> %#llx%s", word(location).c_str(), text(o), static_cast<u64>(v),
         age ? " (stale)" : "");
  return v;
}

void engine::store(unsigned location, std::uint64_t value, order o) {
  step(location);
  if (replaying_)
    tell("%s store %s <- %#llx", word(location).c_str(), text(o), static_cast<u64>(value));
  const checker_code here;
  memory_.write(me_, location, value, o);
  moved();
}

std::uint64_t engine::update(unsigned location, hook::rmw kind, std::uint64_t operand,
                             unsigned bytes, order o) {
  step(location);
  memory_.readable(me_, location, o);  // the lifetime check
  const std::uint64_t old = memory_.peek(location, 0);
  const std::uint64_t v = apply(kind, old, operand, bytes);
  if (replaying_)
    tell("%s %s %s %#llx: %#llx -> %#llx", word(location).c_str(), text(kind), text(o),
         static_cast<u64>(operand), static_cast<u64>(old), static_cast<u64>(v));
  const checker_code here;
  memory_.read_and_write(me_, location, v, o);
  if (v != old) moved();
  return old;
}

// A strong compare-exchange may fail on any value that a load could return, if it is another than
// the expected one; it succeeds only on the newest. A weak one may also fail on the newest.
bool engine::compare_exchange(unsigned location, std::uint64_t& expected, std::uint64_t desired,
                              order success, order failure, bool weak) {
  step(location);
  const int n = memory_.readable(me_, location, failure);
  int ages[16];
  int offered = 0;
  ages[offered++] = 0;
  for (int age = 1; age < n && offered < 16; ++age) {
    if (memory_.peek(location, age) != expected) ages[offered++] = age;
  }
  const int age = ages[choose_stale(offered)];
  const std::uint64_t seen = memory_.peek(location, age);
  const bool fits = age == 0 && seen == expected;
  const bool spurious = fits && weak && choose_spurious(1) != 0;
  if (replaying_)
    tell("%s compare_exchange%s %s/%s %#llx -> %#llx: %s, was %#llx%s", word(location).c_str(),
         weak ? "_weak" : "", text(success), text(failure), static_cast<u64>(expected),
         static_cast<u64>(desired),
         spurious ? "FAILS FOR NOTHING"
         : fits   ? "done"
                  : "fails",
         static_cast<u64>(seen), age ? " (stale)" : "");
  if (fits && !spurious) {
    const checker_code here;
    memory_.read_and_write(me_, location, desired, success);
    if (desired != expected) moved();
    return true;
  }
  memory_.read(me_, location, failure, age);
  if (spurious) note(part::answers, memory::event::failed_for_nothing);
  expected = seen;
  return false;
}

// Fences below seq_cst change only what their own thread knows: no reason to switch.
void engine::fence(order o) {
  if (o == order::seq_cst) step_shared();
  if (replaying_) tell("fence %s", text(o));
  memory_.fence(me_, o);
}

void engine::heavy_fence() {
  step_shared();
  if (replaying_) tell("heavy fence");
  memory_.heavy_fence(me_, thread_count_);
}

// ---- sleeping -------------------------------------------------------------------------------

bool engine::futex_wait(unsigned location, std::uint32_t expected, bool has_deadline) {
  if (me_ == 0) fail("the model's body waits, but no thread runs meanwhile");
  step(location);
  // The kernel compares under the lock that a waker takes: it sees the newest value.
  const auto value = static_cast<std::uint32_t>(memory_.read(me_, location, order::relaxed, 0));
  if (value != expected) {
    if (replaying_) tell("%s futex wait: value is %#x already", word(location).c_str(), value);
    return true;
  }
  // A deadline may come at once; that it may come later is the same, since others may move first.
  if (const int way = choose_spurious(has_deadline ? 2 : 1)) {
    note(part::answers, way == 1 ? memory::event::woke_for_nothing : memory::event::timed_out);
    if (replaying_) {
      tell("%s futex wait: %s", word(location).c_str(),
           way == 1 ? "WAKES FOR NOTHING" : "TIMES OUT");
    }
    return way == 1;
  }
  if (replaying_) tell("%s futex wait: sleeps while it is %#x", word(location).c_str(), expected);
  thread& self = threads_[me_];
  self.now = state::asleep;
  self.asleep_on = location;
  self.asleep_on_key = words_[static_cast<std::size_t>(memory::index_of(location))].key;
  moved();
  reschedule(false);
  if (replaying_) tell("woken");
  if (memory_.alive(location)) memory_.read(me_, location, order::relaxed, 0);
  return true;
}

// Not an access: the kernel takes the address only as a key, so a wake may come after the word's
// lifetime (and then wakes whoever waits at the same place now, as it would for real).
void engine::futex_wake(unsigned location, int count) {
  step(location);
  if (!memory_.alive(location)) places_matter();
  note(part::wakes, memory::event::wakes);
  int woken = 0;
  while (woken < count) {
    int waiting[threads_max];
    int n = 0;
    for (int i = 1; i < thread_count_; ++i) {
      const thread& t = threads_[i];
      if (t.now == state::asleep && memory::index_of(t.asleep_on) == memory::index_of(location)) {
        waiting[n++] = i;
      }
    }
    if (n == 0) break;
    thread& t = threads_[waiting[choose(n)]];
    t.now = state::ready;
    ++woken;
    moved();
  }
  if (replaying_) tell("%s futex wake: %d woken", word(location).c_str(), woken);
}

// ---- the rest -------------------------------------------------------------------------------

bool engine::mutant(const char* id) noexcept {
  if (!mutant_ || std::strcmp(id, mutant_) != 0) return false;
  result_.mutant_reached = true;
  return true;
}

void* engine::own(unsigned bytes) noexcept {
  void*& mine = threads_[me_].own;
  if (mine) return mine;
  mine = std::calloc(1, bytes);
  if (!mine) std::abort();
  heap_.keep(mine);
  return mine;
}

void engine::label(const char* text) {
  if (!replaying_) return;
  const checker_code here;
  label_ = text;
  labelled_ = 0;
}

void engine::note(const std::string& text) {
  if (replaying_) tell("%s", text.c_str());
}

std::string engine::word(unsigned location) const {
  if (!replaying_) return {};
  const auto index = static_cast<std::size_t>(memory::index_of(location));
  if (!memory_.alive(location) || index >= words_.size()) return "(dead word)";
  return words_[index].label;
}

void engine::tell(const char* format, ...) {
  std::printf("  %4ld  %-14s ", point_, me_ == 0 ? "body" : threads_[me_].name.c_str());
  va_list arguments;
  va_start(arguments, format);
  std::vprintf(format, arguments);
  va_end(arguments);
  std::printf("\n");
}

}  // namespace weft::model
