"""The shares of one node over SMB 2, with the server service on the srvsvc pipe.

The SMB server is impacket's. It supports only dialect 2.0.2, so a client sees no share capabilities. The
capabilities that make a client use witness exist since SMB 3.0 (MS-SMB2 3.3.5.7).

This module adds to impacket's server:

- Pipes lead to our RPC server, so that signing and sealing work on them.
- A client can continue only after a successful logon.
- With a keytab clients can log on by Kerberos.
- Files are closed with their connection.
- The server can stop.
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
from impacket.nt_errors import STATUS_ACCESS_DENIED, STATUS_LOGON_FAILURE, STATUS_SUCCESS
from impacket.ntlm import compute_nthash
from impacket.smbserver import PIPE_FILE_DESCRIPTOR, SMBSERVER, SMB2Commands

from swn_torture.dcerpc.errors import AuthenticationError
from swn_torture.server.companions.smb_tickets import accept, offer, prefers_kerberos
from swn_torture.server.state.shares import EnumerationError, ShareType

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from swn_torture.server.state.shares import ShareTable

_LOG = logging.getLogger(__name__)

_PIPES: Final = ".pipes"
"""The directory of IPC$. It is empty, because impacket looks for a file if it does not find a pipe."""

_POLL: Final = 0.05
"""Seconds in which a listener notices that it has to stop."""

_CONNECTION_STOP_TIMEOUT: Final = 5.0
"""Seconds to wait for the thread of a connection. The thread first completes its current request."""

HASHES: Final = re.compile(r"[0-9A-Fa-f]{32}:([0-9A-Fa-f]{32})")
"""A password as LM and NT hash."""


class SmbServer(SMBSERVER):  # type: ignore[misc]  # impacket has no types
    """An SMB server on one address of a node. It starts at once.

    Args:
        address: the numeric IPv4 or IPv6 address to listen on.
        port: the TCP port; 0 for a free one.
        name: the name of the node.
        domain: the domain of the users.
        users: passwords by account name, in the form of `Acceptor`.
        shares: the shares.
        root: the directory with the contents of the shares. Each share has a subdirectory with its name in
            upper case.
        pipes: the (host, port) of the RPC server of each named pipe.
        allow_anonymous: whether to accept logons without a user name.
        keytab: path of a keytab, to accept Kerberos; empty for none.
        ntlm: whether to accept NTLM.

    Raises:
        OSError: the host does not have the address, or the port is in use.

    Attributes:
        port: the actual TCP port.
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
        keytab: str = "",
        ntlm: bool = True,
    ) -> None:
        self._keytab = keytab
        self._shares = shares
        self._root = root
        self._base_settings = _settings(name, domain, ntlm=ntlm)
        self._allow_anonymous = allow_anonymous
        self._connections: dict[threading.Thread, socket.socket] = {}
        self._frozen = False
        self._awake = threading.Event()
        self._awake.set()
        super().__init__((address, port), _Connection, config_parser=self._base_settings, ipv6=":" in address)
        self.port: int = self.socket.getsockname()[1]
        self.processConfigFile()
        for account, password in users.items():
            hashes = HASHES.fullmatch(password)
            nt = bytes.fromhex(hashes.group(1)) if hashes else compute_nthash(password)
            self.addCredential(account.rpartition("\\")[2], 0, b"", nt)
        (root / _PIPES).mkdir(exist_ok=True)
        for pipe, end in pipes.items():
            self.registerNamedPipe(str(root / _PIPES / pipe), end)
        self._disable_smb1()
        self.hookSmb2Command(smb3structs.SMB2_SESSION_SETUP, self._session_setup)
        if keytab:
            self.hookSmb2Command(smb3structs.SMB2_NEGOTIATE, self._negotiate)
        self._thread = threading.Thread(
            target=self.serve_forever, args=(_POLL,), name=f"SMB of {name} at {address}", daemon=True
        )
        self._thread.start()

    def freeze(self) -> None:
        """Execute and answer no more requests. The kernel still accepts connections."""
        self._frozen = True
        self._awake.clear()

    def thaw(self) -> None:
        """Go on after `freeze`."""
        self._frozen = False
        self._awake.set()

    def stop(self, *, reset: bool) -> None:
        """Stop listening and close all connections. Blocks, so an event loop must not call it.

        Args:
            reset: whether to reset connections instead of closing them.
        """
        self.shutdown()
        self._thread.join()
        self.server_close()
        connections = dict(self._connections)
        for client in connections.values():
            with contextlib.suppress(OSError):  # the client has closed the connection
                if reset:
                    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                client.shutdown(socket.SHUT_RD)
        self._awake.set()
        for thread in connections:
            thread.join(_CONNECTION_STOP_TIMEOUT)

    def process_request(self, request: socket.socket, client_address: Any) -> None:
        """Serve a connection in its own thread. It is recorded before it starts, so that `stop` finds it."""
        thread = threading.Thread(
            target=self.process_request_thread, args=(request, client_address), daemon=True
        )
        self._connections[thread] = request
        thread.start()

    def shutdown_request(self, request: Any) -> None:
        """Close a connection without socketserver's FIN, so that `stop` can reset it."""
        request.close()

    # Called by impacket

    def getServerConfig(self) -> configparser.ConfigParser:  # noqa: N802 - impacket's name
        """Return the current shares as sections, the form in which impacket looks them up."""
        settings = _sections()
        settings.read_dict(self._base_settings)
        _add_share(settings, "IPC$", ShareType.IPC, self._root / _PIPES)
        try:
            shares = self._shares.enumerate()
        except EnumerationError:
            shares = ()  # without an enumeration, clients cannot connect to shares either
        for share in shares:
            path = self._root / directory_of(share.name)
            path.mkdir(exist_ok=True)
            _add_share(settings, share.name.upper(), share.type, path)
        return settings

    def log(self, msg: str, level: int = logging.INFO, connData: Any = None) -> None:  # noqa: N803
        """Log impacket's messages at debug level."""
        del level, connData
        _LOG.debug("%s", msg)

    def connection_closed(self, name: str) -> None:
        """Remove the connection of this thread, and close its open files and pipes."""
        del self._connections[threading.current_thread()]
        data = self.getActiveConnections().get(name, {})
        for opened in data.get("OpenedFiles", {}).values():
            if opened["FileHandle"] == PIPE_FILE_DESCRIPTOR:
                opened["Socket"].close()
            elif opened["FileHandle"] > 0:
                os.close(opened["FileHandle"])
        self.removeConnection(name)

    def may_process(self) -> bool:
        """Whether to execute a request. If the node has no power, block until `stop`, then return False."""
        if self._frozen:
            self._awake.wait()
        return not self._frozen

    def _disable_smb1(self) -> None:
        """Disable SMB 1 except NEGOTIATE, which leads to SMB 2 (MS-SMB2 3.3.5.3)."""
        for command in range(0xFF):
            if command != smb.SMB.SMB_COM_NEGOTIATE:
                self.unregisterSmbCommand(command)

    def _negotiate(self, connection: str, server: Any, packet: Any, *smb1: Any) -> tuple[Any, Any, int]:
        """Process NEGOTIATE by impacket, and offer Kerberos, too."""
        responses, packets, code = SMB2Commands.smb2Negotiate(connection, server, packet, *smb1)
        for each in packets:
            answer = each["Data"]
            answer["Buffer"] = offer(ntlm=self.getNTLMSupport())
            answer["SecurityBufferLength"] = len(answer["Buffer"])
        return responses, packets, code

    def _session_setup(self, connection: str, server: Any, packet: Any) -> tuple[Any, Any, int]:
        """Process SESSION_SETUP, and let only successfully authenticated clients continue.

        impacket does it, except for clients that log on by Kerberos.
        """
        data = self.getConnectionData(connection, checkStatus=False)
        token = smb3structs.SMB2SessionSetup(packet["Data"])["Buffer"]
        if self._keytab and prefers_kerberos(token):
            return self._by_ticket(data, token)
        responses, packets, code = SMB2Commands.smb2SessionSetup(connection, server, packet)
        data = self.getConnectionData(connection, checkStatus=False)
        authenticated = data["SignatureEnabled"] or self._allow_anonymous
        if code == STATUS_SUCCESS and not authenticated:
            responses, code = [smb3structs.SMB2Error()], STATUS_ACCESS_DENIED
        data["Authenticated"] = code == STATUS_SUCCESS
        return responses, packets, code

    def _by_ticket(self, data: dict[str, Any], token: bytes) -> tuple[Any, Any, int]:
        """Let a client log on by Kerberos; what impacket keeps of a client is in ``data``."""
        try:
            accepted = accept(self._keytab, token)
        except AuthenticationError as problem:
            _LOG.debug("%s", problem)
            return [smb3structs.SMB2Error()], None, STATUS_LOGON_FAILURE
        data["Uid"] = secrets.randbelow(0xFFFFFFFE) + 1
        data["Authenticated"] = True
        data["SignatureEnabled"], data["SigningSessionKey"] = True, accepted.key
        data["SignSequenceNumber"] = 1
        data["user_name"], _, data["user_domain_name"] = accepted.principal.partition("@")
        answer = smb3structs.SMB2SessionSetup_Response()
        answer["SecurityBufferOffset"], answer["SecurityBufferLength"] = 0x48, len(accepted.token)
        answer["Buffer"] = accepted.token
        return [answer], None, STATUS_SUCCESS


