// panic: an exception of a job that nobody joins, as it is told.
#pragma once

#include <exception>

#include "weft/task/job.hpp"

namespace weft::detail {

/// When it is told.
enum class panic_when : unsigned char {
  in_time,
  runtime_gone,  // and its policy with it: the program goes on
};

/// One line on stderr: which job, and what; then a line for each exception nested in it
/// (std::throw_with_nested), and where a weft::error was raised.
void print_panic(const job& ended, const std::exception_ptr& error,
                 panic_when when = panic_when::in_time) noexcept;

/// What awaiting a job gives that was stopped.
bool is_end_of_stopped(const std::exception_ptr& error) noexcept;

}  // namespace weft::detail
