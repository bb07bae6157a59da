"""What the person has answered: kept as long as the process, because each case has its own controller."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from swn_torture.control.values import Capability


@dataclass
class Memory:
    """What the person has answered in this process.

    Attributes:
        asked: the number of questions.
        expected: the number of questions that the run was said to have; 0 outside a run.
        refused: what cannot be done here.
    """

    asked: int = 0
    expected: int = 0
    refused: set[Capability] = field(default_factory=set)


_MEMORIES: dict[str, Memory] = {}


def memory_of(key: str) -> Memory:
    """The memory for a cluster.

    Args:
        key: what identifies the cluster: the settings of its controller.
    """
    return _MEMORIES.setdefault(key, Memory())
