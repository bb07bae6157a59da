"""impacket's NTLM client, step by step."""

from __future__ import annotations


class ImpacketClient:
    """NTLM as in impacket's DCE/RPC client, with impacket's functions."""

    def __init__(
        self, user: str, password: str, domain: str = "SWNTEST", *, sign: bool = True, seal: bool = False
    ) -> None:
        from impacket import ntlm

        self.ntlm = ntlm
        self.account = (user, password, domain)
        self.type1 = ntlm.getNTLMSSPType1("", "", signingRequired=sign, use_ntlmv2=True)
        if not seal:  # impacket always sets it when it signs
            self.type1["flags"] &= ~ntlm.NTLMSSP_NEGOTIATE_SEAL
        self.sent = self.received = 0

    def negotiate(self) -> bytes:
        octets: bytes = self.type1.getData()
        return octets

    def authenticate(self, challenge: bytes) -> bytes:
        from Cryptodome.Cipher import ARC4

        ntlm = self.ntlm
        type3, key = ntlm.getNTLMSSPType3(self.type1, challenge, *self.account, use_ntlmv2=True)
        self.flags = flags = type3["flags"]
        self.sign_out, self.sign_in = ntlm.SIGNKEY(flags, key), ntlm.SIGNKEY(flags, key, "Server")
        self.out = ARC4.new(ntlm.SEALKEY(flags, key)).encrypt
        self.into = ARC4.new(ntlm.SEALKEY(flags, key, "Server")).encrypt
        octets: bytes = type3.getData()
        return octets

    def sign(self, data: bytes) -> bytes:
        signature: bytes = self.ntlm.SIGN(self.flags, self.sign_out, data, self.sent, self.out).getData()
        self.sent += 1
        return signature

    def expected(self, data: bytes) -> bytes:
        signature: bytes = self.ntlm.SIGN(self.flags, self.sign_in, data, self.received, self.into).getData()
        self.received += 1
        return signature

    def seal(self, header: bytes, body: bytes, trailer: bytes) -> tuple[bytes, bytes]:
        whole = header + body + trailer
        sealed, signature = self.ntlm.SEAL(
            self.flags, self.sign_out, self.sign_out, whole, body, self.sent, self.out
        )
        self.sent += 1
        return sealed, signature.getData()
