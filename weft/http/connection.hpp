// Internal: one connection, from its first byte to its close.
//
// Protocol
//   wait for a byte -> begin() -> wait ... -> close. begin() parses, answers and sends until nothing is
//   left of what has come, or something has to be waited for: a handler's task, more bytes, room in the
//   socket. Then serve() goes on from there.
//   Answers are collected while complete requests are in the buffer; they are written
//   before the connection waits for bytes, before a body that is not in memory, and from
//   out_bytes_max on. Wherever this side closes first it says so (shutdown of its half), then reads
//   and drops what the client still sends, for a while: closing with unread bytes would be a reset,
//   and a reset takes from the client what it has not yet read. Whoever does not read in write_stall
//   gets a reset, so that nothing of the answer stays in the kernel.
//   So does an idle connection that finds the server draining when bytes come: what the kernel still has of the
//   last answer is not taken away by a request that comes at that moment. (One that is stopped while it
//   waits has no time for it, and one whose time is over is shut down both ways: what comes after that is
//   answered with a reset, by the kernel.)
// Cost: two frames while it waits, and none more for what is usual: an answer that is there at once and goes
//   into the socket at once takes a read and a write, and one look at the clock. Else there is serve()'s
//   frame (on io_uring always: it has writes to await), the handler's own, and those of the tasks for what
//   is large or slow.
// Memory: an idle connection has a buffer for a small head in its frame and nothing else; the rest is
//   lent to it (scratch.hpp) from the first byte until all is answered. An empty line in front of a
//   request is such a byte: from then on the head's time runs.
//   Where there is none, the connection ends, and no other.
#pragma once

#include <weft/http/connection_group.hpp>
#include <weft/http/moment.hpp>
#include <weft/http/response.hpp>
#include <weft/http/scratch.hpp>
#include <weft/http/stall_watch.hpp>
#include <weft/net/tcp.hpp>
#include <weft/task/task.hpp>

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <span>
#include <string_view>

namespace weft::http::detail {

inline constexpr std::size_t first_bytes = 512;          // of a head, read into the frame
inline constexpr std::size_t out_bytes_max = 64 * 1024;  // collected before they are written
inline constexpr std::size_t copied_bytes_max =
    2 * 1024;  // of a body: less than a gathered write costs
inline constexpr unsigned answers_at_once =
    32;  // of requests that came together, before others have a turn
inline constexpr std::size_t write_slice_bytes = 64 * 1024;  // must leave within write_stall
inline constexpr std::size_t file_slice_bytes = 256 * 1024;  // the same, of a file

class connection {
 public:
  connection(connection_group& group, connection_group::entry& entry,
             net::tcp_stream& stream) noexcept
      : group_(group),
        entry_(entry),
        stream_(stream),
        watch_(stream),
        tries_(stream.writes_by_trying()) {}

  ~connection();

  // The job's outermost frame does the waiting between requests itself.

  /// No request is under way. Result: false when it is to be closed.
  [[nodiscard]] bool begin_idle() noexcept;
  [[nodiscard]] std::span<std::byte> first() noexcept {
    return std::as_writable_bytes(std::span(first_));
  }
  /// `bytes` have come into first(). Result: false when it is too late for them.
  [[nodiscard]] bool end_idle(std::size_t bytes) noexcept;
  /// After either was false: the close as the client shall see it.
  task<> close_idle();

  /// What is left to do, and has to wait for something or end.
  enum class step : std::uint8_t {
    idle,     // nothing: all is answered and sent
    respond,  // the handler's task gives the answer to parser.message()
    body,     // scratch_->body
    flush,    // out
    more,     // bytes are needed; out is empty
    turn,     // others first: many requests were answered without a pause
    close,    // out is to be sent, then the close
    ended,    // nothing more is begun: the close only
  };
  /// Does what can be done with what has come, without waiting.
  [[nodiscard]] step begin();
  /// Does the rest, from there on. Result: false when it is to be closed.
  task<bool> serve(step next);

 private:
  enum class parsed : std::uint8_t {
    request,  // parser.message() is complete
    part,     // bytes are needed
    refused,  // the refusal is in out
    ended,    // there is nobody to be answered any more
  };

  [[nodiscard]] step go_on();
  [[nodiscard]] parsed parse();
  // Puts an answer into out. True: its body is still to be sent, and is in scratch_->body.
  [[nodiscard]] bool collect(response& r, const request& asked);
  void collect_error(std::size_t out_before, const char* what);
  // The answer is in out, or sent. Nothing: on to the next request.
  [[nodiscard]] std::optional<step> end_request() noexcept;
  void refuse(status s);
  head_result append_head(const response& r, const request* asked, bool keep_alive);
  void note_write_failed() noexcept;
  // The client did not take its answer in time: counted, and the close will be a reset.
  void give_up_slow() noexcept;
  // A wait that is to be counted is over. Result: false when it took too long.
  [[nodiscard]] bool pause_in_time() noexcept;
  // Of a write that may wait.
  void begin_write() noexcept;
  // Without waiting, where that pays. Result: whether all of it went; else `out`, and `r`, are what is left.
  [[nodiscard]] bool write_now() noexcept;
  [[nodiscard]] bool write_kept_now(response& r) noexcept;

  // Until when the client has to send something: the most that it may take for it.
  [[nodiscard]] moment due_for_more(moment present) noexcept;

  task<bool> fill();  // more bytes of a request into unread_; false: none will come
  task<bool> send_body();
  task<bool> send_kept(const response& r);
  task<bool> write(std::string_view bytes);
  task<bool> flush();
  task<> end();
  task<> close(std::span<std::byte> room);

  connection_group& group_;
  connection_group::entry& entry_;
  net::tcp_stream& stream_;
  std::unique_ptr<scratch> scratch_;
  std::span<const char> unread_;  // of first_ or of the scratch's buffer
  // When the head is due, or the body if nothing of it came; the epoch: it was not waited for yet.
  moment part_due_{};
  stall_watch watch_;
  unsigned answered_ = 0;   // since others had their turn
  const bool tries_;        // before it awaits a write
  bool continued_ = false;  // 100 was sent for this request
  bool timed_out_ = false;  // why fill() gave nothing
  bool too_slow_ = false;   // the limit that ends it is body_rate_min
  bool bounds_unsent_ = false;
  bool keep_alive_ = false;  // after the answer that is made now
  std::array<char, first_bytes> first_;
};

/// The job of a connection.
task<> run_connection(net::tcp_stream accepted, connection_group::membership member);

}  // namespace weft::http::detail
