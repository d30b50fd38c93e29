// crowd: connections that ask a server at a given rate, and among them some that behave as the worst peers do.
//
//   pause       half of a question, a rest of up to 0.3 s, then the other half
//   stall       a large question whose answer is not read for up to 1.5 s; a quarter is then reset
//   half close  a question, the end of what the peer sends, then the answer is heard to its end
//   cut         the same in the middle of a question: an end must come, by echo what was said before it
//   reset       an RST while nothing is under way, in the middle of a question, or of an answer
//   leave       an ordinary close
//
// Each is provoked, and what must come of it is known. All else that happens is counted as unprovoked.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <queue>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "answer.hpp"

namespace soak {

struct counts {
  std::uint64_t asked = 0;
  std::uint64_t answered = 0;
  std::uint64_t late = 0;  // not asked, as all connections were busy
  std::uint64_t connects = 0;
  std::uint64_t pauses = 0;
  std::uint64_t stalls = 0;
  std::uint64_t half_closes = 0;
  std::uint64_t cuts = 0;
  std::uint64_t resets = 0;
  std::uint64_t leaves = 0;
  std::uint64_t unprovoked = 0;
  std::string first;  // of these
};

class crowd {
 public:
  crowd(int port, protocol p, std::uint64_t seed, std::size_t connections);

  /// Each connection asks again as soon as it was answered, and none misbehaves. Result: answers a second.
  double load(double seconds);
  /// Questions at `rate` a second, of which `faults_a_second` are none.
  void storm(double rate, double seconds, double faults_a_second);
  const counts& counted() const noexcept { return counts_; }

 private:
  enum class phase : unsigned char { connecting, idle, busy };
  enum class when_sent : unsigned char { nothing, end, reset };
  enum class at_wake : unsigned char { nothing, send_rest, read_on, reset, connect };
  static constexpr std::size_t never = std::numeric_limits<std::size_t>::max();

  struct connection {
    int fd = -1;
    std::uint32_t generation = 0;  // of the descriptor, so that no event of an older one counts
    std::uint32_t events = 0;      // that are registered
    phase now = phase::connecting;
    when_sent then = when_sent::nothing;
    at_wake next = at_wake::nothing;
    bool reading = true;
    bool blocked = false;  // more is to be sent when there is room
    bool end_due = false;  // the server has to end the stream after the answer
    std::string out;
    std::size_t sent = 0;
    std::size_t send_until = 0;
    std::size_t reset_after = never;  // bytes of the answer
    std::size_t came = 0;
    std::int64_t asked_ns = 0;
    std::int64_t wake_ns = 0;
    answer due;
  };

  void connect(std::size_t i);
  void hang_up(std::size_t i, bool hard);
  void fail(std::size_t i, const std::string& what);
  void ask(std::size_t i, bool large);
  void misbehave(std::size_t i);
  void send_more(std::size_t i);
  void read_more(std::size_t i);
  void finish(std::size_t i);
  void wake(std::size_t i);
  void wake_later(std::size_t i, at_wake next, std::size_t ms_max);
  void watch(std::size_t i);
  void happened(std::size_t i, std::uint32_t events);
  void turn();  // waits a millisecond at most
  void look_for_silence();
  void until_quiet();
  std::size_t take_idle();

  const int port_;
  const protocol protocol_;
  int poll_ = -1;
  bool closed_loop_ = false;
  std::mt19937_64 random_;
  std::vector<connection> all_;
  std::vector<std::size_t> idle_;
  std::priority_queue<std::pair<std::int64_t, std::size_t>,
                      std::vector<std::pair<std::int64_t, std::size_t>>, std::greater<>>
      wakes_;
  std::int64_t looked_ns_ = 0;
  counts counts_;
};

}  // namespace soak
