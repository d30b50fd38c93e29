"""machine: what we run on, and how much of it others use while we measure."""
import ctypes
import os
import platform
import resource
import time
from pathlib import Path

from common import Unavailable

TICKS = os.sysconf("SC_CLK_TCK")


def busy_s():
    """What all cores have worked so far. User includes guest; idle and iowait are no work."""
    field = [int(x) for x in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]]
    user, nice, system, _, _, irq, softirq, steal = field[:8]
    return (user + nice + system + irq + softirq + steal) / TICKS


def children_s():
    usage = os.times()
    return usage.children_user + usage.children_system


class foreign:
    """How much of a core others used between begin and end: the machine's work less ours."""

    def __enter__(self):
        self.wall, self.busy, self.own, self.more = time.monotonic(), busy_s(), children_s(), 0.0
        return self

    def __exit__(self, *_):
        wall = max(time.monotonic() - self.wall, 1e-3)
        ours = children_s() - self.own + self.more
        self.share = max(0.0, (busy_s() - self.busy - ours) / wall)


def pinned(core):
    if core is None:
        return None
    return lambda: os.sched_setaffinity(0, {core})


_libc = ctypes.CDLL(None, use_errno=True)


def cpu_s(pid):
    """The CPU time of a process and all its threads, ended ones too, in full resolution."""
    clock = ctypes.c_int()
    if _libc.clock_getcpuclockid(pid, ctypes.byref(clock)) != 0:
        raise Unavailable("the CPU clock of the server cannot be read")
    return time.clock_gettime(clock.value)


def machine():
    cpu = "unknown"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith(("model name", "Model")):
            cpu = line.split(":", 1)[1].strip()
            break
    return {"cpu": cpu, "cores": len(os.sched_getaffinity(0)), "kernel": platform.release(),
            "load_average": os.getloadavg()[0]}


def dropped_packets():
    """What the kernel's queues of received packets (netdev_max_backlog) had no room for so far."""
    try:
        return sum(int(line.split()[1], 16) for line in Path("/proc/net/softnet_stat").read_text().splitlines())
    except (OSError, ValueError, IndexError):
        return 0


def descriptors_max():
    """Raises what this process and its children may open to what it is allowed to, and says it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    enough = hard if hard != resource.RLIM_INFINITY else 1 << 20
    resource.setrlimit(resource.RLIMIT_NOFILE, (enough, hard))
    return enough


def disk(path):
    """The device and the file system that something lies on."""
    number = os.stat(path).st_dev
    device = Path(f"/sys/dev/block/{os.major(number)}:{os.minor(number)}").resolve()
    whole = device if (device / "queue").exists() else device.parent  # a partition has none of its own

    def said(name):
        try:
            return (whole / name).read_text().strip()
        except OSError:
            return ""
    mounts = [line.split() for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    kind = next((m[m.index("-") + 1] for m in mounts if m[2] == f"{os.major(number)}:{os.minor(number)}"), "unknown")
    try:
        driver = (whole / "device" / "driver").resolve(strict=True).name
    except OSError:
        driver = "no driver"
    turns = {"0": ", not rotational", "1": ", says that it is rotational"}.get(said("queue/rotational"), "")
    model = said("device/model")
    return f"{kind} on {device.name} ({driver}{', ' + model if model else ''}{turns})"


def available_gb():
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) / 1e6
    return 0.0
