// refused: the function gives something else than T
// A join_set has one type of results.
#include "common.hpp"

#ifdef WRONG
void f(weft::join_set<std::string>& set) { set.spawn(answer, 1); }
#else
void f(weft::join_set<int>& set) { set.spawn(answer, 1); }
#endif
