// Internal: one connection, from its first byte to its close.
//
// Protocol
//   receive() -> complete request -> answer() -> receive() ... -> linger() -> close
//   Answers are collected in out_ while complete requests are in the buffer; they are written
//   before the connection waits for bytes, before a body that is not in memory, and from
//   out_bytes_max on. Wherever this side closes first it says so (shutdown of its half), then reads
//   and drops what the client still sends, for a while: closing with unread bytes would be a reset,
//   and a reset takes from the client what it has not yet read.
// Memory: while active, a buffer of 8 KiB, the parser and the collected answers; after buffer_idle
//   without a byte all of that is given back.
#pragma once

#include <weft/http/connection_group.hpp>
#include <weft/http/date.hpp>
#include <weft/http/parser.hpp>
#include <weft/http/response.hpp>
#include <weft/net/tcp.hpp>
#include <weft/task/task.hpp>

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace weft::http::detail {

inline constexpr std::size_t read_buffer_bytes = 8 * 1024;
inline constexpr std::size_t out_bytes_max = 64 * 1024;      // collected before they are written
inline constexpr std::size_t write_slice_bytes = 64 * 1024;  // must leave within write_stall
inline constexpr std::size_t file_slice_bytes = 256 * 1024;  // the same, of a file

class connection {
 public:
  connection(connection_group& group, connection_group::entry& entry,
             net::tcp_stream& stream) noexcept
      : group_(group), entry_(entry), stream_(stream) {}

  /// Serves until the connection can be closed.
  task<> run();

 private:
  enum class input : std::uint8_t {
    request,  // parser().message() is complete
    refused,  // the refusal is in out_; it and the close are left to do
    ended,    // nothing more can be done
  };
  using moment = std::chrono::steady_clock::time_point;

  // What an idle connection does without.
  struct active {
    explicit active(const limits& limit) : parser(limit) {}
    request_parser parser;
    std::string out;
    std::array<char, read_buffer_bytes> buffer;
  };

  task<input> receive();
  task<bool> fill();       // more bytes into unread_; false: none will come
  task<bool> wait_idle();  // the same between two requests
  task<bool> answer();     // false: to be closed
  task<bool> send_body(const response& r);
  task<bool> write(std::string_view bytes);
  task<bool> flush();
  task<> linger();

  void activate();
  [[nodiscard]] std::span<std::byte> buffer() noexcept;
  void took(std::size_t bytes) noexcept;
  void refuse(status s);
  head_result append_head(const response& r, const request* asked, bool keep_alive);

  connection_group& group_;
  connection_group::entry& entry_;
  net::tcp_stream& stream_;
  std::unique_ptr<active> active_;
  std::span<const char> unread_;  // of the buffer
  moment head_due_{};             // valid in stage head
  bool continued_ = false;        // 100 was sent for this request
  bool timed_out_ = false;        // why fill() gave nothing
  date_cache date_;
};

/// The job of a connection.
task<> run_connection(net::tcp_stream accepted, connection_group::membership member);

}  // namespace weft::http::detail
