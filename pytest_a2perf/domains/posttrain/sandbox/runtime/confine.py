"""Give up rights for good: Landlock rules and a filter of system calls, through ``ctypes``."""

from __future__ import annotations

import ctypes
import os
import stat
import struct
from typing import TypedDict

__all__ = [
    "EXECUTE",
    "LIST",
    "READ",
    "WRITE",
    "Rules",
    "apply_filter",
    "apply_landlock",
    "landlock_version",
]

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446  # the same on all processors
_PATH_BENEATH, _NET_PORT = 1, 2
_VERSION = 1
_PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _MODE_FILTER = 38, 22, 2
_PR_CAPBSET_DROP, _PR_CAP_AMBIENT, _CLEAR_ALL = 24, 47, 4

# Rights on files, by bit: execute, write, read, list, remove folder, remove file, make character
# device, folder, file, socket, fifo, block device, symlink; rename across (2), truncate (3),
# ioctl on devices (5). In brackets: the version of Landlock from which on they exist.
EXECUTE = 1 << 0
_WRITE_FILE, _READ_FILE, LIST = 1 << 1, 1 << 2, 1 << 3
READ = _READ_FILE | LIST
_DEVICES = 1 << 6 | 1 << 11
_REFER, _TRUNCATE, _IOCTL = 1 << 13, 1 << 14, 1 << 15
WRITE = _WRITE_FILE | 0x1FF0 & ~_DEVICES | _REFER | _TRUNCATE
_ON_FILES = EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL
_BIND_TCP, _CONNECT_TCP = 1, 2
_SCOPES = 3  # abstract unix sockets and signals, both from version 6 on


class Rules(TypedDict):
    """What stays allowed.

    Attributes:
        paths: path, and rights on it and on what is below.
        ports: of TCP, that may be connected to.
    """

    paths: list[tuple[str, int]]
    ports: list[int]


def landlock_version() -> int:
    """Return the version of Landlock that the kernel speaks; 0 where there is none."""
    if os.name != "posix" or os.uname().sysname != "Linux":
        return 0
    return max(0, int(_libc().syscall(_CREATE_RULESET, None, 0, _VERSION)))


def apply_landlock(rules: Rules) -> None:
    """Give up all rights on files and TCP but those of the rules, and all capabilities.

    Raises:
        OSError: the kernel does not do it, or a path is not there.
    """
    version = landlock_version()
    if version < 1:
        raise OSError("Landlock is not enabled in this kernel")
    known = EXECUTE | READ | WRITE | _DEVICES | _IOCTL
    for since, right in ((2, _REFER), (3, _TRUNCATE), (5, _IOCTL)):
        if version < since:
            known &= ~right
    network = _BIND_TCP | _CONNECT_TCP if version >= 4 else 0
    attributes = struct.pack("=QQQ", known, network, _SCOPES if version >= 6 else 0)
    size = 24 if version >= 6 else 16 if version >= 4 else 8
    libc = _libc()
    ruleset = _check(libc.syscall(_CREATE_RULESET, attributes, size, 0), "Landlock rules")
    for path, rights in rules["paths"]:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
        if not stat.S_ISDIR(os.fstat(descriptor).st_mode):
            rights &= _ON_FILES  # noqa: PLW2901
        rule = struct.pack("=Qi", rights & known, descriptor)
        _check(libc.syscall(_ADD_RULE, ruleset, _PATH_BENEATH, rule, 0), path)
        os.close(descriptor)
    for port in rules["ports"] if network else ():
        rule = struct.pack("=QQ", _CONNECT_TCP, port)
        _check(libc.syscall(_ADD_RULE, ruleset, _NET_PORT, rule, 0), f"port {port}")
    _drop_capabilities(libc)
    _check(libc.syscall(_RESTRICT_SELF, ruleset, 0), "Landlock")
    os.close(ruleset)


def apply_filter(program: bytes) -> None:
    """Have the kernel filter system calls from now on, see `seccomp`.

    Raises:
        OSError: the kernel does not do it.
    """
    libc = _libc()
    _check(libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs")
    buffer = ctypes.create_string_buffer(program, len(program))
    header = struct.pack("@HP", len(program) // 8, ctypes.addressof(buffer))
    _check(libc.prctl(_PR_SET_SECCOMP, _MODE_FILTER, header, 0, 0), "seccomp")


def _drop_capabilities(libc: ctypes.CDLL) -> None:
    """Drop all of them, so that root is an ordinary owner of its files."""
    number = 0
    while libc.prctl(_PR_CAPBSET_DROP, number, 0, 0, 0) == 0:
        number += 1
    libc.prctl(_PR_CAP_AMBIENT, _CLEAR_ALL, 0, 0, 0)
    header = struct.pack("=Ii", 0x20080522, 0)
    _check(libc.capset(header, bytes(24)), "capabilities")
    _check(libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs")


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _check(result: int, what: str) -> int:
    if result < 0:
        raise OSError(ctypes.get_errno(), f"{what}: {os.strerror(ctypes.get_errno())}")
    return result
