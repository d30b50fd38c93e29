// scenarios: small programs that use what weft has of the system, and check their own bytes.
//
// One of them runs in a process whose system calls are refused here and there. Whatever is refused, it
// ends; what went wrong stands in the book as an error that somebody was given, or nothing did.
#pragma once

#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "weft/runtime/options.hpp"

namespace weft::faults {

/// What a run has found. Threads: any.
class book {
 public:
  /// Somebody was given an error, as documented.
  void error(std::string_view where, std::error_code code);
  /// What must not be, whatever is refused.
  void wrong(std::string what);
  /// Bytes, or an end, are missing: right only if somebody was given an error before.
  void missing(std::string_view what);
  std::vector<std::string> errors() const;
  std::vector<std::string> wrongs() const;
  /// What driver the scenario had, and why.
  void driver(std::string_view name, std::string_view why);
  std::string driver() const;

 private:
  mutable std::mutex lock_;
  std::vector<std::string> errors_, wrongs_;
  std::string driver_;
};

/// What scenarios need outside of the process: a folder with files to serve.
class world {
 public:
  world();
  ~world();
  world(const world&) = delete;
  const std::string& folder() const noexcept { return folder_; }
  static std::string file_content();

 private:
  std::string folder_;
};

struct scenario {
  const char* name;
  void (*run)(weft::driver, const world&, book&);  // may throw weft::error and its like
  bool guest = false;                              // needs a driver that has a descriptor
};
std::span<const scenario> scenarios();

}  // namespace weft::faults
