"""The stream as consumers read it: python-subunit, and Samba's own filter and formatter."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import pytest
import subunit
import testtools

if TYPE_CHECKING:
    from collections.abc import Callable

    from swn_torture.selftest.subunit import SubunitStream
    from tests.selftest.conftest import SambaTools

    Make = Callable[[Callable[[SubunitStream], None]], bytes]

#: Text that a reader would take for protocol, or for the end of a line or of a reason, without indentation.
_TRAPS = (
    "test: x",
    "success: a.b.c",
    "error: a.b.c [",
    "]",
    "time: now",
    "progress: pop",
    "skip a b",
    "testing: y",
    "one\rtest: z",
    "two\x0btest: v\x85test: w\u2028test: u",
    "nul \x00 escape \x1b[31m é \ud800",
    "",
    "a\nfailure: b",
)


def whole(stream: SubunitStream) -> None:
    """A stream with every outcome, and with text that is a trap in every place."""
    for trap in _TRAPS:
        stream.output(trap)
    stream.test("a.b.passes", "success", began=1.5, ended=2.75)
    stream.test("a.b.fails", "failure", ["expected x", *_TRAPS], began=1.0, ended=4.0)
    stream.test("a.b.errs", "error", _TRAPS)
    stream.test("a.b.skips", "skip", ["impossible here: no resets"])
    stream.test("a.b.known", "xfail", ["cause: C-1"])
    stream.test("a.b.mended", "uxsuccess", ["cause C-2 is not seen any more"])
    stream.output("the end")


class Recorded(testtools.TestResult):  # type: ignore[misc]
    """What python-subunit makes of a stream."""

    def __init__(self) -> None:
        super().__init__()
        self.outcomes: dict[str, str] = {}
        self.texts: dict[str, str] = {}
        self.times: list[Any] = []

    def _note(self, test: Any, word: str, details: Any = None) -> None:
        assert test.id() not in self.outcomes
        self.outcomes[test.id()] = word
        self.texts[test.id()] = "".join(each.as_text() for each in (details or {}).values())

    def addSuccess(self, test: Any, details: Any = None) -> None:  # noqa: N802
        self._note(test, "success", details)

    def addFailure(self, test: Any, err: Any = None, details: Any = None) -> None:  # noqa: ARG002, N802
        self._note(test, "failure", details)

    def addError(self, test: Any, err: Any = None, details: Any = None) -> None:  # noqa: ARG002, N802
        self._note(test, "error", details)

    def addSkip(self, test: Any, reason: Any = None, details: Any = None) -> None:  # noqa: ARG002, N802
        self._note(test, "skip", details)

    def addExpectedFailure(self, test: Any, err: Any = None, details: Any = None) -> None:  # noqa: ARG002, N802
        self._note(test, "xfail", details)

    def addUnexpectedSuccess(self, test: Any, details: Any = None) -> None:  # noqa: N802
        self._note(test, "uxsuccess", details)

    def time(self, a_datetime: Any) -> None:
        self.times.append(a_datetime)


EXPECTED = {
    "a.b.passes": "success",
    "a.b.fails": "failure",
    "a.b.errs": "error",
    "a.b.skips": "skip",
    "a.b.known": "xfail",
    "a.b.mended": "uxsuccess",
}


def read(octets: bytes) -> Recorded:
    result, rest = Recorded(), io.BytesIO()
    server = subunit.TestProtocolServer(result, rest)
    for line in io.BytesIO(octets):
        server.lineReceived(line)
    server.lostConnection()
    return result


def test_python_subunit_reads_every_outcome(stream_of: Make) -> None:
    result = read(stream_of(whole))
    assert result.outcomes == EXPECTED
    assert "  expected x\n" in result.texts["a.b.fails"]
    assert "  test: x\n" in result.texts["a.b.fails"]
    assert "impossible here: no resets" in result.texts["a.b.skips"]
    assert [(each.second, each.microsecond) for each in result.times] == [
        *((1, 500000), (2, 750000)),
        *((1, 0), (4, 0)),
    ]


def test_every_line_is_protocol_or_indented(stream_of: Make) -> None:
    octets = stream_of(whole)
    octets.decode("ascii")
    assert b"\r" not in octets
    words = ("time:", "test:", *(f"{word}:" for word in EXPECTED.values()), "]")
    for line in octets.decode().split("\n")[:-1]:
        assert line.startswith(("  ", *words)), line


def test_reader_with_universal_newlines_sees_no_other_line(stream_of: Make) -> None:
    octets = stream_of(whole)
    lines = io.TextIOWrapper(io.BytesIO(octets), encoding="utf-8").read().split("\n")
    assert lines == octets.decode().split("\n")


def test_samba_filter_reads_every_outcome(stream_of: Make, samba_tools: SambaTools) -> None:
    done = samba_tools.filtered(stream_of(whole))
    assert done.stderr == ""
    assert done.returncode == 1
    again = read(done.stdout.encode())
    assert again.outcomes == {f"swn-torture.{name}(env)": word for name, word in EXPECTED.items()}


def test_samba_filter_excuses_only_the_failure(stream_of: Make, samba_tools: SambaTools) -> None:
    knownfail = "^swn-torture.a.b.fails\n^swn-torture.a.b.errs\n^swn-torture.a.b.passes\n"
    outcomes = read(samba_tools.filtered(stream_of(whole), knownfail=knownfail).stdout.encode()).outcomes
    assert outcomes["swn-torture.a.b.fails(env)"] == "xfail"
    assert outcomes["swn-torture.a.b.errs(env)"] == "error"
    assert outcomes["swn-torture.a.b.passes(env)"] == "uxsuccess"


def test_samba_filter_passes_a_good_stream(stream_of: Make, samba_tools: SambaTools) -> None:
    def good(stream: SubunitStream) -> None:
        stream.output("error: not protocol")
        stream.test("a.b.passes", "success")
        stream.test("a.b.skips", "skip", ["impossible here"])
        stream.test("a.b.fails", "failure", ["expected x"])
        stream.test("a.b.known", "xfail", ["cause C-1"])

    done = samba_tools.filtered(stream_of(good), knownfail="^swn-torture.a.b.fails")
    assert read(done.stdout.encode()).outcomes["swn-torture.a.b.fails(env)"] == "xfail"
    # As selftest.pl: the suite's own lines around it, the filter again, and the formatter.
    suite = f"testsuite: swn-torture(env)\nprogress: push\n{done.stdout}progress: pop\n"
    shown = samba_tools.run("format-subunit", f"{suite}testsuite-success: swn-torture(env)\n".encode())
    assert shown.returncode == 0, shown.stdout
    assert "ALL OK" in shown.stdout


@pytest.mark.parametrize("word", ["failure", "error"])
def test_samba_formatter_shows_the_finding(stream_of: Make, samba_tools: SambaTools, word: Any) -> None:
    def bad(stream: SubunitStream) -> None:
        stream.test("a.b.c", word, ["MS-SWN 3.1.4.2 MUST: x", "  observed: y"])

    done = samba_tools.filtered(stream_of(bad))
    suite = f"testsuite: s(env)\nprogress: push\n{done.stdout}progress: pop\ntestsuite-failure: s(env)\n"
    shown = samba_tools.run("format-subunit", suite.encode(), "--immediate")
    assert shown.returncode == 1
    assert f"UNEXPECTED({word}): swn-torture.a.b.c(env)" in shown.stdout
    assert "MS-SWN 3.1.4.2 MUST: x" in shown.stdout
