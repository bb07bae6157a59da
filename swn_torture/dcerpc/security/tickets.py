"""Kerberos tickets of the accounts of this process, and client contexts made with them.

One ticket-granting ticket is fetched for each account and process. It and the service tickets are in a
private ticket cache, so that a bind asks the KDC only for a service ticket that it does not have yet. The
directory of the caches is removed when the process ends. A ticket cache of the user is copied, not changed.

If an account names its KDC, ``KRB5_CONFIG`` of this process and its children leads to a configuration with
that KDC. Nothing else on the machine sees it.
"""

from __future__ import annotations

import atexit
import os
import re
import shutil
import tempfile
import threading
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from swn_torture.dcerpc.errors import AuthenticationError
from swn_torture.dcerpc.security.context import Tickets
from swn_torture.dcerpc.security.extra import require_kerberos

if TYPE_CHECKING:
    from spnego import ContextProxy, ContextReq

    from swn_torture.dcerpc.security.context import Credentials

#: Seconds before the end of a ticket at which a new one is fetched.
_EARLY_S = 60.0

#: Seconds for which the KDC is not asked again after it gave no ticket: it may take half a minute to do so,
#: and some lock an account after a few wrong passwords.
_AGAIN_S = 30.0

#: What to mend, by a part of the message of MIT's library.
_MEND = {
    "Cannot find KDC": 'name the KDC: kdc = "HOST" in [account], or the realm in krb5.conf',
    "Cannot contact any KDC": "check that the KDC runs, its address and its port (88 by default)",
    "Cannot resolve": "check the name of the KDC",
    "Client '": "check username and realm in [account]",
    "Client not found": "check username and realm in [account]",
    "Preauthentication failed": "check the password, or make a new keytab",
    "Password incorrect": "check the password",
    "Decrypt integrity check failed": "check the password, or make a new keytab",
    "Clock skew": "set the clocks of this machine, the KDC and the nodes (NTP): they differ too much",
    "Server not found": "check the service principal name: spn in [account], net_name or spn_host",
    "Server cifs/": "check the service principal name: spn in [account], net_name or spn_host",
    "expired": "fetch a new ticket (kinit), or give a password or a keytab",
    "credentials cache format": "it is no ticket cache; fetch a ticket: kinit -c PATH",
    "key table format": "it is no keytab",
    "nonexistent or empty": "check the path of the keytab, and that it may be read and has keys",
    "Key table file": "check the path of the keytab, and that it may be read",
    "no suitable keys": "check that the keytab has the keys of this account: klist -k",
    "Keytab contains no": "check that the keytab has the keys of this account: klist -k",
    "No credentials cache": "fetch a ticket: kinit -c PATH",
    "No Kerberos credentials": "fetch a ticket (kinit), or give a password or a keytab in [account]",
    "default realm": "name the realm: realm in [account]",
    "revoked": "the KDC says that the account is disabled, locked or expired",
}

#: What the bindings write beside the message of the library.
_CODE = re.compile(r" -\d+$|^Major \(\d+\): [^:]*?, Minor \(\d+\): ")

#: A client that takes names as they are.
_CONFIGURATION = """\
[libdefaults]
  dns_lookup_realm = false
  dns_lookup_kdc = false
  dns_canonicalize_hostname = false
  rdns = false
"""


class NoTicket(AuthenticationError):  # noqa: N818 - named for what it reports
    """The KDC gives no ticket, or the ticket cache has none; the text says what to mend."""


@dataclass(slots=True)
class _Cache:
    """A private ticket cache.

    Attributes:
        path: its file.
        ends: ``time.time()`` at the end of its ticket-granting ticket.
    """

    path: Path
    ends: float


_lock = threading.RLock()
_caches: dict[Credentials, _Cache] = {}
_failures: dict[Credentials, tuple[float, NoTicket]] = {}
_directories: dict[int, Path] = {}
_kdcs: dict[str, str] = {}


