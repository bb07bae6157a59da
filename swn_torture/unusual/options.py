"""One server for each value of each option of the reference server, one option at a time.

The type of an option gives its values, where it can. `VALUES` has those of all other options. An option is
named as in a profile: ``interface_list_waits`` of `Options`, ``rpc.multiplex`` of `ServerOptions`.
"""

from __future__ import annotations

import dataclasses
import json
import tomllib
from collections.abc import Callable
from enum import Enum
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, get_args, get_origin, get_type_hints

from swn_torture.dcerpc.server.interface import Caller
from swn_torture.dcerpc.server.options import ServerOptions
from swn_torture.server.state.options import Options
from swn_torture.spec.breaks import Breaks
from swn_torture.stubdata.syntax import SyntaxId
from swn_torture.unusual.registry import Unusual

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

#: The values to try of options whose type does not say them.
VALUES: dict[str, tuple[Any, ...]] = {
    "version": ("V1",),
    "announced_version": (0xFFFFFFFF,),
    "max_registrations": (60,),
    "exhausted": ("ERROR_NOT_ENOUGH_MEMORY",),
    "unused_timeout": (6.0,),
    "scan_interval": (1.0,),
    # With milliseconds, most calls would time out before anything happens.
    "keepalive_unit": (0.1,),
    "forced_unregister_after": (5.0,),
    "minimum_level": ("PKT",),
    "unauthenticated": ("ERROR_NOT_AUTHENTICATED",),
    "refused_accounts": (["nobody"],),
    "unregister_unknown": ("ERROR_NOT_FOUND",),
    "handle_attributes": (1,),
    "pending_order": (["ip-change", "share-move", "client-move", "change"],),
    "unregister_ends_calls": ("ERROR_SUCCESS",),
    "ip_change_causes": ([], ["added", "removed"]),
    "rpc.max_fragment": (2048, 4280),
    "rpc.min_fragment": (1432,),
    "rpc.max_request": (8 * 1024 * 1024,),
    "rpc.contexts_per_interface": (8,),
    "rpc.max_calls": (1000,),
    "rpc.max_security_contexts": (2,),
    "rpc.features": (0, 1, 2),
    "rpc.keep_alive": (0.0,),
    "rpc.linger": (0.0,),
}

#: Options that are not tried, and why.
NOT_TRIED = {
    "time_scale": "changes the clock of the server, and nothing else that a client can see",
    "rpc.access": "is a function, which no profile can name",
}

#: What the profile of a server with a value expects, in addition to the default.
EXPECT: dict[str, dict[str, Any]] = {
    "version=V1": {"version": 1},
    "unused_timeout=6.0": {"unused_timeout": 6.0},
    "scan_interval=1.0": {"scan_interval": 1.5},
    "rpc.keep_alive=0.0": {"silence_timeout": 0.0},
}


class Option(NamedTuple):
    """One option of the reference server.

    Attributes:
        name: as in a profile, with ``rpc.`` before those of `ServerOptions`.
        kind: its type.
        default: its default.
        breaks: its values that do not follow the specification.
    """

    name: str
    kind: Any
    default: Any
    breaks: tuple[Breaks, ...]

    def values(self) -> tuple[Any, ...]:
        """Return the values to try, as a profile writes them; none for an option that is not tried.

        Raises:
            LookupError: neither the type nor `VALUES` says them.
        """
        if self.name in NOT_TRIED:
            return ()
        if self.name in VALUES:
            return VALUES[self.name]
        if self.kind is bool:
            return (not self.default,)
        if get_origin(self.kind) is Literal:
            return tuple(value for value in get_args(self.kind) if value != self.default)
        raise LookupError(f"no values to try for the option {self.name}; add them to VALUES or NOT_TRIED")


def options() -> Iterator[Option]:
    """Return all options, those of the witness server first."""
    # The hints of ServerOptions name types that its module imports for the type checker only.
    names = {"Callable": Callable, "SyntaxId": SyntaxId, "Caller": Caller}
    for owner, prefix in ((Options, ""), (ServerOptions, "rpc.")):
        plain = get_type_hints(owner, localns=names)
        extra = get_type_hints(owner, localns=names, include_extras=True)
        for field in dataclasses.fields(owner):
            notes = getattr(extra[field.name], "__metadata__", ())
            breaks = tuple(note for note in notes if isinstance(note, Breaks))
            yield Option(prefix + field.name, plain[field.name], field.default, breaks)


def option_servers() -> Iterator[Unusual]:
    """Return one server for each value of each option."""
    for option in options():
        for value in option.values():
            yield _server(option, value)


def option_server(name: str) -> Unusual | None:
    """Return the server for ``NAME=VALUE`` with any value; None if there is no such option.

    The value is written as in TOML; a string can be without quotes.
    """
    option_name, _, text = name.partition("=")
    found = next((option for option in options() if option.name == option_name), None)
    return None if found is None or not text else _server(found, _plain(text))


def _server(option: Option, value: Any) -> Unusual:
    name = f"{option.name}={_text(value)}"
    outer, _, inner = option.name.rpartition(".")
    settings: Mapping[str, Any] = {outer: {inner: value}} if outer else {inner: value}
    marks = [mark for mark in option.breaks if mark.value in (..., value)]
    return Unusual(
        name=name,
        summary=f"The option {option.name} is {_text(value)}; its default is {_text(_default(option))}.",
        area="options",
        settings=settings,
        expect=EXPECT.get(name, {}),
        breaks=tuple(name for mark in marks for name in mark.requirements),
        consequences=tuple(name for mark in marks for name in mark.consequences),
    )


def _default(option: Option) -> Any:
    value = option.default
    return value.name if isinstance(value, Enum) else list(value) if isinstance(value, tuple) else value


def _text(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, list):
        return json.dumps(value)
    return str(value).lower() if isinstance(value, bool) else str(value)


def _plain(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text
