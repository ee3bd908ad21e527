# heap: 2048k
"""What writes files, once more, on the file systems of boards: littlefs, and FAT as on an SD card, both in RAM here.

There a second reader of a file sees what the writer has synced and no more, a folder cannot be opened, and a full
medium tells itself in other ways.
"""

from again import MICROPYTHON, again

from run import Skip

BLOCK = 4096

try:
    import vfs
except ImportError:
    vfs = None


class Ram:
    """A block device that forgets."""

    def __init__(self, block, count):
        self.block = block
        self.count = count
        self.data = bytearray(block * count)

    def readblocks(self, n, buffer, offset=0):
        start = n * self.block + offset
        buffer[:] = self.data[start : start + len(buffer)]

    def writeblocks(self, n, buffer, offset=0):
        start = n * self.block + offset
        self.data[start : start + len(buffer)] = buffer

    def ioctl(self, request, argument):
        return {4: self.count, 5: self.block}.get(request, 0)


def on(kind, name):
    """Run that file's tests with such a file system at /tmp."""
    if not MICROPYTHON or not hasattr(vfs, kind):
        raise Skip("no %s here" % kind)
    device = Ram(512, 1024) if kind == "VfsFat" else Ram(BLOCK, 128)
    getattr(vfs, kind).mkfs(device)
    vfs.mount(getattr(vfs, kind)(device), "/tmp")
    try:
        again(name)
    finally:
        vfs.umount("/tmp")


def test_the_log_on_littlefs():
    on("VfsLfs2", "test_log")


def test_the_log_on_fat():
    on("VfsFat", "test_log")


def test_an_outbox_in_ram_and_segments_on_littlefs():
    on("VfsLfs2", "test_ram_first")


def test_an_outbox_in_ram_and_segments_on_fat():
    on("VfsFat", "test_ram_first")