class _Connection(socketserver.BaseRequestHandler):
    """One connection, in its own thread."""

    server: SmbServer

    def handle(self) -> None:
        """Process requests until the client disconnects."""
        name, (host, port) = threading.current_thread().name, self.client_address[:2]
        self.server.addConnection(name, host, port)
        try:
            session = nmb.NetBIOSTCPSession(
                self.server.getServerName(), "HOST", host, sess_port=port, sock=self.request
            )
            while True:
                request = session.recv_packet(None)
                if not self.server.may_process():
                    break
                for response in self.server.processRequest(name, request.get_trailer()):
                    session.send_packet(response.getData() if hasattr(response, "getData") else response)
        except (nmb.NetBIOSError, OSError) as disconnect:
            _LOG.debug("%s port %d: %s", host, port, disconnect)
        except Exception as problem:  # noqa: BLE001 - impacket's parsers raise many kinds of exceptions
            _LOG.warning("closing the SMB connection of %s port %d: %r", host, port, problem)
        finally:
            self.server.connection_closed(name)


def _sections() -> configparser.ConfigParser:
    # The default section has no name, so that a share named DEFAULT is an ordinary section.
    return configparser.ConfigParser(interpolation=None, default_section="")


def directory_of(share: str) -> str:
    """Return the directory name of a share: upper case, because case is ignored; always below the root."""
    name = quote(share.upper(), safe="")
    return f"%2E{name[1:]}" if name.startswith(".") else name


def _settings(name: str, domain: str, *, ntlm: bool) -> configparser.ConfigParser:
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
                "NTLMSupport": str(ntlm),
            }
        }
    )
    return settings


def _add_share(settings: configparser.ConfigParser, name: str, kind: ShareType, path: Path) -> None:
    read_only = "yes" if kind & ShareType.IPC else "no"
    number = str(int(kind & ShareType.IPC))
    settings[name] = {"comment": "", "read only": read_only, "share type": number, "path": str(path)}
