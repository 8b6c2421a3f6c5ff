"""A filter of system calls, as a BPF program that the kernel takes; no library is needed.

It denies what a training job never needs and what has been a way out of sandboxes before: mounts,
namespaces, tracing, clocks, kernel modules, keyrings, io_uring, set-uid files. Denied calls fail,
they do not kill, for libraries ask what is there. It knows x86_64 and aarch64; calls by another
convention (32-bit programs, x32) fail altogether.
"""

from __future__ import annotations

import errno
import platform
import struct
from collections.abc import Sequence

__all__ = ["supported", "syscalls_filter"]

_ARCHITECTURES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}
"""Column in the tables below, and what the kernel calls it (``AUDIT_ARCH_*``)."""

_X32 = 0x40000000

# fmt: off
_DENIED: dict[str, tuple[int | None, int | None]] = {
    # Mounts, and files by handles or behind the path's permissions.
    "mount": (165, 40), "umount2": (166, 39), "pivot_root": (155, 41), "chroot": (161, 51),
    "fsopen": (430, 430), "fsconfig": (431, 431), "fsmount": (432, 432), "fspick": (433, 433),
    "move_mount": (429, 429), "open_tree": (428, 428), "mount_setattr": (442, 442),
    "open_by_handle_at": (304, 265), "name_to_handle_at": (303, 264), "quotactl": (179, 60),
    "quotactl_fd": (443, 443), "fanotify_init": (300, 262), "swapon": (167, 224),
    "swapoff": (168, 225), "acct": (163, 89), "nfsservctl": (180, 42),
    # Other processes.
    "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271),
    "pidfd_getfd": (438, 438), "kcmp": (312, 272), "unshare": (272, 97), "setns": (308, 268),
    # Clocks and names of the machine.
    "clock_settime": (227, 112), "clock_adjtime": (305, 266), "settimeofday": (164, 170),
    "adjtimex": (159, 171), "sethostname": (170, 161), "setdomainname": (171, 162),
    # The kernel itself, and parts of it with a history.
    "init_module": (175, 105), "finit_module": (313, 273), "delete_module": (176, 106),
    "kexec_load": (246, 104), "kexec_file_load": (320, 294), "reboot": (169, 142),
    "syslog": (103, 116), "bpf": (321, 280), "userfaultfd": (323, 282),
    "perf_event_open": (298, 241), "lookup_dcookie": (212, 18), "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426), "io_uring_register": (427, 427), "keyctl": (250, 219),
    "add_key": (248, 217), "request_key": (249, 218), "iopl": (172, None), "ioperm": (173, None),
    "modify_ldt": (154, None), "uselib": (134, None), "vhangup": (153, 58),
}
_SHARED_MEMORY: dict[str, tuple[int | None, int | None]] = {
    # System V and POSIX objects that all processes of the host share where there is no namespace.
    "shmget": (29, 194), "shmat": (30, 196), "shmctl": (31, 195), "semget": (64, 190),
    "semop": (65, 193), "semctl": (66, 191), "semtimedop": (220, 192), "msgget": (68, 186),
    "msgsnd": (69, 189), "msgrcv": (70, 188), "msgctl": (71, 187), "mq_open": (240, 180),
}
_WITH_MODE: dict[str, tuple[int | None, int | None, int]] = {
    # Calls that give a file its permissions, and which argument holds them.
    "chmod": (90, None, 1), "fchmod": (91, 52, 1), "fchmodat": (268, 53, 2),
    "fchmodat2": (452, 452, 2), "creat": (85, None, 1), "mknod": (133, None, 1),
    "mknodat": (259, 33, 2),
}
_OPEN: dict[str, tuple[int | None, int | None, int]] = {
    # Which argument holds the flags; permissions come next, if a file is made.
    "open": (2, None, 1), "openat": (257, 56, 2),
}
# fmt: on
_OPENAT2 = (437, 437)
_CREATE = 0x400040
"""``O_CREAT`` and ``O_TMPFILE``."""
_SET_IDENTITY = 0o6000
"""Set-uid and set-gid. They give nothing inside, but such a file would stay on the host, and give
its other users the identity of the box's."""

