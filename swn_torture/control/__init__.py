"""Controllers: they change the cluster under test from outside the protocol, one module per kind of cluster.

The common part:

- ``base``: ``Controller``, the calls that all controllers share; the errors.
- ``values``: ``Capability``, what a controller can do; the values that a controller returns.
- ``stimulus``: ``Stimulus``, how an event was sent, and which registrations the server had to decide about.
- ``kinds``: the registry: the word in a profile, and the class that it selects.
- ``runner``: runs commands on the machines of a cluster.
- ``wrapped``: ``WrappedController``, a controller around another one, which answers its queries.
- ``noted``: notes each call of a controller, for the capture of a case.
- ``shared``: texts and checks that several controllers use.

The kinds:

- ``none``: ``NoController``, for a target whose profile has no controller.
- ``reference``: ``ReferenceController``, for the reference cluster of this package.
- ``ctdb``: ``CtdbController``, for Samba with CTDB, by its own tools.
- ``samba_selftest``: ``SambaSelftestController``, for the cluster of Samba's own selftest; it uses the parts
  of ``ctdb``.
- ``clusapi``: ``ClusapiController``, for failover clusters, by ClusAPI (MS-CMRP).
- ``manual``: ``ManualController``, for any cluster that a person can change.
- ``command``: ``CommandController``, for any cluster, by its own commands.

How a controller without tools of its own sees an effect, and undoes what it changed:

- ``witness_lists``: ``WitnessLists``, the interface lists of all nodes, by the witness protocol.
- ``effects``: ``Sight``, what is seen of a cluster, and whether the effect of a call is seen there.
- ``step``: ``Step``, one call that changes the cluster, and the call that undoes it.
- ``undoing``: ``Changes``, the calls that undo what was changed; the journal of these calls in a file.

This package imports nothing above it: cases, the command line and the plugin call a controller, and a
controller does not know them.
"""

from swn_torture.control.base import (
    Capability,
    Controller,
    ControllerError,
    EffectNotSeen,
    Failure,
    NodeState,
    NodeStatus,
    NotHealthy,
    NotRegistered,
    NotSupported,
    RegistrationView,
    ShareView,
)
from swn_torture.control.none import NoController
from swn_torture.control.stimulus import Stimulus

__all__ = [
    "Capability",
    "Controller",
    "ControllerError",
    "EffectNotSeen",
    "Failure",
    "NoController",
    "NodeState",
    "NodeStatus",
    "NotHealthy",
    "NotRegistered",
    "NotSupported",
    "RegistrationView",
    "ShareView",
    "Stimulus",
]
