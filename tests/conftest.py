"""What every test shares: settings made before the package is imported, the options and the marks."""

from __future__ import annotations

import importlib.util
import itertools
import os
import pathlib
import shutil
import sysconfig
from collections.abc import Generator

import hypothesis
import pytest

# Four threads, whatever the machine has: tests compare 1, 2, 3 and 4.
os.environ.setdefault("EPROP_NUM_THREADS", "4")
os.environ.setdefault("MPLBACKEND", "agg")
# Workers share the cores. Threads of NumPy and SciPy, for small matrices, would wait for each other in busy loops.
for blas in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(blas, "1")

# No example has a deadline: tests do not judge how fast anything is. CI draws the same examples at each run.
hypothesis.settings.register_profile("dev", deadline=None, max_examples=25)
hypothesis.settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True, max_examples=25)
hypothesis.settings.register_profile("quick", deadline=None, derandomize=True, print_blob=True, max_examples=4)
hypothesis.settings.register_profile("thorough", deadline=None, max_examples=2000)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci" if os.environ.get("CI") else "dev"))

ROOT = pathlib.Path(__file__).parents[1]
SHARED = pathlib.Path(os.environ.get("EPROP_SHARED", ROOT / "not given"))


# Folders in the order they are tested. Two workers (-n 2) begin with a half each, one of them with the examples, which take long.
ORDER = ("conformance", "property", "interop", "mpi", "unit", "oracle", "benchmarks", "docs", "experiments")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--slow", action="store_true", help="run the tests marked `slow` as well")
    parser.addoption("--every", type=int, default=1, metavar="N", help="of the cases of each test, run every N-th only")


def pytest_configure(config: pytest.Config) -> None:
    """Draw four times as many examples in long tests."""
    if config.getoption("--slow"):
        usual = hypothesis.settings.default
        hypothesis.settings.register_profile("slow", usual, max_examples=4 * usual.max_examples)
        hypothesis.settings.load_profile("slow")


def find_mpiexec() -> str | None:
    """The MPI launcher: next to the running Python, or the machine's."""
    return shutil.which("mpiexec", path=os.pathsep.join([sysconfig.get_path("scripts"), os.environ.get("PATH", "")]))


def _why_not(config: pytest.Config) -> dict[str, str]:
    """Marks whose tests cannot run here, each with the reason."""
    reasons = {}
    if not config.getoption("--slow"):
        reasons["slow"] = "slow: run with --slow"
    if importlib.util.find_spec("nest") is None:
        reasons["nest"] = 'NEST is not installed: pip install ".[nest]" (Linux)'
    if importlib.util.find_spec("mpi4py") is None or find_mpiexec() is None:
        reasons["mpi"] = 'no mpi4py or no mpiexec: pip install ".[mpi]" mpich'
    if not SHARED.is_dir():
        reasons["shared"] = "no folder of recordings: set EPROP_SHARED"
    return reasons


def _take_every(n: int, config: pytest.Config, items: list[pytest.Item]) -> None:
    """Of the cases of each test that are to run, keep the first and every n-th after it."""
    numbers: dict[str, itertools.count[int]] = {}
    taken: list[pytest.Item] = []
    others: list[pytest.Item] = []
    for item in items:
        skipped = item.get_closest_marker("slow") and not config.getoption("--slow")
        number = 1 if skipped else next(numbers.setdefault(item.nodeid.partition("[")[0], itertools.count()))
        (others if number % n else taken).append(item)
    items[:] = taken
    config.hook.pytest_deselected(items=others)


@pytest.hookimpl(trylast=True)  # after those of other marks are deselected
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Put into order; skip, with the reason, what this machine cannot run."""
    if (n := config.getoption("--every")) > 1:
        _take_every(n, config, items)
    items.sort(key=lambda item: ORDER.index(item.path.relative_to(ROOT / "tests").parts[0]))
    examples = [item for item in items if item.path.name == "test_examples.py"]
    others, half = [item for item in items if item.path.name != "test_examples.py"], len(items) // 2
    items[:] = others[:half] + examples + others[half:]
    reasons = _why_not(config)
    for item in items:
        for mark, reason in reasons.items():
            if item.get_closest_marker(mark):
                item.add_marker(pytest.mark.skip(reason=reason))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Skip a test that has the compiler of a user's own functions called, where there is none; other extras a test asks for."""
    from eprop.errors import MissingExtraError

    try:
        return (yield)
    except MissingExtraError as error:
        if importlib.util.find_spec("numba") is None and '"numba"' in str(error):
            pytest.skip(str(error))
        raise


def pytest_report_header() -> str:
    """Say at the top which of the package's switches are on."""
    from eprop.core import describe

    names = ("EPROP_NUM_THREADS", "EPROP_CORE_LEVEL", "EPROP_CORE_FOLDER", "EPROP_CACHE_DIR")
    built = describe()
    core = f"core for {built['level']}, {built['compiler']}"
    return "eprop: " + ", ".join([core, *(f"{name}={os.environ[name]}" for name in names if os.environ.get(name))])


@pytest.fixture(scope="session")
def root() -> pathlib.Path:
    """The checkout."""
    return ROOT


@pytest.fixture(scope="session")
def shared() -> pathlib.Path:
    """Folder of recordings kept outside the repository; a test that uses it carries the mark `shared`."""
    return SHARED


@pytest.fixture(scope="session")
def mpiexec() -> str:
    """Command that starts several processes; a test that uses it carries the mark `mpi`."""
    found = find_mpiexec()
    assert found is not None
    return found
