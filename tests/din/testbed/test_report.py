# SPDX-License-Identifier: Apache-2.0
"""What is told of a comparison: tables, sentences, and a page that is whole and harmless."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from io import StringIO
from pathlib import Path
from urllib.parse import unquote

import pytest
from din.inference.load import stats
from din.inference.load.outcome import Outcome
from din.inference.load.stats import LEAST_FOR_P99, Verdict
from din.testbed import charts, picture, report, tables, terminal
from din.testbed.results import ALL, Question, Results, read_results, write_json
from din.testbed.svg import Scale
from din.testbed.verdict import sentences
from rich.console import Console

from .folders import PHASES, RATE, Arm, Fate, fine, make, refused, slower, square

#: What would be markup if it were not escaped.
HOSTILE = "</script><img src=x onerror=alert(1)>[red]"
TAKEN = {
    "calm": {
        "leaf-a chat": {"leaf-edge wan-1 leaf-a": 0.5, "leaf-hq wan-1 leaf-a": 0.5},
        "leaf-b chat": {"leaf-dc wan-2 leaf-b": 1.0},
        "leaf-dc chat": {"leaf-hq wan-2 leaf-dc": 1.0},  # nobody asks there
    }
}
PART = {"count": 10, "mean": 20e3, "p50": 1.0, "p95": 1.0, "p99": 1.0}
LATENCY = {
    phase: {
        "since": 0.0,
        "unit": "us",
        "services": {
            "chat": {
                "responses": 10 if phase == "calm" else 30,
                "spans": 10,
                "source": "spans" if phase == "calm" else "histograms",
                "network": PART,
                "queue": PART | {"count": 0, "mean": None},
                "compute": PART | {"mean": 40e3} if phase == "calm" else PART | {"count": 30, "mean": 80e3},
                "other": PART,
            }
        },
    }
    for phase in PHASES
}


@pytest.fixture(autouse=True)
def _fewer_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stats, "RESAMPLES", 150)


def _row(sheet: tables.Sheet, name: str) -> dict[str, str]:
    (found,) = [row for row in sheet.rows if row[0].text == name]
    return {column: cell.text for column, cell in zip(sheet.columns, found, strict=True)}


def _shown(results: Results) -> str:
    console = Console(file=StringIO(), width=200)
    terminal.show(results, console)
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


# ---- tables ------------------------------------------------------------------------------------------------


def test_a_phase_has_a_row_an_arm(tmp_path: Path) -> None:
    sheet = tables.phase(read_results(make(tmp_path, square(equal=refused(4)))), "calm")
    assert [row[0].text for row in sheet.rows] == ["equal", "equal-paths", "instances", "din"]
    assert sheet.title == f"Phase calm: {RATE:.1f} requests/s asked"
    din, equal = _row(sheet, "din"), _row(sheet, "equal")
    assert din["goodput"].startswith(f"{RATE:.1f} [")
    assert equal["goodput"].startswith(f"{RATE * 3 / 4:.1f} [")
    assert (din["rejected"], equal["rejected"]) == ("0", str(RATE * 8 // 4))
    assert din["TPOT p50"] == "20.0"
    assert din["longest gap"] == "20"


def test_what_is_neither_answered_nor_refused_is_broken(tmp_path: Path) -> None:
    def cut(outcome: Outcome, number: int) -> Outcome:
        return fine(outcome, number) if number % 2 else replace(outcome, status="broken", broken=True)

    row = _row(tables.phase(read_results(make(tmp_path, square(din=cut))), ALL), "din")
    assert row["rejected"] == "0"
    assert row["broken"] == str(RATE * 16 // 2)


@pytest.mark.parametrize("requests", [LEAST_FOR_P99 - 40, LEAST_FOR_P99 + 40])
def test_p99_is_told_from_a_thousand_samples_on(requests: int, tmp_path: Path) -> None:
    rate = requests // 16 // 2 * 2
    results = read_results(make(tmp_path, {"din": Arm("din", "din")}, rate=rate))
    asked = results.arm["din"].summaries[ALL][ALL].requests
    assert ("TTFT p99" in tables.phase(results, ALL).columns) == (asked >= LEAST_FOR_P99) == (requests > 1000)
    assert "TTFT p99" not in tables.phase(results, "calm").columns


def test_shares_of_instances_and_paths_are_of_those_who_asked(tmp_path: Path) -> None:
    results = read_results(make(tmp_path, {"din": Arm("din", "din", paths_taken=TAKEN)}))
    found = tables.routes(results, results.arm["din"], "calm", "chat")
    assert found == pytest.approx(
        {"leaf-edge wan-1 leaf-a": 0.25, "leaf-hq wan-1 leaf-a": 0.25, "leaf-dc wan-2 leaf-b": 0.5}
    )
    links = picture.link_shares(found)
    assert links[frozenset(("wan-1", "leaf-a"))] == pytest.approx(0.5)
    row = _row(tables.shares(results, "chat"), "din")
    assert row["chat-edge"] == "100%"
    assert row["chat-hq"] == "0%"
    assert row["responses by"] == "wan-1 50%, wan-2 50%"


def test_paths_of_clients_that_choose_are_not_known(tmp_path: Path) -> None:
    results = read_results(make(tmp_path, {"din": Arm("client", "shortest", paths_taken=TAKEN)}))
    assert tables.routes(results, results.arm["din"], "calm", "chat") == {}


def test_the_latency_split_is_a_mean_of_all_and_names_its_source(tmp_path: Path) -> None:
    results = read_results(make(tmp_path, {"din": Arm("din", "din", latency=LATENCY)}))
    arm = results.arm["din"]
    every, calm = tables.latency_split(arm, ALL, "chat"), tables.latency_split(arm, "calm", "chat")
    assert every is not None
    assert calm is not None
    assert calm.parts == {"network": 20, "compute": 40, "other": 20}
    assert (calm.source, every.source) == ("spans", "mixed")
    assert every.parts["compute"] == pytest.approx((10 * 40 + 30 * 80) / 40)
    assert every.responses == 40
    assert tables.latency_split(arm, ALL, "assist") is None
    row = _row(tables.shares(results, "chat"), "din")
    assert (row["network"], row["queue"], row["source"]) == ("20", "–", "mixed")


def test_a_network_that_nobody_saw_is_not_told_as_none(tmp_path: Path) -> None:
    unseen = json.loads(json.dumps(LATENCY))
    for view in unseen.values():
        view["services"]["chat"]["network"] = PART | {"count": 0, "mean": None}
    arms = {"seen": Arm("din", "din", latency=LATENCY), "unseen": Arm("client", "shortest", latency=unseen)}
    results = read_results(make(tmp_path, arms))
    assert _row(tables.shares(results, "chat"), "unseen")["network"] == "–"
    chart = charts.latency(results, "chat")
    assert chart is not None
    assert chart.count("network not seen") == len(PHASES)


def test_scaling_and_conditions_come_first(tmp_path: Path) -> None:
    results = read_results(make(tmp_path, square()))
    (first, scaling), *others = tables.conditions(results)
    assert first == "scaling"
    assert "x 0.25" in scaling
    told = dict(others)
    assert "seed 1" in told["run"]
    assert "chat-edge takes 4 times as long" in told["phase slow"]
    assert _shown(results).startswith("scaling: ")


def test_markup_in_a_name_is_only_text(tmp_path: Path) -> None:
    folder = make(tmp_path, square())
    run = json.loads((folder / "run.json").read_text())
    run["file"] = HOSTILE
    (folder / "run.json").write_text(json.dumps(run))
    assert HOSTILE in _shown(read_results(folder))


def test_a_void_arm_is_marked(tmp_path: Path) -> None:
    arms = square()
    arms["instances"] = replace(arms["instances"], cpu=0.9)
    results = read_results(make(tmp_path, arms))
    assert tables.phase(results, "calm").void == {2}
    page = report.render(results)
    assert re.findall(r'<th scope="row">(\S+) \(void\)</th>', page)
    assert set(re.findall(r'<th scope="row">(\S+) \(void\)</th>', page)) == {"instances"}
    shown = _shown(results)
    assert "(instances)" in shown
    assert "the host's CPU was 90% busy" in shown


# ---- sentences ---------------------------------------------------------------------------------------------


def _told(tmp_path: Path, **fates: Fate) -> str:
    return "\n".join(sentences(read_results(make(tmp_path, square(**fates)))))


def test_gains_losses_and_ties_are_all_told(tmp_path: Path) -> None:
    told = _told(
        tmp_path, equal=slower(1.0, "slow"), din=slower(0.03, "calm"), instances=slower(0.03, "calm")
    )
    line = next(each for each in told.splitlines() if each.startswith("DIN against equal."))
    better, worse, tie = re.split(r"Worse: |A tie, the interval having 0 in it: ", line)
    assert "goodput (overall, slow" in better
    assert "TTFT p50 (calm" in worse
    assert "goodput (calm" in tie
    best = next(each for each in told.splitlines() if each.startswith("DIN against the best other"))
    assert "Better: nowhere." in best


def test_an_expected_tie_is_judged(tmp_path: Path) -> None:
    assert "should be a tie. It is: goodput +" in _told(tmp_path / "tie")
    told = _told(tmp_path / "none", instances=slower(0.1), din=slower(0.1))
    assert "should be a tie. It is not: TTFT p50 +1" in told


def test_how_many_verdicts_chance_would_give_is_told(tmp_path: Path) -> None:
    """Of each two arms once, however many questions that answers: three less `equal`, din less each of the
    other two (one of them is the best other), in five places by three measures."""
    results = read_results(make(tmp_path, square(equal=slower(1.0))))
    told = {
        (each.first, each.second, each.phase, each.service, each.measure)
        for each in results.compared
        if each.measure != "ttft_mean"
    }
    line = next(each for each in sentences(results) if each.startswith("Intervals are 95 %"))
    found = re.search(r"(\d+) of (\d+) differences .* about (\d+) would be", line)
    assert found is not None
    apart, count, chance = map(int, found.groups())
    assert len(told) == count == 5 * 5 * 3
    assert chance == 4
    # All three less `equal`, by every measure and in every place, and no other two.
    assert apart == 3 * 5 * 3


def test_one_arm_is_compared_with_nothing(tmp_path: Path) -> None:
    (told,) = sentences(read_results(make(tmp_path, {"din": Arm("din", "din", refused(4))})))
    asked = RATE * 16
    assert f"{asked * 3 // 4} of {asked} requests were answered whole" in told


def test_nothing_is_said_of_a_void_arm(tmp_path: Path) -> None:
    arms = square()
    arms["din"] = replace(arms["din"], cpu=0.9)
    told = sentences(read_results(make(tmp_path, arms)))
    assert told[0].startswith("The arm din is void (the host's CPU was 90% busy")
    assert told[1].startswith("Nothing can be said of DIN")
    assert len(told) == 2


# ---- the page ----------------------------------------------------------------------------------------------


class _Page(HTMLParser):
    """Tags, text, and what is loaded from elsewhere."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.data = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag != "meta":
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "script":
            self.data += data


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> tuple[Results, _Page]:
    def hostile(outcome: Outcome, number: int) -> Outcome:
        return replace(fine(outcome, number), instance=HOSTILE, detail=HOSTILE)

    arms = square(din=hostile)
    arms["din"] = replace(arms["din"], paths_taken=TAKEN, latency=LATENCY, failures=(HOSTILE,))
    results = read_results(make(tmp_path_factory.mktemp("page"), arms))
    write_json(results)
    return results, _Page(report.write(results).read_text())


