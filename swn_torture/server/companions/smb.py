"""The shares of one node over SMB 2, with the server service on their srvsvc pipe.

The SMB server is impacket's. It speaks dialect 2.0.2 and nothing newer, so a client sees no share
capabilities by it: those that lead to witness exist from SMB 3.0 on (MS-SMB2 3.3.5.7). What it lacks for our
purpose is added here: pipes that lead to our own RPC server (so that sign and seal work on them), a logon
that counts only when it succeeded, files that are closed with their connection, and an end.
"""

from __future__ import annotations

import configparser
import contextlib
import logging
import os
import re
import secrets
import socket
import socketserver
import struct
import threading
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from impacket import nmb, smb, smb3structs
from impacket.nt_errors import STATUS_ACCESS_DENIED, STATUS_SUCCESS
from impacket.ntlm import compute_nthash
from impacket.smbserver import PIPE_FILE_DESCRIPTOR, SMBSERVER, SMB2Commands

from swn_torture.server.state.shares import EnumerationError, ShareType

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from swn_torture.server.state.shares import ShareTable

_LOG = logging.getLogger(__name__)

_PIPES: Final = ".pipes"
"""Directory behind IPC$: empty, for impacket would look for files where it finds no pipe."""

_POLL: Final = 0.05
"""Seconds in which a listener notices that it is to end."""

_PATIENCE: Final = 5.0
"""Seconds in which a connection has to see its end; it takes as long as the request in hand."""

_HASHES: Final = re.compile(r"[0-9A-Fa-f]{32}:([0-9A-Fa-f]{32})")


class SmbServer(SMBSERVER):  # type: ignore[misc]  # impacket has no types
    """SMB on one address of a node.

    Args:
        address: numeric, IPv4 or IPv6.
        port: 0 for any free one.
        name: the node's.
        domain: of the users.
        users: passwords by account name, as `Acceptor` takes them.
        shares: those there are at any moment.
        root: a directory for what is in the shares: of each in one of its name, in capitals.
        pipes: for each named pipe the (host, port) that it leads to.
        allow_anonymous: let in logons without a name.

    Raises:
        OSError: the address is not ours or the port is taken.

    Attributes:
        port: the real one.
    """

    daemon_threads = True
    request_queue_size = 128

    def __init__(
        self,
        address: str,
        port: int,
        *,
        name: str,
        domain: str,
        users: Mapping[str, str],
        shares: ShareTable,
        root: Path,
        pipes: Mapping[str, tuple[str, int]],
        allow_anonymous: bool = False,
    ) -> None:
        self._shares = shares
        self._root = root
        self._own = _settings(name, domain)
        self._allow_anonymous = allow_anonymous
        self._visits: dict[threading.Thread, socket.socket] = {}
        self._frozen = False
        self._ended = threading.Event()
        super().__init__((address, port), _Visit, config_parser=self._own, ipv6=":" in address)
        self.port: int = self.socket.getsockname()[1]
        self.processConfigFile()
        for account, password in users.items():
            hashes = _HASHES.fullmatch(password)
            nt = bytes.fromhex(hashes.group(1)) if hashes else compute_nthash(password)
            self.addCredential(account.rpartition("\\")[2], 0, b"", nt)
        (root / _PIPES).mkdir(exist_ok=True)
        for pipe, end in pipes.items():
            self.registerNamedPipe(str(root / _PIPES / pipe), end)
        self._leave_smb1()
        self.hookSmb2Command(smb3structs.SMB2_SESSION_SETUP, self._session_setup)
        self._thread = threading.Thread(
            target=self.serve_forever, args=(_POLL,), name=f"SMB of {name} at {address}", daemon=True
        )
        self._thread.start()

    def freeze(self) -> None:
        """Carry nothing out and answer nobody any more; the kernel still takes connections."""
        self._frozen = True

    def end(self, *, reset: bool) -> None:
        """Stop listening and end all connections; blocks for a moment, so not for an event loop."""
        self.shutdown()
        self._thread.join()
        self.server_close()
        visits = dict(self._visits)
        for visitor in visits.values():
            with contextlib.suppress(OSError):  # it has gone by itself
                if reset:
                    visitor.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                visitor.shutdown(socket.SHUT_RD)
        self._ended.set()
        for visit in visits:
            visit.join(_PATIENCE)

    def process_request(self, request: socket.socket, client_address: Any) -> None:
        """Serve a connection in a thread of its own, known before it runs, so that `end` misses none."""
        visit = threading.Thread(
            target=self.process_request_thread, args=(request, client_address), daemon=True
        )
        self._visits[visit] = request
        visit.start()

    def shutdown_request(self, request: Any) -> None:
        """Close a connection, by RST if `end` was told so (socketserver would send a FIN first)."""
        request.close()

    # What impacket asks of its server

    def getServerConfig(self) -> configparser.ConfigParser:  # noqa: N802 - impacket's name
        """The shares as they are now, each a section, as impacket looks them up."""
        settings = _sections()
        settings.read_dict(self._own)
        _add_share(settings, "IPC$", ShareType.IPC, self._root / _PIPES)
        try:
            shares = self._shares.enumerate()
        except EnumerationError:
            shares = ()  # told to fail: nothing can be connected to either
        for share in shares:
            path = self._root / _directory(share.name)
            path.mkdir(exist_ok=True)
            _add_share(settings, share.name.upper(), share.type, path)
        return settings

    def log(self, msg: str, level: int = logging.INFO, connData: Any = None) -> None:  # noqa: N803
        """Note what impacket would tell everybody."""
        del level, connData
        _LOG.debug("%s", msg)

    def dismiss(self, name: str) -> None:
        """Forget the connection of this thread, and close what it had open."""
        del self._visits[threading.current_thread()]
        data = self.getActiveConnections().get(name, {})
        for opened in data.get("OpenedFiles", {}).values():
            if opened["FileHandle"] == PIPE_FILE_DESCRIPTOR:
                opened["Socket"].close()
            elif opened["FileHandle"] > 0:
                os.close(opened["FileHandle"])
        self.removeConnection(name)

    def wait_for_power(self) -> bool:
        """Whether to carry a request out; in a node without power that is told, with a no, at the end."""
        if self._frozen:
            self._ended.wait()
        return not self._frozen

    def _leave_smb1(self) -> None:
        """Of SMB 1 only its NEGOTIATE is answered, which leads to SMB 2 (MS-SMB2 3.3.5.3)."""
        for command in range(0xFF):
            if command != smb.SMB.SMB_COM_NEGOTIATE:
                self.unregisterSmbCommand(command)

    def _session_setup(self, connection: str, server: Any, packet: Any) -> tuple[Any, Any, int]:
        """Log on as impacket does, but let nobody go on whose logon has not succeeded."""
        answers, packets, code = SMB2Commands.smb2SessionSetup(connection, server, packet)
        data = self.getConnectionData(connection, checkStatus=False)
        known = data["SignatureEnabled"] or self._allow_anonymous
        if code == STATUS_SUCCESS and not known:
            answers, code = [smb3structs.SMB2Error()], STATUS_ACCESS_DENIED
        data["Authenticated"] = code == STATUS_SUCCESS
        return answers, packets, code