def client_context(credentials: Credentials, spn: str, request: ContextReq) -> ContextProxy:
    """Return the client's end of a Kerberos context.

    Args:
        credentials: of the client.
        spn: the service principal name, with a realm if it is not that of the client.
        request: the features to request.

    Raises:
        NoTicket: there is no ticket-granting ticket for the client.
        AuthenticationError: Kerberos is not installed.
    """
    require_kerberos()
    import gssapi
    from spnego._gss import GSSAPIProxy
    from spnego.exceptions import SpnegoError

    class NamedService(GSSAPIProxy):
        """Asks for the service principal name as it is.

        The base class makes a host-based name, which MIT's library changes: lower case, DNS suffix.
        """

        def step(self, in_token: bytes | None = None, **more: Any) -> bytes | None:
            if self._context is None:
                name = gssapi.Name(principal, name_type=gssapi.NameType.kerberos_principal)
                self._context = gssapi.SecurityContext(
                    name=name,
                    creds=self._credential,
                    usage="initiate",
                    mech=self._mech,
                    flags=self._context_req,
                )
            try:
                return super().step(in_token, **more)
            except SpnegoError as problem:
                if in_token:
                    raise
                raise explained(problem, f"no ticket for {principal}") from problem

    try:
        path = ticket_cache(credentials)
        mechanism = gssapi.OID.from_int_seq("1.2.840.113554.1.2.2")
        store = None if path is None else {"ccache": f"FILE:{path}"}
        held = gssapi.Credentials(usage="initiate", mechs=[mechanism], store=store)
        realm = str(held.name).rpartition("@")[2]
    except gssapi.exceptions.GSSError as problem:
        raise explained(problem, f"no ticket for {name_of(credentials)}") from problem
    principal = spn if "@" in spn else f"{spn}@{realm}"
    return NamedService(usage="initiate", protocol="kerberos", context_req=request, _gssapi_credential=held)


def fetch_ticket(credentials: Credentials, spn: str) -> Path | None:
    """Fetch a service ticket, if the cache has none.

    Args:
        credentials: of the client.
        spn: the service principal name; that of the credentials takes precedence.

    Returns:
        The ticket cache; None for the one of the user.

    Raises:
        NoTicket: there is none.
        AuthenticationError: Kerberos is not installed.
    """
    from spnego import ContextReq

    chosen = credentials.tickets.spn if credentials.tickets is not None else ""
    client_context(credentials, chosen or spn, ContextReq.integrity | ContextReq.dce_style).step(None)
    return ticket_cache(credentials)


def ticket_cache(credentials: Credentials) -> Path | None:
    """Return the private ticket cache of an account, with a ticket-granting ticket.

    Args:
        credentials: of the client.

    Returns:
        Its file; None if only the ticket cache of the user is there: no password, no ``tickets``.

    Raises:
        NoTicket: there is no ticket.
        AuthenticationError: Kerberos is not installed.
    """
    require_kerberos()
    tickets = credentials.tickets or Tickets()
    if not (credentials.password or tickets.keytab or tickets.ccache):
        if credentials.tickets is None:
            return None
        raise NoTicket(f"Kerberos: no password, keytab or ticket cache for {name_of(credentials)}")
    with _lock:
        if tickets.kdc:
            _use_kdc(tickets.realm, tickets.kdc)
        # The ticket is the same for every service.
        key = replace(credentials, tickets=replace(tickets, spn=""))
        cache = _caches.get(key)
        if cache is not None and cache.ends > time.time() + _EARLY_S:
            return cache.path
        until, failure = _failures.get(key, (0.0, None))
        if failure is not None and time.monotonic() < until:
            raise failure
        path = cache.path if cache else _directory() / f"ccache{len(_caches)}"
        try:
            _caches[key] = _Cache(path, _fill(path, credentials, tickets))
        except NoTicket as problem:
            _failures[key] = time.monotonic() + _AGAIN_S, problem
            raise
        return path


def name_of(credentials: Credentials) -> str:
    """The Kerberos principal of credentials, as far as they name it."""
    tickets = credentials.tickets or Tickets()
    realm = tickets.realm or credentials.domain
    name = f"{credentials.username}@{realm}" if realm and credentials.username else credentials.username
    source = tickets.ccache or tickets.keytab
    return name or (f"the principal of {source}" if source else "the user of this machine")


def _fill(path: Path, credentials: Credentials, tickets: Tickets) -> float:
    """Fill a ticket cache, and return the end of the ticket-granting ticket.

    Raises:
        NoTicket: there is no ticket.
    """
    import krb5

    if tickets.ccache:
        return _copy(path, tickets.ccache.removeprefix("FILE:"))
    who = name_of(credentials)
    try:
        context = krb5.init_context()
        keytab = krb5.kt_resolve(context, f"FILE:{tickets.keytab}".encode()) if tickets.keytab else None
        if credentials.username:
            principal = krb5.parse_name_flags(context, who.encode())
        else:
            principal = _first_of(context, keytab, tickets.keytab)
        options = krb5.get_init_creds_opt_alloc(context)
        krb5.get_init_creds_opt_set_canonicalize(options, True)  # noqa: FBT003 - its signature
        if keytab is not None:
            found = krb5.get_init_creds_keytab(context, principal, options, keytab=keytab)
        else:
            password = credentials.password.encode()
            found = krb5.get_init_creds_password(context, principal, options, password=password)
        store = krb5.cc_resolve(context, f"FILE:{path}".encode())
        krb5.cc_initialize(context, store, found.client)
        krb5.cc_store_cred(context, store, found)
        return float(found.times.endtime)
    except krb5.Krb5Error as problem:
        raise explained(problem, f"no ticket for {who}") from problem


