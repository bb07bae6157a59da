"""A Kerberos realm of these tests: an MIT KDC of this machine, its accounts, and the keys of a cluster."""

from __future__ import annotations

import importlib.util
import random
import shutil
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

NAME = "SWN.TEST"
USERS = {"witness": "Passw0rd!", "witness2": "Passw0rd!2"}
NET_NAME = "SWNCLUSTER"

#: Hosts of the cluster in its service principal names. Samba's client writes them in capitals.
HOSTS = (NET_NAME, "swncluster.swn.test", "SWNCLUSTER.SWN.TEST", "witness.swn.test", "WITNESS.SWN.TEST")


def missing() -> str:
    """What these tests need and this machine lacks; empty if it has all."""
    modules = [each for each in ("gssapi", "krb5", "k5test") if importlib.util.find_spec(each) is None]
    found = "/usr/sbin:/usr/bin:/sbin:/bin"
    programs = {"krb5kdc": "krb5-kdc", "kadmin.local": "krb5-admin-server", "krb5-config": "libkrb5-dev"}
    packages = [package for program, package in programs.items() if not shutil.which(program, path=found)]
    needs = []
    if modules:
        needs.append(f"the modules {', '.join(modules)} (make kerberos)")
    if packages:
        needs.append(f"the Debian packages {', '.join(packages)}")
    return f"Kerberos needs {' and '.join(needs)}" if needs else ""


@dataclass(frozen=True)
class Realm:
    """A realm whose KDC runs.

    Attributes:
        kdc: address and port of the KDC.
        keytab: the keys of the cluster, ``cifs/`` and each of `HOSTS`.
        directory: where keytabs and ticket caches are made.
        realm: the realm of k5test.
    """

    kdc: str
    keytab: Path
    directory: Path
    realm: Any

    def keytab_of(self, user: str) -> Path:
        """A keytab with the keys of a user."""
        path = self.directory / f"{user}.keytab"
        if not path.exists():
            self.realm.extract_keytab(user, str(path))
        return path

    def ccache_of(self, user: str) -> Path:
        """A ticket cache with a ticket of a user."""
        path = self.directory / f"{user}.ccache"
        if not path.exists():
            self.realm.run(["kinit", "-c", str(path), "-k", "-t", str(self.keytab_of(user)), user])
        return path

    def tickets_in(self, ccache: Path) -> str:
        """What klist lists of a ticket cache."""
        return str(self.realm.run(["klist", "-c", str(ccache)]))

    def account(self, source: str, user: str = "witness", **more: Any) -> dict[str, Any]:
        """The keys of an account in a profile, with its tickets from a source: password, keytab or ccache."""
        keys: dict[str, Any] = {"username": user, "domain": "SWNTEST", "realm": NAME, "kdc": self.kdc}
        keys[source] = {
            "password": lambda: USERS[user],
            "keytab": lambda: str(self.keytab_of(user)),
            "ccache": lambda: str(self.ccache_of(user)),
        }[source]()
        return {**keys, **more}


def running() -> Iterator[Realm]:
    """Make a realm, run its KDC, and stop it again."""
    from k5test import K5Realm

    realm = K5Realm(realm=NAME, portbase=_free_port(), create_host=False, get_creds=False)
    try:
        for host in HOSTS:
            realm.addprinc(f"cifs/{host}")
            realm.extract_keytab(f"cifs/{host}", realm.keytab)
        for user, password in USERS.items():
            realm.run_kadminl(f"addprinc -pw {password} {user}")  # addprinc() quotes the password
        kdc = f"127.0.0.1:{realm.portbase}"
        yield Realm(kdc, Path(realm.keytab), Path(realm.tmpdir), realm)
    finally:
        realm.stop()


def _free_port() -> int:
    """A port that is free for TCP and UDP; k5test uses it and some after it."""
    while True:
        port = random.randrange(20000, 30000)
        try:
            for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                with socket.socket(socket.AF_INET, kind) as probe:
                    probe.bind(("", port))
        except OSError:
            continue
        return port
