// probe: which of a platform's drivers works here, found by using it, not by asking for a version:
// containers deny io_uring by policy whatever the kernel can do.
#pragma once

#include <memory>
#include <string_view>

#include "weft/io/driver.hpp"

namespace weft::io {

/// The platform's part of make_driver(). `why` is always set, to a static text.
result<std::unique_ptr<driver>> make_platform_driver(driver_kind kind,
                                                     std::string_view& why) noexcept;

}  // namespace weft::io
