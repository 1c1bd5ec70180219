#!/usr/bin/env python3
"""A FUSE file system that passes a directory through, and hangs or slows down when told to.

usage: hanging_fs.py [--trace] BACKING MOUNTPOINT [BACKING MOUNTPOINT ...]

Prints `ready` once all are mounted, then answers each line of its standard input with one line. A MOUNT
is a number from 0, in the order of the command line, or `all` where that makes sense:

    hang MOUNT|all KIND...      park the requests of these kinds from now on: lookup, open (also opendir
                                and create), read, getattr, readdir, readlink, or all (not release)
    slow MOUNT|all MILLISECONDS answer each request only after so long, one after the other
    release MOUNT|all           answer what is parked, from the files as they are now; end hang and slow
    waiting MOUNT               how many requests are parked
    wait MOUNT COUNT            `ok` once so many are parked, or `timeout` after 20 s
    count MOUNT                 how many requests came so far (those that are answered)
    quit                        end; `ok` once all mounts are gone

At `quit`, at the end of the input or of the parent, and at SIGTERM, SIGINT and SIGHUP, it closes the
connections, which fails the parked requests with ECONNABORTED or ENOTCONN, and takes the mounts away.
Nothing is cached: the kernel asks each time. No permissions are checked: every user may do on a mount what
this process may do. A parked request outlives its caller's signals, unless they kill the caller.

Exits 77 where the machine does not let it mount. BACKING must not be on one of the mounts.
With --trace, writes each request to standard error.
"""

from __future__ import annotations

import ctypes
import errno
import os
import resource
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

# linux/fuse.h. Its structures have no padding that they do not name.
IN_HEADER = struct.Struct("=IIQQIIIHH")  # len opcode unique nodeid uid gid pid total_extlen padding
OUT_HEADER = struct.Struct("=IiQ")  # len error unique
ATTR = struct.Struct("=6Q10I")
ENTRY_OUT = struct.Struct("=4Q2I")  # nodeid generation, then timeouts of 0; fuse_attr follows
ATTR_OUT = struct.Struct("=Q2I")  # a timeout of 0; fuse_attr follows
INIT_OUT = struct.Struct("=4I2H2I2H8I")
SETATTR_IN = struct.Struct("=2I6Q8I")
OPEN_OUT = struct.Struct("=Q2I")  # fh open_flags padding
TRANSFER_IN = struct.Struct("=2Q2IQ2I")  # fuse_read_in, fuse_write_in: fh offset size ...
STATFS_OUT = struct.Struct("=5Q10I")
DIRENT = struct.Struct("=2Q2I")  # ino off namelen type; the name follows, padded to 8 bytes

ROOT = 1
MAX_WRITE = 128 * 1024
READ_BUFFER = MAX_WRITE + 4096
FUSE_PARALLEL_DIROPS = 1 << 18  # or else one parked lookup blocks its whole directory in the kernel
FOPEN_DIRECT_IO = 1
FATTR_MODE, FATTR_UID, FATTR_GID, FATTR_SIZE, FATTR_ATIME, FATTR_MTIME = (1 << bit for bit in range(6))
FATTR_ATIME_NOW, FATTR_MTIME_NOW = 1 << 7, 1 << 8

MS_NOSUID, MS_NODEV, MNT_DETACH = 2, 4, 2
DT_UNKNOWN, DT_DIR, DT_REG, DT_LNK = 0, 4, 8, 10
PATIENCE = 20.0  # seconds
NOT_TESTED = 77

Op = IntEnum("Op", {
    "LOOKUP": 1, "FORGET": 2, "GETATTR": 3, "SETATTR": 4, "READLINK": 5, "SYMLINK": 6, "MKDIR": 9, "UNLINK": 10,
    "RMDIR": 11, "RENAME": 12, "OPEN": 14, "READ": 15, "WRITE": 16, "STATFS": 17, "RELEASE": 18, "GETXATTR": 22,
    "FLUSH": 25, "INIT": 26, "OPENDIR": 27, "READDIR": 28, "RELEASEDIR": 29, "ACCESS": 34, "CREATE": 35,
    "INTERRUPT": 36, "DESTROY": 38, "BATCH_FORGET": 42, "RENAME2": 45,
})  # all others get ENOSYS, as GETXATTR does, and the kernel does without them
KINDS = {
    "lookup": {Op.LOOKUP}, "open": {Op.OPEN, Op.OPENDIR, Op.CREATE}, "read": {Op.READ}, "getattr": {Op.GETATTR},
    "readdir": {Op.READDIR}, "readlink": {Op.READLINK},
    "all": set(range(1, 100)) - {Op.RELEASE, Op.RELEASEDIR, Op.DESTROY},
}

