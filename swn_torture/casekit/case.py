"""The ``@case`` mark that makes a test function a case, and the id, suite and title of a case."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

MARK = "swn"

#: The mark for needs of one parameter of a case.
NEEDS = "swn_needs"

#: Cases in modules of these packages are the suite. A case anywhere else is an extension by a user.
SUITES = ("ndr", "rpc", "cluster")


@dataclass(frozen=True, slots=True)
class CaseMark:
    """What a case declares about itself.

    Attributes:
        requirements: ids of the catalogue that it checks.
        needs: what the target must have, by the names in ``casekit.needs``.
        syntaxes: ``both`` runs it once with NDR32 and once with NDR64, ``ndr32`` only with NDR32.
        disturbs: whether it changes the state of nodes or interfaces that other cases may use. It then runs
            alone on a live target, and the controller restores the cluster after it.
        lasts: seconds it is expected to take on a live target. The longest cases start first.
        apart: the variant that it runs on if the profile has it, else on the target itself: for a case that
            waits so long that others would wait for it. There it disturbs no other case.
    """

    requirements: tuple[str, ...]
    needs: tuple[str, ...] = ()
    syntaxes: Literal["ndr32", "both"] = "ndr32"
    disturbs: bool = False
    lasts: float = 0.0
    apart: str = ""


def case(
    *requirements: str,
    needs: tuple[str, ...] = (),
    syntaxes: Literal["ndr32", "both"] = "ndr32",
    disturbs: bool = False,
    lasts: float = 0.0,
    apart: str = "",
) -> Callable[[Any], Any]:
    """Mark an async test function as a case that checks these requirements.

    Args:
        requirements: ids of the catalogue.
        needs: see ``CaseMark``.
        syntaxes: see ``CaseMark``.
        disturbs: see ``CaseMark``.
        lasts: see ``CaseMark``.
        apart: see ``CaseMark``.
    """
    mark: Callable[[Any], Any] = getattr(pytest.mark, MARK)(
        CaseMark(requirements, needs=needs, syntaxes=syntaxes, disturbs=disturbs, lasts=lasts, apart=apart)
    )
    return mark


def also_needs(*needs: str) -> pytest.MarkDecorator:
    """Needs of one parameter of a case: ``pytest.param("reset", marks=also_needs("tcp-reset"))``."""
    decorator: pytest.MarkDecorator = getattr(pytest.mark, NEEDS)(*needs)
    return decorator


def mark_of(item: pytest.Item | pytest.Function) -> CaseMark | None:
    """The mark of a collected test, with the needs of its parameters; None when it is not a case."""
    mark = item.get_closest_marker(MARK)
    if not (mark and mark.args and isinstance(mark.args[0], CaseMark)):
        return None
    more = tuple(str(need) for each in item.iter_markers(NEEDS) for need in each.args)
    return replace(mark.args[0], needs=(*mark.args[0].needs, *more)) if more else mark.args[0]


def slug_of(item: pytest.Item) -> str:
    """The id of a case: ``rpc.register.null-netname[ndr64]``, from package, module and function."""
    # The node id of pytest is not used: it depends on the directory that pytest was started in. The folder
    # below ndr, rpc or cluster is not part of the id, so that a module can move to another folder.
    *package, module = (
        item.function.__module__.split(".") if isinstance(item, pytest.Function) else [item.name]
    )
    suite = next((name for name in SUITES if package[:2] == ["swn_torture", name]), None)
    suite = suite or (package[-1] if package else "own")
    function, bracket, parameters = item.name.partition("[")
    return f"{suite}.{_dashed(module)}.{_dashed(function)}{bracket}{parameters}"


def slug_of_path(path: str, name: str) -> str:
    """The id of a case from the path of its module and its name; empty for a test outside the suite.

    Args:
        path: absolute path of the module: ``/…/swn_torture/rpc/methods/test_register.py``.
        name: the function with its parameters: ``test_null[ndr64]``.
    """
    *folders, module = path.removesuffix(".py").split("/")
    if "swn_torture" not in folders:
        return ""
    suite, *_ = [*folders[len(folders) - folders[::-1].index("swn_torture") :], ""]
    function, bracket, parameters = name.partition("[")
    return f"{suite}.{_dashed(module)}.{_dashed(function)}{bracket}{parameters}" if suite in SUITES else ""


def suite_of(item: pytest.Item) -> str:
    """The suite of a case: ``ndr``, ``rpc`` or ``cluster``; ``own`` for an extension by a user."""
    suite = slug_of(item).split(".")[0]
    return suite if suite in SUITES else "own"


def title_of(item: pytest.Item) -> str:
    """The first line of the docstring: what the case sends and what must come back. The id without one."""
    function = getattr(item, "function", None)
    doc = (getattr(function, "__doc__", None) or "").strip()
    return doc.splitlines()[0] if doc else slug_of(item)


def _dashed(name: str) -> str:
    return name.removeprefix("test_").replace("_", "-")
