"""Connection-oriented DCE/RPC (C706, MS-RPCE), client and server, made for testing.

It sends correct PDUs, and wrong ones where a test asks for them. From the octets up:

- ``status``: status codes of fault PDUs.
- ``errors``: the exceptions of this package.
- ``mgmt``: identifier and messages of the management interface.
- ``pdu/``: PDUs as values, their octets, and the verification trailer.
- ``security/``: security contexts (NTLM, SPNEGO, Kerberos) and the protection of PDUs.
- ``connection``: the state that both ends keep of a connection, without I/O.
- ``client/``: the client: connect, bind, call, cancel, orphan.
- ``server/``: the server: interfaces, associations, the steps from a PDU to its answer.
- ``epm/``: the endpoint mapper, its messages, and the client calls to it.
- ``sockets``: TCP options: reset, keep-alive probes, dropping of incoming segments.
- ``transcript``: the octets sent and received, in order.

Only ``client.client``, ``server.server``, ``sockets`` and what uses them do I/O. Stub data is encoded by
``swn_torture.stubdata``.
"""