def test_the_page_is_whole(page: tuple[Results, _Page]) -> None:
    results, found = page
    assert found.open == []
    pictures = [attributes for tag, attributes in found.tags if tag == "svg"]
    names = {attributes.get("id") for _, attributes in found.tags}
    assert len(pictures) > 8
    assert all(each["role"] == "img" for each in pictures)
    assert all(set(str(each["aria-labelledby"]).split()) <= names for each in pictures)
    for link in (attributes["href"] for tag, attributes in found.tags if tag == "a"):
        assert (results.folder / unquote(str(link))).is_file()


def test_the_page_loads_nothing(page: tuple[Results, _Page]) -> None:
    results, found = page
    loading = {"src", "srcset", "data", "action", "xlink:href"}
    assert not [tag for tag, attributes in found.tags if loading & attributes.keys()]
    assert {tag for tag, attributes in found.tags if "href" in attributes} == {"a"}
    text = (results.folder / report.REPORT_FILE).read_text()
    assert not re.search(r"url\(|@import", text)
    assert set(re.findall(r"https?://[^\"' <]+", text)) <= {"http://www.w3.org/2000/svg"}


def test_what_comes_from_elsewhere_is_only_text(page: tuple[Results, _Page]) -> None:
    _, found = page
    assert "img" not in {tag for tag, _ in found.tags}
    assert not [attributes for _, attributes in found.tags if "onerror" in attributes]


