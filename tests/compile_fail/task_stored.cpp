// refused: it stays where it was made
// Nor can tasks be kept in a container: a join_handle can.
#include "common.hpp"

#include <vector>

#ifdef WRONG
void f() {
  std::vector<weft::task<int>> kept;
  kept.push_back(answer(1));
}
#else
void f() {
  std::vector<weft::join_handle<int>> kept;
  kept.push_back(weft::spawn(answer, 1));
}
#endif
