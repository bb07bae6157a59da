"""Controllers: how the suite moves a cluster, one module for each kind of cluster."""

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
