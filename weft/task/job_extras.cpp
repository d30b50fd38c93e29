#include "weft/base/assert.hpp"
#include "weft/task/frame_pool.hpp"
#include "weft/task/job.hpp"

namespace weft {

job::extra& job::make_extras(const job& payer) {
  if (has_extras()) return extras();
  auto* const made = ::new (allocate_frame_for(payer, sizeof(extra))) extra;
  made->name = name();
  name_ = reinterpret_cast<std::uintptr_t>(made) | 1;
  return *made;
}

void job::free_extras() noexcept {
  extra* const mine = &extras();
  mine->~extra();
  free_frame(mine, sizeof(extra));
}

}  // namespace weft
