"""Targets: where a witness cluster is, which accounts it has, how to change it, and what to expect of it.

A *profile* describes a target. It is a TOML file; ``fixtures/profiles/TEMPLATE.toml`` explains every key.
``load_profile`` takes the name of a profile that ships with the package, or a path.
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
    """A profile cannot be used; the text names the key and says how to mend it."""


@dataclass(frozen=True, slots=True)
class Account:
    """An account of the target. Neither its repr nor a report shows the password."""

    username: str
    password: str = field(repr=False)
    domain: str = ""


@dataclass(frozen=True, slots=True)
class NodeAddress:
    """The address of the witness service of one node.

    Attributes:
        name: the name of the node in the cluster, as the controller uses it.
        address: IPv4 or IPv6 address of the node's RPC services.
        endpoint_mapper_port: TCP port of its endpoint mapper.
        port: TCP port of the witness endpoint when it is fixed; None to ask the endpoint mapper.
    """

    name: str
    address: str
    endpoint_mapper_port: int = 135
    port: int | None = None


@dataclass(frozen=True, slots=True)
class ExpectedShare:
    """A share. ``scale_out`` is STYPE_CLUSTER_SOFS, which a client cannot find out by itself (AMB-37)."""

    name: str
    scale_out: bool = False


@dataclass(frozen=True, slots=True)
class Expectations:
    """What the specification leaves to the implementation; cases take their time-outs from here.

    Attributes:
        version: highest witness protocol version of the target, 1 or 2.
        unused_timeout: seconds after which the target may remove an unused registration.
        scan_interval: longest interval between the target's timer scans, in seconds.
        event_deadline: seconds within which a cluster event reaches a client. Not a rule of the protocol.
        reply_deadline: seconds within which an ordinary call completes. Not a rule of the protocol.
        quiet_time: seconds without a response after which a call counts as pending.
        long_call: seconds that a call stays pending to check that the transport does not end it; clients use
            120.
        silence_timeout: seconds within which the target's transport notices a client that stopped answering;
            0 when not known.
        shares: the shares with their types.
        spare_addresses: unused IP addresses that a case may add to the cluster as witness addresses while it
            runs.
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
    """Everything that the suite knows about a target before the first call.

    Attributes:
        name: short name, used in reports.
        title: one line for the head of a report.
        net_name: the NetName that clients register with (ServerGlobalName).
        spn_host: host part of the service principal name for Kerberos and SPNEGO.
        nodes: the nodes; at least one, unless ``embedded`` is set.
        account: the account that the suite authenticates with.
        second_account: another ordinary account, for cases with two callers.
        controller: kind and settings of the controller that changes the cluster.
        expect: time-outs, shares and other facts that the specification leaves open.
        embedded: settings of a reference cluster that the suite starts; None for a target that runs already.
        variants: the same implementation with other settings (``version-1``, ``no-sofs`` …), by name.
        network_namespace: the network namespace from which the target is reachable; None for the default one.
        source: the file that the profile was read from.
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
    """Names of the profiles that ship with the package."""
    return sorted(
        path.stem
        for path in (fixtures_directory() / "profiles").iterdir()
        if path.suffix == ".toml" and path.stem.islower()
    )


def load_profile(name_or_path: str) -> Profile:
    """Read a profile by the name of a shipped one, or from a file.

    Raises:
        ProfileError: the profile does not exist or is not TOML, or a key is missing, unknown or of the wrong
            type.
    """
    path = Path(name_or_path)
    if not path.suffix and os.sep not in name_or_path:
        path = fixtures_directory() / "profiles" / f"{name_or_path}.toml"
        if not path.is_file():
            raise ProfileError(
                f"Unknown target profile '{name_or_path}'. "
                f"This package has: {', '.join(shipped_profiles())}. "
                "For your own profile, name the path of its .toml file."
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

    Args:
        data: the parsed file.
        source: name of the file, for error texts.

    Raises:
        ProfileError: a key is missing, unknown or of the wrong type; the text names it.
    """
    return _Reader(source).profile(dict(data))


