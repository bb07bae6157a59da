"""A build of Samba for the lab: an installed tree or a directory of .deb packages, laid over a Debian base.

`prepare` is called once for each lab, before its nodes are made. It returns a `Build`: what the nodes mount,
where the programs are, which version and which build it is.

- ``build``: ``Build`` and ``prepare``; the order of the steps.
- ``layer``: the files of the build as a layer for the file system of a node; Debian's own Samba is hidden.
- ``merged``: run a command where the layers are mounted over each other, before there is a node.
- ``places``: where a build has its programs, its configuration and its state, as the build says itself.
- ``parts``: the programs that the lab needs of a build, and what each is for.
- ``libraries``: shared libraries that the build needs and the base lacks, with the package of each.
- ``identity``: the version and the build ids.
"""

from swn_torture.lab.samba.build import Build, find_build, fingerprint, prepare
from swn_torture.lab.samba.identity import Identity
from swn_torture.lab.samba.places import DEBIAN, Places

__all__ = ["DEBIAN", "Build", "Identity", "Places", "find_build", "fingerprint", "prepare"]
