// setting: what the environment says about weft, from variables that have few values each.
#pragma once

namespace weft::detail {

/// Says on stderr that the variable's value is none of those, which are listed in words, and what is done
/// instead. Threads: any.
void say_bad_setting(const char* variable, const char* value, const char* allowed,
                     const char* instead) noexcept;

/// Whether `variable` is `value`, its one value that is not the usual one. One that is unset, empty, or
/// `usual` is not; anything else is said on stderr, and is not either.
bool is_set_to(const char* variable, const char* value, const char* usual) noexcept;

}  // namespace weft::detail