_CLONE, _CLONE3 = (56, 220), (435, 435)
_SOCKET, _SOCKETPAIR, _IOCTL = (41, 198), (53, 199), (16, 29)
_SENDS = {(44, 206): 3, (46, 211): 2, (307, 269): 3}
"""``sendto``, ``sendmsg``, ``sendmmsg``, and which argument holds the flags."""

_ON_OTHERS = {(302, 261): 0, (203, 122): 0, (144, 119): 0, (142, 118): 0, (314, 274): 0}
"""``prlimit64``, ``sched_setaffinity``, ``sched_setscheduler``, ``sched_setparam`` and
``sched_setattr``: nothing but the user's identity guards other processes from them. The argument
names the process; 0 is the caller."""
_PRIORITIES = {(141, 140): 0, (251, 30): 1}
"""``setpriority``, ``ioprio_set``, and what their first argument is for a single process."""

_NEW_NAMESPACES = 0x7E020000
_TERMINAL_INPUT = (0x5412, 0x541C)
"""``TIOCSTI`` and ``TIOCLINUX`` type into a terminal as if its user did."""
_FAST_OPEN = 0x20000000
"""``MSG_FASTOPEN`` connects without ``connect``, past Landlock."""

_AF_UNIX, _AF_INET, _AF_INET6, _AF_NETLINK = 1, 2, 10, 16
_STREAM, _TCP = 1, 6

_LOAD, _JUMP_EQUAL, _JUMP_AT_LEAST, _JUMP_BITS, _AND, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x54, 0x06
_ALLOW, _FAIL = 0x7FFF0000, 0x00050000
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16

_Instruction = tuple[int, int, int, int]


def supported() -> bool:
    """Tell whether the filter is known for this machine's processor."""
    return platform.machine() in _ARCHITECTURES


def syscalls_filter(machine: str = "", *, own_network: bool = True, tcp: bool = False) -> bytes:
    """Return the program: an array of ``struct sock_filter``.

    Args:
        machine: ``x86_64`` or ``aarch64``; by default this one.
        own_network: whether processes have network and IPC namespaces of their own. Then internet
            and unix sockets are theirs; if not, they get no sockets but pairs, and no objects that
            processes of the host share by name.
        tcp: without namespaces, whether TCP (IPv4) sockets are allowed; Landlock says to where.

    Raises:
        KeyError: the processor is not known.
    """
    column, code = _ARCHITECTURES[machine or platform.machine()]
    denied = [*_DENIED.values(), *(() if own_network else _SHARED_MEMORY.values())]
    program: list[_Instruction] = [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_JUMP_EQUAL, 1, 0, code),
        _fail(errno.ENOSYS),
        (_LOAD, 0, 0, _NUMBER),
    ]
    if column == 0:
        program += [(_JUMP_AT_LEAST, 0, 1, _X32), _fail(errno.ENOSYS)]
    for numbers in denied:
        if (number := numbers[column]) is not None:
            program += [(_JUMP_EQUAL, 0, 1, number), _fail(errno.EPERM)]
    # Flags of these lie in memory, out of a filter's reach: callers fall back to the older ones.
    program += _rule(_CLONE3[column], [_fail(errno.ENOSYS)])
    program += _rule(_OPENAT2[column], [_fail(errno.ENOSYS)])
    for *numbers, position in _WITH_MODE.values():
        if (number := numbers[column]) is not None:
            program += _rule(number, _no_identity(position))
    for *numbers, position in _OPEN.values():
        if (number := numbers[column]) is not None:
            made = [_argument(position), (_JUMP_BITS, 1, 0, _CREATE), (_RETURN, 0, 0, _ALLOW)]
            program += _rule(number, [*made, *_no_identity(position + 1)])
    program += _rule(
        _CLONE[column], [_argument(0), (_JUMP_BITS, 0, 1, _NEW_NAMESPACES), _fail(errno.EPERM)]
    )
    program += _rule(
        _IOCTL[column], [_argument(1), *_fail_if_any(_TERMINAL_INPUT), (_RETURN, 0, 0, _ALLOW)]
    )
    program += _rule(_SOCKETPAIR[column], _only_families([_AF_UNIX]))
    if own_network:
        program += _rule(_SOCKET[column], _sockets_of_namespace())
    else:
        program += _rule(_SOCKET[column], _only_tcp() if tcp else [_fail(errno.EAFNOSUPPORT)])
        for numbers, position in _ON_OTHERS.items():
            body = [_argument(position), (_JUMP_EQUAL, 1, 0, 0), _fail(errno.EPERM)]
            program += _rule(numbers[column], body)
        for numbers, single in _PRIORITIES.items():
            body = [_argument(0), (_JUMP_EQUAL, 1, 0, single), _fail(errno.EPERM)]
            body += [_argument(1), (_JUMP_EQUAL, 1, 0, 0), _fail(errno.EPERM)]
            program += _rule(numbers[column], body)
        for numbers, position in _SENDS.items():
            body = [_argument(position), (_JUMP_BITS, 0, 1, _FAST_OPEN), _fail(errno.EPERM)]
            program += _rule(numbers[column], body)
    program.append((_RETURN, 0, 0, _ALLOW))
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in program)


