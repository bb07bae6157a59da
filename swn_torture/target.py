"""Targets: where a witness cluster is, which accounts it has, how to change it, and what to expect of it.

A *profile* describes a target. It is a TOML file; ``fixtures/profiles/TEMPLATE.toml`` explains every key.
``load_profile`` takes the name of a profile that ships with the package, or a path.
"""

from __future__ import annotations

import dataclasses
import difflib
import json
import math
import os
import re
import tomllib
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from swn_torture.account import SERVICES_BY_NAME, Account, account_problems, completed
from swn_torture.shipped import fixtures_directory

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from swn_torture.control.base import Controller
    from swn_torture.control.undoing.journal import Journal

SCHEMA = "swn-torture-target/1"

#: What a profile may name as its network.
NETWORKS = ("ip", "socket-wrapper")

T = TypeVar("T")


class ProfileError(Exception):
    """A profile cannot be used; the text names the key and says how to mend it."""


@dataclass(frozen=True, slots=True)
class NodeAddress:
    """The address of the witness service of one node.

    Attributes:
        name: the name of the node in the cluster, as the controller uses it.
        address: IPv4 or IPv6 address of the node's RPC services.
        endpoint_mapper_port: TCP port of its endpoint mapper.
        port: TCP port of the witness endpoint when it is fixed; None to ask the endpoint mapper.
        smb_port: TCP port of its SMB server, if it has one.
    """

    name: str
    address: str
    endpoint_mapper_port: int = 135
    port: int | None = None
    smb_port: int = 445


@dataclass(frozen=True, slots=True)
class ExpectedShare:
    """A share. ``scale_out`` is STYPE_CLUSTER_SOFS, which a client cannot find out by itself (AMB-37)."""

    name: str
    scale_out: bool = False


@dataclass(frozen=True, slots=True)
class NetworkName:
    """A name by which clients reach the cluster, as of a file-server role or of a SmartConnect zone.

    Attributes:
        name: the NetName that its clients register with.
        aliases: other names for it.
        addresses: the witness addresses that belong to it. The cluster may move them between its nodes.
    """

    name: str
    aliases: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()


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
        all_failures: let nodes fail in every way that the controller can make them. Otherwise only in the
            usual ways: disabled, crash of a daemon, power off.
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
    all_failures: bool = True


@dataclass(frozen=True, slots=True)
class Product:
    """The product that a target runs, for the head of a report and to choose a baseline.

    Attributes:
        name: its name: ``Samba``.
        version: its version, as it prints it.
        builds: program -> what tells this build of it from others: the build id of its ELF note.
    """

    name: str
    version: str = ""
    builds: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Profile:
    """Everything that the suite knows about a target before the first call.

    Attributes:
        name: short name, used in reports.
        title: one line for the head of a report.
        net_name: the NetName that clients register with (ServerGlobalName).
        spn_host: host part of the service principal name for Kerberos and SPNEGO.
        nodes: the nodes; at least one, unless ``embedded`` is set.
        network_names: the network names of the cluster with their aliases and addresses; empty if the profile
            does not list them.
        account: the account that the suite authenticates with.
        second_account: another ordinary account, for cases with two callers.
        controller: kind and settings of the controller that changes the cluster.
        expect: time-outs, shares and other facts that the specification leaves open.
        embedded: settings of a reference cluster that the suite starts; None for a target that runs already.
        variants: the same implementation with other settings (``version-1``, ``no-sofs`` …), by name.
        missing_variants: variants that the implementation cannot have, by name, each with the reason.
        network: what connects the suite with the target: ``ip``, or ``socket-wrapper``, which replaces TCP by
            Unix sockets and cannot do everything that TCP does (`swn_torture.casekit.needs`).
        network_namespace: the network namespace from which the target is reachable; None for the default one.
        product: the product and its version; None when the profile does not say it.
        source: the file that the profile was read from.
    """

    name: str
    net_name: str
    account: Account
    title: str = ""
    spn_host: str = ""
    nodes: tuple[NodeAddress, ...] = ()
    network_names: tuple[NetworkName, ...] = ()
    second_account: Account | None = None
    controller: Mapping[str, Any] = field(default_factory=lambda: {"kind": "none"})
    expect: Expectations = field(default_factory=Expectations)
    embedded: Mapping[str, Any] | None = None
    variants: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    missing_variants: Mapping[str, str] = field(default_factory=dict)
    network: str = "ip"
    network_namespace: str | None = None
    product: Product | None = None
    source: str = ""

    @property
    def host(self) -> str:
        """The host in the service principal name of the cluster."""
        return self.spn_host or self.net_name

    @property
    def principal(self) -> str:
        """The service principal name that the suite asks for with Kerberos."""
        return self.account.spn or f"cifs/{self.host}"


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
    if not is_file_name(name_or_path):
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


