"""What Locust loads: its users are witness clients.

``swn-torture swarm`` starts Locust with this file. A worker on another machine is started by hand::

    SWN_SWARM=settings.json locust -f "$(swn-torture swarm --locustfile)" --worker --master-host HOST

``settings.json`` is what ``swn-torture swarm --write-settings settings.json`` writes.
"""

from __future__ import annotations

import itertools
import os
import resource
from typing import TYPE_CHECKING, Any, Final

import gevent
from locust import User, constant, events, task
from locust.runners import MasterRunner, WorkerRunner

from swn_torture.swarm.member import Member
from swn_torture.swarm.settings import RECORDS, SETTINGS, read_settings

if TYPE_CHECKING:
    from locust.env import Environment

    from swn_torture.swarm.records import Record

_SETTINGS: Final = read_settings(os.environ[SETTINGS])
_pending: list[str] = []
"""Records of this process as lines of JSON, not yet given to the master."""

_soft, _hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (_hard, _hard))


class WitnessClient(User):
    """One client. Locust starts and stops it."""

    wait_time = constant(0)
    _numbers = itertools.count()

    def on_start(self) -> None:
        """Take a number that no other process has."""
        index = getattr(self.environment.runner, "worker_index", 0)
        self._member = Member(
            max(index, 0) * 1_000_000 + next(self._numbers), _SETTINGS, _report, self._timed
        )

    @task
    def live(self) -> None:
        """Live until the connection or the registration ends; then Locust calls it again."""
        self._member.run()

    def _timed(self, name: str, seconds: float, error: Exception | None) -> None:
        self.environment.events.request.fire(
            request_type="witness",
            name=name,
            response_time=seconds * 1000,
            response_length=0,
            exception=error,
            context={},
        )


def _report(record: Record) -> None:
    _pending.append(record.to_json())


def _take() -> list[str]:
    taken = _pending[:]
    del _pending[: len(taken)]
    return taken


def _write(lines: list[str]) -> None:
    """Give the lines to the process that has started Locust."""
    if lines:
        with os.fdopen(os.dup(int(os.environ[RECORDS])), "w", encoding="utf-8") as pipe:
            pipe.writelines(line + "\n" for line in lines)


@events.report_to_master.add_listener
def _to_master(client_id: str, data: dict[str, Any]) -> None:  # noqa: ARG001 - Locust passes both
    data["swarm"] = _take()


@events.worker_report.add_listener
def _from_worker(client_id: str, data: dict[str, Any]) -> None:  # noqa: ARG001 - Locust passes both
    _write(data.pop("swarm", []))


@events.init.add_listener
def _started(environment: Environment, **_: Any) -> None:
    """In a run of one process, give the records on in its own greenlet."""
    if isinstance(environment.runner, MasterRunner | WorkerRunner):
        return

    def forever() -> None:
        while True:
            _write(_take())
            gevent.sleep(0.2)

    gevent.spawn(forever)