def _contrast(one: str, other: str) -> float:
    """WCAG 2.2's contrast ratio of two colours."""

    def luminance(colour: str) -> float:
        digits = colour.removeprefix("#")
        digits = "".join(each * 2 for each in digits) if len(digits) == 3 else digits
        parts = [int(digits[place : place + 2], 16) / 255 for place in (0, 2, 4)]
        red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def test_the_page_can_be_read_in_light_and_dark(page: tuple[Results, _Page]) -> None:
    """4.5 : 1 for text (WCAG 1.4.3), 3 : 1 for what is in charts (1.4.11). On paper it is light."""
    results, _ = page
    text = (results.folder / report.REPORT_FILE).read_text()
    light, dark = (
        dict(re.findall(r"--(\w+): (#\w+)", each)) for each in re.findall(r":root \{(.*?)\}", text, re.S)
    )
    assert light.keys() == dark.keys()
    for scheme in (light, dark):
        for name in ("ink", "faint", "good", "bad"):
            assert min(_contrast(scheme[name], scheme[under]) for under in ("paper", "shade")) >= 4.5, name
        for name in scheme.keys() - {"paper", "shade", "grid", "rule"}:
            assert _contrast(scheme[name], scheme["paper"]) >= 3, name
    assert re.findall(r"@media ([^{]*dark[^{]*) \{", text) == ["screen and (prefers-color-scheme: dark)"]


