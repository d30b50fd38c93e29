// gcc: accepted
// clang: it unlocks when it goes away: give it a name
// A guard without a name unlocks in the same line. GCC 12 does not look at what co_await gives.
#include "common.hpp"

#ifdef WRONG
weft::task<> f(weft::mutex& m) { co_await m.lock(); }
#else
weft::task<> f(weft::mutex& m) { const auto held = co_await m.lock(); }
#endif
