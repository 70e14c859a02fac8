"""The page: one file, every number of the results, every picture inlined."""

import re
from html.parser import HTMLParser

import pytest

from react_mm.reporting.report import headlines, table_rows, write_report
from tests.test_reporting.fake_run import VALUES, fake_results, write_fake_run


class Sources(HTMLParser):
    def __init__(self):
        super().__init__()
        self.sources, self.links = [], []

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        if tag == "img":
            self.sources.append(attrs["src"])
        if tag in ("link", "script") or "href" in attrs:
            self.links.append(tag)


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    folder = write_fake_run(tmp_path_factory.mktemp("run"))
    out = write_report(folder / "results.json", folder, folder / "report.html")
    return out.read_text()


def test_page_is_one_file(page):
    parser = Sources()
    parser.feed(page)
    # bars, curve, 2 x 8 gallery, 3 x 3 boxes, 3 x 4 masks
    assert len(parser.sources) == 2 + 16 + 9 + 12
    assert all(source.startswith("data:image/") for source in parser.sources)
    assert parser.links == []


def test_page_shows_every_value(page):
    cells = re.findall(r'<td class="num[^"]*">([+-]?[\d.]+)</td>', page)
    for values in VALUES.values():
        for value in values:
            assert f"{100 * value:.1f}" in cells


def test_captions_are_escaped(page):
    assert "&lt;leaf&gt; &amp; some grass" in page
    assert "<leaf>" not in page


def test_rows_name_the_best_arm_and_the_gain():
    rows = {row["metric"]: row for row in table_rows(fake_results())}
    assert rows["zero_shot.target"]["best"] == "plain"
    assert rows["zero_shot.target"]["gain"] == pytest.approx(51.0)
    assert rows["zero_shot.other"]["gain"] == pytest.approx(-1.0)
    assert rows["ap50.novel"]["is_target"] is True
    assert rows["ap50.base"]["is_target"] is False


def test_headlines_compare_with_base_and_control():
    values = [card["value"] for card in headlines(fake_results())]
    assert values == ["+51.0", "-1.0", "+48.0", "91"]


def test_incomplete_results_leave_the_old_page(tmp_path):
    folder = write_fake_run(tmp_path / "run")
    out = folder / "report.html"
    out.write_text("old")
    (folder / "results.json").write_text('{"before": {}}')
    with pytest.raises(ValueError, match="before"):
        write_report(folder / "results.json", folder, out)
    assert out.read_text() == "old"
