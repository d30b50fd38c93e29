// weft: all of it in one include. Each area also has a header of its own.
#pragma once

#include "weft/base/result.hpp"
#include "weft/fs/file.hpp"
#include "weft/http/files.hpp"
#include "weft/http/server.hpp"
#include "weft/net/address.hpp"
#include "weft/net/serve.hpp"
#include "weft/net/tcp.hpp"
#include "weft/runtime/block_on.hpp"
#include "weft/runtime/blocking.hpp"
#include "weft/runtime/runtime.hpp"
#include "weft/runtime/time.hpp"
#include "weft/task/ok.hpp"
#include "weft/task/task.hpp"
#include "weft/together/catch_stop.hpp"
#include "weft/together/fork_join.hpp"
#include "weft/together/timeout.hpp"
