// model-sources: weft/task/job.cpp weft/task/job_extras.cpp weft/task/promise.cpp weft/task/thread_state.cpp
//
// X1 and X2 of job.hpp under all schedules: a job names itself, or is given an id, while listings and who
// makes a job for it read the word that has its id, or the address of what it has besides.
#include <new>
#include <optional>
#include <string>

#include "weft/task/frame_pool.hpp"
#include "weft/task/task_model_support.hpp"

namespace weft {

// The checker's heap in place of the pool: what is freed there, and used, is seen.
namespace detail {
void* allocate_frame_slowly_for(const job&, std::size_t bytes) { return ::operator new(bytes); }
void* allocate_frame_slowly(std::size_t bytes) { return ::operator new(bytes); }
void free_frame_slowly(void* frame, std::size_t) noexcept { ::operator delete(frame); }
}  // namespace detail

namespace {

/// A name whose letters the checker watches.
class noted_name {
 public:
  explicit noted_name(int letters) noexcept : letters_(0) { letters_.set(letters); }
  const char* as_name() const noexcept { return reinterpret_cast<const char*>(this); }
  static int read(const char* name) noexcept {
    return reinterpret_cast<const noted_name*>(name)->letters_.get();
  }

 private:
  plain<int> letters_;
};

class toy_home final : public scheduler {
 public:
  void schedule(job&, wake_kind) noexcept override {}
};
constexpr job_kind nameless{.run = [](job&) noexcept {}, .name = nullptr};
struct toy_job final : job {
  explicit toy_job(toy_home& home) noexcept : job(home, nameless) {}
};
class toy_binding final : public detail::local_binding {
 public:
  explicit toy_binding(const void* key) noexcept
      : local_binding(key, [](const local_binding&) noexcept {}) {}
};

// Each look shows the id, and one of the names, whole, that it had; and none goes back to an older one.
WEFT_MODEL_TEST(job_extras, listing_sees_the_id_and_a_whole_name,
                model::kills("job.extras.relaxed", "job.extras.without_its_id", "job.name.relaxed"),
                model::reaches("no name", "first", "second")) {
  toy_home home;
  toy_job named(home);
  named.set_id(7);
  std::optional<noted_name> names[2];
  model.thread("names itself", [&] {
    for (int i = 0; i < 2; ++i) {
      names[i].emplace(i + 1);
      named.set_name(names[i]->as_name());
    }
  });
  model.thread("lists", [&] {
    int seen = 0;
    for (int i = 0; i < 2; ++i) {
      model.check(named.id() == 7, "its id is lost");
      const char* const name = named.name();
      const int now = name != nullptr ? noted_name::read(name) : 0;
      model.check(now >= seen, "an older name came back");
      seen = now;
    }
    model.outcome(seen == 0 ? "no name" : seen == 1 ? "first" : "second");
  });
  model.run();
  model.check(named.id() == 7 && noted_name::read(named.name()) == 2, "its last name is lost");
}

// What makes a job for it, on another thread, reads the bindings; the job names itself meanwhile.
WEFT_MODEL_TEST(job_extras, bindings_are_inherited_while_it_names_itself) {
  toy_home home;
  const int key = 0;
  toy_binding binding(&key);
  toy_job plain_maker(home), bound_maker(home);
  bound_maker.add_local(binding);
  noted_name name(1);
  model.thread("names itself", [&] {
    plain_maker.set_name(name.as_name());
    bound_maker.set_name(name.as_name());
  });
  model.thread("makes jobs for them", [&] {
    toy_job of_plain(home), of_bound(home);
    of_plain.inherit_locals(plain_maker);
    of_bound.inherit_locals(bound_maker);
    model.check(of_plain.find_local(&key) == nullptr, "a binding from nowhere");
    model.check(of_bound.find_local(&key) == &binding, "the binding is lost");
  });
  model.run();
  model.check(bound_maker.find_local(&key) == &binding, "its own binding is lost");
}

// It is listed, and so gets its id, when it has bindings already.
WEFT_MODEL_TEST(job_extras, id_that_comes_after_the_bindings_is_seen, model::reaches("0", "9")) {
  toy_home home;
  const int key = 0;
  toy_binding binding(&key);
  toy_job bound(home);
  bound.add_local(binding);
  model.thread("is listed", [&] { bound.set_id(9); });
  model.thread("lists", [&] {
    const std::uint64_t seen = bound.id();
    model.check(seen == 0 || seen == 9, "half an id");
    model.outcome(std::to_string(seen));
  });
  model.run();
  model.check(bound.id() == 9, "its id is lost");
}

}  // namespace
}  // namespace weft
