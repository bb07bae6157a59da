"""The cluster as cases move it: the controller, its capabilities and its errors.

Cases import these names from here and nothing from the rooms below.
"""

from swn_torture.control.base import Capability, Controller, ControllerError, Failure

__all__ = ["Capability", "Controller", "ControllerError", "Failure"]
