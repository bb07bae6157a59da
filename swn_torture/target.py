"""A target: where a witness cluster is, who we are to it, how to move it, what to expect of it.

Read from a *profile*, a TOML file (``fixtures/profiles/TEMPLATE.toml`` explains every key). ``load_profile``
takes the name of one that ships with the package, or a path.
"""

from __future__ import annotations

import dataclasses
import difflib
import os
import tomllib
from dataclasses import dataclass, field
from importlib import resources
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Mapping

    from swn_torture.control.base import Controller

SCHEMA = "swn-torture-target/1"


T = TypeVar("T")


class ProfileError(Exception):
    """A profile cannot be used; the text names the key and how to mend it."""


@dataclass(frozen=True, slots=True)
class Account:
    """A user of the target. The password never shows in a repr or a report."""

    username: str
    password: str = field(repr=False)
    domain: str = ""


@dataclass(frozen=True, slots=True)
class NodeAddress:
    """Where one node's witness service is reached.

    Attributes:
        name: the cluster's own name of the node, as the controller uses it.
        address: IPv4 or IPv6 address that accepts RPC connections for this node.
        endpoint_mapper_port: TCP port of its endpoint mapper.
        port: TCP port of the witness endpoint, where it is fixed and no endpoint mapper is to be asked.
    """

    name: str
    address: str
    endpoint_mapper_port: int = 135
    port: int | None = None


@dataclass(frozen=True, slots=True)
class ExpectedShare:
    """A share; ``scale_out`` is STYPE_CLUSTER_SOFS, which no client can see for itself (AMB-37)."""

    name: str
    scale_out: bool = False


@dataclass(frozen=True, slots=True)
class Expectations:
    """What the specification leaves to the implementation, so that a case knows how long to wait.

    Attributes:
        version: highest witness protocol version the target implements, 1 or 2.
        unused_timeout: seconds after which an unused registration may be removed (U in the catalogue).
        scan_interval: longest period of the target's timer scans in seconds (S in the catalogue).
        event_deadline: seconds within which a cluster event reaches a client. Not a rule of the protocol.
        reply_deadline: seconds within which an ordinary call is answered. Not a rule of the protocol.
        quiet_time: seconds of silence after which a call counts as pending.
        long_call: seconds that a call is left pending to see that the transport does not drop it; clients
            use 120.
        silence_timeout: seconds within which the target's transport notices that a client has died without a
            word; 0 where that is not known.
        shares: the shares, with their types.
        spare_addresses: IP addresses that nobody has and that the cluster may be given as witness addresses
            for the length of a case.
    """

    version: int = 2
    unused_timeout: float = 30.0
    scan_interval: float = 10.0
    event_deadline: float = 30.0
    reply_deadline: float = 10.0
    quiet_time: float = 2.0
    long_call: float = 120.0
    silence_timeout: float = 0.0
    shares: tuple[ExpectedShare, ...] = ()
    spare_addresses: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Profile:
    """Everything known of a target before it is contacted.

    Attributes:
        name: short name, used for report directories.
        title: one line for the head of a report.
        net_name: the NetName clients register with (ServerGlobalName).
        spn_host: host part of the service principal name for Kerberos and SPNEGO.
        nodes: at least one, unless ``embedded``.
        account: the user the suite logs on as.
        second_account: another ordinary user, for cases about two callers.
        controller: kind and settings of what moves the cluster.
        expect: how long to wait and what there is.
        embedded: settings of a reference cluster that the suite starts itself, or None for a target that
            runs.
        variants: profiles of the same implementation set up otherwise (``version-1``, ``no-sofs`` …), by
            name.
        network_namespace: named network namespace from which alone the target can be reached.
        source: file the profile was read from.
    """

    name: str
    net_name: str
    account: Account
    title: str = ""
    spn_host: str = ""
    nodes: tuple[NodeAddress, ...] = ()
    second_account: Account | None = None
    controller: Mapping[str, Any] = field(default_factory=lambda: {"kind": "none"})
    expect: Expectations = field(default_factory=Expectations)
    embedded: Mapping[str, Any] | None = None
    variants: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    network_namespace: str | None = None
    source: str = ""


def shipped_profiles() -> list[str]:
    """Names of the profiles that travel with the package."""
    return sorted(
        path.stem for path in _shipped_directory().iterdir() if path.suffix == ".toml" and path.stem.islower()
    )


def load_profile(name_or_path: str) -> Profile:
    """Read a profile by the name of a shipped one, or from a file.

    Raises:
        ProfileError: no such profile, not TOML, or a key that is missing, unknown or of the wrong kind.
    """
    path = Path(name_or_path)
    if not path.suffix and os.sep not in name_or_path:
        path = _shipped_directory() / f"{name_or_path}.toml"
        if not path.is_file():
            raise ProfileError(
                f"There is no target profile named {name_or_path!r}. Shipped with this package: "
                f"{', '.join(shipped_profiles())}. For one of your own give the path of its .toml file."
            )
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as problem:
        raise ProfileError(f"The target profile {path} cannot be read: {problem.strerror}.") from problem
    except UnicodeDecodeError as problem:
        raise ProfileError(f"The target profile {path} is not UTF-8 text: {problem}.") from problem
    except tomllib.TOMLDecodeError as problem:
        raise ProfileError(f"The target profile {path} is not valid TOML: {problem}.") from problem
    return parse_profile(data, source=str(path))