def fixtures_directory() -> Path:
    """The directory ``fixtures``: inside an installed package, or at the top of a checkout."""
    installed = Path(str(resources.files("swn_torture"))) / "fixtures"
    return installed if installed.is_dir() else Path(__file__).parent.parent / "fixtures"


#: Names of the types of keys, for error texts.
_TYPE_NAMES = {"str": "a string", "int": "an integer", "float": "a number", "bool": "true or false"}


class _Reader:
    """Turns tables into dataclasses, and names the key that is wrong."""

    def __init__(self, source: str) -> None:
        self.source = source

    def fail(self, problem: str) -> ProfileError:
        return ProfileError(f"The target profile {self.source} cannot be used: {problem}.")

    def profile(self, data: dict[str, Any]) -> Profile:
        schema = data.pop("schema", None)
        if schema != SCHEMA:
            raise self.fail(f'it must contain schema = "{SCHEMA}"')
        fields: dict[str, Any] = {"source": self.source}
        embedded = data.get("embedded")
        fields["nodes"] = tuple(
            self.build(NodeAddress, row, f"node {n}") for n, row in enumerate(self.rows(data, "node"), 1)
        )
        if not fields["nodes"] and embedded is None:
            raise self.fail("it has no [[node]]; add the address of at least one node")
        if "account" not in data:
            raise self.fail("it has no [account]; add username, password and domain")
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
            raise self.fail(f"{key} must be an array of tables, written [[{key}]]")
        return rows

    def addresses(self, value: Any, where: str) -> tuple[str, ...]:
        try:
            return tuple(str(ip_address(each)) for each in value)
        except (TypeError, ValueError) as problem:
            raise self.fail(f"{where} must be a list of IP addresses: {problem}") from problem

    def account(self, row: Any, where: str) -> Account:
        if not isinstance(row, dict):
            raise self.fail(f"{where} must be a table")
        row = dict(row)
        variable = row.pop("password_env", None)
        if variable is not None:
            if variable not in os.environ:
                raise self.fail(
                    f"the environment variable {variable}, which holds the password of {where}, is not set"
                )
            row["password"] = os.environ[variable]
        return self.build(Account, row, where)

    def build(self, kind: type[T], row: Any, where: str) -> T:
        if not isinstance(row, dict):
            raise self.fail(f"{where} must be a table")
        known = {f.name: f for f in dataclasses.fields(kind)}  # type: ignore[arg-type]
        for key in row:
            if key not in known:
                near = difflib.get_close_matches(key, known, n=1)
                hint = f"; close match: {near[0]}" if near else f"; known keys: {', '.join(sorted(known))}"
                raise self.fail(f"{where} has the unknown key {key}{hint}")
            self.check_kind(known[key], row[key], f"{key} in {where}")
        missing = [
            name
            for name, f in known.items()
            if name not in row
            and f.default is dataclasses.MISSING
            and f.default_factory is dataclasses.MISSING
        ]
        if missing:
            raise self.fail(f"{where} has no {', '.join(missing)}")
        return kind(**row)

    def check_kind(self, known: dataclasses.Field[Any], value: Any, where: str) -> None:
        type_name = str(known.type).removesuffix(" | None")
        kinds: dict[str, tuple[type, ...]] = {
            "str": (str,),
            "int": (int,),
            "float": (int, float),
            "bool": (bool,),
        }
        if type_name in kinds and (
            not isinstance(value, kinds[type_name]) or (isinstance(value, bool) and type_name != "bool")
        ):
            raise self.fail(f"{where} must be {_TYPE_NAMES[type_name]}, not {value!r}")
        if "port" in known.name and not 0 < value < 65536:
            raise self.fail(f"{where} must be a TCP port from 1 to 65535, not {value}")
        if known.name.endswith(("timeout", "interval", "deadline", "_time")) and value < 0:
            raise self.fail(f"{where} must be a number of seconds, not {value}")


def make_controller(profile: Profile) -> Controller:
    """The controller of a profile, not yet opened.

    Raises:
        ProfileError: the kind is unknown, or a setting is wrong.
    """
    from swn_torture.control.kinds import controller_from

    try:
        return controller_from(profile.controller)
    except (TypeError, ValueError) as problem:
        raise ProfileError(f"The [controller] of {profile.source} cannot be used: {problem}.") from problem
