// The smallest program of a user: it needs the umbrella header, the archive and the exported flags.
#include <weft/weft.hpp>

static weft::task<int> answer() { co_return 42; }

static weft::task<int> main_task() {
  const int value = co_await answer();
  co_return value == 42 ? 0 : 1;
}

int main() { return weft::run(main_task()); }
