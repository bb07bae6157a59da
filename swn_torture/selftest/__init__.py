"""The suite as a test of Samba's own selftest: a stream of subunit v1 that ``selftest/filter-subunit`` reads.

- ``ids``: the id of a case in the stream, and back.
- ``subunit``: ``SubunitStream``, the lines of the protocol; everything else is indented and escaped.
- ``outcomes``: which outcome of subunit a result of ours is.
- ``events``: ``EventStream``, a pytest plugin: what happens in a run, one JSON value on each line.
- ``supervisor``: ``Supervisor``, runs the suite in a process of its own, with a time limit, and writes the
  stream. A case that was started and not finished becomes an error, whatever ends the run.
- ``plan``: the lines that plan the suite in Samba's selftest.

The command is ``swn-torture selftest`` (`swn_torture.commands.selftest`).
"""
