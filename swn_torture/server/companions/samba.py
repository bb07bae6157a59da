"""The shares of one node by Samba's smbd: SMB 3.1.1, with the capabilities that make a client use witness.

smbd runs as from inetd: the reference listens and accepts, and each connection has its own smbd. So an
address can come and go, and a node can lose its power, as with the built-in server. The keeper
(`smbd_keeper`) starts the processes, and ends them with the reference.

Nothing of the host's Samba is read or changed: configuration, passwords, state and logs are in a private
directory. The users are not added to the host. Each has a system account behind it (``username map``), and
files are accessed as the owner of the directory of the share.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import pwd
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Final

from impacket.ntlm import compute_nthash

from swn_torture.server.companions import smbd_keeper
from swn_torture.server.companions.smb import HASHES, directory_of
from swn_torture.server.config import ConfigError
from swn_torture.server.state.shares import EnumerationError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from swn_torture.server.state.shares import Share, ShareTable

_LOG = logging.getLogger(__name__)

#: The first version that lets its configuration say the capabilities of a share.
_VERSION: Final = (4, 20)

#: Names that are sections of smb.conf with a meaning of their own.
_RESERVED: Final = frozenset({"global", "homes", "printers", "print$", "ipc$"})

#: Characters of a directory in which smbd can have its sockets: their paths have no more than 107 (unix(7)).
_LONGEST: Final = 80

_GLOBAL: Final = """\
[global]
  netbios name = {name}
  workgroup = {domain}
  server role = standalone server
  server min protocol = SMB2_02
  server multi channel support = no
  passdb backend = smbpasswd:{directory}/private/smbpasswd
  username map = {directory}/private/users
  private dir = {directory}/private
  lock directory = {directory}/lock
  state directory = {directory}/state
  cache directory = {directory}/cache
  pid directory = {directory}/pid
  ncalrpc dir = {directory}/ncalrpc
  log file = {directory}/log/smbd
  disable spoolss = yes
  load printers = no
  usershare max shares = 0
  dns proxy = no
"""

_SHARE: Final = """\
[{name}]
  path = {path}
  comment = {comment}
  read only = no
  force user = {owner}
  smb3 share cap:CLUSTER = yes
  smb3 share cap:SCALE OUT = {scale_out}
  smb3 share cap:ASYMMETRIC = {asymmetric}
