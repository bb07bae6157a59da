"""The controller of the cluster under test: its interface, its capabilities and its errors.

Cases import these names from here, not from the rooms below.
"""

from swn_torture.control.base import (
    Capability,
    Controller,
    ControllerError,
    Failure,
    NodeState,
    NodeStatus,
)
from swn_torture.control.stimulus import Stimulus

__all__ = ["Capability", "Controller", "ControllerError", "Failure", "NodeState", "NodeStatus", "Stimulus"]
