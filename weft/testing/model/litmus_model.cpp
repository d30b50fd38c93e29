// The checker's own examination: small programs whose outcomes under the C++ memory model are
// known. It runs before any other model; when it is red, no other verdict counts.
//   reaches(...)  outcomes that must be seen          never(...)  outcomes that must not
// Where the checker shows less than the standard allows (gaps G1, G2 of memory.hpp), the missing
// outcome stands under never(...) with the gap's name, so that closing the gap turns it red.
#include <string>

#include "weft/testing/model/model.hpp"

namespace weft {
namespace {

std::string pair(int a, int b) { return std::to_string(a) + std::to_string(b); }

// ---- store buffering: each thread writes its own word, then reads the other's -------------------

template <class First, class Second>
void store_buffering(model::world& model, order write, order read, First between_0,
                     Second between_1) {
  atomic<int> x(0), y(0);
  int a = -1, b = -1;
  model.thread([&] {
    x.store(1, write);
    between_0();
    a = y.load(read);
  });
  model.thread([&] {
    y.store(1, write);
    between_1();
    b = x.load(read);
  });
  model.run();
  model.outcome(pair(a, b));
}
constexpr auto nothing = [] {};

WEFT_MODEL_TEST(litmus, sb_relaxed, model::reaches("00", "01", "10", "11")) {
  store_buffering(model, order::relaxed, order::relaxed, nothing, nothing);
}
WEFT_MODEL_TEST(litmus, sb_release_acquire, model::reaches("00", "01", "10", "11")) {
  store_buffering(model, order::release, order::acquire, nothing, nothing);
}
WEFT_MODEL_TEST(litmus, sb_seq_cst, model::reaches("01", "10", "11"), model::never("00")) {
  store_buffering(model, order::seq_cst, order::seq_cst, nothing, nothing);
}
WEFT_MODEL_TEST(litmus, sb_seq_cst_store_acquire_load, model::reaches("00", "01", "10", "11")) {
  store_buffering(model, order::seq_cst, order::acquire, nothing, nothing);
}
WEFT_MODEL_TEST(litmus, sb_fences, model::reaches("01", "10", "11"), model::never("00")) {
  const auto f = [] { fence(order::seq_cst); };
  store_buffering(model, order::relaxed, order::relaxed, f, f);
}
WEFT_MODEL_TEST(litmus, sb_one_fence, model::reaches("00", "01", "10", "11")) {
  store_buffering(model, order::relaxed, order::relaxed, [] { fence(order::seq_cst); }, nothing);
}
WEFT_MODEL_TEST(litmus, sb_acq_rel_fences, model::reaches("00", "01", "10", "11")) {
  const auto f = [] { fence(order::acq_rel); };
  store_buffering(model, order::relaxed, order::relaxed, f, f);
}
WEFT_MODEL_TEST(litmus, sb_heavy_fence, model::reaches("01", "10", "11"), model::never("00")) {
  store_buffering(
      model, order::relaxed, order::relaxed, [] { model::hook::heavy_fence(); }, nothing);
}
WEFT_MODEL_TEST(litmus, sb_heavy_fences, model::reaches("01", "10", "11"), model::never("00")) {
  const auto f = [] { model::hook::heavy_fence(); };
  store_buffering(model, order::relaxed, order::relaxed, f, f);
}
// A read-modify-write of one common word between the two is no fence, but orders what it carries.
WEFT_MODEL_TEST(litmus, sb_rmw_of_one_word, model::reaches("01", "10", "11"), model::never("00")) {
  atomic<int> z(0);
  const auto f = [&] { z.fetch_add(0, order::acq_rel); };
  store_buffering(model, order::relaxed, order::relaxed, f, f);
}
WEFT_MODEL_TEST(litmus, sb_rmw_of_own_words, model::reaches("00")) {
  atomic<int> z0(0), z1(0);
  store_buffering(
      model, order::relaxed, order::relaxed, [&] { z0.fetch_add(1, order::seq_cst); },
      [&] { z1.fetch_add(1, order::seq_cst); });
}
// One side by fence, the other by seq_cst accesses: ordered, because S holds both.
WEFT_MODEL_TEST(litmus, sb_fence_against_seq_cst_accesses, model::never("00")) {
  atomic<int> x(0), y(0);
  int a = -1, b = -1;
  model.thread([&] {
    x.store(1, order::relaxed);
    fence(order::seq_cst);
    a = y.load(order::relaxed);
  });
  model.thread([&] {
    y.store(1, order::seq_cst);
    b = x.load(order::seq_cst);
  });
  model.run();
  model.outcome(pair(a, b));
}
WEFT_MODEL_TEST(litmus, sb_fence_against_seq_cst_rmw_relaxed_load, model::reaches("00")) {
  atomic<int> x(0), y(0);
  int a = -1, b = -1;
  model.thread([&] {
    x.store(1, order::relaxed);
    fence(order::seq_cst);
    a = y.load(order::relaxed);
  });
  model.thread([&] {
    y.fetch_add(1, order::seq_cst);
    b = x.load(order::relaxed);
  });
  model.run();
  model.outcome(pair(a, b));
}

// ---- message passing: data, then a flag ---------------------------------------------------------

template <class Write, class Read>
void message_passing(model::world& model, Write publish, Read seen) {
  atomic<int> data(0), flag(0);
  int a = -1, b = -1;
  model.thread([&] {
    data.store(1, order::relaxed);
    publish(flag);
  });
  model.thread([&] {
    a = seen(flag);
    b = data.load(order::relaxed);
  });
  model.run();
  model.outcome(pair(a, b));
}
constexpr auto store_relaxed = [](atomic<int>& f) { f.store(1, order::relaxed); };
constexpr auto store_release = [](atomic<int>& f) { f.store(1, order::release); };
constexpr auto fence_store = [](atomic<int>& f) {
  fence(order::release);
  f.store(1, order::relaxed);
};
constexpr auto load_relaxed = [](atomic<int>& f) { return f.load(order::relaxed); };
constexpr auto load_acquire = [](atomic<int>& f) { return f.load(order::acquire); };
constexpr auto load_fence = [](atomic<int>& f) {
  const int v = f.load(order::relaxed);
  fence(order::acquire);
  return v;
};

WEFT_MODEL_TEST(litmus, mp_relaxed, model::reaches("00", "01", "10", "11")) {
  message_passing(model, store_relaxed, load_relaxed);
}
WEFT_MODEL_TEST(litmus, mp_release_acquire, model::reaches("00", "01", "11"), model::never("10")) {
  message_passing(model, store_release, load_acquire);
}
WEFT_MODEL_TEST(litmus, mp_release_only, model::reaches("10")) {
  message_passing(model, store_release, load_relaxed);
}
WEFT_MODEL_TEST(litmus, mp_acquire_only, model::reaches("10")) {
  message_passing(model, store_relaxed, load_acquire);
}
WEFT_MODEL_TEST(litmus, mp_fence_store_to_load_acquire, model::never("10")) {
  message_passing(model, fence_store, load_acquire);
}
WEFT_MODEL_TEST(litmus, mp_store_release_to_load_fence, model::never("10")) {
  message_passing(model, store_release, load_fence);
}
WEFT_MODEL_TEST(litmus, mp_fences, model::reaches("00", "01", "11"), model::never("10")) {
  message_passing(model, fence_store, load_fence);
}
// The fence must stand before the store it strengthens, and after the load.
WEFT_MODEL_TEST(litmus, mp_fence_after_the_store, model::reaches("10")) {
  message_passing(
      model,
      [](atomic<int>& f) {
        f.store(1, order::relaxed);
        fence(order::release);
      },
      load_acquire);
}
WEFT_MODEL_TEST(litmus, mp_fence_before_the_load, model::reaches("10")) {
  message_passing(model, store_release, [](atomic<int>& f) {
    fence(order::acquire);
    return f.load(order::relaxed);
  });
}
WEFT_MODEL_TEST(litmus, mp_plain_data_release_acquire, model::kills("litmus.relaxed_flag")) {
  plain<int> data(0);
  atomic<int> flag(0);
  model.thread([&] {
    data.set(1);
    flag.store(1, model.mutant("litmus.relaxed_flag") ? order::relaxed : order::release);
  });
  model.thread([&] {
    if (flag.load(order::acquire)) model.check(data.get() == 1, "the flag came before the data");
  });
  model.run();
}
// Two seq_cst fences without a word read between them order no plain access.
WEFT_MODEL_TEST(litmus, seq_cst_fences_alone_do_not_synchronize, model::expects_bug("data race")) {
  plain<int> data(0);
  model.thread([&] {
    data.set(1);
    fence(order::seq_cst);
  });
  model.thread([&] {
    fence(order::seq_cst);
    static_cast<void>(data.get());
  });
  model.run();
}

// ---- load buffering: gap G1 ---------------------------------------------------------------------

WEFT_MODEL_TEST(litmus, lb_relaxed_gap_g1, model::reaches("00", "01", "10"), model::never("11")) {
  atomic<int> x(0), y(0);
  int a = -1, b = -1;
  model.thread([&] {
    a = x.load(order::relaxed);
    y.store(1, order::relaxed);
  });
  model.thread([&] {
    b = y.load(order::relaxed);
    x.store(1, order::relaxed);
  });
  model.run();
  model.outcome(pair(a, b));
}
WEFT_MODEL_TEST(litmus, lb_release_acquire, model::reaches("00", "01", "10"), model::never("11")) {
  atomic<int> x(0), y(0);
  int a = -1, b = -1;
  model.thread([&] {
    a = x.load(order::acquire);
    y.store(1, order::release);
  });
  model.thread([&] {
    b = y.load(order::acquire);
    x.store(1, order::release);
  });
  model.run();
  model.outcome(pair(a, b));
}

// ---- 2+2W: gap G2 -------------------------------------------------------------------------------

void two_plus_two_writes(model::world& model, order o) {
  atomic<int> x(0), y(0);
  model.thread([&] {
    x.store(1, o);
    y.store(2, o);
  });
  model.thread([&] {
    y.store(1, o);
    x.store(2, o);
  });
  model.run();
  model.outcome(pair(x.load(order::relaxed), y.load(order::relaxed)));
}
WEFT_MODEL_TEST(litmus, two_plus_two_writes_relaxed_gap_g2, model::reaches("12", "21", "22"),
                model::never("11")) {
  two_plus_two_writes(model, order::relaxed);
}
WEFT_MODEL_TEST(litmus, two_plus_two_writes_seq_cst, model::reaches("12", "21", "22"),
                model::never("11")) {
  two_plus_two_writes(model, order::seq_cst);
}

// ---- independent reads of independent writes ----------------------------------------------------

void iriw(model::world& model, order write, order read, bool fences) {
  atomic<int> x(0), y(0);
  int a = -1, b = -1, c = -1, d = -1;
  model.thread([&] { x.store(1, write); });
  model.thread([&] { y.store(1, write); });
  model.thread([&] {
    a = x.load(read);
    if (fences) fence(order::seq_cst);
    b = y.load(read);
  });
  model.thread([&] {
    c = y.load(read);
    if (fences) fence(order::seq_cst);
    d = x.load(read);
  });
  model.run();
  model.outcome(pair(a, b) + pair(c, d));
}
WEFT_MODEL_TEST(litmus, iriw_release_acquire, model::reaches("1010", "1111", "0000")) {
  iriw(model, order::release, order::acquire, false);
}
WEFT_MODEL_TEST(litmus, iriw_seq_cst, model::reaches("1011", "1110"), model::never("1010")) {
  iriw(model, order::seq_cst, order::seq_cst, false);
}
WEFT_MODEL_TEST(litmus, iriw_seq_cst_loads_of_relaxed_stores, model::reaches("1011", "1110"),
                model::never("1010")) {
  iriw(model, order::relaxed, order::seq_cst, false);
}
WEFT_MODEL_TEST(litmus, iriw_seq_cst_stores_acquire_loads, model::reaches("1010")) {
  iriw(model, order::seq_cst, order::acquire, false);
}
WEFT_MODEL_TEST(litmus, iriw_fences, model::reaches("1011", "1110"), model::never("1010")) {
  iriw(model, order::relaxed, order::relaxed, true);
}

// ---- coherence of one word ----------------------------------------------------------------------

WEFT_MODEL_TEST(litmus, corr, model::reaches("00", "01", "11", "12", "02", "22"),
                model::never("10", "20", "21")) {
  atomic<int> x(0);
  int a = -1, b = -1;
  model.thread([&] {
    x.store(1, order::relaxed);
    x.store(2, order::relaxed);
  });
  model.thread([&] {
    a = x.load(order::relaxed);
    b = x.load(order::relaxed);
  });
  model.run();
  model.outcome(pair(a, b));
}
WEFT_MODEL_TEST(litmus, coww_and_corw, model::reaches("1"), model::never("2")) {
  atomic<int> x(0);
  model.thread([&] {
    x.store(1, order::relaxed);
    model.check(x.load(order::relaxed) != 0, "a thread does not see its own store");
  });
  model.thread([&] {
    if (x.load(order::relaxed) == 1) x.store(2, order::relaxed), model.outcome("2 came second");
  });
  model.run();
  const int last = x.load(order::relaxed);
  model.check(last == 1 || last == 2, "a value from nowhere");
  if (last == 1) model.outcome("1");
}
// What one thread saw and handed on, the next cannot unsee (write-to-read causality).
WEFT_MODEL_TEST(litmus, wrc, model::reaches("111"), model::never("110")) {
  atomic<int> x(0), y(0);
  int a = -1, b = -1, c = -1;
  model.thread([&] { x.store(1, order::relaxed); });
  model.thread([&] {
    a = x.load(order::relaxed);
    y.store(1, order::release);
  });
  model.thread([&] {
    b = y.load(order::acquire);
    c = x.load(order::relaxed);
  });
  model.run();
  model.outcome(pair(a, b) + std::to_string(c));
}
WEFT_MODEL_TEST(litmus, isa2, model::reaches("111"), model::never("110")) {
  atomic<int> x(0), y(0), z(0);
  int a = -1, b = -1, c = -1;
  model.thread([&] {
    x.store(1, order::relaxed);
    y.store(1, order::release);
  });
  model.thread([&] {
    a = y.load(order::acquire);
    z.store(1, order::release);
  });
  model.thread([&] {
    b = z.load(order::acquire);
    c = x.load(order::relaxed);
  });
  model.run();
  model.outcome(pair(a, b) + std::to_string(c));
}

// ---- release sequences --------------------------------------------------------------------------

template <class Middle>
void release_sequence(model::world& model, Middle middle) {
  atomic<int> data(0), flag(0);
  int b = -1;
  model.thread([&] {
    data.store(1, order::relaxed);
    flag.store(1, order::release);
  });
  model.thread([&] { middle(flag); });
  model.thread([&] {
    if (flag.load(order::acquire) != 2) return;
    b = data.load(order::relaxed);
    model.outcome(std::to_string(b));
  });
  model.run();
}
WEFT_MODEL_TEST(litmus, release_sequence_through_rmw, model::reaches("1"), model::never("0")) {
  release_sequence(model, [](atomic<int>& f) {
    int one = 1;
    f.compare_exchange(one, 2, order::relaxed, order::relaxed);
  });
}
WEFT_MODEL_TEST(litmus, release_sequence_ends_at_a_store, model::reaches("0")) {
  release_sequence(model, [](atomic<int>& f) {
    if (f.load(order::relaxed) == 1) f.store(2, order::relaxed);
  });
}
// C++20: a later relaxed store of the releasing thread itself is no part of the sequence either.
WEFT_MODEL_TEST(litmus, release_sequence_ends_at_own_store, model::reaches("0", "1")) {
  atomic<int> data(0), flag(0);
  model.thread([&] {
    flag.store(1, order::release);
    data.store(1, order::relaxed);
    flag.store(2, order::relaxed);
  });
  model.thread([&] {
    if (flag.load(order::acquire) == 2) model.outcome(std::to_string(data.load(order::relaxed)));
  });
  model.run();
}
WEFT_MODEL_TEST(litmus, acquire_fence_after_rmw_chain, model::reaches("1"), model::never("0")) {
  atomic<int> data(0), count(0);
  model.thread([&] {
    data.store(1, order::relaxed);
    count.fetch_add(1, order::release);
  });
  model.thread([&] { count.fetch_add(1, order::relaxed); });
  model.thread([&] {
    const int seen = count.load(order::relaxed);
    fence(order::acquire);
    if (seen == 2) model.outcome(std::to_string(data.load(order::relaxed)));
  });
  model.run();
}

// ---- read-modify-writes -------------------------------------------------------------------------

WEFT_MODEL_TEST(litmus, rmw_is_atomic, model::kills("litmus.load_then_store")) {
  atomic<int> x(0);
  for (int i = 0; i < 3; ++i) {
    model.thread([&] {
      if (model.mutant("litmus.load_then_store")) {
        x.store(x.load(order::relaxed) + 1, order::relaxed);
      } else {
        x.fetch_add(1, order::relaxed);
      }
    });
  }
  model.run();
  model.check(x.load(order::relaxed) == 3, "an increment was lost");
}
WEFT_MODEL_TEST(litmus, narrow_words_wrap, model::never("bug")) {
  atomic<std::uint8_t> x(255);
  model.thread([&] { x.fetch_add(1, order::relaxed); });
  model.thread([&] { x.fetch_sub(1, order::relaxed); });
  model.run();
  model.check(x.load(order::relaxed) == 255, "eight bits have more than 256 values");
}
// A strong compare-exchange may fail because it reads an old value, and then acquires only that.
WEFT_MODEL_TEST(litmus, failed_cas_may_be_stale, model::reaches("stale", "newest")) {
  atomic<int> x(0), y(0);
  model.thread([&] {
    x.store(1, order::relaxed);
    y.store(1, order::release);
  });
  model.thread([&] {
    atomic<int>& first = x;
    int expected = 7;
    static_cast<void>(first.compare_exchange(expected, 8, order::relaxed, order::relaxed));
    const bool late = y.load(order::relaxed) == 1;
    if (late && expected == 0) model.outcome("stale");
    if (expected == 1) model.outcome("newest");
  });
  model.run();
}
WEFT_MODEL_TEST(litmus, failed_cas_needs_acquire_to_synchronize, model::expects_bug("data race")) {
  plain<int> data(0);
  atomic<int> x(0);
  model.thread([&] {
    data.set(1);
    x.store(1, order::release);
  });
  model.thread([&] {
    int expected = 0;
    if (!x.compare_exchange(expected, 2, order::acquire, order::relaxed))
      static_cast<void>(data.get());
  });
  model.run();
}
WEFT_MODEL_TEST(litmus, weak_cas_fails_for_nothing, model::reaches("failed", "done")) {
  atomic<int> x(0);
  model.thread([&] {
    int expected = 0;
    const bool done = x.compare_exchange_weak(expected, 1, order::relaxed, order::relaxed);
    model.check(expected == 0, "a spurious failure changed what was expected");
    model.outcome(done ? "done" : "failed");
  });
  model.run();
}
WEFT_MODEL_TEST(litmus, strong_cas_does_not_fail_for_nothing, model::never("failed")) {
  atomic<int> x(0);
  model.thread([&] {
    int expected = 0;
    if (!x.compare_exchange(expected, 1, order::relaxed, order::relaxed)) model.outcome("failed");
  });
  model.run();
}

// ---- lifetimes, sleeping, spinning --------------------------------------------------------------

WEFT_MODEL_TEST(litmus, use_after_the_lifetime_is_found, model::expects_bug("lifetime")) {
  auto* x = new atomic<int>(0);
  model.thread([=] {
    delete x;
    auto* other = new atomic<int>(5);
    delete other;
  });
  model.thread([=] { static_cast<void>(x->load(order::relaxed)); });
  model.run();
}
WEFT_MODEL_TEST(litmus, destruction_must_happen_after, model::expects_bug("destroyed although")) {
  auto* x = new atomic<int>(0);
  auto* done = new atomic<int>(0);
  model.thread([=] {
    x->store(1, order::relaxed);
    done->store(1, order::relaxed);
  });
  model.thread([=] {
    if (done->load(order::acquire)) delete x;
  });
  model.run();
}
WEFT_MODEL_TEST(litmus, destruction_after_release_acquire) {
  auto* x = new atomic<int>(0);
  auto* done = new atomic<int>(0);
  model.thread([=] {
    x->store(1, order::relaxed);
    done->store(1, order::release);
  });
  model.thread([=] {
    if (done->load(order::acquire)) delete x, new atomic<int>(3);
  });
  model.run();
}
WEFT_MODEL_TEST(litmus, construction_must_happen_before, model::expects_bug("construction")) {
  atomic<atomic<int>*> published(nullptr);
  model.thread([&] { published.store(new atomic<int>(1), order::relaxed); });
  model.thread([&] {
    if (auto* x = published.load(order::relaxed)) static_cast<void>(x->load(order::relaxed));
  });
  model.run();
}
WEFT_MODEL_TEST(litmus, spinning_ends, model::never("stuck")) {
  atomic<int> go(0);
  for (int i = 0; i < 2; ++i) {
    model.thread([&] {
      while (!go.load(order::relaxed)) cpu_pause();
    });
  }
  model.thread([&] { go.store(1, order::relaxed); });
  model.run();
}
WEFT_MODEL_TEST(litmus, livelock_is_found, model::expects_bug("livelock")) {
  atomic<int> go(0);
  for (int i = 0; i < 2; ++i) {
    model.thread([&] {
      while (!go.load(order::relaxed)) cpu_pause();
    });
  }
  model.run();
}

}  // namespace
}  // namespace weft
