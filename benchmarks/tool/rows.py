"""rows: what ./bench compares, with whom, and what ours shall reach. The targets are those of the
project's performance plan, set on a 2.5 GHz Xeon with two cores; ../README.md says what each row measures."""
import os
from dataclasses import dataclass, field

from common import FILE

TIE_PROGRAM = 1.2   # ratios nearer to 1 than this are ties on a shared machine
TIE_SERVER = 1.15
PEERS = ("go", "tokio", "asio", "tbb", "fiber", "uv", "nginx", "uring", "threads")

# What the table calls a program -> which peer builds it, and its further arguments.
PROGRAMS = {name: (name, []) for name in ("weft", "epoll", *PEERS)}
PROGRAMS["flume"] = ("tokio", ["--channel", "flume"])
PROGRAMS["tokio-current"] = ("tokio", ["--runtime", "current"])  # its other runtime: a choice that users have
PROGRAMS["nginx-cache"] = ("nginx", ["--cache"])
PROGRAMS["uring-fixed"] = ("uring", ["--fixed", "1"])

# Ours with one driver each. Who sets WEFT_DRIVER wants that one alone.
DRIVER = {"weft-epoll": "epoll", "weft-uring": "io_uring", "weft-poll": "poll", "weft-pool": "epoll"}
PROGRAMS.update({name: ("weft", []) for name in DRIVER})

# What the system gives to who writes no more than must be: to be measured against, not to be ahead of.
CEILINGS = ("epoll", "uring", "uring-fixed")


def by_driver(*ours):
    return ("weft",) if os.environ.get("WEFT_DRIVER") else ours


@dataclass
class Figure:
    """One number of a run. `key` is its name in the program's line; per_s shows ns as millions a second."""
    key: str
    unit: str
    target: str = ""      # as shown
    limit: float = None   # reached where ours is not worse than this
    of_peer: float = None  # or: reached where ratio is not worse than this
    peers: tuple = None   # of the case's, those for whom it can be compared
    wants: tuple = None   # of ours, those that the target is for; all
    per_s: bool = False
    more: bool = False    # more is better

    def is_wanted(self, ours):
        return not self.wants or ours in self.wants

    def value(self, got):
        return 1e3 / got[self.key] if self.per_s else got[self.key]

    def best(self, values):
        return max(values) if self.more else min(values)


def less(key, unit, limit=None, **more):
    return Figure(key, unit, f"<= {limit:g}" if limit is not None else "", limit, **more)


def millions(limit):
    return Figure("ns", "M/s", f">= {limit}" if limit is not None else "", limit, per_s=True, more=True)


