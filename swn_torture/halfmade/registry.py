"""What a half-made server is, and how it is applied to a cluster.

It is made from the reference by *parts* (subclasses of replaceable parts of the server, as a fault has them)
and a *config_change* (a function from the configuration to another).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from swn_torture.server.config import ClusterConfig, ConfigError
from swn_torture.server.nodes.parts import with_parts

if TYPE_CHECKING:
    from swn_torture.server.nodes.parts import Parts

ConfigChange = Callable[[ClusterConfig], ClusterConfig]


class UnknownHalfMade(ConfigError):  # noqa: N818 - named for what it reports
    """No half-made server has that name; the text lists similar names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HalfMade:
    """One half-made server.

    Attributes:
        name: words with dashes between them.
        if_: one clause that completes "What you see if ...".
        defects: how many defects it has, counted as its author would; a method that is left out is one.
        parts: the classes that replace parts of the server.
        config_change: what it changes in the configuration.
        mapper: whether its nodes serve the endpoint mapper. If not, the profile gives the fixed port.
        events: whether a controller causes events.
        why: why its author sees more violated requirements than it has defects; empty if he does not.
        area: the subject: the module that declares it.
    """

    name: str
    if_: str
    defects: int = 1
    parts: tuple[type, ...] = ()
    config_change: ConfigChange | None = None
    mapper: bool = True
    events: bool = False
    why: str = ""
    area: str = ""

    def apply(self, config: ClusterConfig, parts: Parts) -> tuple[ClusterConfig, Parts]:
        """Return a cluster's configuration and parts with what this server lacks."""
        if self.config_change is not None:
            config = self.config_change(config)
        return config, with_parts(parts, self.parts)
