"""``swn-torture client``: speak witness to a server by hand."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import click

from swn_torture.commands.errors import TARGET_UNUSABLE, USAGE, explain

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from swn_torture.target import Profile
    from swn_torture.witness.client import WitnessClient
    from swn_torture.witness.messages import InterfaceInfo, RespAsyncNotify


def _connection(function: Callable[..., Any]) -> Callable[..., Any]:
    """The options of every subcommand: which server, who we are, how the calls travel."""
    options = [
        click.option(
            "--target",
            metavar="PROFILE",
            envvar="SWN_TARGET",
            help="Take address and account from a profile.",
        ),
        click.option("--server", metavar="ADDRESS", help="Address of the server, instead of a profile."),
        click.option("--node", default=0, show_default=True, help="Which node of the profile, from 0."),
        click.option(
            "--port", type=int, help="TCP port of the witness endpoint (default: ask the endpoint mapper)."
        ),
        click.option(
            "--user", "-U", metavar="[DOMAIN\\]USER%PASSWORD", help="Account, instead of the profile's."
        ),
        click.option(
            "--level",
            type=click.Choice(["none", "connect", "integrity", "privacy"]),
            default="integrity",
            show_default=True,
            help="Authentication level.",
        ),
        click.option(
            "--auth", type=click.Choice(["ntlm", "spnego", "kerberos"]), default="ntlm", show_default=True
        ),
        click.option("--ndr64", is_flag=True, help="Speak NDR64 instead of NDR32."),
    ]
    return _with_options(function, *options)


def _with_options(function: Callable[..., Any], *options: Callable[..., Any]) -> Callable[..., Any]:
    for option in reversed(options):
        function = option(function)
    return function


def _registration(function: Callable[..., Any]) -> Callable[..., Any]:
    """The options of the subcommands that register."""
    return _with_options(
        function,
        click.option("--net-name", help="NetName (default: the profile's)."),
        click.option("--ip", "ip_address", help="IpAddress (default: the first AVAILABLE interface)."),
        click.option("--share", "share_name", help="ShareName; registers by RegisterEx."),
        click.option("--client-name", default="SWN-TORTURE", show_default=True, help="ClientComputerName."),
        click.option("--keep-alive", default=120, show_default=True, help="KeepAliveTimeout in seconds."),
        click.option("--ip-notifications", is_flag=True, help="Ask for IP_CHANGE notifications too."),
        click.option("--v1", is_flag=True, help="Register by protocol version 1 (opnum 1)."),
    )


@click.group(short_help="Speak witness to a server: list interfaces, register, watch notifications.")
def command() -> None:
    """Speak witness to any server, as a client would.

    \b
    swn-torture client interfaces --target samba-lab
    swn-torture client register  --server 198.51.100.100 -U 'DOMAIN\\user%secret' --net-name CLUSTER
    swn-torture client watch     --target samba-lab --ip 198.51.100.101
    """


@command.command()
@_connection
def interfaces(**options: Any) -> None:
    """List the interfaces a server offers (WitnessrGetInterfaceList)."""
    from swn_torture.stubdata.win32 import describe

    async def talk(client: WitnessClient, _: Profile | None) -> None:
        reply = await client.get_interface_list()
        if reply.result:
            raise click.ClickException(f"GetInterfaceList returned {describe(reply.result)}")
        for interface in (reply.interface_list and reply.interface_list.interfaces) or ():
            click.echo(_interface_line(interface))

    _talk(talk, options)


@command.command()
@_connection
@_registration
def register(**options: Any) -> None:
    """Register, show the context handle, unregister."""
    from swn_torture.stubdata.win32 import describe

    async def talk(client: WitnessClient, profile: Profile | None) -> None:
        handle = await _register(client, profile, options)
        click.echo(f"registered: {handle.uuid}")
        click.echo(f"unregistered: {describe((await client.unregister(handle)).result)}")

    _talk(talk, options)


@command.command()
@_connection
@_registration
@click.option("--count", type=int, help="Stop after this many notifications.")
def watch(**options: Any) -> None:
    """Register and print every notification as it comes, until Ctrl-C."""
    from swn_torture.stubdata.win32 import Win32, describe

    async def talk(client: WitnessClient, profile: Profile | None) -> None:
        handle = await _register(client, profile, options)
        began = time.monotonic()
        click.echo(f"registered: {handle.uuid}; waiting for notifications, Ctrl-C ends it", err=True)
        seen = 0
        while options["count"] is None or seen < options["count"]:
            reply = await client.async_notify(handle).reply(None)
            stamp = f"{time.monotonic() - began:9.3f} s"
            if reply.result == Win32.ERROR_TIMEOUT:
                click.echo(f"{stamp}  keep-alive: {describe(reply.result)}", err=True)
                continue
            if reply.result:
                raise click.ClickException(f"AsyncNotify returned {describe(reply.result)}")
            seen += 1
            if reply.response is None:
                click.echo(f"{stamp}  success without a notification")
                continue
            for line in _used_names(reply.response):
                click.echo(f"{stamp}  {line}")

    _talk(talk, options)


def _used_names(response: RespAsyncNotify) -> Iterator[str]:
    """A notification in words, a line for each of its items."""
    from swn_torture.witness.constants import AddressFlags, ChangeType, MessageType, describe
    from swn_torture.witness.notifications import ResourceChange

    kind = describe(MessageType, response.message_type)
    for item in response.decode().items:
        if isinstance(item, ResourceChange):
            yield f"{kind}: {item.resource_name} is {describe(ChangeType, item.change_type)}"
            continue
        for address in item.addresses:
            valid = address.ipv6 if address.flags & AddressFlags.V6 else address.ipv4
            yield f"{kind}: {valid} {describe(AddressFlags, address.flags)}"
        if not item.addresses:
            yield f"{kind}: no address"


async def _register(client: WitnessClient, profile: Profile | None, options: dict[str, Any]) -> Any:
    from swn_torture.stubdata.win32 import describe
    from swn_torture.witness.constants import InterfaceState, RegisterFlags

    net_name = options["net_name"] or (profile.net_name if profile else None)
    if not net_name:
        raise click.UsageError("--net-name is needed when there is no --target")
    address = options["ip_address"]
    if address is None:
        listed = await client.get_interface_list()
        available = [
            i
            for i in (listed.interface_list and listed.interface_list.interfaces) or ()
            if i.state == InterfaceState.AVAILABLE
        ]
        if not available:
            raise click.ClickException("the server lists no AVAILABLE interface; name an address with --ip")
        address = _address(available[0])
    names = {"net_name": net_name, "ip_address": address, "client_computer_name": options["client_name"]}
    if options["v1"]:
        reply: Any = await client.register(**names)
    else:
        flags = RegisterFlags.IP_NOTIFICATION if options["ip_notifications"] else RegisterFlags.NONE
        reply = await client.register_ex(
            **names, share_name=options["share_name"], flags=flags, keep_alive_timeout=options["keep_alive"]
        )
    if reply.result:
        raise click.ClickException(
            f"the registration of {net_name} at {address} returned {describe(reply.result)}"
        )
    return reply.context


def _talk(talk: Callable[[WitnessClient, Profile | None], Awaitable[None]], options: dict[str, Any]) -> None:
    """Connect as the options say, talk, and explain what did not work."""
    from swn_torture.dcerpc.errors import Fault, RpcError
    from swn_torture.dcerpc.security.context import Credentials
    from swn_torture.dcerpc.security.levels import AuthLevel, AuthType
    from swn_torture.dcerpc.status import describe_status
    from swn_torture.stubdata.syntax import NDR32, NDR64
    from swn_torture.target import ProfileError, load_profile
    from swn_torture.witness.client import connect

    async def carry_out() -> None:
        profile = load_profile(options["target"]) if options["target"] else None
        if options["server"]:
            address, port, epm_port = options["server"], options["port"], 135
        elif profile is not None and profile.nodes:
            enter(profile)
            node = profile.nodes[options["node"]]
            address, port, epm_port = node.address, options["port"] or node.port, node.endpoint_mapper_port
        else:
            raise click.UsageError(
                "name a server: --server ADDRESS, or --target with a profile that has nodes"
            )
        level = AuthLevel[options["level"].upper()]
        credentials = None
        if level != AuthLevel.NONE:
            credentials = _account(options["user"], profile, Credentials)
        async with await connect(
            address,
            port,
            epm_port=epm_port,
            syntax=NDR64 if options["ndr64"] else NDR32,
            credentials=credentials,
            auth_type=AuthType[options["auth"].upper()],
            level=level,
            net_name=profile.net_name if profile else address,
        ) as client:
            await talk(client, profile)

    try:
        asyncio.run(carry_out())
    except ProfileError as problem:
        raise explain(problem, USAGE) from problem
    except Fault as fault:
        hint = " (wrong user name or password?)" if fault.status == 5 else ""
        raise explain(
            f"The server answered with fault {describe_status(fault.status)}{hint}.", TARGET_UNUSABLE
        ) from fault
    except (RpcError, OSError) as problem:
        raise explain(
            f"The server cannot be used: {str(problem) or type(problem).__name__}.", TARGET_UNUSABLE
        ) from problem
    except KeyboardInterrupt:
        click.echo(err=True)


def enter(profile: Profile) -> None:
    """Go where the target can be reached, when that is a network namespace."""
    if profile.network_namespace:
        from swn_torture.lab.namespaces import enter_network

        enter_network(profile.network_namespace)


def _account(user: str | None, profile: Profile | None, kind: Any) -> Any:
    if user is None:
        if profile is None:
            raise click.UsageError("name an account: -U '[DOMAIN\\]USER%PASSWORD'")
        account = profile.account
        return kind(account.username, account.password, account.domain)
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
    witness = "witness here" if interface.flags & InterfaceFlags.WITNESS else "local"
    state = describe(InterfaceState, interface.state)
    listed = " ".join(addresses) or "-"
    return f"{interface.group_name:<16} {state:<22} {listed:<40} {witness}  version 0x{interface.version:08X}"
