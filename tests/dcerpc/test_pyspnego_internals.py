"""The private parts of pyspnego that security/ntlm.py overrides or calls: a change of them fails here."""

from __future__ import annotations

import inspect
from types import NoneType
from typing import Any

import pytest
from spnego import ContextReq
from spnego._ntlm import _NTLMCredential

from swn_torture.dcerpc.security import ntlm, ntlm_messages
from swn_torture.dcerpc.security.context import Credentials
from tests.dcerpc.impacket_client import ImpacketClient


def test_pyspnego_has_the_overridden_methods() -> None:
    from spnego._negotiate import NegotiateProxy
    from spnego._ntlm import NTLMProxy

    def names(function: Any) -> list[str]:
        return list(inspect.signature(function).parameters)

    assert names(NTLMProxy._step_initiate) == ["self", "in_token", "channel_bindings"]
    assert names(NTLMProxy._step_accept_negotiate) == ["self", "token"]
    assert names(NTLMProxy._step_accept_authenticate) == ["self", "token", "channel_bindings"]
    assert names(NTLMProxy._compute_response) == ["self", "challenge", "credential", "channel_bindings"]
    assert names(NTLMProxy._calculate_mic) == [
        "self", "session_key", "negotiate", "challenge", "authenticate",
    ]  # fmt: skip
    assert names(NegotiateProxy._preferred_mech_list) == ["self"]
    assert names(NegotiateProxy._rebuild_context_list) == ["self", "mech_types", "channel_bindings"]
    assert names(NegotiateProxy._step_spnego_input) == ["self", "in_token", "channel_bindings"]
    assert names(NegotiateProxy._step_spnego_mic) == ["self", "in_mic"]
    assert names(NegotiateProxy._is_same_mech) == ["mech", "oid"]


def test_pyspnego_has_the_attributes_that_ntlm_sets() -> None:
    from spnego._credential import Password
    from spnego._negotiate import NegotiateProxy
    from spnego._ntlm import NTLMProxy

    attributes = vars(NTLMProxy(Password("u", "p"), context_req=ContextReq.default))
    assert set(attributes) >= {
        "usage", "spn", "_credential", "_lm", "_nt_v1", "_nt_v2", "_context_req", "_context_attr",
        "_mic_required", "_session_key", "_complete", "_temp_negotiate", "_temp_challenge", "_is_wrapped",
    }  # fmt: skip
    spnego = vars(NegotiateProxy(Password("u", "p")))
    assert set(spnego) >= {"_init_sent", "_mech_list", "_mic_required", "_available_contexts"}


def test_kept_attributes_of_a_new_context_stay_as_they_are() -> None:
    """They are shared by all contexts of an account, so that a logon must set them, and not change them."""
    kept = ntlm_messages.new_initiator("SWNTEST\\user", "secret", ContextReq.default)
    plain = (int, str, bytes, NoneType, _NTLMCredential)
    assert {name for name, value in kept.items() if not isinstance(value, plain)} == set()
    credential = dict(vars(kept["_credential"]))
    before = dict(kept)

    for _ in range(2):
        client = ntlm.NtlmInitiator(Credentials("user", "secret", "SWNTEST"), "host/n", ContextReq.default)
        accounts = ntlm.Accounts({"user": "secret"}, "SWNTEST")
        server = ntlm.NtlmAcceptor(accounts, "SWNTEST", "NODE1")
        server.step(client.step(server.step(client.step())))
        assert server.client_principal == "SWNTEST\\user"
        client.verify(b"answer", server.sign(b"answer"))

    assert kept == before
    assert vars(kept["_credential"]) == credential


def test_pyspnego_itself_rejects_the_client_of_impacket(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    """When pyspnego itself accepts impacket's client, most of security/ntlm.py is not needed any more."""
    import spnego
    from spnego.exceptions import SpnegoError

    users = tmp_path / "users"
    users.write_text("SWNTEST:witness:Passw0rd!\n")
    monkeypatch.setenv("NTLM_USER_FILE", str(users))
    stock = spnego.server(protocol="ntlm", options=spnego.NegotiateOptions.use_ntlm)
    client = ImpacketClient("witness", "Passw0rd!")
    challenge = stock.step(client.negotiate())
    assert challenge is not None
    with pytest.raises(SpnegoError, match="Invalid NTLM response"):
        stock.step(client.authenticate(challenge))
