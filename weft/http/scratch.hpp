// Internal: what a connection needs while a request is under way, and shares with the others meanwhile.
//
// A connection that waits for its next request has none. Its bytes, and those of its parser, are used
// again by the next one, so that in the steady state a request allocates nothing here.
//
// Threads: any; a pool is in parts, and a thread keeps to one of them, so that workers do not meet.
// Memory: at most parts * kept_max of kept_bytes_max and a buffer each, until the serve() ends.
#pragma once

#include <weft/base/cache_line.hpp>
#include <weft/base/spin_lock.hpp>
#include <weft/http/date.hpp>
#include <weft/http/parser.hpp>
#include <weft/http/response.hpp>

#include <array>
#include <cstddef>
#include <memory>
#include <string>

namespace weft::http::detail {

inline constexpr std::size_t read_buffer_bytes = 8 * 1024;

struct scratch {
  explicit scratch(const limits& limit) : parser(limit) {}

  request_parser parser;
  std::string out;  // answers that were not sent yet
  response body;    // of the answer whose body is sent now, where it does not fit into `out`
  date_cache date;
  std::unique_ptr<scratch> next;               // in the pool
  std::array<char, read_buffer_bytes> buffer;  // for what the connection's own does not hold
};

class scratch_pool {
 public:
  explicit scratch_pool(const limits& limit) noexcept : limit_(limit) {}

  /// Throws std::bad_alloc.
  [[nodiscard]] std::unique_ptr<scratch> take();
  /// Takes one back with nothing in it but memory. It may go at once, if it has much or there are many.
  void give(std::unique_ptr<scratch>&& used) noexcept;

 private:
  static constexpr std::size_t parts = 16;
  static constexpr std::size_t kept_max = 64;               // in each part
  static constexpr std::size_t kept_bytes_max = 32 * 1024;  // of one, its buffer not counted

  struct alignas(cache_line) part {
    spin_lock lock;
    std::size_t count = 0;
    std::unique_ptr<scratch> first;
    ~part();
  };
  [[nodiscard]] part& own() noexcept;

  const limits limit_;
  std::array<part, parts> parts_;
};

}  // namespace weft::http::detail