@dataclass
class Case:
    name: str             # as shown
    workers: int
    source: str           # the program
    what: str             # its --what, or the kind of server
    peers: tuple
    figures: list
    n: int = 0
    tasks: int = 1
    repeat: int = 5
    n_of: dict = field(default_factory=dict)      # programs that get another n
    quick_n: int = 0      # 0: the same
    needs_gb: dict = field(default_factory=dict)  # programs that are left out with less memory
    path: str = ""
    body: bytes = b""
    message: int = 64     # bytes; n is the number of connections
    ours: tuple = ("weft",)
    reference: str = ""   # the ratio is that to this one in the same round
    of: str = ""          # of this figure

    @property
    def serves(self):
        return self.what in ("echo", "http")

    def descriptors(self, quick):
        """How many one process needs."""
        return self.size("", quick) + 100 if self.what == "echo" else 0

    def size(self, program, quick):
        n = self.n_of.get(program, self.n)
        return min(n, self.quick_n) if quick and self.quick_n else n

    def repetitions(self, quick):
        return max(1, self.repeat // 3) if quick else self.repeat


def both(name, source, what, peers, unit_key, unit, limits, **more):
    """A row for one worker and one for two."""
    return [Case(name, w, source, what, peers, [less(unit_key, unit, limit)], **more)
            for w, limit in zip((1, 2), limits)]


def fork_join():
    few = {"go": 25, "tokio": 25}
    yield "fib", "fib(32): ns a call", both(
        "fib(32), a call", "fork_join", "fib", ("tbb", "go", "tokio"), "ns", "ns", (14, 7.5), n=32, repeat=2,
        n_of=few, quick_n=27)
    skynet = both("skynet 10^6, a task", "fork_join", "skynet", ("tbb", "go", "tokio"), "ns", "ns", (14, 8),
                  n=1_000_000, repeat=3, n_of={"go": 100_000, "tokio": 100_000})
    skynet[1].figures.append(less("peak_mb", "MB", 10, peers=("tbb",)))
    yield "skynet", "a tree of 10^6 leaves: ns a task, memory", skynet
    yield "nqueens", "12 queens: ms", both("nqueens(12)", "fork_join", "nqueens", ("tbb",), "ms", "ms",
                                           (140, 80), n=12, repeat=3)
    yield "matmul", "1024 x 1024 integers: ms", both("matmul(1024)", "fork_join", "matmul", ("tbb",), "ms",
                                                     "ms", (None, None), n=1024, repeat=2, quick_n=512)
    yield "children", "structured spawn of N empty children: ns a child", [
        case for n in (10_000, 1_000_000) for case in both(
            f"{n:,} children", "fork_join", "children", ("tbb",), "ns", "ns", (30, 50), n=n,
            repeat=20 if n < 100_000 else 3)]
    yield "range", "the same children by when_all(range) and parallel_for: ns a child, ours alone", [
        case for what in ("when_all", "parallel_for") for n in (10_000, 1_000_000) for case in both(
            f"{n:,} in {what}", "fork_join", what, (), "ns", "ns", (30, 50), n=n,
            repeat=20 if n < 100_000 else 3)]


def scheduling():
    yield "spawn", "spawn N empty tasks and join them all: ns a task", [
        case for n in (10_000, 1_000_000) for case in both(
            f"spawn+join {n:,}", "spawn", "spawn", ("go", "tokio", "asio"), "ns", "ns", (60, 90), n=n,
            repeat=20 if n < 100_000 else 2, quick_n=200_000)]
    four = ("go", "tokio", "asio", "fiber")
    yield "yield", "give way to others: ns a yield, alone and among 1000 tasks", [
        *both("yield, 1 task", "spawn", "yield", four, "ns", "ns", (15, 15), n=300_000),
        Case("yield, 1000 tasks", 2, "spawn", "yield", four, [less("ns", "ns", 30)], n=300_000, tasks=1000)]
    yield "hop", "start a task on another worker: us until it runs, p50", [
        Case("hop, at once", 2, "spawn", "hop", ("go", "tokio", "asio"), [less("p50_us", "us", 0.5)], n=2000),
        Case("hop, to a parked one", 2, "spawn", "hop-parked", ("go", "tokio", "asio"),
             [less("p50_us", "us", 11)], n=300, repeat=3)]
    yield "memory", "a suspended spawned task: bytes", [
        Case("suspended task", 1, "spawn", "memory", four, [less("bytes", "B", 112)], n=200_000, repeat=1,
             n_of={"go": 100_000, "fiber": 10_000}, quick_n=50_000),
        Case("suspended task, in a sleep", 1, "spawn", "memory-sleep", (), [less("bytes", "B")], n=200_000, repeat=1,
             quick_n=50_000)]


def fibers():
    yield "fiber", "fibers: ns a switch, a yield, start + join and a pass through a channel; bytes of one that waits", [
        Case("bare switch, one way", 1, "fiber", "switch", ("fiber",), [less("ns", "ns", 4)], n=1_000_000),
        Case("yield, 2 fibers", 1, "fiber", "yield", ("go", "fiber"), [less("ns", "ns")], n=300_000, tasks=2),
        Case("yield, 1000 fibers", 1, "fiber", "yield", ("go", "fiber"), [less("ns", "ns")], n=300_000, tasks=1000),
        *(Case(f"fiber spawn+join, {at_once:,} at once", 1, "fiber", "spawn", peers, [less("ns", "ns", 150)],
               n=200_000, tasks=at_once, repeat=10, quick_n=20_000, n_of={"threads": 3_000})
          for at_once, peers in ((1, ("go", "fiber", "threads")), (64, ("go", "fiber")), (10_000, ("go", "fiber")))),
        Case("channel ping-pong of fibers", 1, "fiber", "pingpong", ("go", "fiber", "threads"), [less("ns", "ns")],
             n=200_000, n_of={"threads": 10_000}),
        *(Case(f"{name} parked fibers", 1, "fiber", "memory", peers,
               [less("bytes", "B", 4700), less("table_bytes", "B of page table"), less("ns", "ns to wake and join")],
               n=n, repeat=1, quick_n=20_000, needs_gb=needs)
          for name, n, peers, needs in (("10^5", 100_000, ("go", "fiber"), {"fiber": 2.0}),
                                        ("10^6", 1_000_000, ("go",), {"weft": 6.0, "go": 5.0})))]


def channels():
    yield "channel", "bounded channel of 1024: million messages a second, 1 to 1 and 4 to 4", [
        Case(f"channel, {pairs} to {pairs}", w, "sync", "channel", ("go", "tokio", "flume", "fiber", "asio"),
             [millions(limit)], n=1_000_000, tasks=pairs, repeat=3, n_of={"asio": 200_000}, quick_n=200_000)
        for pairs, w, limit in ((1, 1, 40), (4, 2, 25))]
    yield "unbounded", "unbounded channel: million messages a second, 1 to 1 and 4 to 4", [
        Case(f"unbounded, {pairs} to {pairs}", w, "sync", "unbounded", ("tokio", "flume"), [millions(None)],
             n=1_000_000, tasks=pairs, repeat=3, quick_n=200_000)
        for pairs, w in ((1, 1), (4, 2))]
    yield "rendezvous", "channel of 0, where each waits for the other: million messages a second", [
        Case(f"rendezvous, {pairs} to {pairs}", w, "sync", "rendezvous", ("go", "flume"), [millions(None)],
             n=300_000, tasks=pairs, repeat=3)
        for pairs, w in ((1, 1), (4, 2))]
    yield "pingpong", "to and fro through two channels of 1: ns a pass", both(
        "channel ping-pong", "signals", "pingpong", ("go", "tokio", "flume"), "ns", "ns", (None, None), n=200_000)
    yield "oneshot", "one value from one to one: ns to make, send and receive; ns a pass between two tasks", [
        Case("oneshot, 1 task", 1, "signals", "oneshot", ("go", "tokio"), [less("ns", "ns")], n=500_000),
        *both("oneshot ping-pong", "signals", "oneshot-pingpong", ("go", "tokio"), "ns", "ns", (None, None),
              n=200_000)]


def locks():
    yield "mutex", "lock and unlock: ns alone, million a second by 64 tasks", [
        Case("mutex, 1 task", 1, "sync", "mutex", ("go", "tokio", "fiber"), [less("ns", "ns", 14)], n=1_000_000),
        Case("mutex, 64 tasks", 2, "sync", "mutex", ("go", "tokio", "fiber"), [millions(50)], n=1_000_000,
             tasks=64)]
    yield "semaphore", "acquire and release: ns alone, million a second by 1000 tasks with one permit", [
        Case("semaphore, 1 task", 1, "sync", "semaphore", ("go", "tokio"), [less("ns", "ns")], n=1_000_000),
        Case("semaphore, 1000 tasks", 2, "sync", "semaphore", ("go", "tokio"), [millions(None)], n=1_000_000,
             tasks=1000)]
    yield "rwlock", "1 write in 64 locks, the others read: ns alone, million a second by 8 tasks", [
        Case("rwlock, 1 task", 1, "sync", "rwlock", ("go", "tokio"), [less("ns", "ns")], n=1_000_000),
        Case("rwlock, 8 tasks", 2, "sync", "rwlock", ("go", "tokio"), [millions(None)], n=1_000_000, tasks=8)]
    yield "notify", "wake one: ns a pass between two tasks; wake 1000 at once: ns each", [
        *both("notify ping-pong", "signals", "notify", ("go", "tokio"), "ns", "ns", (None, None), n=200_000),
        Case("notify 1000", 1, "signals", "notify-all", ("go", "tokio"), [less("ns", "ns")], n=1_000_000,
             tasks=1000)]
    yield "latch", "count down 1000 and wait: ns each", [
        Case("latch of 1000", 1, "signals", "latch", ("go",), [less("ns", "ns")], n=1_000_000, tasks=1000)]


def time_and_threads():
    yield "timer", "arm and cancel a timer: ns each", [
        Case("timer", 1, "timer", "arm", ("go", "tokio", "uv"),
             [less("arm_ns", "ns to arm", 25), less("cancel_ns", "ns to cancel", 15)], n=100_000)]
    yield "timeout", "bound a thing in time that is over at once: ns", [
        Case("timeout around a yield", 1, "timer", "timeout", ("go", "tokio"), [less("ns", "ns")], n=50_000)]
    yield "sleep", "one task sleeps 1 ms: us, p50 and p99", [
        Case("sleep(1 ms)", 1, "timer", "sleep", ("go", "tokio", "uv"),
             [less("p50_us", "us p50", 1100), less("p99_us", "us p99", 1300)], n=300, repeat=1, quick_n=100)]
    yield "crowd", "10^6 tasks sleep 0 to 2 s: lateness and CPU time", [
        Case("10^6 sleeps, 0-2 s", 2, "timer", "crowd", ("go", "tokio"),
             [less("p99_ms", "ms late, p99", 5),
              Figure("cpu_s", "s of CPU", "<= 1/3 of theirs", of_peer=1 / 3)],
             n=1_000_000, repeat=1, quick_n=100_000, needs_gb={"go": 6.0})]
    yield "blocking", "to a thread that may block, and back: us", [
        Case("spawn_blocking, there and back", 1, "blocking", "blocking", ("tokio", "uv"),
             [less("us", "us", 3)], n=3000)]


def stuck():
    def case(name, what, hogs, limit, peers=("go",)):
        return Case(name, 2, "stuck", what, peers,
                    [less("p999_ms", "ms late, p99.9", limit), less("p99_ms", "ms late, p99"),
                     less("worst_ms", "ms late, at worst")],
                    n=3000, tasks=hogs, repeat=1, quick_n=1000)

    yield "stuck", "a heart that beats each ms beside tasks that hold their workers for 200 ms: how late; what looking costs", [
        case("beside 2 that spin", "spin", 2, 14),
        case("beside 2 that allocate", "malloc", 2, 14),
        case("beside 2 in a sleep of the kernel", "sleep", 2, 6),
        case("beside 2 in a read", "read", 2, 6),
        case("beside 16 that spin", "spin", 16, 25),
        case("beside 2 that spin, no handoff", "spin-alone", 2, None, ()),
        case("beside 2 in a sleep, no handoff", "sleep-alone", 2, None, ()),
        Case("looks, all workers busy", 2, "stuck", "monitor", (), [less("percent", "% of a CPU", 0.6)],
             n=2000, repeat=1, quick_n=500),
        Case("a plain thread that wakes as often", 2, "stuck", "wakes-alone", (), [less("percent", "% of a CPU")],
             n=2000, repeat=1, quick_n=500)]


def served(name, what, limit, peers, more_figures=(), **more):
    return Case(name, 1, what, what, peers, [Figure("ratio", "of epoll", f">= {limit:g}", limit, more=True),
                                             *more_figures],
                reference="epoll", of="per_cpu_s", **more)


def echoes():
    def case(connections, limit, drivers, spread=None, size=64, **more):
        shown = f"{size} B" if size < 1024 else f"{size // 1024} KiB"
        return served(f"echo {shown}, {connections:,} connections", "echo", limit,
                      ("uring", "go", "tokio", "tokio-current", "asio", "uv"),
                      [less("spread", "p99 / p50", spread)] if spread else [], n=connections, message=size,
                      ours=by_driver(*drivers), **more)

    three = ("weft-epoll", "weft-uring", "weft-poll")
    yield "echo", "TCP echo, 64 B, 64 connections: requests a CPU second, as a ratio to plain epoll in C", [
        case(64, 1.0, three)]
    yield "echo-many", "the same with 1 000 and 10 000 connections, and how even the waits are", [
        case(1000, 1.0, three, 1.6),
        case(10_000, 0.95, three[:2], 1.6, quick_n=2000)]
    yield "echo-16k", "the same with 16 KiB and 64 connections", [case(64, 0.97, three, size=16 * 1024)]


def https():
    body = bytes(ord("a") + i % 26 for i in range(10 * 1024))
    FILE.parent.mkdir(parents=True, exist_ok=True)
    FILE.write_bytes(body)
    yield "http", "HTTP/1.1 hello and a 10 KiB file, 64 connections: the same figure", [
        served("HTTP hello", "http", 0.92, ("go", "tokio", "nginx"), path="/", body=b"Hello, world!"),
        served("HTTP 10 KiB file", "http", 0.9, ("go", "tokio", "nginx", "nginx-cache"), path="/file", body=body)]


def file_reads():
    yield "reads", "4 KiB random reads past the page cache, 64 at once: thousands a second, CPU time each", [
        Case("reads of 4 KiB, 64 at once", 1, "reads", "reads", ("uring-fixed", "threads", "go", "tokio"),
             [less("ratio", "CPU, of uring", 1.25, wants=("weft", "weft-uring")), less("cpu_us", "us of CPU"),
              Figure("per_s", "a second", more=True)],
             n=40_000, tasks=64, repeat=3, quick_n=4000, ours=by_driver("weft-uring", "weft-pool"),
             reference="uring", of="cpu_us")]


NETWORK = (echoes, https, file_reads)


def benches():
    """By name: what it is, and its cases."""
    return {name: (what, cases)
            for group in (fork_join, scheduling, fibers, channels, locks, time_and_threads, stuck, *NETWORK)
            for name, what, cases in group()}


def groups():
    """One word for several of them."""
    return {word: [name for group in members for name, _, _ in group()]
            for word, members in (("sync", (channels, locks)), ("net", NETWORK))}
