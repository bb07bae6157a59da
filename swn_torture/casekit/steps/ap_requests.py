"""Kerberos AP-REQs that a server must reject (RFC 4120 3.2.3).

The first token of a client is an AP-REQ: with DCE style it has no GSS-API header. `ap_request` makes a valid
one, `WRONG` has what is done to it.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from swn_torture.casekit.known import NotTestable
from swn_torture.dcerpc.errors import AuthenticationError
from swn_torture.dcerpc.security.context import Tickets
from swn_torture.dcerpc.security.initiator import initiator
from swn_torture.dcerpc.security.levels import AuthType
from swn_torture.dcerpc.security.tickets import keys_of, ticket_cache

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from swn_torture.casekit.witness import Witness
    from swn_torture.dcerpc.security.context import Credentials

#: The clocks of client and server may differ by five minutes (RFC 4120 8.2).
_CLOCK_OFF: Final = dt.timedelta(hours=2)
#: How long ago an expired ticket ended.
_EXPIRED: Final = dt.timedelta(hours=2)
#: Usage of the key of an authenticator in an AP-REQ, and of that of a ticket (RFC 4120 7.5.1).
_KEY_USAGE: Final = 11
_TICKET_USAGE: Final = 2


@dataclass(frozen=True, slots=True)
class ApRequest:
    """An AP-REQ, with the account that it is from.

    Attributes:
        witness: the target.
        token: its octets.
    """

    witness: Witness
    token: bytes


def ap_request(witness: Witness) -> ApRequest:
    """Return a valid AP-REQ for the target.

    Raises:
        NotTestable: the target does not offer Kerberos.
    """
    witness.require(AuthType.KERBEROS)
    return ApRequest(witness, _token(witness, witness.credentials))


def _token(witness: Witness, credentials: Credentials) -> bytes:
    return initiator(AuthType.KERBEROS, credentials, host=witness.profile.host, level=witness.level).step(b"")


def _other_service(valid: ApRequest) -> bytes:
    """An AP-REQ with the ticket for the KDC, which the server cannot decrypt."""
    credentials = valid.witness.credentials
    realm = _credential(credentials, "krbtgt/")["server"].realm["data"].decode()
    tickets = replace(credentials.tickets or Tickets(), spn=f"krbtgt/{realm}@{realm}")
    return _token(valid.witness, replace(credentials, tickets=tickets))


def _old_clock(valid: ApRequest) -> bytes:
    """The same AP-REQ with the time of a client whose clock is two hours late."""
    from impacket.krb5 import crypto
    from impacket.krb5.asn1 import AP_REQ, Authenticator
    from pyasn1.codec.der import decoder, encoder

    service = valid.witness.profile.principal.partition("@")[0].casefold()
    key = _credential(valid.witness.credentials, service)["key"]
    cipher = crypto._enctype_table[int(key["keytype"])]  # noqa: SLF001 - as impacket itself does
    session = crypto.Key(cipher.enctype, bytes(key["keyvalue"]))
    request = decoder.decode(valid.token, asn1Spec=AP_REQ())[0]
    plain = cipher.decrypt(session, _KEY_USAGE, bytes(request["authenticator"]["cipher"]))
    authenticator = decoder.decode(plain, asn1Spec=Authenticator())[0]
    late = dt.datetime.now(dt.UTC) - _CLOCK_OFF
    authenticator["ctime"] = late.strftime("%Y%m%d%H%M%SZ")
    request["authenticator"]["cipher"] = cipher.encrypt(
        session, _KEY_USAGE, encoder.encode(authenticator), None
    )
    return bytes(encoder.encode(request))


def with_ticket_resealed(valid: ApRequest, ended: dt.timedelta | None = None) -> bytes:
    """The same AP-REQ with its ticket decrypted and encrypted again, with the keys of the cluster.

    Args:
        valid: the AP-REQ.
        ended: how long ago the ticket ended; None to leave it as it is.

    Raises:
        NotTestable: no key of the keytab decrypts the ticket.
    """
    from impacket.krb5 import crypto
    from impacket.krb5.asn1 import AP_REQ, EncTicketPart
    from pyasn1.codec.der import decoder, encoder

    request = decoder.decode(valid.token, asn1Spec=AP_REQ())[0]
    sealed = request["ticket"]["enc-part"]
    path = valid.witness.profile.account.service_keytab
    known = crypto._enctype_table  # noqa: SLF001 - as above
    for kind, octets in keys_of(path):
        if kind != int(sealed["etype"]) or kind not in known:
            continue
        cipher, key = known[kind](), crypto.Key(kind, octets)
        try:
            plain = cipher.decrypt(key, _TICKET_USAGE, bytes(sealed["cipher"]))
        except crypto.InvalidChecksum:
            continue
        ticket = decoder.decode(plain, asn1Spec=EncTicketPart())[0]
        if ended is not None:
            end = dt.datetime.now(dt.UTC) - ended
            ticket["starttime"] = (end - ended).strftime("%Y%m%d%H%M%SZ")
            ticket["endtime"] = end.strftime("%Y%m%d%H%M%SZ")
        sealed["cipher"] = cipher.encrypt(key, _TICKET_USAGE, encoder.encode(ticket), None)
        return bytes(encoder.encode(request))
    raise NotTestable(f"no key in {path} (service_keytab in [account]) decrypts the ticket for the cluster")


def _changed_ticket(valid: ApRequest) -> bytes:
    from impacket.krb5.asn1 import AP_REQ
    from pyasn1.codec.der import decoder

    sealed = bytes(decoder.decode(valid.token, asn1Spec=AP_REQ())[0]["ticket"]["enc-part"]["cipher"])
    at = valid.token.index(sealed) + len(sealed) // 2
    return valid.token[:at] + bytes([valid.token[at] ^ 1]) + valid.token[at + 1 :]


def _credential(credentials: Credentials, start: str) -> Any:
    """The credential in the ticket cache of an account, for the first service whose name begins like this."""
    from impacket.krb5.ccache import CCache

    path = ticket_cache(credentials)
    cache = None if path is None else CCache.loadFile(str(path))
    for each in cache.credentials if cache else ():
        if each["server"].prettyPrint().decode().casefold().startswith(start):
            return each
    raise AuthenticationError(f"Kerberos: no ticket for {start} in a cache of this process")


#: What needs the keys of the cluster.
EXPIRED: Final = "expired-ticket"

#: What is wrong with an AP-REQ -> makes it of a valid one.
WRONG: Mapping[str, Callable[[ApRequest], bytes]] = {
    "other-service": _other_service,
    "changed-ticket": _changed_ticket,
    "changed-authenticator": lambda valid: valid.token[:-1] + bytes([valid.token[-1] ^ 1]),
    "old-clock": _old_clock,
    EXPIRED: lambda valid: with_ticket_resealed(valid, _EXPIRED),
    "cut-in-half": lambda valid: valid.token[: len(valid.token) // 2],
    "no-ap-req": lambda valid: bytes(len(valid.token)),
}
