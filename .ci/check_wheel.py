"""Check that the wheel and the sdist in a folder are complete: ``python .ci/check_wheel.py FOLDER LEVELS``."""

from __future__ import annotations

import pathlib
import sys
import tarfile
import zipfile

from packaging.metadata import Metadata


def check_wheel(path: pathlib.Path, levels: list[str]) -> None:
    """Tag, compiled modules with their records, sources, licence; nothing else."""
    tag = "-cp312-abi3-" if sys.version_info >= (3, 12) else "-cp311-cp311-"
    assert tag in path.name, f"expected {tag}: {path.name}"
    with zipfile.ZipFile(path) as wheel:
        names = set(wheel.namelist())
        metadata_file = next(name for name in names if name.endswith(".dist-info/METADATA"))
        metadata = Metadata.from_email(wheel.read(metadata_file), validate=True)
    info = f"eprop-{metadata.version}.dist-info"
    stray = [name for name in names if not name.startswith(("eprop/", f"{info}/"))]
    assert not stray, f"files outside the package: {stray}"
    modules = {name.split("/")[-1].split(".")[0] for name in names if name.endswith((".so", ".dylib", ".pyd"))}
    assert modules == {f"_{level}" for level in levels}, f"compiled modules: {modules}"
    package = pathlib.Path("src/eprop")
    sources = {path.relative_to("src").as_posix() for suffix in ("py", "pyi") for path in package.rglob(f"*.{suffix}")}
    wanted = (
        sources | {f"eprop/core/_{level}.json" for level in levels} | {"eprop/py.typed", f"{info}/licenses/LICENSE"}
    )
    assert wanted <= names, f"not in the wheel: {sorted(wanted - names)}"
    print(f"{path.name}: {len(names)} files, {path.stat().st_size / 1024:.0f} KiB")


def check_sdist(path: pathlib.Path) -> None:
    """Sources of the core, the build back end and the tests."""
    with tarfile.open(path) as sdist:
        packed = {name.partition("/")[2] for name in sdist.getnames()}
    core = {file.as_posix() for file in pathlib.Path("core").rglob("*") if file.is_file()}
    wanted = core | {"CMakeLists.txt", "build_backend/eprop_build.py", "CHANGELOG.md", "tests/conftest.py"}
    assert wanted <= packed, f"not in the sdist: {sorted(wanted - packed)}"


if __name__ == "__main__":
    folder = pathlib.Path(sys.argv[1])
    (wheel,), (sdist,) = folder.glob("*.whl"), folder.glob("*.tar.gz")
    check_wheel(wheel, sys.argv[2].split(","))
    check_sdist(sdist)
