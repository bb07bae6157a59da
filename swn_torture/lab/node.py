"""One machine: its namespaces, its file system, and its connection to the lab's network.

A machine is a node or the domain controller.

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
from swn_torture.lab.addresses import with_prefix
from swn_torture.lab.config import namespace, run_directory
from swn_torture.lab.domain.names import kdc
from swn_torture.lab.errors import LabError
from swn_torture.lab.samba.merged import lower_directories
from swn_torture.lab.settings import PROBE_ROOT, SHARED, node_files, probe_files
from swn_torture.lab.tools import environment, run

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from swn_torture.lab.config import LabConfig, NodeConfig
    from swn_torture.lab.samba import Build

_BOOT_TIMEOUT: Final = 20.0

# Runs in new mount, process, host name and IPC namespaces, and becomes their process 1. It ignores SIGCHLD,
# so that the kernel removes daemons that end as its children: for Samba a zombie is a running process.
_INIT: Final = f"""
set -eu
state=$1 node=$2 layers=$3 base=$4 directories=$5
mount -t tmpfs -o mode=0755 node "$state/mnt"
cd "$state/mnt"
mkdir upper work root
mount -t overlay -o "lowerdir=$state/$node/files:$layers,upperdir=upper,workdir=work" root root
cd root
mkdir -p .{SHARED} mnt
mount --bind "$state/shared" .{SHARED}
mount --bind "$state/$node/log" var/log
mount -t proc proc proc
mount -t tmpfs -o mode=0755 run run
for directory in $directories; do
  mkdir -p ".$directory"
  chown root:root ".$directory"
done
mount -t tmpfs -o mode=0755 dev dev
for device in null zero full random urandom tty; do
  : > dev/$device
  mount --bind /dev/$device dev/$device
done
ln -s /proc/self/fd dev/fd
mkdir dev/shm
# No other node has the addresses of this one, so IPv6 need not look for duplicates for a second.
[ ! -d proc/sys/net/ipv6 ] || echo 0 > proc/sys/net/ipv6/conf/eth0/accept_dad
# A Samba of the user: the loader learns of its libraries; the probe runs in Debian with Debian's own Samba.
if [ -n "$base" ]; then
  chroot . /sbin/ldconfig
  mkdir ../upper2 ../work2 .{PROBE_ROOT}
  lower="$state/$node/probe:$base"
  mount -t overlay -o "lowerdir=$lower,upperdir=../upper2,workdir=../work2" probe .{PROBE_ROOT}
  mount --bind proc .{PROBE_ROOT}/proc
  mount --bind dev .{PROBE_ROOT}/dev
fi
# CTDB leaves the retries of a connection to the kernel. After a partition it could wait minutes for the next.
echo 1 > proc/sys/net/ipv4/tcp_syn_retries
hostname "$node"
pivot_root . mnt
cd /
/bin/umount -l /mnt
echo ready
exec /usr/bin/env --ignore-signal=CHLD /usr/bin/sleep infinity </dev/null >/dev/null 2>&1
"""


_PROBE_IN_DEBIAN: Final = f"""\
#!/bin/sh
# The build under test may have no Python bindings, and a fault in its client would hide one in its server.
exec chroot {PROBE_ROOT} /usr/local/bin/swn-probe "$@"
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
    name, switch = namespace(config.name, role), namespace(config.network_lab, "switch")
    port = config.port(role)
    namespaces.add(name)
    # Made directly in the two namespaces, so that the host never has these devices.
    run(["ip", "link", "add", "eth0", "netns", name, "type", "veth", "peer", "name", port, "netns", switch])
    for address in addresses:
        argv = ["ip", "-n", name, "address", "add", with_prefix(address), "dev", "eth0"]
        run([*argv, "nodad"] if ":" in address else argv)
    run(["ip", "-n", name, "link", "set", "eth0", "up"])
    run(["ip", "-n", switch, "link", "set", port, "master", "bridge", "up"])


def add_switch(lab: str) -> None:
    """Make the namespace with only the bridge, so that no packet can leave the lab."""
    switch = namespace(lab, "switch")
    namespaces.add(switch)
    run(["ip", "-n", switch, "link", "add", "bridge", "type", "bridge", "forward_delay", "0"])
    run(["ip", "-n", switch, "link", "set", "bridge", "up"])


def boot(config: LabConfig, node: NodeConfig, build: Build) -> None:
    """Make the namespaces and the file system of a node, and start its process 1. No daemon runs yet.

    Args:
        config: the configuration of the lab.
        node: the node.
        build: the Samba that it runs.

    Raises:
        LabError: a step fails.
    """
    base = build.layers[-1]
    own = len(build.layers) > 1
    files = node_files(config, node, base, build.places)
    if own:
        files |= {"usr/local/bin/swn-probe": (_PROBE_IN_DEBIAN, 0o755)}
        _write_files(run_directory(config.name) / node.name / "probe", probe_files(config, node, base))
    boot_machine(
        config,
        node.name,
        files,
        node.fixed_addresses,
        build.layers,
        build.places.directories,
        probe=base if own else None,
    )
    if config.in_domain and config.network:
        # The domain controller is in the network of the lab, which is another one.
        argv = ["ip", "-n", namespace(config.name, node.name), "route", "add", kdc(), "dev", "eth0"]
        run(argv)


def boot_machine(
    config: LabConfig,
    role: str,
    files: Mapping[str, tuple[str, int]],
    addresses: Sequence[str],
    layers: Sequence[Path],
    directories: Sequence[str],
    *,
    probe: Path | None = None,
) -> None:
    """Make the namespaces and the file system of a node or of the domain controller, and start its process 1.

    Args:
        config: the configuration of the lab.
        role: its name.
        files: the files that differ from its layers: path below the root -> content and mode.
        addresses: its addresses.
        layers: the directories that it mounts over each other, top first.
        directories: directories for state, which it makes.
        probe: the base of a Debian for the probe; None if the machine itself is one.

    Raises:
        LabError: a step fails.
    """
    state = run_directory(config.name)
    directory = state / role
    (directory / "log").mkdir(parents=True)
    _write_files(directory / "files", files)
    connect(config, role, *addresses)
    name = namespace(config.name, role)
    argv = ["nsenter", f"--net=/run/netns/{name}", "unshare", "--mount", "--pid", "--fork", "--kill-child"]
    argv += [
        "--uts",
        "--ipc",
        "sh",
        "-c",
        _INIT,
        f"swn-{config.name}-{role}",
        str(state),
        role,
        lower_directories(layers),
        lower_directories([probe]) if probe is not None else "",
        " ".join(directories),
    ]
    _start_init(argv, role)
    pid = namespaces.init_process(name)
    if pid is None:
        raise LabError(f"Process 1 of {role} ended right after its start.")
    (directory / "pid").write_text(f"{pid}\n", encoding="ascii")


def _write_files(directory: Path, files: Mapping[str, tuple[str, int]]) -> None:
    for path, (text, mode) in files.items():
        target = directory / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
        target.chmod(mode)


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
    # The process runs on when this one ends. With a return code, subprocess does not warn about it.
    process.returncode = 0
