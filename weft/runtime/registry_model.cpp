// model-sources: weft/runtime/registry.cpp weft/task/job.cpp weft/task/promise.cpp weft/task/thread_state.cpp
//
// Jobs that come and go, and somebody who looks at all of them: each job that is shown is there until
// the looker has left it, each job that is made while all are being stopped is stopped, and the last
// one's end is not missed.
#include "weft/runtime/registry.hpp"

#include <new>

#include "weft/os/membarrier.hpp"
#include "weft/os/memory.hpp"
#include "weft/testing/model/model.hpp"

// The checker's heap in place of pages: what is freed there, and used, is seen.
namespace weft::os {
result<void*> map_pages_aligned(std::size_t bytes, std::size_t alignment) noexcept {
  return ::operator new(bytes, std::align_val_t{alignment});
}
void unmap_pages(void* pages, std::size_t bytes) noexcept {
  ::operator delete(pages, std::align_val_t{bytes});
}
}  // namespace weft::os

namespace weft::detail {
namespace {

class toy_home final : public scheduler {
 public:
  void schedule(job&, wake_kind) noexcept override {}
};
struct toy_job final : job {
  explicit toy_job(toy_home& home) noexcept : job(home, idle_kind) {}
  plain<int> content{1};
};

void look_at(job& j) { static_cast<void>(static_cast<toy_job&>(j).content.get()); }

void comes_and_goes(model::world& model, bool asymmetric) {
  toy_home home;
  registry jobs(1, asymmetric);
  toy_job one(home);
  model.thread("worker", [&] {
    jobs.add(jobs.of(0), one);
    jobs.remove(jobs.of(0), one);
    one.content.set(0);  // gone: whoever still reads it races with this
  });
  model.thread("looker", [&] {
    int seen = 0;
    jobs.each([&](job& j) {
      look_at(j);
      ++seen;
    });
    model.outcome(seen == 0 ? "not seen" : "seen");
  });
  model.run();
}

WEFT_MODEL_TEST(registry, who_is_shown_is_there,
                model::kills("registry.remove.no_wait", "registry.look.no_fence",
                             "registry.looked.relaxed"),
                model::reaches("seen", "not seen")) {
  comes_and_goes(model, true);
}
WEFT_MODEL_TEST(registry, who_is_shown_is_there_without_membarrier,
                model::kills("registry.remove.no_wait"), model::reaches("seen", "not seen")) {
  comes_and_goes(model, false);
}

WEFT_MODEL_TEST(registry, a_job_made_while_all_are_stopped_is_stopped,
                model::kills("registry.add.forgets_stop", "registry.look.no_fence")) {
  toy_home home;
  registry jobs(1, true);
  toy_job one(home);
  model.thread("worker", [&] { jobs.add(jobs.of(0), one); });
  model.thread("shutdown", [&] { jobs.stop_all(); });
  model.run();
  model.check(one.stop_requested(), "a job was neither seen nor did it see that all are stopped");
  jobs.remove(jobs.of(0), one);
}

WEFT_MODEL_TEST(registry, the_last_end_is_not_missed, model::kills("registry.look.no_fence"),
                model::reaches("told", "seen")) {
  toy_home home;
  registry jobs(1, true);
  toy_job one(home);
  jobs.add(jobs.of(0), one);
  bool told = false;
  bool seen = false;
  model.thread("worker", [&] {
    jobs.remove(jobs.of(0), one);
    told = jobs.retired(jobs.of(0));
  });
  model.thread("shutdown", [&] {
    jobs.stop_all();
    seen = jobs.left() == 0;
  });
  model.run();
  if (told) model.outcome("told");
  if (seen) model.outcome("seen");
  model.check(told || seen, "shutdown waits for a job that has ended");
}

WEFT_MODEL_TEST(registry, slab_that_is_looked_at_is_not_freed,
                model::kills("registry.free.while_looked_at"), model::reaches("seen 1", "seen 2")) {
  // In a model a slab has four entries, a batch two, and no empty slab is kept.
  toy_home home;
  registry jobs(1, true);
  toy_job a(home), b(home), c(home), d(home), e(home), f(home);
  registry::shard& mine = jobs.of(0);
  for (toy_job* j : {&a, &b, &c, &d, &e, &f}) jobs.add(mine, *j);
  for (toy_job* j : {&a, &b, &c, &f}) jobs.remove(mine, *j);
  model.thread("worker", [&] {
    jobs.remove(mine, e);  // one too many are free: those of e and f go home, and so their slab
  });
  int seen = 0;
  model.thread("looker", [&] {
    jobs.each([&](job& j) {
      look_at(j);
      ++seen;
    });
  });
  model.run();
  model.outcome(seen == 2 ? "seen 2" : "seen 1");
  model.check(seen == 1 || seen == 2, "d is alive all the time");
  jobs.remove(mine, d);
}

}  // namespace
}  // namespace weft::detail
