// The end of a binding that several jobs see, under all schedules: it is freed once, by the last one,
// after all have read it; and with it the one around it.
#include "weft/task/job_locals.hpp"

#include <optional>

#include "weft/testing/model/model.hpp"

namespace weft {
namespace {

class noted_binding final : public detail::local_binding {
 public:
  explicit noted_binding(plain<int>& value) noexcept
      : local_binding(&value, &free), value_(value) {}
  int read() const noexcept { return value_.get(); }

 private:
  static void free(const local_binding& self) noexcept {
    plain<int>& value = static_cast<const noted_binding&>(self).value_;
    value.set(value.get() - 1);  // a race with any reader, unless that has left
  }
  plain<int>& value_;
};

WEFT_MODEL_TEST(job_locals, last_one_frees_what_all_have_read,
                model::kills("locals.drop.relaxed")) {
  plain<int> values[2] = {plain<int>(1), plain<int>(1)};
  noted_binding outer(values[0]);
  noted_binding inner(values[1]);
  std::optional<detail::job_locals> jobs[3];
  for (auto& job : jobs) job.emplace();
  jobs[0]->add(outer);
  jobs[0]->add(inner);
  jobs[1]->inherit(*jobs[0]);
  jobs[2]->inherit(*jobs[1]);
  for (int i = 0; i < 3; ++i) {
    model.thread("job", [&, i] {
      const auto* const found = jobs[i]->find(&values[0]);
      model.check(found == &outer && outer.read() == 1 && inner.read() == 1, "they are there");
      jobs[i].reset();
    });
  }
  model.run();
  model.check(values[0].get() == 0 && values[1].get() == 0, "each is freed, once");
}

}  // namespace
}  // namespace weft
