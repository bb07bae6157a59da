"""SMB2 TREE_CONNECT to the shares of a node, in one dialect or in each: the capabilities of the shares.

By these a client decides whether it asks for witness (MS-SMB2 2.2.10). smbprotocol is the client. Its calls
block, so they run in a thread.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from swn_torture.dcerpc.sockets import reason_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from swn_torture.target import NodeAddress, Profile

#: The dialects of SMB2 with their names (MS-SMB2 2.2.3).
DIALECTS = {0x0202: "2.0.2", 0x0210: "2.1", 0x0300: "3.0", 0x0302: "3.0.2", 0x0311: "3.1.1"}

CONTINUOUS_AVAILABILITY, SCALEOUT, CLUSTER, ASYMMETRIC = 0x10, 0x20, 0x40, 0x80

#: The capabilities of MS-SMB2 2.2.10 that concern clusters: SMB2_SHARE_CAP_ and the name.
CAPABILITIES = {
    CLUSTER: "CLUSTER",
    SCALEOUT: "SCALEOUT",
    CONTINUOUS_AVAILABILITY: "CONTINUOUS_AVAILABILITY",
    ASYMMETRIC: "ASYMMETRIC",
}

#: Seconds for all that is asked in one connection.
_CONNECTION_S = 5.0


@dataclass(frozen=True, slots=True)
class TreeConnects:
    """What a node answers to TREE_CONNECT in one dialect.

    Attributes:
        node: the name of the node.
        dialect: the DialectRevision; 0 if none was negotiated.
        capabilities: the Capabilities of each share that was connected, by its name.
        problems: why a share was not connected, by its name.
        problem: why no share was connected; else empty.
    """

    node: str
    dialect: int
    capabilities: Mapping[str, int] = field(default_factory=dict)
    problems: Mapping[str, str] = field(default_factory=dict)
    problem: str = ""

    @property
    def dialect_name(self) -> str:
        """The dialect as people write it."""
        return DIALECTS.get(self.dialect, f"0x{self.dialect:04X}")


def names_of(capabilities: int) -> list[str]:
    """The names of the capabilities for clusters that are set, without SMB2_SHARE_CAP_.

    Args:
        capabilities: Capabilities of a TREE_CONNECT response.
    """
    return [name for bit, name in CAPABILITIES.items() if capabilities & bit]


def connect_trees(
    profile: Profile, node: NodeAddress, shares: Iterable[str], dialect: int | None = None
) -> TreeConnects:
    """Connect the shares of a node, and disconnect again. Never raises for what a server does.

    Args:
        profile: the profile with the account.
        node: the node.
        shares: the names of the shares.
        dialect: the only dialect to offer; None to offer all.
    """
    problem = "SMB needs an account, and the profile has none that can be used"
    ways = _ways(profile)
    for number, logon in enumerate(ways, 1):
        try:
            return _connect(node, list(shares), dialect, logon(profile))
        except Exception as failure:  # noqa: BLE001 - smbprotocol and GSS-API raise what their layers raise
            problem = _text(failure)
            if number == len(ways) or not _refuses_logon(failure):
                break
    return TreeConnects(node.name, dialect or 0, problem=problem)


def connect_trees_in_each_dialect(
    profile: Profile, node: NodeAddress, shares: Iterable[str]
) -> list[TreeConnects]:
    """Connect the shares of a node once in each dialect. A node that cannot be reached is asked once only.

    Args:
        profile: the profile with the account.
        node: the node.
        shares: the names of the shares.
    """
    names = list(shares)
    try:
        socket.create_connection((node.address, node.smb_port), _CONNECTION_S).close()
    except OSError as unreachable:
        return [TreeConnects(node.name, 0, problem=reason_of(unreachable))]
    return [connect_trees(profile, node, names, dialect) for dialect in DIALECTS]


@dataclass(frozen=True, slots=True)
class _Logon:
    """How smbprotocol logs on; `username` may be a ticket cache of pyspnego."""

    username: Any
    password: str | None = field(repr=False)
    protocol: str
    host: str | None = None


def _ways(profile: Profile) -> list[Callable[[Profile], _Logon]]:
    """By NTLM where the account has a password for it, then by Kerberos where it has tickets."""
    account = profile.account
    ways: list[Callable[[Profile], _Logon]] = []
    if account.anonymous:
        return ways
    if account.auth != "kerberos" and not account.without_password:
        ways.append(_by_password)
    if account.has_tickets and account.auth != "ntlm":
        ways.append(_by_ticket)
    return ways


def _by_password(profile: Profile) -> _Logon:
    account = profile.account
    name = f"{account.domain}\\{account.username}" if account.domain else account.username
    return _Logon(name, account.password, "ntlm")


def _by_ticket(profile: Profile) -> _Logon:
    """By the ticket of the account, in SPNEGO.

    Raises:
        AuthenticationError: there is no ticket, or the principal is not one that smbprotocol can ask for.
    """
    from spnego import KerberosCCache

    from swn_torture.dcerpc.errors import AuthenticationError
    from swn_torture.dcerpc.security.tickets import fetch_ticket

    service, _, host = profile.principal.partition("@")[0].partition("/")
    if service.casefold() != "cifs" or not host:
        raise AuthenticationError(
            f"by Kerberos this is not supported with the principal {profile.principal}: smbprotocol asks for "
            "cifs/ and a name"
        )
    path = fetch_ticket(profile.account.credentials(), profile.principal)
    cache = None if path is None else KerberosCCache(f"FILE:{path}")
    return _Logon(cache, None, "negotiate", host)


def _connect(node: NodeAddress, shares: list[str], dialect: int | None, logon: _Logon) -> TreeConnects:
    from smbprotocol.exceptions import SMBResponseException
    from smbprotocol.session import Session

    with _connection(node, dialect) as connection:
        if dialect not in {None, connection.dialect}:
            other = DIALECTS.get(connection.dialect, f"0x{connection.dialect:04X}")
            problem = f"the server negotiates {other}, which was not offered"
            return TreeConnects(node.name, int(dialect or 0), problem=problem)
        session = Session(
            connection,
            logon.username,
            logon.password,
            require_encryption=False,
            hostname_override=logon.host,
            auth_protocol=logon.protocol,
        )
        session.connect()
        capabilities, problems = {}, {}
        for share in shares:
            try:
                capabilities[share] = _tree_connect(session, rf"\\{node.address}\{share}")
            except SMBResponseException as refused:
                problems[share] = _text(refused)
        return TreeConnects(node.name, int(connection.dialect), capabilities, problems)


@contextlib.contextmanager
def _connection(node: NodeAddress, dialect: int | None) -> Iterator[Any]:
    """A connection that ends after `_CONNECTION_S`, because smbprotocol waits for an answer without end."""
    from smbprotocol.connection import Connection

    logging.getLogger("smbprotocol").setLevel(logging.CRITICAL)  # what it warns of is in our result
    connection = Connection(uuid.uuid4(), node.address, node.smb_port, require_signing=True)

    def close() -> None:
        if connection.transport is not None:
            connection.transport.close()

    watchdog = threading.Timer(_CONNECTION_S, close)
    watchdog.daemon = True
    watchdog.start()
    try:
        connection.connect(dialect=dialect, timeout=_CONNECTION_S)
        yield connection
    finally:
        watchdog.cancel()
        if connection.transport is not None:
            connection.disconnect(close=False)


def _tree_connect(session: Any, path: str) -> int:
    """The Capabilities of a share. smbprotocol's own class keeps only some of them."""
    from smbprotocol.tree import SMB2TreeConnectRequest, SMB2TreeConnectResponse

    request = SMB2TreeConnectRequest()
    request["buffer"] = path.encode("utf-16-le")
    # In dialect 3.1.1 this request must be signed or encrypted (MS-SMB2 3.3.5.7).
    sent = session.connection.send(request, sid=session.session_id)
    answer = session.connection.receive(sent)
    response = SMB2TreeConnectResponse()
    response.unpack(answer["data"].get_value())
    return int(response["capabilities"].get_value())


def _refuses_logon(failure: Exception) -> bool:
    """Whether the server refuses the logon: a ticket may do where NTLM does not."""
    from smbprotocol.exceptions import SMBAuthenticationError, SMBResponseException

    return isinstance(failure, SMBAuthenticationError | SMBResponseException)


def _text(problem: Exception) -> str:
    """One line: the status of a response by its symbol and value, else the text of the exception."""
    status = getattr(problem, "status", None)
    if isinstance(status, int):
        from impacket.nt_errors import ERROR_MESSAGES

        symbol = ERROR_MESSAGES.get(status, ("an unknown status",))[0]
        return f"{symbol} (0x{status:08X})"
    return (str(problem) or type(problem).__name__).splitlines()[0]
