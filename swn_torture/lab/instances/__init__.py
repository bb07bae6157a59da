"""The instances of a lab: small clusters with other settings, for the variants of its profile.

An instance shares the base tree, the network and the client of its lab. It has its own nodes, addresses and
CTDB. ``swn_torture.lab.variants`` lists them. A run starts one when a selected case needs it, and the
instance is removed when no run uses it any more. A process of its own does both, the *keeper*. So an instance
is removed, too, when the run is interrupted or killed.

- ``use``: use an instance from a run; start it, keep it and remove it.
- ``keeper``: the program that does so, ``python -m swn_torture.lab.instances.keeper``.

Files next to the directory of the instance, in ``/run/swn-torture``:

- ``NAME.users``: each process that uses the instance holds a shared lock on it, which ends with the process.
- ``NAME.keeper``: the keeper holds an exclusive lock on it, and writes ``up`` to it, or why the instance
  cannot be started.
"""