def test_the_data_is_in_the_page(page: tuple[Results, _Page]) -> None:
    results, found = page
    data = json.loads(found.data)
    assert data["compared"] == json.loads((results.folder / "results.json").read_text())["compared"]
    din = data["arms"][3]
    assert len(din["requests"]) == RATE * sum(PHASES.values())
    assert din["requests"][0][data["request_columns"].index("instance")] == HOSTILE


def test_the_report_is_made_again_of_a_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make(tmp_path, {"din": Arm("din", "din")})
    assert report.main([str(tmp_path)]) == 0
    assert capsys.readouterr().out.strip() == str(tmp_path / "report.html")
    (tmp_path / "run.json").unlink()
    assert report.main([str(tmp_path)]) == 1
    assert "run.json" in capsys.readouterr().err


def test_differences_have_their_verdict(tmp_path: Path) -> None:
    results = read_results(make(tmp_path, square(equal=slower(1.0))))
    sheet = tables.differences(results, Question.BASELINE, "DIN less equal", "din")
    assert sheet is not None
    assert {cell.verdict for row in sheet.rows for cell in row[1:]} == {Verdict.BETTER}
    assert sheet.rows[0][2].text.startswith("-1000 [-1000, -1000]")
    causes = tables.causes(results)
    assert causes is not None
    assert len(causes.columns) == 5


@pytest.mark.parametrize(
    ("low", "high", "log"), [(0, 7, False), (0, 0.3, False), (0.02, 20, True), (4, 36, False)]
)
def test_a_scale_keeps_order_and_its_edges(low: float, high: float, log: bool) -> None:
    scale = Scale(low, high, 10, 110, log)
    assert scale(low) == 10
    assert scale(high) == pytest.approx(110)
    assert scale(high * 2) == pytest.approx(110)
    ticks = scale.ticks()
    assert 2 <= len(ticks) <= 8
    assert [scale(each) for each in ticks] == sorted(scale(each) for each in ticks)
    assert all(low <= each <= high for each in ticks)
