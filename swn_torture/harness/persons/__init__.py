"""A run in which a person changes the cluster: one action serves many cases, and is counted beforehand.

- ``rounds``: which calls of the waiting cases are made next, together.
- ``rehearsal``: runs the cases on the reference cluster, to learn which calls they make.
- ``plan``: which cases run together, and how many actions the run asks for.
- ``member``: one case of a group, in its own thread.
- ``group``: runs cases together; a call is made when all of them wait for one.
- ``begin``: asks the person what cannot be done, and shows the plan.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from swn_torture.harness.persons.group import Group

#: The group of a case; a case without one runs alone.
GROUP: pytest.StashKey[Group] = pytest.StashKey()
