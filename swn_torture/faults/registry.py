'''What a fault is, how it is declared, and how it is applied to a cluster.

A fault is a subclass of one replaceable part of the reference server. Its class name says what is wrong::

    @violates("SWN-3.1.4.2-null-netname")
    class RegisterTakesNullNetName(RegistrationChecks):
        """Register accepts a NULL NetName."""

        @override
        def names(self, request): ...

Its name on the command line is ``register-takes-null-net-name``; its summary is the first line of the
docstring. A fault that only sets the configuration to a value that no conforming server has is a function: it
takes a configuration and returns another. Where a fault needs a second class, `part_of` adds it.

There are two kinds of fault. The room of the module decides which one a fault is:

* *realistic* (`faults.witness`, `faults.transport`): a defect that a real server was seen to have (`seen_in`
  names the server), or that an implementer could plausibly make.
* *narrowed* (`faults.narrowed`): a defect restricted to one condition, so that only the cases of its own
  requirement can see it.
'''

from __future__ import annotations

import dataclasses
import difflib
import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from swn_torture.server.config import ClusterConfig, ConfigError
from swn_torture.server.nodes.parts import with_parts
from swn_torture.spec import load_catalogue

if TYPE_CHECKING:
    from collections.abc import Iterator

    from swn_torture.server.nodes.parts import Parts

ConfigChange = Callable[[ClusterConfig], ClusterConfig]
Deviation = TypeVar("Deviation", bound=Callable[..., Any])

Kind = Literal["realistic", "narrowed"]
KINDS: tuple[Kind, ...] = ("realistic", "narrowed")


class FaultError(Exception):
    """A fault is declared wrongly; the text says which fault and why."""


class UnknownFault(ConfigError):  # noqa: N818 - named for what it reports
    """No fault has that name; the text lists similar names."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One deviation.

    Attributes:
        name: words with dashes between them.
        summary: one sentence: what the server does wrong.
        violates: ids of the requirements that it violates; for each, a case has to find it broken.
        area: name of the module that holds it, with dashes.
        kind: whether a real server could have this defect, or it is restricted to one condition.
        seen_in: the real server that was seen to have it (``Samba 4.22``); empty if none was.
        near: ids of other requirements in whose cases it may show.
        slow: whether its trial takes more than 30 s: then the fault matrix starts it early.
        parts: the classes that replace parts of the server.
        config_change: what it changes in the configuration; None if it changes classes only.
    """

    name: str
    summary: str
    violates: tuple[str, ...]
    area: str
    kind: Kind = "realistic"
    seen_in: str = ""
    near: tuple[str, ...] = ()
    slow: bool = False
    parts: tuple[type, ...] = ()
    config_change: ConfigChange | None = None

    def apply(self, config: ClusterConfig, parts: Parts) -> tuple[ClusterConfig, Parts]:
        """Return a cluster's configuration and parts with this fault in them."""
        if self.config_change is not None:
            config = self.config_change(config)
        return config, with_parts(parts, self.parts)


class Registry:
    """Faults by name, in the order of their declaration."""

    def __init__(self) -> None:
        self._faults: dict[str, Fault] = {}

    def __iter__(self) -> Iterator[Fault]:
        return iter(self._faults.values())

    def __len__(self) -> int:
        return len(self._faults)

    def add(self, fault: Fault) -> None:
        """Add a fault.

        Raises:
            FaultError: its name is in use, its summary is not a sentence, a requirement is not in the
                catalogue or not judged, or it is narrowed and names a server that has it.
        """
        rows = load_catalogue().requirements
        if fault.name in self._faults:
            raise FaultError(f"{fault.name}: the name is used twice")
        if not fault.summary.endswith("."):
            raise FaultError(f"{fault.name}: the summary is not a sentence: {fault.summary!r}")
        if not fault.violates:
            raise FaultError(f"{fault.name}: violates nothing; name at least one requirement")
        if fault.seen_in and fault.kind == "narrowed":
            raise FaultError(f"{fault.name}: seen in {fault.seen_in}, so it is realistic and not narrowed")
        for requirement in (*fault.violates, *fault.near):
            if requirement not in rows:
                close = ", ".join(load_catalogue().closest(requirement)) or "none"
                raise FaultError(f"{fault.name}: unknown requirement {requirement}; close matches: {close}")
        for requirement in fault.violates:
            if not (rows[requirement].observable and rows[requirement].judged):
                raise FaultError(f"{fault.name}: {requirement} is not judged, so no case can find it broken")
        self._faults[fault.name] = fault

    def extend(self, name: str, part: type) -> None:
        """Add one more part to a fault."""
        fault = self._faults[name]
        self._faults[name] = dataclasses.replace(fault, parts=(*fault.parts, part))

    def find(self, name: str) -> Fault:
        """Return the fault of that name.

        Raises:
            UnknownFault: no fault has that name.
        """
        if name not in self._faults:
            close = difflib.get_close_matches(name, self._faults, n=3, cutoff=0.4)
            hint = f"Close matches: {', '.join(close)}. " if close else ""
            raise UnknownFault(f"Unknown fault {name!r}. {hint}`swn-torture faults` lists all.")
        return self._faults[name]


FAULTS = Registry()


def violates(
    *requirements: str, near: tuple[str, ...] = (), seen_in: str = "", slow: bool = False
) -> Callable[[Deviation], Deviation]:
    """Declare a class or a function as a fault that violates these requirements.

    Args:
        requirements: ids.
        near: ids of others in whose cases it may show, where these belong to another section.
        seen_in: the real server that was seen to have this fault.
        slow: whether its trial takes more than 30 s.
    """

    def declare(deviation: Deviation) -> Deviation:
        summary = inspect.cleandoc(deviation.__doc__ or "").partition("\n\n")[0].replace("\n", " ")
        room, module = deviation.__module__.split(".")[-2:]
        is_part = isinstance(deviation, type)
        FAULTS.add(
            Fault(
                name=name_of(deviation),
                summary=summary,
                violates=requirements,
                area=module.replace("_", "-"),
                kind="narrowed" if room == "narrowed" else "realistic",
                seen_in=seen_in,
                near=near,
                slow=slow,
                parts=(deviation,) if isinstance(deviation, type) else (),
                config_change=None if is_part else deviation,
            )
        )
        return deviation

    return declare


def part_of(fault: Callable[..., Any]) -> Callable[[type], type]:
    """Declare a class as another part of a fault."""

    def declare(part: type) -> type:
        FAULTS.extend(name_of(fault), part)
        return part

    return declare


def name_of(deviation: Callable[..., Any]) -> str:
    """Return the fault name: ``null-name-taken`` for both ``NullNameTaken`` and ``null_name_taken``."""
    parted = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "-", deviation.__name__)
    return parted.replace("_", "-").lower()


def with_options(config: ClusterConfig, **options: Any) -> ClusterConfig:
    """Return the configuration with other options of the witness servers."""
    return dataclasses.replace(config, options=dataclasses.replace(config.options, **options))


def with_rpc(config: ClusterConfig, **options: Any) -> ClusterConfig:
    """Return the configuration with other options of the RPC servers."""
    return dataclasses.replace(config, rpc=dataclasses.replace(config.rpc, **options))
