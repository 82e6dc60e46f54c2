"""What the pages refer to exists: objects, files, headings, functions and lines of the core; one version in four places."""

from __future__ import annotations

import importlib
import pathlib
import re
import runpy
import shutil
import tomllib

import pytest

import eprop

ROOT = pathlib.Path(__file__).parents[2]
PAGES = [
    *(name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "core/README.md") if (ROOT / name).exists()),
    *sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").rglob("*.md") if "_build" not in path.parts),
]
ROLE = re.compile(r"\{(?:func|class|mod|meth|attr|data)\}`~?([\w.]+)`")
# A source file, and a function or class that it defines: `core/step/readouts.hpp: readout_errors`.
SOURCE = re.compile(r"`((?:core|src|tests)/[\w/]+\.(?:hpp|cpp|py))(?:: (\w+))?`")
LINK = re.compile(r"\]\((?!https?://)([^)#\s]*)(?:#([^)\s]+))?\)")
CPP = re.compile(r"^```cpp\n(.*?)^```", re.MULTILINE | re.DOTALL)


def read(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def test_the_docs_say_how_to_cite() -> None:
    shown = read("docs/project/citing.md")
    cited = re.findall(r"(?:title|doi): \"?([^\"\n]+)", (ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert len(cited) == 5
    assert all(part in shown for part in cited)


def resolve(name: str) -> object:
    """The object with a dotted name: the longest part that is a module, then attributes."""
    parts = name.split(".")
    for n in range(len(parts), 0, -1):
        try:
            thing: object = importlib.import_module(".".join(parts[:n]))
        except ModuleNotFoundError:
            continue
        for part in parts[n:]:
            thing = getattr(thing, part)
        return thing
    raise AttributeError(name)


def anchors(text: str) -> set[str]:
    """Names under which the headings of a page can be linked to."""
    headings = re.findall(r"^#+ (.+)$", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES)
def test_objects_exist(page: str) -> None:
    for name in ROLE.findall(read(page)):
        resolve(name)


@pytest.mark.parametrize("page", PAGES)
def test_linked_files_and_headings_exist(page: str) -> None:
    path = ROOT / page
    for file, anchor in LINK.findall(read(page)):
        target = path.parent / file if file else path
        assert target.exists(), f"{page} links to {file}"
        if anchor:
            assert anchor in anchors(target.read_text(encoding="utf-8")), f"{page} links to {file}#{anchor}"


@pytest.mark.parametrize("page", PAGES)
def test_named_functions_and_constants_are_defined(page: str) -> None:
    for file, name in SOURCE.findall(read(page)):
        assert (ROOT / file).is_file(), f"{page} names {file}"
        if not name:
            continue
        # In C++ a function follows its type; a call follows `return`, `=` or a bracket.
        cpp = rf"^(?:.*[\w>&*\]])?\s*(?<!return )\b{name}(?:<[^()]*>)?\(|\b(?:struct|class) {name}\b"
        pattern = rf"^\s*(?:def|class) {name}\b|^{name}(?::| =)" if file.endswith(".py") else cpp
        assert re.search(pattern, read(file), re.MULTILINE), f"{page} names {name} of {file}"


@pytest.mark.parametrize("page", [page for page in PAGES if CPP.search(read(page))])
def test_quoted_lines_are_in_the_core(page: str) -> None:
    core = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "core").rglob("*.[ch]pp"))
    for line in "".join(CPP.findall(read(page))).splitlines():
        assert line in core, f"{page} quotes {line}"


def test_all_places_name_the_same_version() -> None:
    version = tomllib.loads(read("pyproject.toml"))["project"]["version"]
    cited = re.search(r"^version: (\S+)$", read("CITATION.cff"), re.MULTILINE)
    assert eprop.__version__ == version
    assert cited is not None
    assert cited.group(1) == version
    assert (".dev" in version) != ("\ndate-released: " in read("CITATION.cff"))


def test_the_changelog_has_the_version_or_says_that_it_is_not_released() -> None:
    headings = re.findall(r"^## \[([^]]+)\]", read("CHANGELOG.md"), re.MULTILINE)
    expected = "Unreleased" if ".dev" in eprop.__version__ else eprop.__version__
    assert headings[0] == expected


def test_a_package_index_finds_links_and_pictures(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("README.md", "pyproject.toml", "CITATION.cff"):
        shutil.copy(ROOT / name, tmp_path)
    monkeypatch.chdir(tmp_path)
    address = "https://example.org/eprop"
    runpy.run_path(str(ROOT / "build_backend" / "address.py"))["main"](address, "v1")
    page = pathlib.Path("README.md").read_text("utf-8")
    found = re.findall(r'\]\(([^)\s]*)|<img src="([^"]*)', page)
    targets = [link or picture for link, picture in found]
    assert any(target.startswith(f"{address}/raw/v1/docs/images/") for target in targets)
    for target in targets:
        assert target.startswith("https://")
        if target.startswith(address):
            assert (ROOT / target.split("/v1/")[1].partition("#")[0]).is_file(), target
    urls = tomllib.loads(pathlib.Path("pyproject.toml").read_text("utf-8"))["project"]["urls"]
    assert urls["Source"] == address
    assert f'\nrepository-code: "{address}"\n' in pathlib.Path("CITATION.cff").read_text("utf-8")


def test_each_how_to_page_is_in_one_group() -> None:
    listed = re.findall(r"^howto/(\w+)$", read("docs/index.md"), re.MULTILINE)
    assert sorted(listed) == sorted(path.stem for path in (ROOT / "docs/howto").glob("*.md"))


def test_each_name_of_the_package_has_a_place_in_its_reference() -> None:
    """Errors share the page of `eprop.errors`."""
    listed = re.findall(r"^   (\w+)$", read("docs/reference/api.md").partition("## Subpackages")[0], re.MULTILINE)
    names = {name for name in eprop.__all__ if name != "__version__" and not hasattr(eprop.errors, name)}
    assert sorted(listed) == sorted(names)


def test_the_installation_page_has_all_extras() -> None:
    extras = tomllib.loads(read("pyproject.toml"))["project"]["optional-dependencies"]
    page = read("docs/start/install.md")
    assert not [name for name in extras if f"`{name}`" not in page]
