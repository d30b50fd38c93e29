// The wheel through timer_set, driven by bytes, beside the oracle, which asserts that they agree.
// An operation is a byte: what (2 bits), which timer (6 bits). Arm and advance take a distance
// after it: a shift (1 byte, its top bit a sign) and a mantissa (2 bytes); every border is near.
#include <cstddef>
#include <cstdint>

#include "weft/timer/oracle_test_support.hpp"

namespace {

class reader {
 public:
  reader(const std::uint8_t* data, std::size_t size) : data_(data), left_(size) {}
  bool empty() const { return left_ == 0; }
  std::uint8_t byte() {
    if (left_ == 0) return 0;
    --left_;
    return *data_++;
  }
  std::int64_t distance() {
    const std::uint8_t shift = byte();
    const std::uint64_t mantissa = std::uint64_t{byte()} | std::uint64_t{byte()} << 8;
    if (shift == 0xff) return weft::never_ns;
    const auto ns = static_cast<std::int64_t>((mantissa << (shift & 63)) & INT64_MAX);
    return (shift & 0x80) != 0 ? -ns : ns;
  }

 private:
  const std::uint8_t* data_;
  std::size_t left_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  reader in(data, size);
  weft::test_support::timer_oracle oracle(64);
  weft::rng random(in.byte());
  if (in.byte() % 2 == 0) oracle.disturb(&random);
  oracle.advance(in.distance());  // where the clock begins
  while (!in.empty()) {
    const std::uint8_t operation = in.byte();
    const unsigned timer = operation & 63;
    switch (operation >> 6) {
      case 0:
        if (!oracle.armed(timer)) {
          oracle.arm(timer, weft::saturating_add_ns(oracle.now(), in.distance()));
        }
        break;
      case 1:
        oracle.cancel(timer);
        break;
      case 2:
        oracle.advance(weft::saturating_add_ns(oracle.now(), in.distance()));
        break;
      default:
        if (oracle.next_deadline_ns() != weft::never_ns) oracle.advance(oracle.next_deadline_ns());
        break;
    }
  }
  return 0;
}
