// Jobs that run beside each other, a wait, and a time limit.
#include <weft/weft.hpp>

#include <cstdio>

using namespace std::chrono_literals;

weft::task<int> slow_square(int x) {
  co_await weft::sleep_for(100ms);
  co_return x* x;
}

weft::task<> hello() {
  auto nine = weft::spawn(slow_square, 3);  // runs from here on, beside us
  auto sixteen = weft::spawn(slow_square, 4);
  const int sum = co_await nine + co_await sixteen;  // 100 ms later, not 200
  std::printf("3 * 3 + 4 * 4 = %d\n", sum);

  const auto late = co_await weft::timeout(10ms, slow_square(5));
  std::printf("5 * 5 %s\n", late ? "came in time" : "was stopped after 10 ms");
}

int main() { return weft::run(hello()); }
