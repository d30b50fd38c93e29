#include "weft/base/result.hpp"

#include <string>

namespace weft {
namespace {

class category final : public std::error_category {
 public:
  constexpr category() noexcept {}
  const char* name() const noexcept override { return "weft"; }
  std::string message(int code) const override {
    switch (static_cast<errc>(code)) {
      case errc::timed_out:
        return "timed out";
      case errc::closed:
        return "closed";
      case errc::shutting_down:
        return "the runtime is shutting down";
      case errc::would_not_end:
        return "jobs were still running when the grace was over";
      case errc::not_found:
        return "not found";
      case errc::too_large:
        return "too large";
      case errc::no_runtime:
        return "this thread belongs to no runtime";
    }
    return "unknown weft error";
  }
  std::error_condition default_error_condition(int code) const noexcept override {
    if (static_cast<errc>(code) == errc::timed_out) return std::errc::timed_out;
    return std::error_condition(code, *this);
  }
};

/// Never destroyed: codes are looked at by destructors of statics, too, a global runtime's say.
union immortal {
  constexpr immortal() noexcept : value() {}
  ~immortal() {}
  category value;
};
constinit const immortal instance;

}  // namespace

const std::error_category& weft_category() noexcept { return instance.value; }

std::error_code make_error_code(errc e) noexcept {
  return std::error_code(static_cast<int>(e), weft_category());
}

}  // namespace weft