PARENT = os.getppid()
libc = ctypes.CDLL(None, use_errno=True)


class NotPossible(Exception):
    """The machine does not let this program mount."""


def check(result: int) -> None:
    """Raise what a function of libc left in errno."""
    if result != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


@dataclass
class Request:
    op: int
    unique: int
    node: int
    uid: int
    gid: int
    thread: int  # 0 for one of another PID namespace
    body: bytes
    interrupted: bool = False

    @classmethod
    def parse(cls, data: bytes) -> Request:
        length, op, unique, node, uid, gid, thread, _, _ = IN_HEADER.unpack_from(data)
        return cls(op, unique, node, uid, gid, thread, data[IN_HEADER.size:length])

    def fields(self, layout: str) -> tuple:
        """What the body begins with."""
        return struct.unpack_from("=" + layout, self.body)

    def names(self, after: int = 0) -> list[bytes]:
        """The strings at the end of the body."""
        return self.body[after:].split(b"\0")[:-1]

    def caller_is_dying(self) -> bool:
        """Whether the caller was sent SIGKILL, which a fatal signal of any kind ends in."""
        try:
            with open(f"/proc/{self.thread}/status") as status:
                pending = [line.split()[1] for line in status if line.startswith(("SigPnd", "ShdPnd"))]
        except (FileNotFoundError, ProcessLookupError):
            return True
        return any(int(mask, 16) & 1 << signal.SIGKILL - 1 for mask in pending)


@dataclass
class Node:
    """A file that the kernel knows: held open, so that it keeps its number when it is renamed."""

    fd: int
    lookups: int

    @property
    def path(self) -> str:
        return f"/proc/self/fd/{self.fd}"


def file_type(entry: os.DirEntry) -> int:
    """What readdir says of an entry, without asking for its attributes: it may be gone."""
    if entry.is_symlink():
        return DT_LNK
    if entry.is_dir():
        return DT_DIR
    return DT_REG if entry.is_file() else DT_UNKNOWN


