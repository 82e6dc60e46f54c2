"""Write the address of the repository into what a release publishes; the sources keep relative links, which work in any copy.

    python build_backend/address.py https://github.com/OWNER/eprop COMMIT

In the current folder, links and pictures of ``README.md`` become absolute, so that a package index shows them; ``[project.urls]``
and ``CITATION.cff`` get the address. Do not commit the result: ``.github/workflows/wheels.yml`` runs this before it builds.
"""

from __future__ import annotations

import pathlib
import re
import sys

URLS = """[project.urls]
Source = "{0}"
Changelog = "{0}/blob/{1}/CHANGELOG.md"
Issues = "{0}/issues"
"""


def absolute(text: str, address: str, commit: str) -> str:
    """Return the text of a page at the root of the repository with absolute links and pictures."""
    text = re.sub(r'(<img src=")(?!https?:)', rf"\1{address}/raw/{commit}/", text)
    return re.sub(r"(\]\()(?!https?:|#)", rf"\1{address}/blob/{commit}/", text)


def main(address: str, commit: str) -> None:
    """Rewrite the three files; fail where one has not the line to put the address at."""
    changes = {
        "README.md": lambda text: absolute(text, address, commit),
        "pyproject.toml": lambda text: text.replace("[project.urls]\n", URLS.format(address, commit), 1),
        "CITATION.cff": lambda text: text.replace("license:", f'repository-code: "{address}"\nlicense:', 1),
    }
    for name, change in changes.items():
        path = pathlib.Path(name)
        before = path.read_text(encoding="utf-8")
        if (after := change(before)) == before:
            sys.exit(f"{name} has no place for the address of the repository")
        path.write_text(after, encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
