"""Every change of a cluster is undone, also after an interrupt, a crash or kill -9.

- ``changes``: ``Changes``, the calls that undo what a controller changed.
- ``journal``: ``Journal``, the same in a file, written before each change.
- ``journaled``: ``JournaledController``, any controller with a journal.
"""
