"""The server of a connection.

What a server offers:

- ``interface``: the protocol of an RPC interface, its calls and callers, connections and associations.
- ``options``: the choices that the specifications leave to a server.
- ``management``: the management interface, which every server offers.

From a PDU to its answer, without I/O:

- ``connection``: one connection, with a public method for each step. Faults override these methods.
- ``binding``: its base class, with the steps of bind, alter_context and auth3.
- ``negotiation``: decides which presentation contexts to accept.
- ``authentication``: processes the legs of security contexts, and verifies requests.
- ``request_assembly``: admits the fragments of requests, and puts requests together.
- ``request_trailer``: checks the verification trailer of a request and removes it.
- ``events``: what ``connection`` reports.
- ``refusal``: where a rejected PDU is wrong: field, octets, rule.

With sockets:

- ``server``: listeners and TCP connections with asyncio.
- ``watcher``: what ``server`` tells an observer, such as a log.
"""
