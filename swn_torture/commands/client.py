"""``swn-torture client``: call the witness service of a server by hand."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from swn_torture.commands import complete
from swn_torture.commands.errors import TARGET_UNUSABLE, USAGE, CommandError
from swn_torture.commands.terminal import echo

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from swn_torture.dcerpc.security.levels import AuthType
    from swn_torture.target import Profile
    from swn_torture.witness.client import WitnessClient
    from swn_torture.witness.messages import InterfaceInfo


def _connection(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of every subcommand: which server, which account, how to authenticate."""
    options = [
        click.option(
            "--target",
            metavar="PROFILE",
            shell_complete=complete.profiles,
            envvar="SWN_TARGET",
            help="Use the address and the account of this profile.",
        ),
        click.option("--server", metavar="ADDRESS", help="Address of the server, instead of --target."),
        click.option(
            "--node",
            type=click.IntRange(min=0),
            default=0,
            show_default=True,
            help="Number of the node in the profile, from 0.",
        ),
        click.option(
            "--port",
            type=click.IntRange(1, 65535),
            help="TCP port of the witness endpoint (default: ask the endpoint mapper).",
        ),
        click.option(
            "--user",
            "-U",
            metavar="[DOMAIN\\]USER%PASSWORD",
            help="Account, instead of the one in the profile.",
        ),
        click.option(
            "--level",
            type=click.Choice(["none", "connect", "integrity", "privacy"]),
            default="integrity",
            show_default=True,
            help="Authentication level.",
        ),
        click.option(
            "--auth",
            type=click.Choice(["ntlm", "spnego", "kerberos"]),
            help="Authentication protocol (default: the first that the account has and the server offers).",
        ),
        click.option("--ndr64", is_flag=True, help="Use the NDR64 transfer syntax instead of NDR32."),
    ]
    return _with_options(function, *options)


def _with_options(function: Callable[..., Any], *options: Callable[..., Any]) -> Callable[..., Any]:
    for option in reversed(options):
        function = option(function)
    return function


