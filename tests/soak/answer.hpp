// answer: what the storm asks of a server, and whether what comes is that, byte for byte.
#pragma once

#include <cstddef>
#include <random>
#include <string>
#include <string_view>

namespace soak {

enum class protocol { echo, http };

/// A mebibyte that has no pattern, the same in every run; all bytes that are asked for are a part of it.
const std::string& contents();
/// The files that the HTTP server has to serve: parts of contents() from its beginning. Ends the program
/// where one cannot be written.
void write_files(const std::string& folder);

/// Even in [0, bound).
inline std::size_t below(std::mt19937_64& random, std::size_t bound) { return random() % bound; }

struct question {
  std::string text;    // what is sent
  bool head = false;   // a head comes before the bytes
  std::size_t at = 0;  // the answer's bytes are contents()[at, at + bytes)
  std::size_t bytes = 0;
};

/// Small: 1 to 2 000 bytes, by HTTP also 10 KiB. Large: 256 KiB, a part of a file of 1 MiB.
question make_question(protocol p, bool large, std::mt19937_64& random);

class answer {
 public:
  void expect(bool head, std::size_t at, std::size_t bytes);
  /// No more than `bytes` of them will come.
  void cut_to(std::size_t bytes) noexcept { left_ = bytes; }
  /// False: something else than was due came; wrong() says what.
  bool feed(std::string_view came);
  bool whole() const noexcept { return !head_due_ && left_ == 0; }
  const std::string& wrong() const noexcept { return wrong_; }

 private:
  bool take_head(std::string_view& came);

  bool head_due_ = false;
  std::size_t at_ = 0;
  std::size_t left_ = 0;
  std::string head_;
  std::string wrong_;
};

}  // namespace soak
