"""Client moves and share moves of a CTDB cluster: what sends them, and what the server decides itself."""

from __future__ import annotations

from collections import defaultdict
from ipaddress import ip_address as parse_ip
from typing import TYPE_CHECKING, Final
from uuid import UUID

from swn_torture.control.base import ControllerError, NotRegistered
from swn_torture.control.ctdb.messages import SEND, Move, Recipient, arguments, move_message, parse_recipients
from swn_torture.control.ctdb.output import exact_pattern
from swn_torture.control.stimulus import Stimulus

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from ipaddress import IPv4Address, IPv6Address

    from swn_torture.control.ctdb.cluster import CtdbCluster, CtdbView

    Destination = int | IPv4Address | IPv6Address

_COMPARES_NO_NAME: Final = (
    "`net witness` compares the names itself, and sends the server a message with the key of each "
    "registration that matches, without a name: the server has nothing to compare."
)


class CtdbMoves:
    """Sends moves with `net witness`, and to the registrations that it leaves out without it.

    Args:
        cluster: the nodes.
    """

    def __init__(self, cluster: CtdbCluster) -> None:
        self._cluster = cluster

    async def send(
        self, move: Move, destination: str, filters: Mapping[str, str | None], not_for: Collection[str]
    ) -> Stimulus:
        """Move the registrations that match the filters; send the move to others that it is not for.

        Args:
            move: the kind of the move.
            destination: the name of a node, or an IP address.
            filters: field of the registration -> its value; None for any.
            not_for: keys of registrations that must not be notified.

        Raises:
            NotRegistered: the cluster lists no registration of this client, or none at all.
            ControllerError: no listed one matches, and the move was sent to none of `not_for` either.
        """
        view = await self._cluster.view()
        where: Destination
        try:
            where = parse_ip(destination)
            target = f"--witness-new-ip={where}"
        except ValueError:
            where = self._cluster.pnn(view, destination)
            target = f"--witness-new-node={where}"
        patterns = {name: exact_pattern(value) for name, value in filters.items() if value is not None}
        options = [f"--witness-{name}={pattern}" for name, pattern in patterns.items()]
        # First, so that a notification of the others shows that the server has read these messages, too.
        reached, left_out = frozenset[str](), _COMPARES_NO_NAME
        if not_for:
            try:
                reached = await self._send_to_others(view, move, where, options, not_for)
            except ControllerError as problem:
                left_out = (
                    f"`net witness {move}` leaves it out, and a message with its key could not be sent in "
                    f"another way: {problem}"
                )
        selected = await self._cluster.net_witness(view, move, *options, target)
        if not selected and not reached:
            command = " ".join(["net", "witness", move, *options, target])
            raise await self._nobody(view, command, filters["client-computer-name"])
        return Stimulus(
            f"by `net witness {move}`: a message with the key of each registration that the tool selects",
            reached,
            left_out,
            "and to this registration, which the tool would leave out, by a message with its key",
        )

    async def _nobody(self, view: CtdbView, command: str, client: str | None) -> ControllerError:
        """The error for a command that selects no registration, by what the cluster lists of the client."""
        listed = {each.client_computer_name for each in await self._cluster.net_witness(view, "list")}
        found = sorted(name for name in listed if client is None or name.casefold() == client.casefold())
        if found:
            text = f"no registration matches `{command}`, but the cluster lists {', '.join(found)}"
            return ControllerError(text)
        whose = "any client" if client is None else f"the client {client}"
        return NotRegistered(
            f"the cluster lists no registration of {whose}: the server has removed it, or does not list it"
        )

    async def _send_to_others(
        self,
        view: CtdbView,
        move: Move,
        where: Destination,
        options: Collection[str],
        not_for: Collection[str],
    ) -> frozenset[str]:
        """Send a move to registrations that it is not for; return the keys the server decides about."""
        listed = parse_recipients(await self._cluster.net_witness_text(view, "list"))
        recipients: dict[str, list[Recipient]] = {}
        for key in not_for:
            if key in listed and move == "share-move" and listed[key].share_name is None:
                recipients[key] = [listed[key]]
            elif key not in listed and move == "client-move":
                # It was removed. Its process is one of those that have the registrations of the move.
                selected = parse_recipients(await self._cluster.net_witness_text(view, "list", *options))
                recipients[key] = list(selected.values())
        messages: defaultdict[int, dict[tuple[int, bytes], None]] = defaultdict(dict)
        for key, places in recipients.items():
            for place in places:
                octets = move_message(move, UUID(key), place.handle_type, where)
                messages[place.pnn][place.pid, octets] = None
        read: set[tuple[int, int]] = set()
        for pnn, of_node in messages.items():
            read |= {(pnn, pid) for pid in await self._run(view, pnn, of_node)}
        return frozenset(
            key
            for key, places in recipients.items()
            if places and all((place.pnn, place.pid) in read for place in places)
        )

    async def _run(self, view: CtdbView, pnn: int, messages: Collection[tuple[int, bytes]]) -> set[int]:
        """Send messages to processes of a node; return the processes that have read them."""
        node = {self._cluster.pnn(view, name): name for name in self._cluster.names}[pnn]
        python = self._cluster.settings.python
        if not python:
            raise ControllerError("the profile names no Python with the module samba (controller.python)")
        output = await self._cluster.run_on(node, *python, "-c", SEND, *arguments(pnn, messages), check=False)
        if output.code != 0:
            reason = (output.errors or output.text).strip().rpartition("\n")[2]
            raise ControllerError(
                f"{' '.join(python)} with the module samba (python3-samba) failed on {node}: {reason}"
            )
        return {int(pid) for pid in output.text.split()}
