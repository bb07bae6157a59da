"""The mark that makes a test function a case, and the stable slug it is known by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

MARK = "swn"

#: Modules below these packages are the suite; anything else that carries the mark is somebody's own
#: extension.
SUITES = ("ndr", "rpc", "cluster")


@dataclass(frozen=True, slots=True)
class CaseMark:
    """What a case says of itself.

    Attributes:
        requirements: catalogue ids it verifies.
        needs: what it needs of the target, see ``harness/needs.py``.
        syntaxes: ``both`` runs it in NDR32 and in NDR64, ``ndr32`` in NDR32 alone.
        disturbs: it changes the state of nodes or interfaces that others may be using, so it runs alone on a
            live target and the cluster is restored after it.
        lasts: seconds it is expected to take on a live target; the longest start first.
    """

    requirements: tuple[str, ...]
    needs: tuple[str, ...] = ()
    syntaxes: Literal["ndr32", "both"] = "ndr32"
    disturbs: bool = False
    lasts: float = 0.0


def case(
    *requirements: str,
    needs: tuple[str, ...] = (),
    syntaxes: Literal["ndr32", "both"] = "ndr32",
    disturbs: bool = False,
    lasts: float = 0.0,
) -> Callable[[Any], Any]:
    """Mark an async test function as a case that verifies these ids; ``CaseMark`` explains the rest."""
    mark: Callable[[Any], Any] = getattr(pytest.mark, MARK)(
        CaseMark(requirements, needs=needs, syntaxes=syntaxes, disturbs=disturbs, lasts=lasts)
    )
    return mark


def mark_of(item: pytest.Item | pytest.Function) -> CaseMark | None:
    """The mark of a collected test, or None when it is not a case."""
    mark = item.get_closest_marker(MARK)
    return mark.args[0] if mark and mark.args and isinstance(mark.args[0], CaseMark) else None


def slug_of(item: pytest.Item) -> str:
    """The id of a case: ``rpc.register.null-netname[ndr64]``, from package, module and function."""
    # Not from the node id: that depends on the directory pytest was started in. The room below ndr, rpc or
    # cluster is no part of the id, so that a module can change rooms.
    *package, module = (
        item.function.__module__.split(".") if isinstance(item, pytest.Function) else [item.name]
    )
    suite = next((name for name in SUITES if package[:2] == ["swn_torture", name]), None)
    suite = suite or (package[-1] if package else "own")
    function, bracket, parameters = item.name.partition("[")
    return f"{suite}.{_dashed(module)}.{_dashed(function)}{bracket}{parameters}"


def suite_of(item: pytest.Item) -> str:
    """The suite a case belongs to: ``ndr``, ``rpc`` or ``cluster``; ``own`` for somebody's extension."""
    suite = slug_of(item).split(".")[0]
    return suite if suite in SUITES else "own"


def title_of(item: pytest.Item) -> str:
    """The first line of the docstring: the stimulus and what comes of it, in a sentence."""
    function = getattr(item, "function", None)
    doc = (getattr(function, "__doc__", None) or "").strip()
    return doc.splitlines()[0] if doc else slug_of(item)


def _dashed(name: str) -> str:
    return name.removeprefix("test_").replace("_", "-")
