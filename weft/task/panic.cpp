#include "weft/task/panic.hpp"

#include <cstdio>

#include "weft/base/result.hpp"

namespace weft::detail {
namespace {

constexpr const char* no_std_exception = "an exception that is no std::exception";

void print_where(const std::exception& e) noexcept {
  const auto* const ours = dynamic_cast<const error*>(&e);
  if (ours == nullptr) return;
  std::fprintf(stderr, "weft:   raised at %s:%u\n", ours->where().file_name(),
               ours->where().line());
}

void print_causes(const std::exception& e) noexcept {
  constexpr int causes_max = 10;
  std::exception_ptr cause;
  const auto look_into = [&cause](const std::exception& outer) {
    const auto* const nests = dynamic_cast<const std::nested_exception*>(&outer);
    cause = nests != nullptr ? nests->nested_ptr() : nullptr;
  };
  print_where(e);
  look_into(e);
  for (int n = 0; cause != nullptr && n < causes_max; ++n) {
    const std::exception_ptr now = cause;
    cause = nullptr;
    try {
      std::rethrow_exception(now);
    } catch (const std::exception& inner) {
      std::fprintf(stderr, "weft:   caused by: %s\n", inner.what());
      print_where(inner);
      look_into(inner);
    } catch (...) {
      std::fprintf(stderr, "weft:   caused by: %s\n", no_std_exception);
    }
  }
}

void print_line(const job& ended, const char* what, panic_when when) noexcept {
  const char* const remark =
      when == panic_when::runtime_gone ? " (its handle outlived its runtime)" : "";
  std::fprintf(stderr, "weft: job %llu '%s' ended by an exception that nobody joined%s: %s\n",
               static_cast<unsigned long long>(ended.id()), ended.name(), remark, what);
}

}  // namespace

void print_panic(const job& ended, const std::exception_ptr& error, panic_when when) noexcept {
  try {
    std::rethrow_exception(error);
  } catch (const std::exception& e) {
    print_line(ended, e.what(), when);
    print_causes(e);
  } catch (...) {
    print_line(ended, no_std_exception, when);
  }
}

bool is_end_of_stopped(const std::exception_ptr& error) noexcept {
  try {
    std::rethrow_exception(error);
  } catch (const weft::error& e) {
    return e.code() == std::errc::operation_canceled;
  } catch (...) {
    return false;
  }
}

}  // namespace weft::detail