class Tree:
    """The files of a directory, as FUSE asks for them: each `do_` method returns the answer's body."""

    def __init__(self, backing: str):
        self.lock = threading.Lock()  # of all below, and taken for each request
        self.nodes = {ROOT: Node(os.open(backing, os.O_PATH | os.O_DIRECTORY), 1)}
        self.numbers: dict[tuple[int, int], int] = {}  # by device and inode
        self.listings: dict[int, list[bytes]] = {}
        self.next = ROOT + 1

    def carry_out(self, request: Request) -> bytes:
        try:
            perform = getattr(self, f"do_{Op(request.op).name.lower()}")
        except (ValueError, AttributeError):
            raise OSError(errno.ENOSYS, "not served") from None
        with self.lock:
            return perform(request)

    def fd(self, request: Request) -> int:
        return self.nodes[request.node].fd

    def new_number(self) -> int:
        self.next += 1
        return self.next - 1

    @staticmethod
    def attributes(fd: int) -> bytes:
        stat = os.fstat(fd)
        times = [divmod(ns, 10**9) for ns in (stat.st_atime_ns, stat.st_mtime_ns, stat.st_ctime_ns)]
        return ATTR.pack(
            stat.st_ino, stat.st_size, stat.st_blocks, *(seconds % 2**64 for seconds, _ in times),
            *(rest for _, rest in times), stat.st_mode, stat.st_nlink, stat.st_uid, stat.st_gid,
            stat.st_rdev % 2**32, stat.st_blksize, 0)

    def entry(self, request: Request, name: bytes) -> bytes:
        """The answer that makes a name known to the kernel."""
        fd = os.open(name, os.O_PATH | os.O_NOFOLLOW, dir_fd=self.fd(request))
        stat = os.fstat(fd)
        number = self.numbers.setdefault((stat.st_dev, stat.st_ino), self.next)
        if number in self.nodes:
            os.close(fd)
        else:
            self.nodes[self.new_number()] = Node(fd, 0)
        node = self.nodes[number]
        node.lookups += 1
        return ENTRY_OUT.pack(number, 0, 0, 0, 0, 0) + self.attributes(node.fd)

    def made(self, request: Request, name: bytes) -> bytes:
        """The answer for a new file, which becomes the caller's."""
        os.chown(name, request.uid, request.gid, dir_fd=self.fd(request), follow_symlinks=False)
        return self.entry(request, name)

    def forget(self, number: int, lookups: int) -> None:
        with self.lock:
            node = self.nodes[number]
            node.lookups -= lookups
            if node.lookups <= 0 and number != ROOT:
                stat = os.fstat(node.fd)
                del self.nodes[number], self.numbers[stat.st_dev, stat.st_ino]
                os.close(node.fd)

    def do_lookup(self, request: Request) -> bytes:
        return self.entry(request, request.names()[0])

    def do_getattr(self, request: Request) -> bytes:
        return ATTR_OUT.pack(0, 0, 0) + self.attributes(self.fd(request))

    def do_setattr(self, request: Request) -> bytes:
        (valid, _, _, size, _, atime, mtime, _, atime_rest, mtime_rest, _, mode, _, uid, gid,
         _) = SETATTR_IN.unpack_from(request.body)
        path = self.nodes[request.node].path
        if valid & (FATTR_UID | FATTR_GID):
            os.chown(path, uid if valid & FATTR_UID else -1, gid if valid & FATTR_GID else -1)
        if valid & FATTR_MODE:
            os.chmod(path, mode & 0o7777)
        if valid & FATTR_SIZE:
            os.truncate(path, size)
        if valid & (FATTR_ATIME | FATTR_MTIME):
            now, stat = time.time_ns(), os.fstat(self.fd(request))
            accessed = now if valid & FATTR_ATIME_NOW else atime * 10**9 + atime_rest
            modified = now if valid & FATTR_MTIME_NOW else mtime * 10**9 + mtime_rest
            os.utime(path, ns=(accessed if valid & FATTR_ATIME else stat.st_atime_ns,
                               modified if valid & FATTR_MTIME else stat.st_mtime_ns))
        return self.do_getattr(request)

    def do_readlink(self, request: Request) -> bytes:
        return os.readlink(b"", dir_fd=self.fd(request))

    def do_symlink(self, request: Request) -> bytes:
        name, target = request.names()
        os.symlink(target, name, dir_fd=self.fd(request))
        return self.made(request, name)

    def do_mkdir(self, request: Request) -> bytes:
        mode, _ = request.fields("2I")
        name = request.names(after=8)[0]
        os.mkdir(name, mode, dir_fd=self.fd(request))
        return self.made(request, name)

    def do_unlink(self, request: Request) -> bytes:
        os.unlink(request.names()[0], dir_fd=self.fd(request))
        return b""

    def do_rmdir(self, request: Request) -> bytes:
        os.rmdir(request.names()[0], dir_fd=self.fd(request))
        return b""

    def do_rename(self, request: Request) -> bytes:
        directory, = request.fields("Q")
        old, new = request.names(after=8)
        os.rename(old, new, src_dir_fd=self.fd(request), dst_dir_fd=self.nodes[directory].fd)
        return b""

    def do_rename2(self, request: Request) -> bytes:
        directory, flags, _ = request.fields("Q2I")
        old, new = request.names(after=16)
        check(libc.renameat2(self.fd(request), old, self.nodes[directory].fd, new, flags))
        return b""

    def do_open(self, request: Request) -> bytes:
        flags = request.fields("2I")[0] & ~(os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_DIRECT)
        return OPEN_OUT.pack(os.open(self.nodes[request.node].path, flags), FOPEN_DIRECT_IO, 0)

    def do_create(self, request: Request) -> bytes:
        flags, mode, _, _ = request.fields("4I")
        name = request.names(after=16)[0]
        flags = flags & ~os.O_DIRECT | os.O_CREAT | os.O_NOFOLLOW
        fd = os.open(name, flags, mode & 0o7777, dir_fd=self.fd(request))
        return self.made(request, name) + OPEN_OUT.pack(fd, FOPEN_DIRECT_IO, 0)

    def do_read(self, request: Request) -> bytes:
        fd, offset, size, *_ = TRANSFER_IN.unpack_from(request.body)
        return os.pread(fd, size, offset)

    def do_write(self, request: Request) -> bytes:
        fd, offset, size, *_ = TRANSFER_IN.unpack_from(request.body)
        data = request.body[TRANSFER_IN.size:TRANSFER_IN.size + size]
        return struct.pack("=2I", os.pwrite(fd, data, offset), 0)

    def do_nothing(self, _request: Request) -> bytes:
        return b""

    do_access = do_destroy = do_flush = do_nothing

    def do_release(self, request: Request) -> bytes:
        os.close(request.fields("Q")[0])
        return b""

    def do_opendir(self, _request: Request) -> bytes:
        number = self.new_number()
        self.listings[number] = []
        return OPEN_OUT.pack(number, 0, 0)

    def do_readdir(self, request: Request) -> bytes:
        number, offset, size, *_ = TRANSFER_IN.unpack_from(request.body)
        if offset == 0:
            self.listings[number] = self.listing(self.nodes[request.node])
        answer = b""
        for entry in self.listings[number][offset:]:
            if len(answer) + len(entry) > size:
                break
            answer += entry
        return answer

    @staticmethod
    def listing(node: Node) -> list[bytes]:
        """A directory's entries as FUSE has them, each with the offset of the next one."""
        with os.scandir(os.fsencode(node.path)) as found:
            # The kernel finds the numbers of `.` and `..` out for itself if it needs them.
            rows = [(1, DT_DIR, b"."), (1, DT_DIR, b"..")]
            for entry in found:
                rows.append((entry.inode(), file_type(entry), entry.name))
        return [DIRENT.pack(inode, offset, len(name), kind) + name + bytes(-len(name) % 8)
                for offset, (inode, kind, name) in enumerate(rows, 1)]

    def do_releasedir(self, request: Request) -> bytes:
        del self.listings[request.fields("Q")[0]]
        return b""

    def do_statfs(self, request: Request) -> bytes:
        stat = os.statvfs(self.nodes[request.node].path)
        return STATFS_OUT.pack(stat.f_blocks, stat.f_bfree, stat.f_bavail, stat.f_files, stat.f_ffree,
                               stat.f_bsize, stat.f_namemax, stat.f_frsize, *[0] * 7)


