"""Controllers: they change the cluster under test from outside the protocol, one module per kind of cluster.

The common part:

- ``base``: ``Controller``, the calls that all controllers share; ``Capability``, what a controller can do;
  the values that a controller returns; the errors.
- ``kinds``: the registry: the word in a profile, and the class that it selects.
- ``runner``: runs commands on the machines of a cluster.

The kinds:

- ``none``: ``NoController``, for a target whose profile has no controller.
- ``reference``: ``ReferenceController``, for the reference cluster of this package.
- ``ctdb``: ``CtdbController``, for Samba with CTDB.

What ``ctdb`` is made of:

- ``ctdb_settings``: ``CtdbSettings``, the ``[controller]`` table of the profile.
- ``ctdb_cluster``: ``CtdbCluster``, commands on the nodes: views of the cluster, start, stop, wait.
- ``ctdb_output``: parsers for the output of ``ctdb``, ``net witness`` and ``ip``.

This package imports nothing above it: cases, the command line and the plugin call a controller, and a
controller does not know them.
"""

from swn_torture.control.base import (
    Capability,
    Controller,
    ControllerError,
    Failure,
    NodeState,
    NodeStatus,
    NotHealthy,
    NotSupported,
    RegistrationView,
    ShareView,
)
from swn_torture.control.none import NoController

__all__ = [
    "Capability",
    "Controller",
    "ControllerError",
    "Failure",
    "NoController",
    "NodeState",
    "NodeStatus",
    "NotHealthy",
    "NotSupported",
    "RegistrationView",
    "ShareView",
]
