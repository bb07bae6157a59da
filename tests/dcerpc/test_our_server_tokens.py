"""What our acceptors send, octet by octet: the NTLM CHALLENGE and the SPNEGO answers.

docs/our-server.md names a test of this module for each field. The tests read the octets themselves, because
the library that writes them also reads what other peers do not.
"""

from __future__ import annotations

import struct
import time

import pytest
from spnego._ntlm_raw.messages import NegotiateFlags as Flags
from spnego._spnego import NegState, NegTokenInit, NegTokenResp, unpack_token

from swn_torture.dcerpc.errors import AuthenticationError
from swn_torture.dcerpc.security.acceptor import Acceptor
from swn_torture.dcerpc.security.context import Credentials, SecurityContext
from swn_torture.dcerpc.security.initiator import initiator
from swn_torture.dcerpc.security.levels import AuthLevel, AuthType
from tests.dcerpc.impacket_client import ImpacketClient

ACCEPTOR = Acceptor({"witness": "Passw0rd!"}, "SWNTEST", "node1.swn.test")
USER = Credentials("witness", "Passw0rd!", "SWNTEST")
KERBEROS, NTLM = "1.2.840.113554.1.2.2", "1.3.6.1.4.1.311.2.2.10"

NEGOTIATED = (
    Flags.unicode | Flags.sign | Flags.seal | Flags.extended_session_security
    | Flags.key_128 | Flags.key_56 | Flags.key_exch
)  # fmt: skip
ALWAYS = Flags.request_target | Flags.ntlm | Flags.always_sign | Flags.target_info | Flags.target_type_domain


def negotiate(flags: int = NEGOTIATED) -> bytes:
    """A NEGOTIATE as go-msrpc sends it: no names, and a Version field of zeros."""
    return b"NTLMSSP\0" + struct.pack("<II", 1, flags) + bytes(16) + bytes(8)


def challenge(flags: int = NEGOTIATED, acceptor: Acceptor = ACCEPTOR) -> bytes:
    return acceptor.new(AuthType.NTLM).step(negotiate(flags))


def flags_of(octets: bytes) -> int:
    return int.from_bytes(octets[20:24], "little")


def payload(octets: bytes, at: int) -> tuple[int, bytes]:
    """Return the offset and the octets of a payload; checks that both of its lengths are the same."""
    length, most, offset = struct.unpack_from("<HHI", octets, at)
    assert length == most
    return offset, octets[offset : offset + length]


def pairs(octets: bytes) -> list[tuple[int, bytes]]:
    """The AV_PAIRs of a CHALLENGE, with MsvAvEOL."""
    _, info = payload(octets, 40)
    found, at = [], 0
    while at < len(info):
        av_id, length = struct.unpack_from("<HH", info, at)
        found.append((av_id, info[at + 4 : at + 4 + length]))
        at += 4 + length
    assert at == len(info)
    return found


class TestChallenge:
    def test_it_begins_with_the_signature_and_its_type(self) -> None:
        assert challenge()[:12] == b"NTLMSSP\0\2\0\0\0"

    @pytest.mark.parametrize("versioned", [False, True])
    def test_the_version_field_is_there_and_zero_if_not_negotiated(self, *, versioned: bool) -> None:
        octets = challenge(NEGOTIATED | (Flags.version if versioned else 0))
        assert bool(flags_of(octets) & Flags.version) == versioned
        assert octets[48:56] == (b"\6\1\0\0\0\0\0\x0f" if versioned else bytes(8))

    def test_the_target_name_comes_first_in_the_payload(self) -> None:
        octets = challenge()
        assert payload(octets, 12) == (56, "SWNTEST".encode("utf-16-le"))

    def test_the_target_info_follows_the_target_name_and_ends_the_message(self) -> None:
        octets = challenge()
        offset, info = payload(octets, 40)
        assert offset == 56 + 2 * len("SWNTEST")
        assert offset % 2 == 0
        assert offset + len(info) == len(octets)

    def test_it_returns_the_flags_of_the_client_and_its_own(self) -> None:
        assert flags_of(challenge()) == NEGOTIATED | ALWAYS
        fewer = Flags.unicode | Flags.extended_session_security
        assert flags_of(challenge(fewer)) == fewer | ALWAYS

    @pytest.mark.parametrize(
        "foreign", [Flags.lm_key, Flags.datagram, Flags.anonymous, Flags.local_call, Flags.target_type_server]
    )
    def test_it_does_not_return_flags_that_it_does_not_support(self, foreign: Flags) -> None:
        assert flags_of(challenge(NEGOTIATED | foreign)) == NEGOTIATED | ALWAYS

    def test_unicode_is_chosen_if_both_encodings_are_offered(self) -> None:
        assert not flags_of(challenge(NEGOTIATED | Flags.oem)) & Flags.oem

    def test_the_target_name_is_in_oem_if_only_oem_is_offered(self) -> None:
        octets = challenge(NEGOTIATED & ~Flags.unicode | Flags.oem)
        assert payload(octets, 12) == (56, b"SWNTEST")
        assert pairs(octets)[0] == (2, "SWNTEST".encode("utf-16-le")), "AV_PAIRs are always in Unicode"

    def test_a_client_without_an_encoding_is_rejected(self) -> None:
        with pytest.raises(AuthenticationError, match="neither Unicode nor OEM"):
            challenge(NEGOTIATED & ~Flags.unicode)

    def test_the_reserved_octets_are_zero(self) -> None:
        assert challenge()[32:40] == bytes(8)

    def test_the_names_have_the_order_of_windows_and_samba(self) -> None:
        before = (time.time() + 11_644_473_600) * 10_000_000
        names = dict(found := pairs(challenge()))
        assert [av_id for av_id, _ in found] == [2, 1, 4, 3, 7, 0]
        assert [names[av_id].decode("utf-16-le") for av_id in (2, 1, 4, 3)] == [
            "SWNTEST", "NODE1", "swn.test", "node1.swn.test",
        ]  # fmt: skip
        assert abs(int.from_bytes(names[7], "little") - before) < 600_000_000, "FILETIME of now"
        assert names[0] == b""

    def test_a_plain_host_name_has_an_empty_dns_domain(self) -> None:
        names = dict(pairs(challenge(acceptor=Acceptor({}, "SWNTEST", "NODE1"))))
        assert names[3] == names[1] == "NODE1".encode("utf-16-le")
        assert names[4] == b""


