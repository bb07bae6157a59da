"""Connection-oriented DCE/RPC (C706, MS-RPCE) as a test instrument: both ends, right or wrong on purpose.

From the octets up:

- ``header``, ``reader``, ``pdu``, ``bind``, ``verification``: PDUs as values. ``framing`` cuts streams into
  them.
- ``syntax``, ``status``, ``levels``, ``errors``: what things are called and what can go wrong.
- ``auth`` and ``acceptor`` (with ``providers`` and ``ntlm``): security contexts. ``security`` protects PDUs
  by them.
- ``connection``: what both ends do alike, without I/O. ``client_connection`` is the calling end. The serving
  one is ``server_connection`` with ``negotiation`` (presentation contexts), ``server_security`` (legs and
  verifiers) and ``inbox`` (the order of requests). ``events`` is what either end tells its owner.
- ``client`` (with ``binding`` and ``call``) and ``server`` (with ``interface`` and ``options``) put sockets
  to them.
- ``endpoint_mapper`` (with ``epm`` and ``towers``), ``mgmt``, ``stub`` and ``errand``: the interfaces that
  belong to the runtime itself.
- ``transcript``: what went over the wire.
"""
