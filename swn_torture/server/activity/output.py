"""Where the lines of the log go: to standard error, as text or as JSON, without delaying the cluster.

A thread writes the lines. If nobody reads standard error, lines are lost once `WAITING_LINES` wait, and the
log says how many; the cluster continues.
"""

from __future__ import annotations

import json
import logging
import logging.handlers
import queue
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, TextIO

from typing_extensions import override

from swn_torture.visible import visible

if TYPE_CHECKING:
    from collections.abc import Iterator

LOGGER: Final = "swn_torture.server.activity"
"""The name of the logger that gets the lines."""

LEVELS: Final = ("debug", "info", "warning", "error", "off")
"""Levels of `serve --log-level`. Refusals and failed logons are warnings; calls, connections and events info;
each read and write of octets is debug."""

WAITING_LINES: Final = 10_000
"""Lines that wait for a slow reader before lines are lost."""

_STOP: Final = 2.0
"""Seconds that the end of the log waits for a reader."""


class TextFormatter(logging.Formatter):
    """Formats a record as one line of visible text: `20:41:07.123 NODE1 #3 …`."""

    @override
    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        at = time.strftime("%H:%M:%S", time.localtime(record.created))
        mark = "! " if record.levelno >= logging.WARNING else ""
        fields: dict[str, Any] = getattr(record, "swn", {})
        number = f"#{fields['connection']}" if "connection" in fields else ""
        where = " ".join(part for part in (fields.get("node", ""), fields.get("server", ""), number) if part)
        text = f"{at}.{int(record.msecs):03} {f'{where} ' if where else ''}{mark}{record.getMessage()}"
        return visible(text)


class JsonFormatter(logging.Formatter):
    """Formats a record as one line of JSON."""

    @override
    def format(self, record: logging.LogRecord) -> str:
        """Return the line. Its members are documented in `docs/serve-log.md`."""
        fields: dict[str, Any] = getattr(record, "swn", {})
        head = {"time": round(record.created, 6), "level": record.levelname.lower()}
        return json.dumps(head | fields | {"text": record.getMessage()})


class _Queue(logging.handlers.QueueHandler):
    """Passes records to the thread, and counts those for which there is no space."""

    lost = 0

    @override
    def enqueue(self, record: logging.LogRecord) -> None:
        try:
            self.queue.put_nowait(record)
        except queue.Full:
            self.lost += 1

    @override
    def prepare(self, record: logging.LogRecord) -> logging.LogRecord:
        return record  # the thread formats it


class _Writer(logging.handlers.QueueListener):
    """The thread. Unlike that of logging, it does not wait for ever for a reader."""

    @override
    def stop(self) -> None:
        waiting: Any = self.queue
        thread: Any = self._thread
        try:
            waiting.put(None, timeout=_STOP)  # ends the thread
        except queue.Full:
            return
        thread.join(_STOP)


@contextmanager
def log_to(level: str, *, as_json: bool = False, stream: TextIO | None = None) -> Iterator[logging.Logger]:
    """Write the lines of this level and above while the block runs.

    Args:
        level: one of `LEVELS`.
        as_json: one JSON object for each line instead of text.
        stream: by default standard error.
    """
    logger = logging.getLogger(LOGGER)
    if level == "off":
        yield logger
        return
    output = logging.StreamHandler(stream or sys.stderr)
    output.setFormatter(JsonFormatter() if as_json else TextFormatter())
    waiting: queue.Queue[logging.LogRecord] = queue.Queue(WAITING_LINES)
    handler, writer = _Queue(waiting), _Writer(waiting, output)
    before, logger.propagate = (logger.level, logger.propagate), False
    logger.setLevel(level.upper())
    logger.addHandler(handler)
    writer.start()
    try:
        yield logger
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before[0])
        logger.propagate = before[1]
        writer.stop()
        if handler.lost:
            record = logger.makeRecord(
                LOGGER,
                logging.WARNING,
                "",
                0,
                f"{handler.lost} lines were lost: the reader is slow",
                (),
                None,
            )
            output.handle(record)
