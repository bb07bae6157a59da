"""What the reference cluster does, for the author of a client: one line for each thing, and a capture.

- `log`: observes the servers of the nodes and writes the lines: connections, binds, logons, calls, refusals.
- `words`: calls and answers in words.
- `reasons`: why a method returned an error code, with the parameter and the section.
- `output`: where the lines go: text or JSON, on standard error, without delaying the cluster.
- `capture`: the octets as a pcapng file, with the lines as comments of the packets.

Without an observer none of this runs, and none of it is imported.
"""
