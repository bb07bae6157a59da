"""Measures how soon clients know that a node failed: by witness, and without it by TCP alone.

It is a benchmark. Nothing here is a requirement, and nothing passes or fails.

- ``model``: ``Measurement``: one failure with some number of clients; its figures; as JSON.
- ``clients``: ``WitnessClients``: register, and note when each of them hears of the failure.
- ``connections``: ``Connection``: what TCP tells a client that has only its connection to the node.
- ``tcp_info``: what the kernel knows about a connection, and when it would give it up.
- ``packets``: ``Packets``: what the network shows: ARP, neighbour advertisements, tickle ACKs, resets.
- ``measure``: ``Benchmark``: one failure after the other, each with every number of clients.
- ``table``: the figures as lines of text.
- ``charts``: histogram and time line, as SVG by leather.
- ``page``: the page with the charts.
"""
