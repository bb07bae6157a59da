"""``swn-torture report matrix``: results of several runs on one page, and files that hold none."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from pathlib import Path

    Command = Callable[..., subprocess.CompletedProcess[str]]

CASE = "rpc.check-order.every-defect[register]"


@pytest.fixture(scope="module")
def results(swn_torture: Command, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("run") / "results.json"
    done = swn_torture("run", "-n", "0", "--case", CASE, "--json", str(path))
    assert done.returncode == 0, done.stderr
    return path


def test_matrix_of_results_and_compressed_results(
    swn_torture: Command, results: Path, tmp_path: Path
) -> None:
    packed = tmp_path / "results.json.gz"
    packed.write_bytes(gzip.compress(results.read_bytes()))
    page = tmp_path / "new" / "matrix.html"
    done = swn_torture("report", "matrix", str(results), str(packed), "-o", str(page))
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"{page}: 2 columns, ")
    assert CASE in page.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("octets", "says"),
    [
        (b"{}", "the schema is missing"),
        (b"\x1f\x8bnothing", "is damaged: it cannot be decompressed"),
        (b"\xff\xfe\x00", "is not JSON"),
    ],
)
def test_a_file_without_results_is_named(
    swn_torture: Command, results: Path, tmp_path: Path, octets: bytes, says: str
) -> None:
    wrong = tmp_path / "wrong.json"
    wrong.write_bytes(octets)
    page = tmp_path / "matrix.html"
    done = swn_torture("report", "matrix", str(results), str(wrong), "-o", str(page))
    assert done.returncode == 2
    text = " ".join(done.stderr.split())
    assert says in text
    assert str(wrong) in text
    assert not page.exists()


def test_a_page_that_cannot_be_written_is_a_usage_error(
    swn_torture: Command, results: Path, tmp_path: Path
) -> None:
    done = swn_torture("report", "matrix", str(results), "-o", str(results / "matrix.html"))
    assert done.returncode == 2
    assert "Cannot write the matrix" in " ".join(done.stderr.split())
    missing = swn_torture("report", "matrix", str(tmp_path / "missing.json"))
    assert missing.returncode == 2
    assert "Cannot read" in missing.stderr
