"""The endpoint mapper: which TCP port serves an interface (C706 Appendix O, MS-RPCE 2.2.1.2).

- ``towers``: protocol towers, the form in which bindings are stored and sent.
- ``messages``: the requests and responses of ept_map, ept_lookup and ept_lookup_handle_free.
- ``endpoint_mapper``: the server's interface, and the client's calls ``ept_map`` and ``ept_lookup``.
- ``ports``: which of the endpoints of a map a client uses.
"""
