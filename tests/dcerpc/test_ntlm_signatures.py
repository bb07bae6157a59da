"""The fast signatures of NTLM are those of pyspnego."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import pytest
from spnego._ntlm import NTLMProxy
from spnego.exceptions import BadMICError

from swn_torture.dcerpc.security.acceptor import Acceptor
from swn_torture.dcerpc.security.context import Credentials, SecurityContext
from swn_torture.dcerpc.security.initiator import initiator
from swn_torture.dcerpc.security.levels import AuthLevel, AuthType
from swn_torture.dcerpc.security.ntlm_signatures import SigningProxy

if TYPE_CHECKING:
    from swn_torture.dcerpc.security.providers import ProviderContext

MESSAGES = [b"", b"x", bytes(range(256)) * 8]


def logged_on() -> tuple[SigningProxy, SigningProxy]:
    """Both ends of a context, the client first."""
    client = initiator(AuthType.NTLM, Credentials("user", "secret", "SWNTEST"), host="NODE1")
    server = Acceptor({"user": "secret"}).new(AuthType.NTLM, AuthLevel.INTEGRITY)
    server.step(client.step(server.step(client.step(b""))))
    return proxy_of(client), proxy_of(server)


def proxy_of(context: SecurityContext) -> SigningProxy:
    proxy = cast("ProviderContext", context)._proxy
    assert isinstance(proxy, SigningProxy)
    return proxy


def test_signatures_are_those_of_pyspnego() -> None:
    client, server = logged_on()

    for message in MESSAGES:
        NTLMProxy.verify(server, message, client.sign(message))
    for message in MESSAGES:
        client.verify(message, NTLMProxy.sign(server, message))


def test_changed_message_is_noticed_and_takes_a_number() -> None:
    client, server = logged_on()

    with pytest.raises(BadMICError):
        server.verify(b"changed", client.sign(b"sent"))
    server.verify(b"next", client.sign(b"next"))


def test_nothing_is_signed_before_the_logon() -> None:
    client = initiator(AuthType.NTLM, Credentials("user", "secret", "SWNTEST"), host="NODE1")
    with pytest.raises(Exception, match="until context has been established"):
        proxy_of(client).sign(b"early")
