// stuck: jobs that hold their worker, for a process from which something is taken away: who stands behind
// them runs nevertheless, and nothing is lost on the way.
#pragma once

#include "scenarios.hpp"

namespace weft::faults {

/// As the scenarios of tests/faults. Wrong: a job was not rescued, or no processor changed hands.
extern const scenario stuck_jobs;

}  // namespace weft::faults
