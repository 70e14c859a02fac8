"""Metafiles agree with configs, README tables and the pages they quote; planted faults are seen."""

import subprocess
import sys

import pytest
import yaml

from react_mm.reporting.metafiles import (
    add_missing,
    config_folders,
    problems,
    read_metafile,
    readme_patterns,
    write_metafile,
)
from react_mm.reporting.model_zoo import main, render_index, render_page


def result(**changes):
    return {
        "Task": "Object Detection",
        "Dataset": "toy",
        "Metrics": {"AP50": "12.5 ± 0.3"},
        "Origin": "measured",
        "Source": "docs/figures.md",
        "Command": "python tools/test.py configs/detection/a_toy.py",
        **changes,
    }


@pytest.fixture
def checkout(tmp_path):
    """A checkout of one folder with two configs, one of them measured."""
    folder = tmp_path / "configs" / "detection"
    folder.mkdir(parents=True)
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "figures.md").write_text("| AP50 | 12.5 ± 0.3 | 112.5 | 7.10 |\n")
    for name in ("a_toy", "b_lite"):
        (folder / f"{name}.py").write_text("")
    (folder / "README.md").write_text("| config | data |\n|---|---|\n| `{a,b}_<set>.py` | x |\n")
    base = dict(Name="A", README="configs/detection/README.md")
    models = [
        {
            "Name": name,
            "In Collection": "A",
            "Config": f"configs/detection/{name}.py",
            "Results": results,
        }
        for name, results in (("a_toy", [result()]), ("b_lite", []))
    ]
    write_metafile(folder, dict(Collections=[base], Models=models))
    return tmp_path


def change(checkout, edit):
    folder = checkout / "configs" / "detection"
    content = read_metafile(folder)
    edit(content)
    write_metafile(folder, content)
    return problems(checkout)


def test_a_whole_checkout_has_no_problems(checkout):
    assert problems(checkout) == []


def test_planted_faults_are_seen(checkout):
    def edit(**changes):
        return lambda content: content["Models"][0].update(Results=[result(**changes)])

    cases = {
        "AP50 12.6 does not stand": edit(Metrics={"AP50": "12.6"}),
        "AP50 2.5 does not stand": edit(Metrics={"AP50": "2.5"}),  # the end of another figure
        "AP50 7.1 does not stand": edit(Metrics={"AP50": "7.1"}),  # the start of another figure
        "without the command": edit(Command=""),
        "Source missing": edit(Source=""),
        "origin 'guessed'": edit(Origin="guessed"),
        "does not exist": edit(Source="docs/nowhere.md"),
        "a command is given": edit(Origin="published"),
        "unknown keys ['Weight']": edit(Weight="x"),
    }
    for words, fault in cases.items():
        found = change(checkout, fault)
        assert len(found) == 1, (words, found)
        assert words in found[0]
        assert found[0].startswith("configs/detection/metafile.yml: model a_toy")


def test_configs_and_entries_must_be_the_same(checkout):
    folder = checkout / "configs" / "detection"
    (folder / "c_new.py").write_text("")
    found = problems(checkout)
    assert any("c_new.py has no entry" in text for text in found)
    assert any("tables lack c_new.py" in text for text in found)
    (folder / "c_new.py").unlink()
    (folder / "b_lite.py").unlink()
    found = problems(checkout)
    assert any("b_lite.py is no config" in text for text in found)
    assert any("b_*.py, which no config is" in text for text in found)


def test_names_and_collections_are_checked(checkout):
    found = change(checkout, lambda c: c["Models"][0].update({"In Collection": "B"}))
    assert "'B' does not exist" in found[0]
    found = change(
        checkout, lambda c: c["Models"][0].update({"In Collection": "A", "Name": "other"})
    )
    assert "not that of its config" in found[0]


def test_damaged_metafiles_are_named(checkout):
    path = checkout / "configs" / "detection" / "metafile.yml"
    path.write_text("Models: [")
    assert "is not YAML" in problems(checkout)[0]
    path.write_text("Models: []")
    assert "Collections" in problems(checkout)[0]
    path.unlink()
    assert "does not exist" in problems(checkout)[0]


def test_new_configs_are_added_and_old_entries_dropped(checkout):
    folder = checkout / "configs" / "detection"
    (folder / "a_lite.py").write_text("")
    (folder / "b_lite.py").unlink()
    assert add_missing(checkout) == ["a_lite"]
    models = read_metafile(folder)["Models"]
    assert [model["Name"] for model in models] == ["a_lite", "a_toy"]
    assert models[0]["Results"] == []
    assert models[1]["Results"] == [result()]
    assert add_missing(checkout) == []


def test_page_keeps_the_kinds_apart(checkout):
    def edit(content):
        published = result(Origin="published", Source="A paper", Of="another tower")
        published.pop("Command")
        content["Models"][0]["Results"].append(published)

    assert change(checkout, edit) == []
    page = render_page(checkout)
    measured, rest = page.split("## Converted")
    converted, rest = rest.split("## Published by others")
    published, without = rest.split("## Configs without a figure")
    assert "[figures.md](figures.md)" in measured
    assert "A paper" not in measured
    assert "another tower" in published
    assert "tools/test.py" not in published
    assert "could not be downloaded" in converted
    assert "`b_lite`" in without
    assert "`a_toy`" not in without
    assert "configs/detection/metafile.yml" in render_index(checkout)


def test_an_old_page_is_seen(checkout):
    with pytest.raises(SystemExit, match="is old"):
        main(["--root", str(checkout), "--check"])
    main(["--root", str(checkout)])
    main(["--root", str(checkout), "--check"])
    (checkout / "docs" / "model_zoo.md").write_text("something")
    with pytest.raises(SystemExit, match="is old"):
        main(["--root", str(checkout), "--check"])


def test_readme_patterns(tmp_path):
    (tmp_path / "README.md").write_text(
        "see `x.py`\n| config | `no.py` |\n|---|---|\n| [toy.py](toy.py) | |\n"
        "| `a_{b,c}_<set>.py`, `..._d.py` | `e.py` |\n"
    )
    assert sorted(set(readme_patterns(tmp_path / "README.md"))) == [
        "*_d.py",
        "a_b_*.py",
        "a_c_*.py",
        "toy.py",
    ]


def test_this_checkout_holds(repository):
    """Also what `python -m react_mm.reporting.model_zoo --check` says of it."""
    assert problems(repository) == []
    command = [sys.executable, "-m", "react_mm.reporting.model_zoo", "--check"]
    done = subprocess.run(command, cwd=repository, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    index = yaml.safe_load((repository / "model-index.yml").read_text())["Import"]
    assert len(index) == len(config_folders(repository / "configs")) >= 7


def test_published_figures_belong_to_others(repository):
    """No figure that was published stands among those measured here, and none has our weights."""
    seen = {"measured": 0, "published": 0}
    for folder in config_folders(repository / "configs"):
        for model in read_metafile(folder)["Models"]:
            for entry in model["Results"]:
                seen[entry["Origin"]] += 1
                if entry["Origin"] == "published":
                    assert not str(entry["Source"]).startswith("docs/"), model["Name"]
                    assert entry.get("Of"), model["Name"]
    assert min(seen.values()) > 10
