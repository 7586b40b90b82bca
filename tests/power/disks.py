"""Small ext4 disks of their own for the nodes of a cluster: they fill up, and their power fails.

FS_IOC_SHUTDOWN without a log flush is the power cut: what was not synced is gone for good, and
every later write gets EIO. Needs root and loop devices.
"""
import fcntl
import os
import pathlib
import struct
import subprocess

SHUTDOWN = 0x8004587D  # FS_IOC_SHUTDOWN
NO_LOG_FLUSH = struct.pack("I", 2)


def run(*words):
    subprocess.run([str(w) for w in words], check=True, stdout=subprocess.DEVNULL,
                   stderr=subprocess.PIPE)


class Disk:
    def __init__(self, image, mount_point, size_mb):
        self.image, self.mount_point = pathlib.Path(image), pathlib.Path(mount_point)
        self.mount_point.mkdir(parents=True)
        with open(self.image, "wb") as f:
            f.truncate(size_mb << 20)
        run("mkfs.ext4", "-q", "-m", "0", self.image)
        self.mounted = False
        self.mount()

    def mount(self):
        run("mount", "-o", "loop", self.image, self.mount_point)
        self.mounted = True

    def unmount(self):
        if self.mounted:
            run("umount", self.mount_point)
        self.mounted = False

    def cut_power(self):
        folder = os.open(self.mount_point, os.O_RDONLY)
        try:
            fcntl.ioctl(folder, SHUTDOWN, NO_LOG_FLUSH)
        finally:
            os.close(folder)

    def fill(self):
        """Take all free space."""
        with open(self.mount_point / "filler", "wb", buffering=0) as f:
            block = b"x" * (1 << 20)
            while block:
                try:
                    f.write(block)
                except OSError:
                    block = block[:len(block) // 4]

    def make_room(self):
        (self.mount_point / "filler").unlink()


def works(folder):
    """Can this machine do it? Else why not."""
    if os.geteuid() != 0:
        return "not root"
    try:
        disk = Disk(folder / "probe.img", folder / "probe", 16)
        disk.cut_power()
        disk.unmount()
    except (OSError, subprocess.CalledProcessError) as e:
        return f"no loop mounts: {e}"
    return None
