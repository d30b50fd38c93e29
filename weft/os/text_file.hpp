// text_file: what the kernel says of itself in small files (/proc, /sys), read whole.
#pragma once

#include <string>

namespace weft::os {

/// The first 64 KiB of `path`; "" if it cannot be read: those who ask have an answer for that anyway.
/// Cost: three or four system calls, about 5 us. Throws std::bad_alloc.
std::string read_text(const char* path);

}  // namespace weft::os
