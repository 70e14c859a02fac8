"""What every test gets: few threads, fixed seeds, no network, and skips that CI can count.

``--strict-skips`` makes the run fail when a test was skipped (or expected to fail) and
``tests/allowed_skips.txt`` does not list it.
"""

from __future__ import annotations

import fnmatch
import ipaddress
import os
import random
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MKL_NUM_THREADS", "1")
os.environ.setdefault("MPLBACKEND", "Agg")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")

import pytest

ALLOWED_SKIPS = Path(__file__).with_name("allowed_skips.txt")
_CONNECT, _CONNECT_EX = socket.socket.connect, socket.socket.connect_ex


def _is_local(sock: socket.socket, address: object) -> bool:
    if sock.family not in (socket.AF_INET, socket.AF_INET6):
        return True
    host = str(address[0]) if isinstance(address, tuple) else str(address)
    if host in ("localhost", socket.gethostname(), ""):
        return True
    try:
        return ipaddress.ip_address(host.split("%")[0]).is_loopback
    except ValueError:
        return False


def _guard(original: object):
    def connect(self: socket.socket, address: object):
        if not _is_local(self, address):
            raise OSError(f"a test asked for the network: {address!r}; tests run offline")
        return original(self, address)

    return connect


def pytest_configure(config: pytest.Config) -> None:
    """Closes the network and limits torch's threads before any test module is imported."""
    socket.socket.connect = _guard(_CONNECT)
    socket.socket.connect_ex = _guard(_CONNECT_EX)
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(StrictSkips(config), "strict_skips")


def pytest_unconfigure() -> None:
    """Opens the network again for whoever runs pytest inside another program."""
    socket.socket.connect, socket.socket.connect_ex = _CONNECT, _CONNECT_EX


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds ``--strict-skips``."""
    parser.addoption(
        "--strict-skips",
        action="store_true",
        help="fail when a test is skipped and tests/allowed_skips.txt does not list it",
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselects tests marked ``gpu`` where torch sees no CUDA device."""
    marked = [item for item in items if item.get_closest_marker("gpu")]
    if marked:
        import torch

        if not torch.cuda.is_available():
            config.hook.pytest_deselected(items=marked)
            items[:] = [item for item in items if not item.get_closest_marker("gpu")]


class StrictSkips:
    """Collects skipped tests, also those of xdist's workers, and judges them at the end."""

    def __init__(self, config: pytest.Config) -> None:
        self.enabled = config.getoption("--strict-skips", default=False)
        self.allowed = read_allowed_skips(ALLOWED_SKIPS)
        self.refused: dict[str, str] = {}

    def _see(self, report: pytest.TestReport | pytest.CollectReport) -> None:
        if not report.skipped:
            return
        reason = getattr(report, "wasxfail", None)
        if reason is None:
            place = report.longrepr
            reason = place[2] if isinstance(place, tuple) else str(place)
        reason = str(reason).removeprefix("Skipped: ")
        if not is_allowed(report.nodeid, reason, self.allowed):
            self.refused[report.nodeid] = reason

    pytest_runtest_logreport = pytest_collectreport = _see

    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        """Turns a passed run into a failed one when a skip is not on the list."""
        if self.enabled and self.refused and exitstatus == 0:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Names the refused skips."""
        if self.enabled and self.refused:
            terminalreporter.section("skips that tests/allowed_skips.txt does not list", red=True)
            for nodeid, reason in sorted(self.refused.items()):
                terminalreporter.line(f"{nodeid} | {reason}")


def read_allowed_skips(path: Path) -> list[tuple[str, str]]:
    """Reads ``NODE-ID PATTERN | REASON PATTERN`` lines; ``#`` starts a comment line."""
    pairs = []
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        node, bar, reason = line.partition("|")
        if not bar:
            raise ValueError(f"{path}:{number}: expected 'NODE-ID PATTERN | REASON PATTERN'")
        pairs.append((node.strip(), reason.strip()))
    return pairs


def is_allowed(nodeid: str, reason: str, allowed: list[tuple[str, str]]) -> bool:
    """Says whether one of the listed patterns fits a skipped test and its reason."""
    return any(
        fnmatch.fnmatchcase(nodeid, node) and fnmatch.fnmatchcase(reason, why)
        for node, why in allowed
    )


@pytest.fixture(autouse=True)
def _fixed_state() -> Iterator[None]:
    """Seeds every generator before a test and forgets mmengine's current scope after it."""
    random.seed(0)
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed(0)
    if "torch" in sys.modules:
        torch = sys.modules["torch"]
        torch.manual_seed(0)
        if torch.get_num_threads() > 2:
            torch.set_num_threads(2)
    yield
    if "mmengine.registry" in sys.modules:
        sys.modules["mmengine.registry"].DefaultScope._instance_dict.clear()


@pytest.fixture
def work_dir(tmp_path: Path) -> Path:
    """An empty folder for a stage's output."""
    folder = tmp_path / "work"
    folder.mkdir()
    return folder


@pytest.fixture(scope="session")
def react_mm_data() -> Path:
    """The folder of real photographs, from the environment; skips where there is none."""
    value = os.environ.get("REACT_MM_DATA")
    if not value or not Path(value).is_dir():
        pytest.skip("needs REACT_MM_DATA")
    return Path(value)


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the checkout."""
    return Path(__file__).resolve().parents[1]