class Mount:
    """One mount, with the thread that serves it."""

    def __init__(self, index: int, backing: str, mountpoint: str, stop: int, trace: bool):
        self.index, self.stop, self.trace = index, stop, trace
        self.mountpoint = os.path.abspath(mountpoint)
        self.tree = Tree(backing)
        self.state = threading.Condition()  # of the three that follow: what the commands change
        self.hanging: set[int] = set()
        self.delay = 0.0  # seconds
        self.parked: list[Request] = []
        self.count = 0  # of requests
        self.device, self.by_helper = attach(self.mountpoint)
        self.thread = threading.Thread(target=self.serve, daemon=True)

    def start(self) -> None:
        """Answer the kernel's INIT, and then all that follows it in the background."""
        select.select([self.device], [], [])
        request = Request.parse(os.read(self.device, READ_BUFFER))
        major, minor, readahead, offered = request.fields("4I")
        if request.op != Op.INIT or major != 7 or minor < 23:
            raise NotPossible(f"the kernel speaks FUSE {major}.{minor}")
        self.reply(request, body=INIT_OUT.pack(
            7, min(minor, 31), readahead, offered & FUSE_PARALLEL_DIROPS, 64, 48, MAX_WRITE, 1, *[0] * 10))
        self.thread.start()

    def serve(self) -> None:
        poll = select.poll()
        poll.register(self.device, select.POLLIN)
        poll.register(self.stop, 0)
        while self.stop not in dict(poll.poll(self.fail_the_dying())):
            try:
                data = os.read(self.device, READ_BUFFER)
            except OSError as error:
                if error.errno == errno.ENODEV:  # unmounted by someone else
                    break
                if error.errno not in (errno.EAGAIN, errno.ENOENT):  # the caller gave up before
                    raise
            else:
                self.take(Request.parse(data))

    def take(self, request: Request) -> None:
        if self.trace:
            self.show(request)
        if request.op == Op.FORGET:
            self.tree.forget(request.node, *request.fields("Q"))
        elif request.op == Op.BATCH_FORGET:
            for number, lookups in struct.iter_unpack("=2Q", request.body[8:]):
                self.tree.forget(number, lookups)
        elif request.op == Op.INTERRUPT:
            self.interrupt(*request.fields("Q"))
        elif not self.park(request):
            self.answer(request)

    def park(self, request: Request) -> bool:
        """Keep the request for later if its kind hangs; else wait as long as the mount is slow."""
        with self.state:
            self.count += 1
            if request.op in self.hanging:
                self.parked.append(request)
                self.state.notify_all()
                return True
            if self.delay:
                self.state.wait_for(lambda: self.delay == 0, self.delay)
            return False

    def interrupt(self, unique: int) -> None:
        """Note that the caller has a signal; the kernel says so once, at the first one."""
        with self.state:
            for request in self.parked:
                request.interrupted |= request.unique == unique

    def fail_the_dying(self) -> int | None:
        """Let those callers go that are being killed; returns when to look again, in milliseconds."""
        with self.state:
            dying = [request for request in self.parked if request.interrupted and request.caller_is_dying()]
            self.parked = [request for request in self.parked if request not in dying]
            again = 100 if any(request.interrupted for request in self.parked) else None
        for request in dying:
            self.reply(request, code=errno.EINTR)
        return again

    def answer(self, request: Request) -> None:
        try:
            body = self.tree.carry_out(request)
        except OSError as error:
            self.reply(request, code=error.errno or errno.EIO)
        else:
            self.reply(request, body=body)

    def reply(self, request: Request, code: int = 0, body: bytes = b"") -> None:
        try:
            os.write(self.device, OUT_HEADER.pack(OUT_HEADER.size + len(body), -code, request.unique) + body)
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ENODEV, errno.EPERM):  # the connection was aborted
                raise

    def show(self, request: Request) -> None:
        op = Op(request.op).name if request.op in set(Op) else request.op
        name = request.names()[0].decode() if request.op in (Op.LOOKUP, Op.UNLINK, Op.RMDIR) else ""
        print(self.index, op, f"node={request.node} thread={request.thread}", name, file=sys.stderr, flush=True)

    def release(self) -> None:
        with self.state:
            parked, self.parked = self.parked, []
            self.hanging, self.delay = set(), 0.0
            self.state.notify_all()
        for request in parked:
            self.answer(request)

    def end(self) -> None:
        """Close the connection, which aborts what is parked, and unmount. The stop pipe is closed."""
        with self.state:
            self.delay = 0.0
            self.state.notify_all()
        if self.thread.ident is not None:
            self.thread.join(PATIENCE)
        os.close(self.device)
        if self.by_helper:
            subprocess.run(["fusermount3", "-u", "-z", "-q", "--", self.mountpoint], check=False)
        else:
            libc.umount2(os.fsencode(self.mountpoint), MNT_DETACH)


