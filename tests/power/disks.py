"""Small ext4 disks of their own for the nodes of a cluster: they fill up, and their power fails.

FS_IOC_SHUTDOWN without a log flush is the power cut: what was not synced is gone for good, and
every later write gets EIO. Needs root and loop devices.
"""
import fcntl
import os
import pathlib
import struct
import subprocess
import sys
import tempfile

SHUTDOWN = 0x8004587D  # FS_IOC_SHUTDOWN
NO_LOG_FLUSH = struct.pack("I", 2)
LEFT_BYTES = 512 << 10


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
        self.mounted, self.mounts = False, 0
        self.mount()

    def mount(self):
        """Again: from a copy. Where another process has a mount namespace made meanwhile, the file
        system that was shut down lives on in there, and the same image would get it back."""
        self.mounts += 1
        if self.mounts > 1:
            copy = self.image.with_name(f"{self.mounts}-{self.image.name}")
            run("cp", "--sparse=always", self.image, copy)
            self.image.unlink()
            self.image = copy
        run("mount", "-o", "loop", self.image, self.mount_point)
        self.mounted = True

    def unmount(self):
        if self.mounted:
            run("umount", self.mount_point)
        self.mounted = False

    def repair(self):
        """As an operator does after the file system stopped itself; else it may be read-only again
        when it is mounted."""
        done = subprocess.run(["e2fsck", "-fy", str(self.image)], stdout=subprocess.DEVNULL,
                              stderr=subprocess.PIPE, check=False)
        assert done.returncode in (0, 1), done.stderr

    def cut_power(self):
        folder = os.open(self.mount_point, os.O_RDONLY)
        try:
            fcntl.ioctl(folder, SHUTDOWN, NO_LOG_FLUSH)
        finally:
            os.close(folder)

    def fill(self):
        """Take all free space but for a little, at once: who went on until nothing is left would
        take what the node gives up for itself, too."""
        with open(self.mount_point / "filler", "wb") as f:
            disk = os.statvfs(self.mount_point)
            os.posix_fallocate(f.fileno(), 0, disk.f_bavail * disk.f_frsize - LEFT_BYTES)

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


def main():
    with tempfile.TemporaryDirectory(prefix="disks-") as folder:
        reason = works(pathlib.Path(folder))
    print(reason or "loop mounts work")
    return 1 if reason else 0


if __name__ == "__main__":
    sys.exit(main())
