"""PDUs as values and as octets (C706 chapter 12, MS-RPCE 2.2.2).

- ``header``: common header, sec_trailer, PDU types, flags; ``rewrite`` changes fields of a finished PDU.
- ``reader``: reads the fields of one PDU; errors name the field and its offset.
- ``pdus``: request, response, fault, auth3, co_cancel, orphaned, shutdown; ``unpack`` for any PDU.
- ``bind``: bind, bind_ack, bind_nak, alter_context, alter_context_resp.
- ``framing``: cuts a TCP stream into PDUs.
- ``verification_trailer``: the trailer that can follow the stub data of a request (MS-RPCE 2.2.2.13).
"""