"""


def check_smbd(program: str) -> str:
    """Return the path of smbd, if it can be used here.

    Args:
        program: its name or its path.

    Raises:
        ConfigError: it is missing or too old, or this process is not root.
    """
    path = shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/samba/sbin")
    if path is None:
        raise ConfigError(f"there is no {program}; install the package samba, or name the path of smbd")
    if os.geteuid() != 0:
        raise ConfigError(f"{path} needs root; without it the built-in SMB server has dialect 2.0.2 only")
    try:
        done = subprocess.run([path, "-V"], capture_output=True, text=True, timeout=60, check=False)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired) as problem:
        raise ConfigError(f"{path} -V does not say a version: {problem}") from problem
    found = re.search(r"Version (\d+)\.(\d+)", done.stdout)
    if found is None:
        raise ConfigError(f"{path} -V does not say a version: {(done.stdout + done.stderr).strip()}")
    if (int(found[1]), int(found[2])) < _VERSION:
        raise ConfigError(
            f"{path} is Samba {found[1]}.{found[2]}; the capabilities of a share can be set since 4.20"
        )
    return path


class Smbd:
    """The smbd processes of one node, their configuration and their state.

    Args:
        program: the path of smbd.
        name: the name of the node.
        domain: the domain of the users.
        users: passwords by account name, in the form of `Acceptor`.
        shares: the shares.
        root: the directory with the contents of the shares, as for `SmbServer`.

    Raises:
        ConfigError: the host has fewer system accounts than there are users.
    """

    def __init__(
        self,
        program: str,
        *,
        name: str,
        domain: str,
        users: Mapping[str, str],
        shares: ShareTable,
        root: Path,
    ) -> None:
        self._program = program
        self._name, self._domain = name, domain
        self._shares = shares
        self._root = root
        self._lock = threading.Lock()
        accounts = _accounts(len(users))
        self._directory = Path(tempfile.mkdtemp(prefix="swn-torture-smbd-"))
        problem = _unusable(self._directory)
        if problem:
            self._directory.rmdir()
            raise ConfigError(f"{problem}; set TMPDIR to another directory")
        for each in ("private", "lock", "state", "cache", "pid", "ncalrpc", "log", "shares"):
            (self._directory / each).mkdir(mode=0o700 if each == "private" else 0o755)
        # Processes that serve a share as its owner look into some of them.
        self._directory.chmod(0o755)
        self._write("private/smbpasswd", "".join(_passwords(accounts, users)))
        self._write("private/users", "".join(_names(accounts, users)))
        self._control, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with other:
            self._keeper = subprocess.Popen(  # noqa: S603 - our own script
                [sys.executable, "-I", smbd_keeper.__file__, str(self._directory)],
                stdin=other.fileno(),
                stdout=subprocess.DEVNULL,
                start_new_session=True,
            )

    def serve(self, tag: str, client: socket.socket) -> None:
        """Start smbd for a connection, which is then its own.

        Raises:
            OSError: it does not start.
        """
        self._write("smb.conf", "".join(self._configuration()))
        argv = [
            self._program,
            f"--configfile={self._directory}/smb.conf",
            f"--log-basename={self._directory}/log",
            "--debuglevel=0",
        ]
        self._order({"do": "serve", "tag": tag, "argv": argv}, client)

    def freeze(self, tag: str) -> None:
        """Stop the processes of a tag with SIGSTOP."""
        self._order({"do": "freeze", "tag": tag})

    def thaw(self, tag: str) -> None:
        """Let them go on."""
        self._order({"do": "thaw", "tag": tag})

    def end(self, tag: str, *, reset: bool) -> None:
        """Kill the processes of a tag; their connections are reset or closed."""
        self._order({"do": "end", "tag": tag, "reset": reset})

    def close(self) -> None:
        """End everything, and remove the directory."""
        self._control.close()
        self._keeper.wait()

    def _order(self, order: dict[str, object], client: socket.socket | None = None) -> None:
        with self._lock:
            socket.send_fds(
                self._control, [json.dumps(order).encode()], [] if client is None else [client.fileno()]
            )
            answer = self._control.recv(0x10000)
        problem = json.loads(answer)["problem"] if answer else "the keeper of smbd has ended"
        if problem:
            raise OSError(0, problem)

    def _configuration(self) -> Iterator[str]:
        yield _GLOBAL.format(name=self._name, domain=self._domain, directory=self._directory)
        try:
            shares = self._shares.enumerate()
        except EnumerationError:
            shares = ()  # without an enumeration, clients cannot connect to shares either
        for share in shares:
            if share.name.casefold() in _RESERVED or re.search(r"[\[\]\n\r%;#]", share.name):
                _LOG.warning("smbd does not serve the share %r: smb.conf cannot have this name", share.name)
                continue
            yield self._section(share)

    def _section(self, share: Share) -> str:
        name = directory_of(share.name)
        path = self._root / name
        path.mkdir(exist_ok=True)
        # smbd replaces a % in a path, which this name has none of.
        link = self._directory / "shares" / name.replace("%", "=")
        with contextlib.suppress(FileExistsError):
            link.symlink_to(path.resolve())
        return _SHARE.format(
            name=share.name,
            path=link,
            comment=re.sub(r"[\r\n\\]", " ", share.comment),
            owner=pwd.getpwuid(path.stat().st_uid).pw_name,
            scale_out="yes" if share.scale_out else "no",
            asymmetric="no" if share.owner is None else "yes",
        )

    def _write(self, name: str, text: str) -> None:
        """Replace a file of the private directory at once, because an smbd may read it."""
        with tempfile.NamedTemporaryFile("w", dir=self._directory, delete=False, encoding="utf-8") as file:
            file.write(text)
        Path(file.name).replace(self._directory / name)


class SambaServer:
    """smbd on one address of a node, with the interface of `SmbServer`. It starts at once.

    Args:
        address: the numeric IPv4 or IPv6 address to listen on.
        port: the TCP port; 0 for a free one.
        smbd: the processes of the node.

    Raises:
        OSError: the host does not have the address, or the port is in use.

    Attributes:
        port: the actual TCP port.
    """

    def __init__(self, address: str, port: int, smbd: Smbd) -> None:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self._listener = socket.create_server((address, port), family=family, backlog=128)
        self.port: int = self._listener.getsockname()[1]
        self._tag = f"{address} {self.port}"
        self._smbd = smbd
        self._awake = threading.Event()
        self._awake.set()
        self._ends = False
        self._thread = threading.Thread(target=self._accept, name=f"smbd at {address}", daemon=True)
        self._thread.start()

    def freeze(self) -> None:
        """Execute and answer no more requests. The kernel still accepts connections."""
        self._awake.clear()
        self._smbd.freeze(self._tag)

    def thaw(self) -> None:
        """Go on after `freeze`."""
        self._smbd.thaw(self._tag)
        self._awake.set()

    def stop(self, *, reset: bool) -> None:
        """Stop listening and end all connections. Blocks, so an event loop must not call it.

        Args:
            reset: whether to reset connections instead of closing them.
        """
        self._ends = True
        self._awake.set()
        self._listener.shutdown(socket.SHUT_RDWR)  # wakes the thread
        self._thread.join()
        self._listener.close()
        self._smbd.end(self._tag, reset=reset)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return  # `stop` has shut it down
            with client:
                self._awake.wait()
                if self._ends:
                    return
                try:
                    self._smbd.serve(self._tag, client)
                except OSError as problem:
                    _LOG.warning("smbd does not serve a connection: %s", problem.strerror)


def _unusable(directory: Path) -> str:
    """Why smbd cannot work in a directory; empty if it can."""
    if len(str(directory)) > _LONGEST:
        return f"{directory.parent} is too long for the sockets of smbd"
    closed = next((str(each) for each in directory.parents if not each.stat().st_mode & 0o001), "")
    return closed and f"smbd needs to enter {closed} as another user than root"


def _accounts(count: int) -> list[pwd.struct_passwd]:
    """System accounts of this host, which stand behind the users."""
    others = sorted((each for each in pwd.getpwall() if each.pw_uid), key=lambda each: each.pw_uid)
    others.sort(key=lambda each: each.pw_name != "nobody")
    if len(others) < count:
        raise ConfigError(f"smbd needs a system account for each user; this host has {len(others)}")
    return others[:count]


def _passwords(accounts: list[pwd.struct_passwd], users: Mapping[str, str]) -> Iterator[str]:
    """Lines of smbpasswd(5): account, uid, no LM hash, NT hash, a normal user, any time."""
    for account, password in zip(accounts, users.values(), strict=True):
        hashes = HASHES.fullmatch(password)
        nt = hashes[1].upper() if hashes else compute_nthash(password).hex().upper()
        yield f"{account.pw_name}:{account.pw_uid}:{'X' * 32}:{nt}:[U          ]:LCT-65000000:\n"


def _names(accounts: list[pwd.struct_passwd], users: Mapping[str, str]) -> Iterator[str]:
    """Lines of a username map: the first that fits ends it."""
    for account, user in zip(accounts, users, strict=True):
        name = user.rpartition("\\")[2]
        yield f'!{account.pw_name} = "{name}"\n'