def is_file_name(name_or_path: str) -> bool:
    """Whether this is the path of a profile, and not the name of one that ships with the package."""
    return bool(Path(name_or_path).suffix) or os.sep in name_or_path


def parse_profile(data: Mapping[str, Any], *, source: str = "the profile") -> Profile:
    """Build a profile from parsed TOML.

    Args:
        data: the parsed file.
        source: name of the file, for error texts.

    Raises:
        ProfileError: a key is missing, unknown or of the wrong type; the text names it.
    """
    return _Reader(source).profile(dict(data))


def password_in(path: Path) -> str:
    """The password in a file: its first line.

    Raises:
        ProfileError: the file cannot be read, or has no password.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as problem:
        why = getattr(problem, "strerror", None) or "it is not UTF-8 text"
        raise ProfileError(f"The password file {path} cannot be read: {why}.") from problem
    if not lines or not lines[0]:
        raise ProfileError(f"The password file {path} is empty. Its first line is the password.")
    return lines[0]


#: A variable of the environment in a profile with the key ``environment``.
_VARIABLE = re.compile(r"\$\{(\w+)\}")

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
        if "environment" in data:
            data = self.with_environment(data, data.pop("environment"))
        if data.get("network", "ip") not in NETWORKS:
            raise self.fail(f"network must be one of {', '.join(NETWORKS)}, not {data['network']!r}")
        fields: dict[str, Any] = {"source": self.source}
        embedded = data.get("embedded")
        fields["nodes"] = tuple(
            self.build(NodeAddress, row, f"node {n}") for n, row in enumerate(self.rows(data, "node"), 1)
        )
        if not fields["nodes"] and embedded is None:
            raise self.fail("it has no [[node]]; add the address of at least one node")
        fields["network_names"] = self.network_names(data)
        if "account" not in data:
            raise self.fail("it has no [account]; add username, password and domain")
        fields["account"] = self.account(data.pop("account"), "[account]")
        if "second_account" in data:
            second = self.account(data.pop("second_account"), "[second_account]")
            fields["second_account"] = second.beside(fields["account"])
        if "product" in data:
            fields["product"] = self.product(data.pop("product"))
        expect = dict(self.table(data.pop("expect", {}), "[expect]"))
        shares = tuple(
            self.build(ExpectedShare, row, f"expect.shares {n}")
            for n, row in enumerate(self.rows(expect, "shares", "shares in [expect]"), 1)
        )
        spare = self.addresses(expect.pop("spare_addresses", ()), "spare_addresses in [expect]")
        fields["expect"] = dataclasses.replace(
            self.build(Expectations, expect, "[expect]"), shares=shares, spare_addresses=spare
        )
        for key, kind, what in (("variants", dict, "a table"), ("missing_variants", str, "a string")):
            for name, value in self.table(data.get(key, {}), f"[{key}]").items():
                if not isinstance(value, kind):
                    raise self.fail(f"{name} in [{key}] must be {what}, not {value!r}")
        fields["controller"] = self.table(data.pop("controller", {"kind": "none"}), "[controller]")
        if "kind" not in fields["controller"]:
            raise self.fail("[controller] has no kind")
        return self.build(Profile, {**data, **fields}, "the top level")

    def with_environment(self, value: Any, of: str) -> Any:
        """A value of the profile, in which each ``${NAME}`` of a string is a variable of the environment.

        Args:
            value: a table, an array, or a plain value.
            of: what sets the variables, for the error text.
        """
        if isinstance(value, dict):
            return {key: self.with_environment(each, of) for key, each in value.items()}
        if isinstance(value, list):
            return [self.with_environment(each, of) for each in value]
        return (
            _VARIABLE.sub(lambda found: self.variable(found[1], of), value)
            if isinstance(value, str)
            else value
        )

    def variable(self, name: str, of: str) -> str:
        if name not in os.environ:
            raise self.fail(
                f"the environment variable {name} is not set; the profile is for {of}, which sets it"
            )
        return os.environ[name]

    def table(self, value: Any, where: str) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise self.fail(f"{where} must be a table, not {value!r}")
        return value

    def rows(self, data: dict[str, Any], key: str, where: str = "") -> list[Any]:
        rows = data.pop(key, [])
        if not isinstance(rows, list):
            raise self.fail(
                f"{where or key} must be an array of tables" + ("" if where else f", written [[{key}]]")
            )
        return rows

    def addresses(self, value: Any, where: str) -> tuple[str, ...]:
        try:
            return tuple(str(ip_address(each)) for each in value)
        except (TypeError, ValueError) as problem:
            raise self.fail(f"{where} must be a list of IP addresses: {problem}") from problem

    def network_names(self, data: dict[str, Any]) -> tuple[NetworkName, ...]:
        """The [[network_name]] tables: each name, alias and address once, and net_name among the names."""
        found: list[NetworkName] = []
        known: dict[str, str] = {}
        for number, row in enumerate(self.rows(data, "network_name"), 1):
            where = f"network_name {number}"
            each = self.build(NetworkName, row, where)
            aliases: Any = each.aliases
            if not isinstance(aliases, list | tuple) or not all(isinstance(a, str) for a in aliases):
                raise self.fail(f"aliases in {where} must be a list of strings")
            addresses = self.addresses(each.addresses, f"addresses in {where}")
            for said in (each.name.casefold(), *map(str.casefold, each.aliases), *addresses):
                if said in known:
                    raise self.fail(f"{said} is in {known[said]} and in {where}")
                known[said] = where
            found.append(NetworkName(each.name, tuple(each.aliases), addresses))
        net_name = data.get("net_name", "")
        if found and str(net_name).casefold() not in {each.name.casefold() for each in found}:
            raise self.fail(f"net_name, {net_name!r}, is not the name of a [[network_name]]")
        return tuple(found)

    def product(self, row: Any) -> Product:
        found = self.build(Product, row, "[product]")
        if not isinstance(found.builds, dict) or not all(isinstance(v, str) for v in found.builds.values()):
            raise self.fail('builds in [product] must be a table of strings, such as { smbd = "1f2e" }')
        return found

    def account(self, row: Any, where: str) -> Account:
        if not isinstance(row, dict):
            raise self.fail(f"{where} must be a table")
        row = dict(row)
        variable = row.pop("password_env", None)
        if variable is not None:
            if not isinstance(variable, str):
                raise self.fail(f"password_env in {where} must be a string, not {variable!r}")
            if variable not in os.environ:
                raise self.fail(
                    f"the environment variable {variable}, which holds the password of {where}, is not set"
                )
            row["password"] = os.environ[variable]
        file = row.pop("password_file", None)
        if file is not None:
            beside = Path(self.source).parent / str(file)  # an absolute path stays as it is
            row["password"] = password_in(beside)
        if row.get("auth", "any") not in [*SERVICES_BY_NAME]:
            raise self.fail(f"auth in {where} must be {_one_of(SERVICES_BY_NAME)}, not {row['auth']!r}")
        row = completed(row, Path(self.source).parent)
        missing = ", ".join(key for key in ("username", "password") if key not in row)
        if missing:
            raise self.fail(f"{where} has no {missing}")
        account = self.build(Account, row, where)
        for problem in account_problems(row, where):
            raise self.fail(problem)
        return account

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
        times = ("timeout", "interval", "deadline", "_time", "long_call")
        if known.name.endswith(times) and not 0 <= value < math.inf:
            raise self.fail(f"{where} must be a number of seconds, not {value}")


def _one_of(names: Iterable[str]) -> str:
    *others, last = (f'"{name}"' for name in names)
    return f"{', '.join(others)} or {last}"


def make_controller(profile: Profile) -> Controller:
    """The controller of a profile, not yet opened.

    Raises:
        ProfileError: the kind is unknown, or a setting is wrong.
    """
    from swn_torture.control.kinds import controller_from
    from swn_torture.control.undoing.journaled import JournaledController
    from swn_torture.control.witness_lists import WitnessLists, WitnessNode

    try:
        controller = controller_from(profile.controller)
    except (TypeError, ValueError) as problem:
        raise ProfileError(f"The [controller] of {profile.source} cannot be used: {problem}.") from problem
    account = profile.account
    controller.attach(
        WitnessLists(
            [WitnessNode(n.name, n.address, n.endpoint_mapper_port, n.port) for n in profile.nodes],
            account.credentials(),
            profile.host,
            account.to_try,
        )
    )
    if profile.embedded is not None:
        return controller  # its cluster ends with this process
    return JournaledController(controller, journal_of(profile))


def journal_of(profile: Profile) -> Journal:
    """The journal of the changes of a target."""
    from swn_torture.control.undoing.journal import Journal

    return Journal(profile.name, json.dumps(profile.controller, sort_keys=True, default=str))
