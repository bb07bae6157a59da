"""The figures of a measurement, their table, and the page with the charts."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

from swn_torture.time_to_know.charts import histogram, time_line
from swn_torture.time_to_know.model import Ending, Hearing, Measurement, Study, quantile
from swn_torture.time_to_know.page import render
from swn_torture.time_to_know.table import lines

SVG = "{http://www.w3.org/2000/svg}"


def measurement(clients: int, failure: str = "crash", **more: object) -> Measurement:
    made = Measurement(failure, "NODE3", clients, 1.8e9)
    made.heard = [Hearing("RESOURCE_CHANGE", 2.0 + number / 100) for number in range(clients)]
    made.cluster_saw = 4.0
    for name, value in more.items():
        setattr(made, name, value)
    return made


def study(*measurements: Measurement) -> Study:
    return Study("target", "A <cluster>", "Product 1.0", "0.1", list(measurements))


def test_quantiles_are_values_that_were_measured() -> None:
    values = [float(number) for number in range(1, 201)]
    assert (quantile(values, 0.5), quantile(values, 0.99), quantile([7.0], 0.99)) == (100.0, 198.0, 7.0)


def test_figures_of_those_that_heard_something() -> None:
    made = measurement(100)
    made.heard += [Hearing("nothing")] * 3
    assert made.figures == {"first": 2.0, "median": 2.49, "p99": 2.98, "last": 2.99}
    assert made.what_was_heard == {"RESOURCE_CHANGE": 100, "nothing": 3}
    assert (made.to_json()["registered"], len(made.to_json()["times"])) == (103, 100)


def test_nobody_heard_anything() -> None:
    made = measurement(1, heard=[Hearing("nothing")], cluster_saw=None, problem="no effect")
    assert made.figures is None
    assert made.to_json()["first"] is None
    text = "\n".join(lines(study(made)))
    assert re.search(r"crash +1 +0/1 +- +- +- +- +-$", text, re.MULTILINE)
    assert "no effect" in text
    ET.fromstring(time_line([made]))


def test_table_names_what_tcp_told() -> None:
    made = measurement(
        1,
        connections=[
            Ending("idle", "192.0.2.1", 445, "reset", 3.5),
            Ending("with requests", "192.0.2.1", 445, "not acknowledged", None, 30.0, 7, 924.6),
        ],
    )
    text = "\n".join(lines(study(made, measurement(1, "ban", no_connections="no SMB service"))))
    assert "  crash: idle: reset after 3.500 s\n" in text
    assert (
        "  crash: with requests: not acknowledged after 30.0 s, 7 retransmissions; the kernel gives up "
        "after 925 s\n" in text
    )
    assert "  ban: not measured: no SMB service\n" in text


def test_time_line_has_a_point_for_each_moment() -> None:
    made = measurement(5, connections=[Ending("idle", "192.0.2.1", 445, "reset", 30.0)])
    root = ET.fromstring(time_line([made, measurement(1, "ban")]))
    circles = root.findall(f".//{SVG}circle")
    assert len(circles) == 5 + 1 + 1 + 1 + 1
    texts = {each.text for each in root.iter(f"{SVG}text")}
    assert {"crash, 5", "ban, 1", "1 s", "10 s", "100 s", "after the failure"} <= texts
    # 2 s is nearer to the begin of the line than 30 s, and the rows are in the order of the measurements.
    by_colour = {each.get("fill"): float(each.get("cx", "nan")) for each in circles}
    assert by_colour["#2f7ed8"] < by_colour["#8a8a8a"] < by_colour["#d9534f"]
    heights = {each.text: float(each.get("y", "nan")) for each in root.iter(f"{SVG}text")}
    assert heights["crash, 5"] < heights["ban, 1"]


def test_columns_of_a_histogram_hold_all_clients() -> None:
    root = ET.fromstring(histogram(measurement(100)))
    columns = [each for each in root.iter(f"{SVG}rect") if each.get("fill") == "#2f7ed8"]
    assert len(columns) == 12
    heights = [float(each.get("height", "nan")) for each in columns]
    assert max(heights) < 1.3 * min(heights)
    assert "2.000 s" in {each.text for each in root.iter(f"{SVG}text")}


def test_page_is_one_file_with_escaped_names() -> None:
    made = study(measurement(100), measurement(1, problem="<script>"))
    page = render(made)
    assert page.count("<svg ") == 2
    assert "A &lt;cluster&gt;" in page
    assert "<script" not in page
    assert not re.search(r"(?:src|href)=", page)
    assert not re.findall(r"https?://(?!www\.w3\.org/2000/svg)", page)