class TestSpnego:
    """NegTokenResp of an acceptor. It never begins, so that it sends no NegTokenInit2."""

    @staticmethod
    def exchange(
        *, first: SecurityContext, server: SecurityContext, init: bytes | None = None
    ) -> list[NegTokenResp]:
        answers, token = [], init or first.step(b"")
        while token:
            octets = server.step(token)
            assert octets[0] == 0xA1, "NegTokenResp, without the header of RFC 2743"
            answer = unpack_token(octets)
            assert isinstance(answer, NegTokenResp)
            answers.append(answer)
            token = first.step(octets)
        return answers

    def test_the_first_choice_gets_accept_incomplete(self) -> None:
        server = ACCEPTOR.new(AuthType.SPNEGO)
        answers = self.exchange(first=initiator(9, USER, host="x"), server=server)
        assert [answer.neg_state for answer in answers] == [
            NegState.accept_incomplete,
            NegState.accept_complete,
        ]
        assert server.complete

    def test_supported_mech_is_only_in_the_first_answer(self) -> None:
        answers = self.exchange(first=initiator(9, USER, host="x"), server=ACCEPTOR.new(9))
        assert [answer.supported_mech for answer in answers] == [NTLM, None]
        assert answers[0].response_token is not None
        assert answers[0].response_token.startswith(b"NTLMSSP\0\2")

    def test_the_last_answer_has_a_mic_if_the_client_sent_one(self) -> None:
        answers = self.exchange(first=initiator(9, USER, host="x"), server=ACCEPTOR.new(9))
        assert [len(answer.mech_list_mic or b"") for answer in answers] == [0, 16]
        assert answers[1].response_token is None

    def test_the_first_choice_needs_no_mic(self) -> None:
        """impacket's NTLM has no MIC, so SPNEGO may do without, too (RFC 4178 5)."""
        client, server = ImpacketClient("witness", "Passw0rd!"), ACCEPTOR.new(9, AuthLevel.INTEGRITY)
        first = unpack_token(server.step(NegTokenInit([NTLM], mech_token=client.negotiate()).pack()))
        assert isinstance(first, NegTokenResp)
        token = NegTokenResp(response_token=client.authenticate(first.response_token or b"")).pack()
        last = unpack_token(server.step(token))
        assert isinstance(last, NegTokenResp)
        assert (last.neg_state, last.mech_list_mic) == (NegState.accept_complete, None)
        assert server.complete

    def test_another_choice_gets_request_mic(self) -> None:
        init = NegTokenInit([KERBEROS, NTLM], mech_token=b"\x60\x03not").pack()
        answer = unpack_token(ACCEPTOR.new(9).step(init))
        assert isinstance(answer, NegTokenResp)
        assert (answer.neg_state, answer.supported_mech) == (NegState.request_mic, NTLM)
        assert not answer.response_token

    def test_another_choice_needs_a_mic(self) -> None:
        client, server = ImpacketClient("witness", "Passw0rd!"), ACCEPTOR.new(9, AuthLevel.INTEGRITY)
        server.step(NegTokenInit([KERBEROS, NTLM], mech_token=b"\x60\x03not").pack())
        second = unpack_token(server.step(NegTokenResp(response_token=client.negotiate()).pack()))
        assert isinstance(second, NegTokenResp)
        token = NegTokenResp(response_token=client.authenticate(second.response_token or b"")).pack()
        third = unpack_token(server.step(token))
        assert isinstance(third, NegTokenResp)
        assert (third.neg_state, len(third.mech_list_mic or b"")) == (NegState.accept_incomplete, 16)
        assert not server.complete


def test_samba_logs_on_anonymously_without_session_security() -> None:
    """Its AUTHENTICATE clears NTLMSSP_NEGOTIATE_EXTENDED_SESSIONSECURITY then; it signs nothing."""
    flags = Flags.unicode | Flags.ntlm | Flags.extended_session_security
    server = Acceptor({}, allow_anonymous=True).new(AuthType.NTLM, AuthLevel.CONNECT)
    server.step(negotiate(flags))
    fields = struct.pack("<HHI", 1, 1, 64) + struct.pack("<HHI", 0, 0, 65) * 5
    anonymous = Flags.unicode | Flags.ntlm | Flags.anonymous
    server.step(b"NTLMSSP\0" + struct.pack("<I", 3) + fields + struct.pack("<I", anonymous) + b"\0")
    assert server.principal == ""
