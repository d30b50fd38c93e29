// shield_scope: while one exists, its job does not see a stop; it sees it afterwards, at its next
// await. For what must finish: closing, joining, handing back.
//
//   Threads  made and destroyed by the job itself, in one frame
//   Note     a job that was stopped before may wait again inside
#pragma once

#include "weft/base/assert.hpp"
#include "weft/task/current.hpp"

namespace weft {

class shield_scope {
 public:
  shield_scope() noexcept : job_(current_job()) {
    WEFT_ASSERT(job_ != nullptr, "a shield_scope was made outside of a job");
    job_->enter_shield();
  }
  ~shield_scope() { job_->leave_shield(); }
  shield_scope(const shield_scope&) = delete;
  shield_scope& operator=(const shield_scope&) = delete;

 private:
  job* const job_;
};

}  // namespace weft