def attach(mountpoint: str) -> tuple[int, bool]:
    """Mount there; returns the connection, and whether it took fusermount3."""
    try:
        return attach_by_call(mountpoint), False
    except OSError as error:
        if error.errno in (errno.EPERM, errno.EACCES):
            return attach_by_helper(mountpoint), True
        if error.errno == errno.ENODEV:
            raise NotPossible("the kernel has no FUSE") from error
        raise


def attach_by_call(mountpoint: str) -> int:
    """Mount with mount(2)."""
    try:
        device = os.open("/dev/fuse", os.O_RDWR | os.O_NONBLOCK)
    except FileNotFoundError as error:
        raise NotPossible("there is no /dev/fuse") from error
    options = f"fd={device},rootmode=40000,user_id={os.geteuid()},group_id={os.getegid()},allow_other"
    flags = ctypes.c_ulong(MS_NOSUID | MS_NODEV)
    try:
        check(libc.mount(b"hanging_fs", os.fsencode(mountpoint), b"fuse.hanging_fs", flags, options.encode()))
    except OSError:
        os.close(device)
        raise
    return device


def attach_by_helper(mountpoint: str) -> int:
    """Mount as any user can, with fusermount3, which passes the connection through a socket."""
    if shutil.which("fusermount3") is None:
        raise NotPossible("no permission to mount (CAP_SYS_ADMIN), and there is no fusermount3")
    ours, theirs = socket.socketpair()
    with ours, theirs:
        done = subprocess.run(
            ["fusermount3", "-o", "nosuid,nodev,fsname=hanging_fs,subtype=hanging_fs", "--", mountpoint],
            env={**os.environ, "_FUSE_COMMFD": str(theirs.fileno())}, pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise NotPossible(f"no permission to mount (CAP_SYS_ADMIN), and {' '.join(done.stderr.split())}")
        _, devices, _, _ = socket.recv_fds(ours, 1, 1)
    os.set_blocking(devices[0], False)
    return devices[0]


def wait(mount: Mount, count: int) -> str:
    """Wait until so many requests are parked, but not for longer than somebody is there to be told."""
    hang_up = select.poll()
    hang_up.register(sys.stdin, 0)
    deadline = time.monotonic() + PATIENCE
    with mount.state:
        while not mount.state.wait_for(lambda: len(mount.parked) >= count, 0.1):
            if time.monotonic() > deadline or hang_up.poll(0) or os.getppid() != PARENT:
                return "timeout"
    return "ok"


def obey(mounts: list[Mount], words: list[str]) -> str:
    """Do what a line says; returns the answer."""
    match words:
        case ["hang", which, *kinds] if kinds:
            for mount in chosen(mounts, which):
                mount.hanging = mount.hanging.union(*(KINDS[kind] for kind in kinds))
        case ["slow", which, milliseconds]:
            for mount in chosen(mounts, which):
                mount.delay = int(milliseconds) / 1000
        case ["release", which]:
            for mount in chosen(mounts, which):
                mount.release()
        case ["waiting", which]:
            return str(len(mounts[int(which)].parked))
        case ["wait", which, count]:
            return wait(mounts[int(which)], int(count))
        case ["count", which]:
            return str(mounts[int(which)].count)
        case _:
            return f"error: no such command: {' '.join(words)}"
    return "ok"


def chosen(mounts: list[Mount], which: str) -> list[Mount]:
    return mounts if which == "all" else [mounts[int(which)]]


def lines() -> Iterator[str]:
    """The lines of the input until it ends, or the parent does: one that hangs may hold the input open."""
    rest = b""
    while os.getppid() == PARENT:
        if select.select([sys.stdin], [], [], 0.5)[0]:
            read = os.read(sys.stdin.fileno(), 4096)
            if not read:
                return
            *whole, rest = (rest + read).split(b"\n")
            yield from (line.decode() for line in whole)


def converse(mounts: list[Mount]) -> bool:
    """Obey the input; returns whether it ended with `quit`, which is still to be answered."""
    os.write(1, b"ready\n")
    for line in lines():
        words = line.split()
        if words == ["quit"]:
            return True
        try:
            answer = obey(mounts, words)
        except (ValueError, IndexError, KeyError) as error:
            answer = f"error: {error!r}"
        os.write(1, answer.encode() + b"\n")
    return False


def end_all(mistake: threading.ExceptHookArgs) -> None:
    """End when a thread fails, rather than leave its callers waiting."""
    sys.excepthook(mistake.exc_type, mistake.exc_value, mistake.exc_traceback)
    os.kill(os.getpid(), signal.SIGTERM)


def serve(pairs: list[tuple[str, str]], trace: bool) -> None:
    """Mount all, serve them until told to end, and take all away."""
    ending = signal.SIGTERM, signal.SIGINT, signal.SIGHUP
    # Blocked in the threads, so that they interrupt the wait for a line; and while there is a mount to lose.
    signal.pthread_sigmask(signal.SIG_BLOCK, ending)
    for number in ending:
        signal.signal(number, lambda *_: sys.exit(0))
    threading.excepthook = end_all
    stop, stopper = os.pipe()
    mounts: list[Mount] = []
    quitting = False
    try:
        for index, (backing, mountpoint) in enumerate(pairs):
            mounts.append(Mount(index, backing, mountpoint, stop, trace))
            mounts[-1].start()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, ending)
        quitting = converse(mounts)
    except BrokenPipeError:  # nobody reads the answers
        pass
    finally:
        signal.pthread_sigmask(signal.SIG_BLOCK, ending)
        os.close(stopper)
        for mount in reversed(mounts):
            mount.end()
    if quitting:
        os.write(1, b"ok\n")


def main() -> None:
    paths = sys.argv[1:]
    trace = paths[:1] == ["--trace"]
    paths = paths[trace:]
    if not paths or len(paths) % 2:
        sys.exit("usage: hanging_fs.py [--trace] BACKING MOUNTPOINT [BACKING MOUNTPOINT ...]")
    os.umask(0)  # the kernel applied the caller's
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    try:
        serve(list(zip(paths[::2], paths[1::2])), trace)
    except NotPossible as error:
        print(f"NOT TESTED: hanging_fs.py: {error}", file=sys.stderr)
        sys.exit(NOT_TESTED)
    except OSError as error:
        sys.exit(f"hanging_fs.py: {error}")


if __name__ == "__main__":
    main()