class _Visit(socketserver.BaseRequestHandler):
    """One connection, in a thread of its own."""

    server: SmbServer

    def handle(self) -> None:
        """Answer requests until the client leaves."""
        name, (host, port) = threading.current_thread().name, self.client_address[:2]
        self.server.addConnection(name, host, port)
        try:
            session = nmb.NetBIOSTCPSession(
                self.server.getServerName(), "HOST", host, sess_port=port, sock=self.request
            )
            while True:
                request = session.recv_packet(None)
                if not self.server.wait_for_power():
                    break
                for answer in self.server.processRequest(name, request.get_trailer()):
                    session.send_packet(answer.getData() if hasattr(answer, "getData") else answer)
        except (nmb.NetBIOSError, OSError) as gone:
            _LOG.debug("%s port %d: %s", host, port, gone)
        except Exception as problem:  # noqa: BLE001 - impacket raises whatever its parsers stumble over
            _LOG.warning("the SMB connection of %s port %d is ended: %r", host, port, problem)
        finally:
            self.server.dismiss(name)


def _sections() -> configparser.ConfigParser:
    # A share may be called DEFAULT, and would then be the defaults of all others.
    return configparser.ConfigParser(interpolation=None, default_section="")


def _directory(share: str) -> str:
    """What its directory is called: capitals, for case does not matter, and nothing that leads out."""
    name = quote(share.upper(), safe="")
    return f"%2E{name[1:]}" if name.startswith(".") else name


def _settings(name: str, domain: str) -> configparser.ConfigParser:
    settings = _sections()
    settings.read_dict(
        {
            "global": {
                "server_name": name,
                "server_os": "swn-torture",
                "server_domain": domain,
                "log_file": "None",
                "credentials_file": "",
                "challenge": secrets.token_hex(8),
                "SMB2Support": "True",
            }
        }
    )
    return settings


def _add_share(settings: configparser.ConfigParser, name: str, kind: ShareType, path: Path) -> None:
    read_only = "yes" if kind & ShareType.IPC else "no"
    number = str(int(kind & ShareType.IPC))
    settings[name] = {"comment": "", "read only": read_only, "share type": number, "path": str(path)}
