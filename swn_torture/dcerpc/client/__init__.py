"""The client of a connection.

- ``connection``: builds what a client sends and reads what a server answers, without I/O.
- ``events``: what ``connection`` reports.
- ``bounds``: what a client accepts from a server at most.
- ``call_ids``: the call_ids of an association, which all its connections share.
- ``binding``: the presentation contexts that a client proposes, and the result of a bind.
- ``call``: a call that was sent, and its result.
- ``client``: one TCP connection with asyncio: bind, calls, raw octets, close.
- ``link``: passes octets from the transport to the client, and can note when they arrive.
- ``strays``: answers whose call_id belongs to nothing that was sent.
- ``bound_client``: a client that is bound to one interface for a few calls.
- ``management``: calls of the management interface.
"""
