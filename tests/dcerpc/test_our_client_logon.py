"""What our client sends to authenticate: tests of the rows of ``docs/our-client.md`` about NTLM and SPNEGO.

``WINDOWS_...`` are the values of a Windows 10 client at PKT_PRIVACY, from the capture
``test/pcaps/dcerpc_privacy_ntlm.pcapng.gz`` of secdev/scapy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from spnego._ntlm_raw.messages import AvFlags, AvId, Challenge, FileTime, TargetInfo, Version
from spnego._ntlm_raw.messages import NegotiateFlags as Flags
from spnego._spnego import NegState, NegTokenInit, NegTokenResp, unpack_token

from swn_torture.dcerpc.security.context import Credentials
from swn_torture.dcerpc.security.initiator import initiator
from swn_torture.dcerpc.security.levels import AuthLevel, AuthType
from tests.dcerpc.sent_pdus import SIGNED, SPNEGO, Recorded, ntlm_messages, record

if TYPE_CHECKING:
    from pathlib import Path

    from spnego._ntlm_raw.messages import Authenticate, Negotiate

USER = Credentials("witness", "Passw0rd!", "SWNTEST")

WINDOWS_NEGOTIATE = 0xE20882B7
WINDOWS_AUTHENTICATE = 0xE2888235
WINDOWS_AV_PAIRS = [2, 1, 4, 3, 5, 7, 6, 8, 10, 9]
"""The AvIds in their order. 8 is MsvAvSingleHost, which only a server on the same host reads."""


def challenge_of(*, timestamp: bool = True, info: bool = True, extra: int = 0) -> bytes:
    """A CHALLENGE as Windows Server sends it in that capture, with flags of its own."""
    pairs = TargetInfo()
    pairs[AvId.nb_domain_name] = "DOMAIN"
    pairs[AvId.nb_computer_name] = "DC1"
    pairs[AvId.dns_domain_name] = "domain.local"
    pairs[AvId.dns_computer_name] = "DC1.domain.local"
    pairs[AvId.dns_tree_name] = "domain.local"
    if timestamp:
        pairs[AvId.timestamp] = FileTime.now()
    flags = WINDOWS_AUTHENTICATE | Flags.target_type_domain | extra
    return Challenge(
        flags if info else flags & ~Flags.target_info,
        b"12345678",
        target_name="DOMAIN",
        target_info=pairs if info else None,
        version=Version(major=10, minor=0, build=17763),
    ).pack()


def messages(challenge: bytes, level: int = AuthLevel.PRIVACY) -> tuple[Negotiate, Authenticate]:
    """NEGOTIATE and AUTHENTICATE of our client for a CHALLENGE."""
    context = initiator(AuthType.NTLM, USER, host="SWNCLUSTER", level=level)
    return ntlm_messages([context.step(b""), context.step(challenge)])


def client_challenge(authenticate: Authenticate) -> bytes:
    """The NTLMv2 response without NTProofStr (MS-NLMP 2.2.2.7)."""
    return (authenticate.nt_challenge_response or b"")[16:]


def pairs_of(authenticate: Authenticate) -> TargetInfo:
    return TargetInfo.unpack(client_challenge(authenticate)[28:-4])


# NEGOTIATE
# ----------------------------------------------------------------------------------------------------------


def test_negotiate_flags_are_those_of_windows() -> None:
    """Without NTLMSSP_NEGOTIATE_LM_KEY (0x80), which extended session security excludes (MS-NLMP 2.2.2.5)."""
    negotiate, _ = messages(challenge_of())
    assert negotiate.flags == WINDOWS_NEGOTIATE & ~Flags.lm_key
    signed, _ = messages(challenge_of(), AuthLevel.INTEGRITY)
    assert signed.flags == WINDOWS_NEGOTIATE & ~Flags.lm_key & ~Flags.seal


def test_negotiate_has_a_version_and_no_names() -> None:
    context = initiator(AuthType.NTLM, USER, host="SWNCLUSTER")
    token = context.step(b"")
    negotiate, _ = ntlm_messages([token, context.step(challenge_of())])
    assert len(token) == 40
    assert (negotiate.domain_name, negotiate.workstation) == (None, None)
    assert negotiate.version is not None
    assert negotiate.version.revision == 15


# AUTHENTICATE
# ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "extra",
    [0, Flags.target_type_server, Flags.lm_key, Flags.identity, Flags.datagram, Flags.non_nt_session_key],
)
def test_authenticate_flags_are_the_negotiated_ones(extra: int) -> None:
    """The flags of Windows for the same CHALLENGE: not those that the client did not offer."""
    _, authenticate = messages(challenge_of(extra=extra))
    assert authenticate.flags == WINDOWS_AUTHENTICATE


def test_oem_is_dropped_if_unicode_is_agreed() -> None:
    _, authenticate = messages(challenge_of(extra=Flags.oem))
    assert authenticate.flags == WINDOWS_AUTHENTICATE
    assert authenticate.user_name == "witness"


def test_names_of_the_client() -> None:
    _, authenticate = messages(challenge_of())
    assert (authenticate.domain_name, authenticate.user_name) == ("SWNTEST", "witness")
    assert authenticate.workstation == "SWN-TORTURE"
    assert authenticate.version is not None
    assert authenticate.version.revision == 15


def test_target_info_is_that_of_the_server_and_four_pairs() -> None:
    _, authenticate = messages(challenge_of())
    pairs = pairs_of(authenticate)
    assert [int(each) for each in pairs if each != AvId.eol] == [
        each for each in WINDOWS_AV_PAIRS if each != AvId.single_host
    ]
    sent = challenge_of()
    server = Challenge.unpack(sent).target_info
    assert server is not None
    assert {each: pairs[each] for each in server if each != AvId.timestamp} == {
        each: server[each] for each in server if each != AvId.timestamp
    }
    assert pairs[AvId.flags] == AvFlags.mic
    assert pairs[AvId.channel_bindings] == bytes(16)
    assert pairs[AvId.target_name] == "cifs/SWNCLUSTER"
    blob = client_challenge(authenticate)
    assert blob[:8] == b"\x01\x01" + bytes(6)
    assert blob[24:28] == bytes(4)
    assert blob[-8:] == bytes(8)  # MsvAvEOL and Z(4)


def test_a_challenge_with_a_timestamp_gets_a_mic() -> None:
    sent = challenge_of()
    _, authenticate = messages(sent)
    server = Challenge.unpack(sent).target_info
    assert server is not None
    assert client_challenge(authenticate)[8:16] == server[AvId.timestamp].pack()
    assert authenticate.mic not in {None, bytes(16)}
    assert authenticate.lm_challenge_response == bytes(24)


def test_a_challenge_without_a_timestamp_gets_an_lmv2_response() -> None:
    _, authenticate = messages(challenge_of(timestamp=False))
    pairs = pairs_of(authenticate)
    assert AvId.flags not in pairs
    assert pairs[AvId.channel_bindings] == bytes(16)
    assert authenticate.mic == bytes(16)
    response = authenticate.lm_challenge_response or b""
    assert len(response) == 24
    assert response[16:] == client_challenge(authenticate)[16:24]


def test_no_pairs_are_added_without_target_info() -> None:
    _, authenticate = messages(challenge_of(info=False))
    assert client_challenge(authenticate)[28:] == bytes(8)


def test_the_session_key_is_exchanged() -> None:
    _, authenticate = messages(challenge_of())
    assert len(authenticate.encrypted_random_session_key or b"") == 16


# SPNEGO
# ----------------------------------------------------------------------------------------------------------


def test_spnego_offers_ntlm_with_its_token() -> None:
    async def steps(run: Recorded) -> None:
        rpc = await run.client(**SPNEGO)
        first = unpack_token(run.sent(rpc)[0].auth_value)
        assert isinstance(first, NegTokenInit)
        assert first.mech_types == ["1.3.6.1.4.1.311.2.2.10"]
        assert (first.mech_token or b"").startswith(b"NTLMSSP\0\x01")
        assert (first.req_flags, first.mech_list_mic) == (None, None)

    record(steps)


def test_spnego_signs_its_list_of_mechanisms() -> None:
    async def steps(run: Recorded) -> None:
        rpc = await run.client(**SPNEGO)
        second = unpack_token(run.sent(rpc)[1].auth_value)
        assert isinstance(second, NegTokenResp)
        assert second.neg_state == NegState.accept_incomplete
        assert second.supported_mech is None
        assert (second.response_token or b"").startswith(b"NTLMSSP\0\x03")
        assert len(second.mech_list_mic or b"") == 16

    record(steps)


@pytest.mark.parametrize("logon", [SIGNED, SPNEGO], ids=["ntlm", "spnego"])
def test_spn_is_cifs_and_the_name_of_the_server(logon: dict[str, Any]) -> None:
    async def steps(run: Recorded) -> None:
        for host, expected in (("SWNCLUSTER", "cifs/SWNCLUSTER"), ("", "cifs/127.0.0.1")):
            rpc = await run.client(**{**logon, "host": host})
            _, authenticate = ntlm_messages([pdu.auth_value for pdu in run.sent(rpc)])
            assert pairs_of(authenticate)[AvId.target_name] == expected

    record(steps)


# Other acceptors
# ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("auth_type", [AuthType.NTLM, AuthType.SPNEGO])
def test_the_acceptor_of_pyspnego_accepts_the_logon(
    auth_type: AuthType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It checks NTProofStr, the MIC, and the mechListMIC."""
    import spnego

    users = tmp_path / "users"
    users.write_text("SWNTEST:witness:Passw0rd!\n")
    monkeypatch.setenv("NTLM_USER_FILE", str(users))
    server = spnego.server(
        protocol="ntlm" if auth_type == AuthType.NTLM else "negotiate",
        options=spnego.NegotiateOptions.use_negotiate,
        context_req=spnego.ContextReq.default | spnego.ContextReq.dce_style,
    )
    client = initiator(auth_type, USER, host="SWNCLUSTER", level=AuthLevel.PRIVACY)
    token: bytes | None = client.step(b"")
    while token:
        token = server.step(token)
        token = client.step(token) if (token and not client.complete) or token else None
    assert server.complete
    assert client.complete
    assert server.client_principal == "SWNTEST\\witness"
    body, signature = client.protect(AuthLevel.PRIVACY, b"header..", b"body" * 4, b"trailer.")
    assert len(signature) == 16
    assert body != b"body" * 4


def test_the_acceptor_of_scapy_accepts_the_logon() -> None:
    """It checks NTProofStr and the MIC."""
    pytest.importorskip("scapy")
    from scapy.layers.gssapi import GSS_S_COMPLETE, GSS_S_CONTINUE_NEEDED
    from scapy.layers.ntlm import NTLMSSP, MD4le, NTLM_Header

    server = NTLMSSP(IDENTITIES={"witness": MD4le("Passw0rd!")})
    client = initiator(AuthType.NTLM, USER, host="SWNCLUSTER", level=AuthLevel.INTEGRITY)
    context, challenge, status = server.GSS_Accept_sec_context(None, NTLM_Header(client.step(b"")))
    assert status == GSS_S_CONTINUE_NEEDED
    authenticate = NTLM_Header(client.step(bytes(challenge)))
    assert authenticate.Workstation == "SWN-TORTURE"
    context, _, status = server.GSS_Accept_sec_context(context, authenticate)
    assert status == GSS_S_COMPLETE
