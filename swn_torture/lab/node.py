"""One node: its namespaces, its file system, and its connection to the lab's network.

The mount table of the host has no entry of a node. The root of a node is an overlay: the base tree below, and
in memory everything that the node writes. It is in a mount namespace that ends with the node's process 1. So
killing this one process removes the node.
"""

from __future__ import annotations

import os
import select
import subprocess
import time
from typing import TYPE_CHECKING, Final

from swn_torture.lab import namespaces
from swn_torture.lab.config import PREFIX_LENGTH, namespace, run_directory
from swn_torture.lab.errors import LabError
from swn_torture.lab.settings import SHARED, node_files
from swn_torture.lab.tools import environment, run

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from swn_torture.lab.config import LabConfig, NodeConfig

_BOOT_TIMEOUT: Final = 20.0

# Runs in new mount, process, host name and IPC namespaces, and becomes their process 1. It ignores SIGCHLD,
# so that the kernel removes daemons that end as its children: for Samba a zombie is a running process.
_INIT: Final = f"""
set -eu
state=$1 node=$2 base=$3
mount -t tmpfs -o mode=0755 node "$state/mnt"
cd "$state/mnt"
mkdir upper work root
mount -t overlay -o "lowerdir=$state/$node/files:$base,upperdir=upper,workdir=work" root root
cd root
mkdir -p .{SHARED} mnt
mount --bind "$state/shared" .{SHARED}
mount --bind "$state/$node/log" var/log
mount -t proc proc proc
mount -t tmpfs -o mode=0755 run run
mkdir -p run/ctdb run/samba/ctdb run/lock var/log/samba
mount -t tmpfs -o mode=0755 dev dev
for device in null zero full random urandom tty; do
  : > dev/$device
  mount --bind /dev/$device dev/$device
done
ln -s /proc/self/fd dev/fd
mkdir dev/shm
# CTDB leaves the retries of a connection to the kernel. After a partition it could wait minutes for the next.
echo 1 > proc/sys/net/ipv4/tcp_syn_retries
hostname "$node"
pivot_root . mnt
cd /
/bin/umount -l /mnt
echo ready
exec /usr/bin/env --ignore-signal=CHLD /usr/bin/sleep infinity </dev/null >/dev/null 2>&1
"""


def prefix(lab: str, node: str) -> list[str]:
    """Return the words before a command to run it on a node."""
    return [str(run_directory(lab) / "exec"), node]


def run_on(
    lab: str,
    node: str,
    argv: Sequence[str],
    *,
    timeout: float = 30.0,
    stdin: str | None = None,
    check: bool = True,
) -> subprocess.CompletedProcess[str]:
    """Run a command on a node, and return its result.

    Args:
        lab: the name of the lab.
        node: the name of the node.
        argv: the command line.
        timeout: seconds that it may take.
        stdin: its standard input; None for none.
        check: whether an exit code other than 0 is an error.

    Raises:
        LabError: the command fails, cannot be started or takes too long.
    """
    return run([*prefix(lab, node), *argv], timeout=timeout, stdin=stdin, check=check)


def connect(config: LabConfig, role: str, *addresses: str) -> None:
    """Make the network namespace of a node or of the client, and connect it to the switch."""
    name, switch = namespace(config.name, role), namespace(config.name, "switch")
    namespaces.add(name)
    # Made directly in the two namespaces, so that the host never has these devices.
    run(["ip", "link", "add", "eth0", "netns", name, "type", "veth", "peer", "name", role, "netns", switch])
    for address in addresses:
        run(["ip", "-n", name, "address", "add", f"{address}/{PREFIX_LENGTH}", "dev", "eth0"])
    run(["ip", "-n", name, "link", "set", "eth0", "up"])
    run(["ip", "-n", switch, "link", "set", role, "master", "bridge", "up"])


def add_switch(lab: str) -> None:
    """Make the namespace with only the bridge, so that no packet can leave the lab."""
    switch = namespace(lab, "switch")
    namespaces.add(switch)
    run(["ip", "-n", switch, "link", "add", "bridge", "type", "bridge", "forward_delay", "0"])
    run(["ip", "-n", switch, "link", "set", "bridge", "up"])


def boot(config: LabConfig, node: NodeConfig, base: Path) -> None:
    """Make the namespaces and the file system of a node, and start its process 1. No daemon runs yet.

    Raises:
        LabError: a step fails.
    """
    state = run_directory(config.name)
    directory = state / node.name
    (directory / "log").mkdir(parents=True)
    for path, (text, mode) in node_files(config, node, base).items():
        target = directory / "files" / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
        target.chmod(mode)
    connect(config, node.name, node.address)
    name = namespace(config.name, node.name)
    argv = ["nsenter", f"--net=/run/netns/{name}", "unshare", "--mount", "--pid", "--fork", "--kill-child"]
    argv += [
        "--uts",
        "--ipc",
        "sh",
        "-c",
        _INIT,
        f"swn-{config.name}-{node.name}",
        str(state),
        node.name,
        str(base),
    ]
    _start_init(argv, node.name)
    pid = namespaces.init_process(name)
    if pid is None:
        raise LabError(f"Process 1 of {node.name} ended right after its start.")
    (directory / "pid").write_text(f"{pid}\n", encoding="ascii")


def _start_init(argv: Sequence[str], node: str) -> None:
    # A new session, so that Ctrl-C on this terminal does not reach the node.
    process = subprocess.Popen(  # noqa: S603 - a command of the lab
        argv,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        env=environment(),
    )
    assert process.stdout is not None
    output = b""
    deadline = time.monotonic() + _BOOT_TIMEOUT
    with process.stdout as pipe:
        while b"ready\n" not in output:
            readable, _, _ = select.select([pipe], [], [], max(0.0, deadline - time.monotonic()))
            chunk = os.read(pipe.fileno(), 4096) if readable else b""
            if not chunk:
                process.kill()
                reason = output.decode(errors="replace").strip() or f"not ready within {_BOOT_TIMEOUT:g} s"
                raise LabError(f"Cannot make {node}: {reason}")
            output += chunk
    # The process outlives this one. With a return code, subprocess does not warn that nobody waits for it.
    process.returncode = 0
