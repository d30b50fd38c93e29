#include "weft/base/setting.hpp"

#include <cstdio>
#include <cstdlib>
#include <string_view>

namespace weft::detail {

void say_bad_setting(const char* variable, const char* value, const char* allowed,
                     const char* instead) noexcept {
  std::fprintf(stderr, "weft: %s=%s is not known; it may be %s. %s\n", variable, value, allowed,
               instead);
}

bool is_set_to(const char* variable, const char* value, const char* usual) noexcept {
  const char* const asked = std::getenv(variable);
  const std::string_view wish = asked != nullptr ? asked : "";
  if (wish == value) return true;
  if (!wish.empty() && wish != usual) {
    char allowed[32];
    std::snprintf(allowed, sizeof allowed, "%s or %s", value, usual);
    say_bad_setting(variable, asked, allowed, "It is taken as not set");
  }
  return false;
}

}  // namespace weft::detail