def _first_of(context: Any, keytab: Any, path: str) -> Any:
    import krb5

    return krb5.parse_name_flags(context, _names_in(keytab, path)[0])


def _names_in(keytab: Any, path: str) -> list[bytes]:
    names = [entry.principal.name for entry in keytab or ()]
    if not names:
        raise NoTicket(f"Kerberos: the keytab {path} has no keys; make a new one")
    return names


def principals_of(keytab: str) -> list[str]:
    """The names of the principals in a keytab, in its order; each once.

    Args:
        keytab: its path.

    Raises:
        NoTicket: it cannot be read, or has no keys.
        AuthenticationError: Kerberos is not installed.
    """
    require_kerberos()
    import krb5

    try:
        held = krb5.kt_resolve(krb5.init_context(), f"FILE:{keytab.removeprefix('FILE:')}".encode())
        return list(dict.fromkeys(name.decode() for name in _names_in(held, keytab)))
    except krb5.Krb5Error as problem:
        raise explained(problem, f"no principal in {keytab}") from problem


def keys_of(keytab: str) -> list[tuple[int, bytes]]:
    """The keys in a keytab, in its order: the number of the encryption type, and the octets.

    Args:
        keytab: its path.

    Raises:
        NoTicket: it cannot be read.
        AuthenticationError: Kerberos is not installed.
    """
    require_kerberos()
    import krb5

    try:
        held = krb5.kt_resolve(krb5.init_context(), f"FILE:{keytab.removeprefix('FILE:')}".encode())
        return [(int(entry.key.enctype), bytes(entry.key.data)) for entry in held]
    except krb5.Krb5Error as problem:
        raise explained(problem, f"no key in {keytab}") from problem


def _copy(path: Path, source: str) -> float:
    """Copy a ticket cache of the user.

    Raises:
        NoTicket: it cannot be read, or has no valid ticket.
    """
    import gssapi

    try:
        path.touch(mode=0o600)
        shutil.copyfile(source, path)
        held = gssapi.Credentials(usage="initiate", store={"ccache": f"FILE:{path}"})
        return time.time() + float(held.lifetime or 0)
    except OSError as problem:
        text = f"Kerberos: the ticket cache {source} cannot be read: {problem.strerror}"
        raise NoTicket(f"{text}; fetch a ticket: kinit -c {source}") from problem
    except gssapi.exceptions.GSSError as problem:
        raise explained(problem, f"no ticket in {source}") from problem


def explained(problem: Exception, what: str) -> NoTicket:
    """An error of MIT's library as one sentence, with what to mend.

    Args:
        problem: the error.
        what: what failed, in a few words.
    """
    if isinstance(problem, NoTicket):
        return problem
    cause = getattr(problem, "base_error", None) or problem
    text = " ".join((str(cause) or type(cause).__name__).split()).removesuffix(".")
    text = _CODE.sub("", text)
    mend = next((mend for part, mend in _MEND.items() if part in text), "")
    return NoTicket(f"Kerberos: {what}: {text}{f'; {mend}' if mend else ''}")


def _directory() -> Path:
    """The directory of this process for tickets; it is removed when the process ends."""
    process = os.getpid()
    if process not in _directories:
        _directories.clear()  # after a fork: those of the parent
        _caches.clear()
        directory = Path(tempfile.mkdtemp(prefix="swn-torture-krb5-"))
        _directories[process] = directory
        atexit.register(_remove, process, directory)
    return _directories[process]


def _remove(process: int, directory: Path) -> None:
    if os.getpid() == process:
        shutil.rmtree(directory, ignore_errors=True)


def _use_kdc(realm: str, kdc: str) -> None:
    """Let this process and its children find the KDC of a realm, by a configuration of their own."""
    path = _directory() / "krb5.conf"
    if _kdcs.get(realm) != kdc or not path.exists():
        _kdcs[realm] = kdc
        realms = "\n".join(f"  {name} = {{\n    kdc = {at}\n  }}" for name, at in _kdcs.items())
        path.write_text(f"{_CONFIGURATION}[realms]\n{realms}\n", encoding="utf-8")
    os.environ["KRB5_CONFIG"] = str(path)
