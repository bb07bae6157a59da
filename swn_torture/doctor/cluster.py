"""What a run uses besides the witness service: the controller, the shares, programs of this machine."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from typing import TYPE_CHECKING, Any

from swn_torture.control.base import Capability, ControllerError, NodeState
from swn_torture.control.runner import Runner
from swn_torture.harness.preflight.shares import ask_shares
from swn_torture.target import ProfileError, make_controller

if TYPE_CHECKING:
    from swn_torture.control.base import Controller
    from swn_torture.doctor.links import Links
    from swn_torture.target import Profile

#: Programs that the nodes need for a kind of controller, with the arguments that print their version.
_PROGRAMS = {"ctdb": (("ctdb", "version"), ("net", "--version"))}


async def check_controller(profile: Profile, links: Links, *, disturb: bool) -> None:
    """Ask the controller for everything that disturbs nobody; with `disturb`, take a node out of service."""
    kind = profile.controller.get("kind")
    if kind == "none":
        links.not_checked("controller", "the profile names none; cases that need an event are not tested")
        return
    mend = "correct [controller] in the profile; docs/adding-a-controller.md says what each call does"
    try:
        controller = make_controller(profile)
    except ProfileError as problem:
        links.broken("controller", str(problem), mend)
        return
    await _check_programs(profile, links)
    try:
        await controller.open()
    except ControllerError as problem:
        links.broken("controller", f"{kind}: {problem}", mend)
        return
    try:
        able = ", ".join(sorted(each.value for each in controller.capabilities))
        links.ok("controller", f"{kind}: {able}")
        await _check_queries(controller, profile, links)
        if disturb:
            await _disturb(controller, links)
        else:
            links.not_checked("events", "they disturb the cluster; --disturb takes a node out of service")
    finally:
        await controller.close()


async def _check_queries(controller: Controller, profile: Profile, links: Links) -> None:
    queries: dict[Capability, Any] = {
        Capability.LIST_NODES: controller.nodes,
        Capability.LIST_REGISTRATIONS: controller.registrations,
        Capability.SHARES: controller.shares,
    }
    for capability, query in queries.items():
        name = f"controller {capability.value}"
        if not controller.can(capability):
            links.not_checked(name, f"the {controller.kind} controller cannot do it")
            continue
        try:
            found = await query()
        except ControllerError as problem:
            links.broken(name, str(problem), "run the command by hand on that node, as the controller does")
            continue
        if capability is Capability.LIST_NODES:
            _compare_nodes(found, profile, links, name)
        else:
            links.ok(name, f"{len(found)} listed")


def _compare_nodes(found: Any, profile: Profile, links: Links, name: str) -> None:
    text = ", ".join(f"{each.name} {each.state.value}" for each in found)
    unknown = {node.name.casefold() for node in profile.nodes} - {each.name.casefold() for each in found}
    out = [each.name for each in found if each.state is not NodeState.OK]
    if unknown:
        mend = "name the [[node]] tables of the profile as the cluster names its nodes"
        links.broken(name, f"{text}; it does not know {', '.join(sorted(unknown))}", mend)
    elif out:
        links.broken(
            name, text, f"return {', '.join(out)} to service: `swn-torture cluster restore` tries to"
        )
    else:
        links.ok(name, text)


async def _disturb(controller: Controller, links: Links) -> None:
    """Take the last node out of service and return it: most events need that."""
    name = f"controller {Capability.DISABLE_NODE.value}"
    if not controller.can(Capability.DISABLE_NODE, Capability.LIST_NODES):
        links.not_checked(name, f"the {controller.kind} controller cannot do it")
        return
    try:
        nodes = await controller.nodes()
        if len(nodes) < 2:
            links.not_checked(name, "the cluster has one node only")
            return
        node = nodes[-1].name
        try:
            await controller.disable(node)
            links.ok(name, f"{node} is out of service")
        finally:
            await controller.restore()
        links.ok("controller restore", f"{node} is in service again")
    except ControllerError as problem:
        links.broken(name, str(problem), "run the command by hand on that node, as the controller does")


async def _check_programs(profile: Profile, links: Links) -> None:
    """The programs that the controller runs on the nodes."""
    settings = profile.controller
    nodes = settings.get("nodes", {})
    runner = Runner(tuple(settings.get("prefix", ())), dict(nodes))
    for node in nodes:
        for program, *arguments in _PROGRAMS.get(str(settings.get("kind")), ()):
            try:
                output = await runner.run_on(node, program, *arguments)
            except ControllerError as problem:
                mend = f"install {program} on {node}, or correct prefix in [controller]"
                links.broken(f"program {program}", str(problem), mend, node)
            else:
                first = (output.text.strip() or output.errors.strip()).splitlines()
                links.ok(f"program {program}", first[0] if first else "it prints no version", node)


async def check_shares(profile: Profile, links: Links) -> None:
    """The shares that the first node lists, by SMB or its server service."""
    found = await asyncio.to_thread(ask_shares, profile, profile.nodes[0])
    expected = [share.name for share in profile.expect.shares]
    where = profile.nodes[0].name
    if found.types is None:
        text = f"{found.problem}; no run needs them"
        links.note("shares", text, where=where)
        return
    listed = {name.casefold() for name in found.types}
    missing = sorted({*found.missing, *(name for name in expected if name.casefold() not in listed)})
    if missing:
        mend = "correct shares in [expect], or create the share"
        links.broken("shares", f"{found}; the profile lists {', '.join(missing)}, too", mend, where)
    else:
        links.ok("shares", str(found), where)


def check_this_machine(links: Links) -> None:
    """Programs of this machine; none of them is necessary for a run."""
    found = shutil.which("tshark")
    if found is None:
        links.note("program tshark", "not installed; captures are written without it")
        return
    try:
        output = subprocess.run([found, "--version"], capture_output=True, text=True, timeout=20, check=False)  # noqa: S603 - found in PATH
    except (OSError, subprocess.TimeoutExpired) as problem:
        links.note("program tshark", f"{found} does not say its version: {problem}")
        return
    links.ok("program tshark", (output.stdout.strip().splitlines() or ["?"])[0])
