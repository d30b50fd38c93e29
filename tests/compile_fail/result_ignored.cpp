// refused: it may have failed: look at the result
// What a call says of its failure is looked at.
#include "common.hpp"

#ifdef WRONG
void f(weft::net::tcp_stream& s) { s.shutdown_write(); }
#else
void f(weft::net::tcp_stream& s) { static_cast<void>(s.shutdown_write()); }
#endif
