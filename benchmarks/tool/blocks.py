"""blocks: the files that are read at random. Block b of 4 KiB begins with mixed(b), so that a wrong one shows."""
import os
import shutil
import struct

from common import BLOCKS, Unavailable, say

BLOCK = 4096
SIZE, SIZE_QUICK = 1 << 30, 1 << 26
PIECE = 1 << 20
MASK = (1 << 64) - 1


def mixed(i):
    """The same as in every program."""
    z = (i + 1) * 0x9E3779B97F4A7C15 & MASK
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 & MASK
    z = (z ^ z >> 27) * 0x94D049BB133111EB & MASK
    return z ^ z >> 31


def blocks_file(quick):
    """The path of the file, which is made where it is not there yet. Written out: what a disk never got it
    may answer without a look."""
    size = SIZE_QUICK if quick else SIZE
    path = BLOCKS / ("quick" if quick else "file")
    if path.exists() and path.stat().st_size == size:
        return path
    BLOCKS.mkdir(parents=True, exist_ok=True)
    if shutil.disk_usage(BLOCKS).free < 2 * size:
        raise Unavailable(f"{BLOCKS} has no room for a file of {size >> 20} MiB")
    say(f"bench: writing {size >> 20} MiB to read from, to {path}")
    unfinished = path.with_suffix(".new")
    with open(unfinished, "wb") as file:
        for first in range(0, size // BLOCK, PIECE // BLOCK):
            # Not zeros: a disk may keep those elsewhere, or nowhere.
            file.write(b"".join(struct.pack("<Q", mixed(b)) * (BLOCK // 8)
                                for b in range(first, first + PIECE // BLOCK)))
        file.flush()
        os.fsync(file.fileno())
    unfinished.rename(path)
    return path
