'''What a fault is, how one is declared, and how a cluster comes by it.

A fault is a subclass of one part of the reference server, named for what it does wrong::

    @violates("SWN-3.1.4.2-null-netname")
    class RegisterTakesNullNetName(Admission):
        """Register does not mind a NULL NetName."""

        def names(self, request): ...

Its name on the command line is ``register-takes-null-net-name``, its summary the first line of the docstring.
What is nothing but a setting that no conforming server has is a function from one configuration to another.
Where one class is not enough, ``part_of`` adds another.
'''

from __future__ import annotations

import dataclasses
import difflib
import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from swn_torture.dcerpc.epm.endpoint_mapper import EndpointMapper
from swn_torture.dcerpc.security.acceptor import Acceptor
from swn_torture.dcerpc.server.authentication import Authenticator
from swn_torture.dcerpc.server.connection import ServerConnection
from swn_torture.dcerpc.server.request_assembly import RequestAssembler
from swn_torture.dcerpc.server.server import RpcServer
from swn_torture.server.config import ClusterConfig, ConfigError
from swn_torture.server.nodes.endpoint import WitnessEndpoint
from swn_torture.server.state.registration_checks import RegistrationChecks
from swn_torture.server.state.responses import Responder
from swn_torture.server.state.service import WitnessService
from swn_torture.spec import load_catalogue

if TYPE_CHECKING:
    from collections.abc import Iterator

    from swn_torture.server.nodes.parts import Parts

Setting = Callable[[ClusterConfig], ClusterConfig]
Deviation = TypeVar("Deviation", bound=Callable[..., Any])

#: The parts of a server that a fault can replace, each with the part and the attribute that hold it; those
#: held by nothing are attributes of `Parts`.
_SEAMS: dict[type, tuple[type | None, str]] = {
    Responder: (WitnessService, "responder"),
    RegistrationChecks: (WitnessService, "registration_checks"),
    WitnessService: (None, "service"),
    WitnessEndpoint: (None, "endpoint"),
    RequestAssembler: (ServerConnection, "assembler"),
    Authenticator: (ServerConnection, "authenticator"),
    ServerConnection: (RpcServer, "connection"),
    RpcServer: (None, "rpc_server"),
    EndpointMapper: (None, "mapper"),
    Acceptor: (None, "acceptor"),
}


class FaultError(Exception):
    """A fault is declared wrongly; says which and why."""


class UnknownFault(ConfigError):  # noqa: N818 - named for what it reports
    """There is no fault of that name; the text has those that sound like it."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One deviation.

    Attributes:
        name: in dashes.
        summary: one sentence: what the server does wrong.
        violates: ids of the requirements that it breaks, each of which a case has to find broken.
        area: the module that holds it.
        near: ids of other requirements, in whose cases it may show.
        parts: the parts of the server that do it.
        setting: what it changes in the configuration, if it is that.
    """

    name: str
    summary: str
    violates: tuple[str, ...]
    area: str
    near: tuple[str, ...] = ()
    parts: tuple[type, ...] = ()
    setting: Setting | None = None

    def apply(self, config: ClusterConfig, parts: Parts) -> tuple[ClusterConfig, Parts]:
        """A cluster's configuration and parts with this fault in them."""
        if self.setting is not None:
            config = self.setting(config)
        replaced = {seam_of(part): part for part in self.parts}
        for seam, (holder, attribute) in _SEAMS.items():  # what is held comes before its holder
            part = replaced.get(seam)
            if part is not None and holder is not None:
                base = replaced.get(holder, holder)
                replaced[holder] = type(f"Faulty{holder.__name__}", (base,), {attribute: part})
        own = {
            attribute: replaced[seam]
            for seam, (holder, attribute) in _SEAMS.items()
            if holder is None and seam in replaced
        }
        return config, dataclasses.replace(parts, **own)


class Registry:
    """Faults by name, in the order of their declaration."""

    def __init__(self) -> None:
        self._faults: dict[str, Fault] = {}

    def __iter__(self) -> Iterator[Fault]:
        return iter(self._faults.values())

    def __len__(self) -> int:
        return len(self._faults)

    def add(self, fault: Fault) -> None:
        """Take a fault in.

        Raises:
            FaultError: its name is taken, it says nothing of itself, or it breaks nothing that binds.
        """
        rows = load_catalogue().requirements
        if fault.name in self._faults:
            raise FaultError(f"{fault.name}: the name is used twice")
        if not fault.summary.endswith("."):
            raise FaultError(f"{fault.name}: the summary is no sentence: {fault.summary!r}")
        if not fault.violates:
            raise FaultError(f"{fault.name}: violates nothing")
        for requirement in (*fault.violates, *fault.near):
            if requirement not in rows:
                near = ", ".join(load_catalogue().closest(requirement)) or "nothing like it"
                raise FaultError(f"{fault.name}: no requirement {requirement}; the catalogue has {near}")
        for requirement in fault.violates:
            if not (rows[requirement].observable and rows[requirement].judged):
                raise FaultError(f"{fault.name}: {requirement} is not judged, so nobody can violate it")
        self._faults[fault.name] = fault

    def extend(self, name: str, part: type) -> None:
        """Give a fault one more part."""
        fault = self._faults[name]
        self._faults[name] = dataclasses.replace(fault, parts=(*fault.parts, part))

    def find(self, name: str) -> Fault:
        """The fault of that name.

        Raises:
            UnknownFault: there is none.
        """
        if name not in self._faults:
            near = difflib.get_close_matches(name, self._faults, n=3, cutoff=0.4)
            hint = f"; close to it: {', '.join(near)}" if near else ""
            raise UnknownFault(f"there is no fault {name!r}{hint} (swn-torture faults lists all)")
        return self._faults[name]


FAULTS = Registry()


def violates(*requirements: str, near: tuple[str, ...] = ()) -> Callable[[Deviation], Deviation]:
    """Declare a class or a function as a fault that breaks these requirements.

    Args:
        requirements: ids.
        near: ids of others in whose cases it may show, where these are of another section.
    """

    def declare(deviation: Deviation) -> Deviation:
        doc = inspect.cleandoc(deviation.__doc__ or "").partition("\n\n")[0].replace("\n", " ")
        is_part = isinstance(deviation, type)
        FAULTS.add(
            Fault(
                name=name_of(deviation),
                summary=doc,
                violates=requirements,
                area=deviation.__module__.rpartition(".")[2],
                near=near,
                parts=(deviation,) if isinstance(deviation, type) else (),
                setting=None if is_part else deviation,
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
    """``NullNameTaken`` and ``null_name_taken`` are both called ``null-name-taken``."""
    parted = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "-", deviation.__name__)
    return parted.replace("_", "-").lower()


def seam_of(part: type) -> type:
    """The part of a conforming server that `part` replaces.

    Raises:
        FaultError: it replaces none.
    """
    for seam in _SEAMS:
        if issubclass(part, seam):
            return seam
    raise FaultError(f"{part.__name__} is no part of a server that could be replaced")


def with_options(config: ClusterConfig, **options: Any) -> ClusterConfig:
    """A configuration with other choices of the witness servers."""
    return dataclasses.replace(config, options=dataclasses.replace(config.options, **options))


def with_rpc(config: ClusterConfig, **options: Any) -> ClusterConfig:
    """A configuration with other choices of the RPC servers."""
    return dataclasses.replace(config, rpc=dataclasses.replace(config.rpc, **options))