def parse_profile(data: Mapping[str, Any], *, source: str = "the profile") -> Profile:
    """Build a profile from parsed TOML.

    Raises:
        ProfileError: a key is missing, unknown, or of the wrong kind; the text names it.
    """
    return _Reader(source).profile(dict(data))


def _shipped_directory() -> Path:
    """The profiles: inside an installed package, or at the top of a checkout."""
    installed = Path(str(resources.files("swn_torture"))) / "fixtures" / "profiles"
    return installed if installed.is_dir() else Path(__file__).parent.parent / "fixtures" / "profiles"


class _Reader:
    """Turns tables into dataclasses and says precisely what is wrong with a table."""

    def __init__(self, source: str) -> None:
        self.source = source

    def fail(self, problem: str) -> ProfileError:
        return ProfileError(f"The target profile {self.source} cannot be used: {problem}.")

    def profile(self, data: dict[str, Any]) -> Profile:
        schema = data.pop("schema", None)
        if schema != SCHEMA:
            raise self.fail(f'it has to begin with schema = "{SCHEMA}", not {schema!r}')
        fields: dict[str, Any] = {"source": self.source}
        embedded = data.get("embedded")
        fields["nodes"] = tuple(
            self.build(NodeAddress, row, f"node {n}") for n, row in enumerate(self.rows(data, "node"), 1)
        )
        if not fields["nodes"] and embedded is None:
            raise self.fail("it names no [[node]], so nothing can be contacted")
        if "account" not in data:
            raise self.fail("it has no [account] (username, password, domain), so nobody can log on")
        fields["account"] = self.account(data.pop("account"), "[account]")
        if "second_account" in data:
            fields["second_account"] = self.account(data.pop("second_account"), "[second_account]")
        expect = dict(data.pop("expect", {}))
        shares = tuple(
            self.build(ExpectedShare, row, f"expect.shares {n}")
            for n, row in enumerate(expect.pop("shares", ()), 1)
        )
        spare = self.addresses(expect.pop("spare_addresses", ()), "spare_addresses in [expect]")
        fields["expect"] = dataclasses.replace(
            self.build(Expectations, expect, "[expect]"), shares=shares, spare_addresses=spare
        )
        fields["controller"] = data.pop("controller", {"kind": "none"})
        if "kind" not in fields["controller"]:
            raise self.fail("[controller] has no kind")
        return self.build(Profile, {**data, **fields}, "the top level")

    def rows(self, data: dict[str, Any], key: str) -> list[Any]:
        rows = data.pop(key, [])
        if not isinstance(rows, list):
            raise self.fail(f"{key} has to be an array of tables, written [[{key}]]")
        return rows

    def addresses(self, value: Any, where: str) -> tuple[str, ...]:
        try:
            return tuple(str(ip_address(each)) for each in value)
        except (TypeError, ValueError) as problem:
            raise self.fail(f"{where} has to be a list of IP addresses: {problem}") from problem

    def account(self, row: Any, where: str) -> Account:
        if not isinstance(row, dict):
            raise self.fail(f"{where} has to be a table")
        row = dict(row)
        variable = row.pop("password_env", None)
        if variable is not None:
            if variable not in os.environ:
                raise self.fail(
                    f"{where} takes its password from the environment variable {variable}, which is not set"
                )
            row["password"] = os.environ[variable]
        return self.build(Account, row, where)

    def build(self, kind: type[T], row: Any, where: str) -> T:
        if not isinstance(row, dict):
            raise self.fail(f"{where} has to be a table")
        known = {f.name: f for f in dataclasses.fields(kind)}  # type: ignore[arg-type]
        for key in row:
            if key not in known:
                near = difflib.get_close_matches(key, known, n=1)
                hint = (
                    f" (did you mean {near[0]!r}?)" if near else f" (known there: {', '.join(sorted(known))})"
                )
                raise self.fail(f"{where} has an unknown key {key!r}{hint}")
            self.check_kind(known[key], row[key], f"{key} in {where}")
        missing = [
            name
            for name, f in known.items()
            if name not in row
            and f.default is dataclasses.MISSING
            and f.default_factory is dataclasses.MISSING
        ]
        if missing:
            raise self.fail(f"{where} lacks {', '.join(missing)}")
        return kind(**row)

    def check_kind(self, known: dataclasses.Field[Any], value: Any, where: str) -> None:
        wanted = str(known.type).removesuffix(" | None")
        kinds: dict[str, tuple[type, ...]] = {
            "str": (str,),
            "int": (int,),
            "float": (int, float),
            "bool": (bool,),
        }
        if wanted in kinds and (
            not isinstance(value, kinds[wanted]) or (isinstance(value, bool) and wanted != "bool")
        ):
            raise self.fail(f"{where} has to be of type {wanted}, and is {value!r}")
        if "port" in known.name and not 0 < value < 65536:
            raise self.fail(f"{where} has to be a TCP port from 1 to 65535, and is {value!r}")
        if known.name.endswith(("timeout", "interval", "deadline", "_time")) and value < 0:
            raise self.fail(f"{where} has to be a number of seconds, and is {value!r}")


def make_controller(profile: Profile) -> Controller:
    """The controller that a profile names, not yet opened.

    Raises:
        ProfileError: the kind is unknown, or a setting is wrong.
    """
    from swn_torture.control.kinds import controller_from

    try:
        return controller_from(profile.controller)
    except ValueError as problem:
        raise ProfileError(f"The [controller] of {profile.source} cannot be used: {problem}.") from problem