def _fail(number: int) -> _Instruction:
    return (_RETURN, 0, 0, _FAIL | number)


def _argument(position: int) -> _Instruction:
    """Load the lower half of an argument; both processors are little-endian."""
    return (_LOAD, 0, 0, _ARGUMENTS + 8 * position)


def _rule(number: int, body: list[_Instruction]) -> list[_Instruction]:
    """What is done for one call; a body that ends without a verdict allows it."""
    whole = [*body, (_RETURN, 0, 0, _ALLOW)]
    return [(_JUMP_EQUAL, 0, len(whole), number), *whole]


def _no_identity(position: int) -> list[_Instruction]:
    return [_argument(position), (_JUMP_BITS, 0, 1, _SET_IDENTITY), _fail(errno.EPERM)]


def _fail_if_any(values: Sequence[int]) -> list[_Instruction]:
    return [
        instruction
        for value in values
        for instruction in ((_JUMP_EQUAL, 0, 1, value), _fail(errno.EPERM))
    ]


def _only_families(families: Sequence[int]) -> list[_Instruction]:
    allow = [
        instruction
        for family in families
        for instruction in ((_JUMP_EQUAL, 0, 1, family), (_RETURN, 0, 0, _ALLOW))
    ]
    return [_argument(0), *allow, _fail(errno.EAFNOSUPPORT)]


def _sockets_of_namespace() -> list[_Instruction]:
    """Unix, IPv4 and IPv6; of netlink only what lists interfaces (libraries do at start)."""
    return [
        _argument(0),
        (_JUMP_EQUAL, 0, 4, _AF_NETLINK),
        _argument(2),
        (_JUMP_EQUAL, 0, 1, 0),
        (_RETURN, 0, 0, _ALLOW),
        _fail(errno.EPERM),
        *_only_families([_AF_UNIX, _AF_INET, _AF_INET6]),
    ]


def _only_tcp() -> list[_Instruction]:
    """IPv4 and TCP by its own name: Landlock does not see MPTCP, SCTP or datagrams."""
    return [
        _argument(0),
        (_JUMP_EQUAL, 1, 0, _AF_INET),
        _fail(errno.EAFNOSUPPORT),
        _argument(1),
        (_AND, 0, 0, 0xF),
        (_JUMP_EQUAL, 1, 0, _STREAM),
        _fail(errno.EPERM),
        _argument(2),
        *(
            instruction
            for protocol in (0, _TCP)
            for instruction in ((_JUMP_EQUAL, 0, 1, protocol), (_RETURN, 0, 0, _ALLOW))
        ),
        _fail(errno.EPERM),
    ]