def _registration(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of the subcommands that register."""
    return _with_options(
        function,
        click.option("--net-name", help="NetName (default: from the profile)."),
        click.option(
            "--ip",
            "ip_address",
            help="IpAddress (default: of the first AVAILABLE interface of another node, or of this one).",
        ),
        click.option("--share", "share_name", help="ShareName of the RegisterEx."),
        click.option("--client-name", default="SWN-TORTURE", show_default=True, help="ClientComputerName."),
        click.option(
            "--keep-alive",
            type=click.IntRange(0, 0xFFFFFFFF),
            default=120,
            show_default=True,
            help="KeepAliveTimeout in seconds.",
        ),
        click.option("--ip-notifications", is_flag=True, help="Register for IP_CHANGE notifications, too."),
        click.option(
            "--v1", is_flag=True, help="Register with WitnessrRegister (opnum 1, protocol version 1)."
        ),
    )


@click.group()
def command() -> None:
    """Call the witness service of any server, as a client does.

    \b
    swn-torture client interfaces --target samba-lab
    swn-torture client register --server 198.51.100.100 -U 'DOMAIN\\user%secret' --net-name CLUSTER
    swn-torture client watch --target samba-lab --ip 198.51.100.101
    """


@command.command()
@_connection
def interfaces(**options: Any) -> None:
    """List the interfaces of a server (WitnessrGetInterfaceList)."""
    from swn_torture.stubdata.win32 import describe

    async def calls(client: WitnessClient, _: Profile | None) -> None:
        reply = await client.get_interface_list()
        if reply.result:
            raise CommandError(f"GetInterfaceList returned {describe(reply.result)}.", TARGET_UNUSABLE)
        for interface in (reply.interface_list and reply.interface_list.interfaces) or ():
            echo(_interface_line(interface))

    _run_calls(calls, options)


@command.command()
@click.option(
    "--target",
    metavar="PROFILE",
    shell_complete=complete.profiles,
    envvar="SWN_TARGET",
    help="Use the nodes, the account and the shares of this profile.",
)
@click.option("--server", metavar="ADDRESS", help="Address of one server, instead of --target.")
@click.option(
    "--smb-port",
    type=click.IntRange(1, 65535),
    default=445,
    show_default=True,
    help="TCP port of SMB of --server.",
)
@click.option(
    "--user", "-U", metavar="[DOMAIN\\]USER%PASSWORD", help="Account, instead of the one in the profile."
)
@click.option(
    "--share",
    "shares",
    multiple=True,
    metavar="NAME",
    help="Ask for this share (repeatable; default: the shares of the profile, or those that are listed).",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def shares(shares: tuple[str, ...], *, as_json: bool, **options: Any) -> None:
    """Show the capabilities of the shares by SMB dialect, and whether they agree with the witness service.

    By SMB2_SHARE_CAP_CLUSTER a client decides to ask for witness. Every node is asked in each dialect
    (TREE_CONNECT), and its endpoint mapper and interface list are compared with the answers. A warning is no
    verdict: MS-SWN demands none of this.

    \b
    swn-torture client shares --target samba-lab
    swn-torture client shares --server 198.51.100.100 -U 'DOMAIN\\user%secret' --share data --json

    Exit codes: 0 a node has answered, 2 usage or profile error, 3 no share can be connected.
    """
    import json

    from swn_torture.commands.client_shares import lines_of
    from swn_torture.doctor.shares import find_shares
    from swn_torture.harness.preflight.patience import for_live
    from swn_torture.lab.errors import LabError

    profile = _profile_for_shares(**options)
    try:
        enter(profile)
    except LabError as problem:
        raise CommandError(problem, TARGET_UNUSABLE) from problem
    found = asyncio.run(find_shares(profile, for_live(profile.expect.reply_deadline), shares))
    if as_json:
        click.echo(json.dumps(found.to_json(), indent=2))
    else:
        for line in lines_of(found):
            echo(line)
    if not any(each.capabilities for each in found.connects):
        sys.exit(TARGET_UNUSABLE)


def _profile_for_shares(target: str | None, server: str | None, smb_port: int, user: str | None) -> Profile:
    from swn_torture.account import Account
    from swn_torture.target import NodeAddress, Profile, ProfileError, load_profile

    if server:
        node = NodeAddress(server, server, smb_port=smb_port)
        return Profile("server", net_name=server, account=_account(user, None, Account), nodes=(node,))
    try:
        profile = load_profile(target) if target else None
    except ProfileError as problem:
        raise CommandError(problem, USAGE) from problem
    if profile is None or not profile.nodes:
        raise click.UsageError("Name a server: --server ADDRESS, or --target with a profile that has nodes.")
    return profile if user is None else replace(profile, account=_account(user, profile, Account))


@command.command()
@_connection
@_registration
def register(**options: Any) -> None:
    """Register, print the context handle, unregister."""
    from swn_torture.stubdata.win32 import describe

    async def calls(client: WitnessClient, profile: Profile | None) -> None:
        handle = await _register(client, profile, options)
        echo(f"registered: {handle.uuid}")
        echo(f"unregistered: {describe((await client.unregister(handle)).result)}")

    _run_calls(calls, options)


@command.command()
@_connection
@_registration
@click.option("--count", type=click.IntRange(min=1), help="Stop after this number of notifications.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON line for each event.")
def watch(**options: Any) -> None:
    """Register and show every notification until Ctrl-C: a live table on a terminal, else lines.

    \b
    swn-torture client watch --target samba-lab
    swn-torture client watch --target samba-lab --json
    """
    from swn_torture.commands.watching import client_watch
    from swn_torture.stubdata.win32 import Win32, describe

    async def calls(client: WitnessClient, profile: Profile | None) -> None:
        handle = await _register(client, profile, options)
        net_name = options["net_name"] or (profile.net_name if profile else "")
        keep_alive = None if options["v1"] else options["keep_alive"]
        seen = 0
        with client_watch(as_json=options["as_json"], net_name=net_name, keep_alive=keep_alive) as shown:
            shown.registered(str(handle.uuid))
            while options["count"] is None or seen < options["count"]:
                reply = await client.async_notify(handle).reply(None)
                if reply.result == Win32.ERROR_TIMEOUT:
                    shown.timed_out(describe(reply.result))
                    continue
                if reply.result:
                    raise CommandError(f"AsyncNotify returned {describe(reply.result)}.", TARGET_UNUSABLE)
                seen += 1
                shown.notified(reply.response)

    _run_calls(calls, options)


async def _register(client: WitnessClient, profile: Profile | None, options: dict[str, Any]) -> Any:
    from swn_torture.stubdata.win32 import describe
    from swn_torture.witness.constants import RegisterFlags

    net_name = options["net_name"] or (profile.net_name if profile else None)
    if not net_name:
        raise click.UsageError("Without --target, --net-name is required.")
    address = options["ip_address"]
    if address is None:
        address = await _address_to_watch(client)
    names = {"net_name": net_name, "ip_address": address, "client_computer_name": options["client_name"]}
    if options["v1"]:
        reply: Any = await client.register(**names)
    else:
        flags = RegisterFlags.IP_NOTIFICATION if options["ip_notifications"] else RegisterFlags.NONE
        reply = await client.register_ex(
            **names, share_name=options["share_name"], flags=flags, keep_alive_timeout=options["keep_alive"]
        )
    if reply.result:
        raise CommandError(
            f"The registration of {net_name} at {address} returned {describe(reply.result)}.", TARGET_UNUSABLE
        )
    return reply.context


async def _address_to_watch(client: WitnessClient) -> str:
    """An address of the first AVAILABLE interface of another node, or of this node if it is the only one.

    A client registers with one node for an address of another node.
    """
    from swn_torture.witness.constants import InterfaceFlags, InterfaceState

    listed = await client.get_interface_list()
    interfaces = (listed.interface_list and listed.interface_list.interfaces) or ()
    available = [interface for interface in interfaces if interface.state == InterfaceState.AVAILABLE]
    if not available:
        raise CommandError(
            "The server lists no AVAILABLE interface. Give the IpAddress with --ip.", TARGET_UNUSABLE
        )
    others = [interface for interface in available if interface.flags & InterfaceFlags.WITNESS]
    return _address((others or available)[0])


#: What may be behind ERROR_ACCESS_DENIED (0x5): the server answers no wrong auth3 of NTLM.
_DENIED = "; the user name or the password may be wrong, or the server does not accept this service"


def _services(options: dict[str, Any], profile: Profile | None) -> Sequence[AuthType]:
    """The authentication services to log on with, the preferred one first."""
    from swn_torture.dcerpc.security.levels import AuthType

    if options["auth"]:
        return [AuthType[options["auth"].upper()]]
    return profile.account.to_try if profile and options["user"] is None else [AuthType.NTLM]


def _run_calls(
    calls: Callable[[WitnessClient, Profile | None], Awaitable[None]], options: dict[str, Any]
) -> None:
    """Connect, run the calls of a subcommand, and explain a failure.

    Args:
        calls: the calls, with the connected client and the profile.
        options: the options of the subcommand.
    """
    from swn_torture.dcerpc.errors import Fault, RpcError
    from swn_torture.dcerpc.security.context import Credentials
    from swn_torture.dcerpc.security.levels import AuthLevel
    from swn_torture.dcerpc.status import FaultStatus, describe_status
    from swn_torture.lab.errors import LabError
    from swn_torture.stubdata.fields import DecodeError
    from swn_torture.stubdata.syntax import NDR32, NDR64
    from swn_torture.target import ProfileError, load_profile
    from swn_torture.witness.logon import connect_by

    async def connect_and_call() -> None:
        profile = load_profile(options["target"]) if options["target"] else None
        if options["server"]:
            address, port, epm_port = options["server"], options["port"], 135
        elif profile is not None and profile.nodes:
            if options["node"] >= len(profile.nodes):
                known = ", ".join(f"{number} ({node.name})" for number, node in enumerate(profile.nodes))
                raise CommandError(f"Unknown node {options['node']}; known: {known}.", USAGE)
            enter(profile)
            node = profile.nodes[options["node"]]
            address, port, epm_port = node.address, options["port"] or node.port, node.endpoint_mapper_port
        else:
            raise click.UsageError(
                "Name a server: --server ADDRESS, or --target with a profile that has nodes."
            )
        level = AuthLevel[options["level"].upper()]
        credentials = None
        if level != AuthLevel.NONE:
            credentials = _account(options["user"], profile, Credentials)
        async with await connect_by(
            _services(options, profile),
            address,
            port,
            epm_port=epm_port,
            syntax=NDR64 if options["ndr64"] else NDR32,
            credentials=credentials,
            level=level,
            net_name=profile.host if profile else address,
        ) as client:
            await calls(client, profile)

    try:
        asyncio.run(connect_and_call())
    except ProfileError as problem:
        raise CommandError(problem, USAGE) from problem
    except Fault as fault:
        hint = _DENIED if fault.status == FaultStatus.ERROR_ACCESS_DENIED else ""
        raise CommandError(
            f"The server completed the call with fault {describe_status(fault.status)}{hint}.",
            TARGET_UNUSABLE,
        ) from fault
    except DecodeError as problem:
        raise CommandError(f"The response does not decode: {problem}.", TARGET_UNUSABLE) from problem
    except LabError as problem:
        raise CommandError(problem, TARGET_UNUSABLE) from problem
    except (RpcError, OSError) as problem:
        text = (str(problem) or type(problem).__name__).removesuffix(".")
        raise CommandError(f"The call failed: {text}.", TARGET_UNUSABLE) from problem
    except KeyboardInterrupt:
        echo(err=True)


def enter(profile: Profile) -> None:
    """Enter the network namespace of the target, if it has one."""
    if profile.network_namespace:
        from swn_torture.lab.namespaces import enter_network

        enter_network(profile.network_namespace)


def _account(user: str | None, profile: Profile | None, kind: Any) -> Any:
    if user is None:
        if profile is None:
            raise click.UsageError("Name an account: -U '[DOMAIN\\]USER%PASSWORD'.")
        return profile.account.credentials()
    name, percent, password = user.partition("%")
    if not percent:
        password = click.prompt(f"Password for {name}", hide_input=True, err=True)
    domain, backslash, username = name.rpartition("\\")
    return kind(username, password, domain if backslash else "")


def _address(interface: InterfaceInfo) -> str:
    from swn_torture.witness.constants import InterfaceFlags

    return str(interface.ipv4 if interface.flags & InterfaceFlags.IPV4 else interface.ipv6)


def _interface_line(interface: InterfaceInfo) -> str:
    from swn_torture.witness.constants import InterfaceFlags, InterfaceState, describe

    addresses = []
    if interface.flags & InterfaceFlags.IPV4:
        addresses.append(str(interface.ipv4))
    if interface.flags & InterfaceFlags.IPV6:
        addresses.append(str(interface.ipv6))
    witness = "witness" if interface.flags & InterfaceFlags.WITNESS else "local"
    state = describe(InterfaceState, interface.state)
    listed = " ".join(addresses) or "-"
    return f"{interface.group_name:<16} {state:<22} {listed:<40} {witness}  version 0x{interface.version:08X}"
