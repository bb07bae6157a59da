"""Notes each call of a controller that changes the cluster: when it began, and when its effect was seen."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Final

from swn_torture.control.base import ControllerError

if TYPE_CHECKING:
    from collections.abc import Callable

    from swn_torture.control.base import Controller

#: The calls that change the cluster or what its clients are told.
CALLS: Final = (
    *("disable", "enable", "fail", "recover", "restart"),
    *("move_client", "move_share", "force_unregister", "force_response"),
    *("add_address", "remove_address", "move_address"),
    *("set_interface", "set_interface_unknown", "restore"),
)


def note_calls(controller: Controller, note: Callable[[str], None]) -> None:
    """Let a controller note its calls, also those that it makes itself when it restores the cluster.

    Args:
        controller: not shared with anybody who notes the same calls.
        note: takes one line at the begin of a call, and one when it returned or failed.
    """
    for name in CALLS:
        setattr(controller, name, _noting(name, getattr(controller, name), note))


def _noting(name: str, call: Callable[..., Any], note: Callable[[str], None]) -> Callable[..., Any]:
    @functools.wraps(call)
    async def noting(*arguments: Any, **named: Any) -> Any:
        text = _shown(name, arguments, named)
        note(text)
        try:
            result = await call(*arguments, **named)
        except ControllerError as problem:
            note(f"{text}: {problem}")
            raise
        note(f"{text}: its effect was seen")
        return result

    return noting


def _shown(name: str, arguments: tuple[Any, ...], named: dict[str, Any]) -> str:
    """A call as text: ``move-client C1 NODE2 ip-address=192.0.2.1``; without time-outs and empty values."""
    words = [name.replace("_", "-")]
    if name != "restore":
        words += map(str, arguments)
        words += [
            f"{key.replace('_', '-')}={value}"
            for key, value in named.items()
            if key in {"up", "how", "client", "net_name", "ip_address"} and value not in {None, ""}
        ]
    return " ".join(words)
