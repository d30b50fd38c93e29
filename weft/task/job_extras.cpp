#include "weft/base/assert.hpp"
#include "weft/task/frame_pool.hpp"
#include "weft/task/job.hpp"

namespace weft {

job::extra& job::make_extras(const job& payer) {
  if (has_extras()) return extras();
  auto* const made = ::new (allocate_frame_for(payer, sizeof(extra))) extra;
  made->id.store(WEFT_MUTATE("job.extras.without_its_id", id(), std::uint64_t{0}), order::relaxed);
  about_.store(reinterpret_cast<std::uintptr_t>(made),
               WEFT_MUTATE("job.extras.relaxed", order::release, order::relaxed));  // X1
  return *made;
}

void job::set_name(const char* name) noexcept try {
  make_extras(*this).name.store(
      name, WEFT_MUTATE("job.name.relaxed", order::release, order::relaxed));  // X2
} catch (...) {  // no memory: see there
}

void job::free_extras() noexcept {
  extra* const mine = &extras();
  mine->~extra();
  free_frame(mine, sizeof(extra));
}

}  // namespace weft
