"""What an unusual server is, and how it is applied to a profile and to a cluster.

An unusual server conforms to the specification. It is made from the reference by:

* *settings*: keys of the [embedded] table of a profile, which replace those of the profile;
* *parts*: subclasses of replaceable parts of the server, as a fault has them;
* *config_change*: a function from the configuration to another, for what no setting can say.

*expect* (keys of [expect]) and *profile* (other keys) are what a user would write into the profile of such a
server.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from swn_torture.server.config import ClusterConfig, ConfigError
from swn_torture.server.nodes.parts import with_parts

if TYPE_CHECKING:
    from swn_torture.server.nodes.parts import Parts

ConfigChange = Callable[[ClusterConfig], ClusterConfig]


class UnknownUnusual(ConfigError):  # noqa: N818 - named for what it reports
    """No unusual server has that name; the text lists similar names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unusual:
    """One unusual server.

    Attributes:
        name: words with dashes between them; for the value of an option ``NAME=VALUE``.
        summary: one sentence: what is unusual.
        conforms: one sentence: why it conforms, with the section. Empty for the value of an option, whose
            documentation says it.
        area: the subject: the module that declares it.
        settings: keys of the [embedded] table. The table ``rpc`` is merged with that of the profile.
        expect: keys of [expect] of its profile.
        profile: other keys of its profile.
        parts: the classes that replace parts of the server.
        config_change: what it changes in the configuration.
        breaks: the requirements that it does not follow: SHOULDs, or for a value of an option that is wrong
            by design also MUSTs. The suite must find each of them broken.
        consequences: other requirements that cases may find broken because of this.
        slow: whether the suite takes much longer than on the reference.
        address: an address that the machine must have, besides those of 127.0.0.0/8.
    """

    name: str
    summary: str
    conforms: str = ""
    area: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    expect: Mapping[str, Any] = field(default_factory=dict)
    profile: Mapping[str, Any] = field(default_factory=dict)
    parts: tuple[type, ...] = ()
    config_change: ConfigChange | None = None
    breaks: tuple[str, ...] = ()
    consequences: tuple[str, ...] = ()
    slow: bool = False
    address: str = ""

    @property
    def can_run(self) -> bool:
        """Whether this machine has the address that the server needs."""
        if not self.address:
            return True
        family = socket.AF_INET6 if ":" in self.address else socket.AF_INET
        try:
            with socket.socket(family) as probe:
                probe.bind((self.address, 0))
        except OSError:
            return False
        return True

    def apply(self, config: ClusterConfig, parts: Parts) -> tuple[ClusterConfig, Parts]:
        """Return a cluster's configuration and parts with what no setting can say."""
        if self.config_change is not None:
            config = self.config_change(config)
        return config, with_parts(parts, self.parts)

    def embedded(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Return the [embedded] table of a profile with the settings of this server, and its name."""
        rpc = {**settings.get("rpc", {}), **self.settings.get("rpc", {})}
        return {**settings, **self.settings, **({"rpc": rpc} if rpc else {}), "unusual": self.name}
