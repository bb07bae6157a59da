"""The controller ``ctdb``: Samba with CTDB, by ``ctdb`` and ``net witness`` on the nodes.

- ``settings``: ``CtdbSettings``, the ``[controller]`` table of a profile.
- ``output``: parsers for the output of ``ctdb``, ``net witness`` and ``ip``.
- ``cluster``: ``CtdbCluster``, commands on the nodes: views of the cluster, start, stop, wait.
- ``daemon``: the variables that select one of several daemons on a machine, as each release allows.
- ``restore``: ``CtdbChanges``, what the cluster was like before, and how it is restored.
- ``failures``: ``CtdbFailures``, how a node fails, and when the cluster shows it.
- ``addresses``: ``CtdbAddresses``, addresses that are added, removed and moved.
- ``moves``: ``CtdbMoves``, client moves and share moves with ``net witness``, and around it.
- ``messages``: the messages of moves to the processes of Samba's witness service.
- ``controller``: ``CtdbController``, the calls.
"""
