"""The two shell scripts in the directory of a running lab, `exec` and `machine`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from swn_torture.lab.addresses import with_prefix
from swn_torture.lab.config import namespace
from swn_torture.lab.samba.places import DEBIAN
from swn_torture.lab.settings import LOCK

if TYPE_CHECKING:
    from swn_torture.lab.config import LabConfig
    from swn_torture.lab.samba.places import Places

# nsenter starts the command without a shell, so that every argument arrives unchanged.
_EXEC = """\
#!/bin/sh
# Runs a command as root on a node of this lab: exec NODE COMMAND [ARGUMENT...]
pid=$(cat "${{0%/*}}/$1/pid") || exit 125
shift
exec nsenter --target "$pid" --mount --uts --ipc --net --pid -- \\
  /usr/bin/env -i HOME=/root LC_ALL=C.UTF-8 \\
  PATH='{path}' "$@"
"""

# power-off: the link goes down first, so that the end of the processes sends nothing. power-on: the link goes
# up when the kernel has dropped the data that their sockets still had to send. partition: the nodes have a
# wrong hardware address for each other, while clients still reach all of them. link-down: all goes on but
# the network. A node that is cut off also loses the cluster lock: a cluster file system takes its locks away,
# but the one of the lab is a directory, which no network failure reaches. Otherwise a leader that is cut off
# keeps the lock, and the others elect no new one.
_MACHINE = """\
#!/bin/sh
# Makes a node of this lab fail, or undoes it: machine NODE ACTION
set -eu
lab=${{0%/*}} node=$1
nodes='{nodes}'
address() {{ for each in $nodes; do [ "${{each%=*}}" != "$1" ] || echo "${{each#*=}}"; done; }}
fixed() {{ case $node in {fixed}; esac; }}
own=$(address "$node")
[ -n "$own" ] || {{ echo "unknown node $node; known: $nodes" >&2; exit 2; }}
on() {{ to=$1; shift; "$lab/exec" "$to" "$@"; }}
lock='{lock}'
lose_lock() {{
  on "$node" sh -c "mountpoint -q '$lock' || mount --bind '$lock' '$lock'; mount -o remount,bind,ro '$lock'"
  on "$node" pkill -KILL -f "^[^ ]*ctdb_mutex_fcntl_helper $lock" || true
}}
get_lock() {{ on "$node" sh -c "! mountpoint -q '$lock' || umount -l '$lock'"; }}
orphans() {{ on "$node" ss -Htan state fin-wait-1 state last-ack state closing; }}

case $2 in
power-off)
  ip -n {switch} link set "{port}$node" down
  on "$node" sh -c 'echo 1 >/proc/sys/net/ipv4/tcp_orphan_retries; kill -KILL -1'
  on "$node" ip address flush dev eth0 scope global
  for each in $(fixed); do on "$node" ip address add "$each" dev eth0; done
  ;;
power-on)
  # Only power-off sets it. A node whose link is down has nothing to forget.
  [ "$(on "$node" cat /proc/sys/net/ipv4/tcp_orphan_retries)" = 1 ] || exit 0
  left=100
  while [ -n "$(orphans)" ] && [ $left -gt 0 ]; do sleep 0.1; left=$((left - 1)); done
  ip -n {switch} link set "{port}$node" up
  on "$node" sh -c 'echo 0 >/proc/sys/net/ipv4/tcp_orphan_retries'
  ;;
partition)
  for each in $nodes; do
    [ "${{each%=*}}" != "$node" ] || continue
    on "$node" ip neighbour replace "${{each#*=}}" lladdr 02:00:00:00:00:01 dev eth0 nud permanent
    on "${{each%=*}}" ip neighbour replace "$own" lladdr 02:00:00:00:00:01 dev eth0 nud permanent
  done
  lose_lock
  ;;
heal)
  for each in $nodes; do
    [ "${{each%=*}}" != "$node" ] || continue
    on "$node" ip neighbour flush to "${{each#*=}}" dev eth0 nud permanent
    on "${{each%=*}}" ip neighbour flush to "$own" dev eth0 nud permanent
  done
  get_lock
  ;;
link-down)
  ip -n {switch} link set "{port}$node" down
  lose_lock
  ;;
link-up)
  ip -n {switch} link set "{port}$node" up
  get_lock
  ;;
*)
  echo "unknown action $2; known: power-off power-on partition heal link-down link-up" >&2; exit 2 ;;
esac
"""


def exec_script(places: Places = DEBIAN) -> str:
    """Return the script `exec NODE COMMAND...`: run a command on a node without starting Python."""
    return _EXEC.format(path=places.path)


def machine_script(config: LabConfig) -> str:
    """Return the script `machine NODE ACTION`: make a node fail, or undo it."""
    return _MACHINE.format(
        nodes=" ".join(f"{node.name}={node.address}" for node in config.node_configs),
        switch=namespace(config.network_lab, "switch"),
        port=config.port(""),
        lock=LOCK,
        fixed="; ".join(
            f"{node.name}) echo {' '.join(map(with_prefix, node.fixed_addresses))}"
            for node in config.node_configs
        ).replace("; ", " ;; "),
    )
