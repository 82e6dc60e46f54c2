"""Check that an sdist, and what pip has installed from it, are complete: ``python .ci/check_installed.py SDIST LEVELS``.

The Python that runs this is the one of the installation.
"""

from __future__ import annotations

import importlib.metadata
import pathlib
import sys
import tarfile

from packaging.metadata import Metadata


def check_installation(levels: list[str]) -> None:
    """Tag, compiled modules with their records, sources, licence; nothing else but the command."""
    found = importlib.metadata.distribution("eprop")
    metadata = Metadata.from_email(found.read_text("METADATA") or "", validate=True)
    tag = "Tag: cp312-abi3-" if sys.version_info >= (3, 12) else "Tag: cp311-cp311-"
    assert tag in (found.read_text("WHEEL") or ""), f"expected {tag}: {found.read_text('WHEEL')}"
    files = {file.as_posix(): file for file in found.files or ()}
    info = f"eprop-{metadata.version}.dist-info"
    stray = [name for name in files if not name.startswith(("eprop/", f"{info}/")) and not name.endswith("/bin/eprop")]
    assert not stray, f"files outside the package: {stray}"
    modules = {name.split("/")[-1].split(".")[0] for name in files if name.endswith((".so", ".dylib", ".pyd"))}
    assert modules == {f"_{level}" for level in levels}, f"compiled modules: {modules}"
    sources = {
        path.relative_to("src").as_posix() for kind in ("py", "pyi") for path in pathlib.Path("src").rglob(f"*.{kind}")
    }
    wanted = (
        sources | {f"eprop/core/_{level}.json" for level in levels} | {"eprop/py.typed", f"{info}/licenses/LICENSE"}
    )
    assert wanted <= files.keys(), f"not installed: {sorted(wanted - files.keys())}"
    print(
        f"eprop {metadata.version}: {len(files)} files, {sum(file.size or 0 for file in files.values()) / 1024:.0f} KiB"
    )


def check_sdist(path: pathlib.Path) -> None:
    """Sources of the core, the build back end and the tests."""
    with tarfile.open(path) as sdist:
        packed = {name.partition("/")[2] for name in sdist.getnames()}
    core = {file.as_posix() for file in pathlib.Path("core").rglob("*") if file.is_file()}
    wanted = core | {"CMakeLists.txt", "build_backend/eprop_build.py", "CHANGELOG.md", "tests/conftest.py"}
    assert wanted <= packed, f"not in the sdist: {sorted(wanted - packed)}"


if __name__ == "__main__":
    check_sdist(pathlib.Path(sys.argv[1]))
    check_installation(sys.argv[2].split(","))
