"""Ports for the servers of a test: free now, and no other test takes them while this one runs."""
import os
import socket

BLOCK = 20  # a cluster's client ports are base.., its quorum ports base+1000..
LOCKS = []  # held until the process ends


def _reserve(base):
    """An abstract socket's name is the lock: the kernel gives it up with the process."""
    lock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        lock.bind(f"\0millrace-test-ports-{base}")
    except OSError:
        lock.close()
        return None
    return lock


def is_free(port):
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind(("127.0.0.1", port))
            sock.listen(1)
        except OSError:
            return False
    return True


def port_block():
    """The first port of a block; all below the ports that the kernel gives to clients."""
    bases = [even + block for even in range(10000, 30000, 2000) for block in range(0, 1000, BLOCK)]
    first = os.getpid() % len(bases)
    for base in bases[first:] + bases[:first]:
        lock = _reserve(base)
        if lock is None:
            continue
        ports = range(base, base + BLOCK)
        if all(is_free(p) and is_free(p + 1000) for p in ports):
            LOCKS.append(lock)
            return base
        lock.close()
    raise RuntimeError("no free ports")
