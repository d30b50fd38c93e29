// The bell over a pipe: two ringers, each with something to tell, and the owner of the driver, who reads
// the byte and looks. What he does not see is told of by another byte; and there is never a second one.
#include "weft/io/bell.hpp"

#include "weft/testing/model/model.hpp"

namespace weft::io {
namespace {

struct setting {
  bell rung;
  atomic<int> bytes{0};
  atomic<int> told[2] = {atomic<int>(0),
                         atomic<int>(0)};  // relaxed: what brings it over is the bell
  bool seen[2] = {false, false};

  void tell(model::world& model, int who) noexcept {
    told[who].store(1, order::relaxed);
    if (!rung.ring()) return;
    model.check(bytes.fetch_add(1, order::acq_rel) == 0, "a second byte in the pipe");
  }
  void answer() noexcept {
    while (bytes.load(order::acquire) == 0) cpu_pause();  // the sleep in poll
    if (WEFT_MUTATE("bell.answered.before_the_read", true, false))
      bytes.exchange(0, order::acq_rel);
    rung.answered();
    if (WEFT_MUTATE("bell.answered.before_the_read", false, true))
      bytes.exchange(0, order::acq_rel);
    for (int i = 0; i < 2; ++i) seen[i] = told[i].load(order::relaxed) != 0;
  }
  bool lost(int who) const noexcept { return !seen[who] && bytes.load(order::relaxed) == 0; }
};

WEFT_MODEL_TEST(bell, a_ring_is_seen_or_writes_the_only_byte,
                model::kills("bell.ring.relaxed", "bell.answered.relaxed",
                             "bell.answered.before_the_read"),
                model::reaches("one byte", "two bytes")) {
  setting s;
  model.thread("owner", [&] { s.answer(); });
  model.thread("one", [&] { s.tell(model, 0); });
  model.thread("other", [&] { s.tell(model, 1); });
  model.run();
  model.check(!s.lost(0) && !s.lost(1), "a wake was lost");
  model.outcome(s.bytes.load(order::relaxed) == 0 ? "one byte" : "two bytes");
}

}  // namespace
}  // namespace weft::io
