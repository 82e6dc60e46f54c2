"""Compare a picture of the README with the one that its command has just drawn.

    python .ci/check_picture.py DRAWN PRINTED

Versions of matplotlib differ by a few pixels of text; another training differs by much more: a mean difference (root mean
square, of 255) of 27 for another seed.
"""

import sys

from matplotlib.testing.compare import compare_images

TOLERANCE = 10.0


def main(drawn: str, printed: str) -> None:
    """Exit with a message if the pictures differ by more than the tolerance."""
    if difference := compare_images(printed, drawn, TOLERANCE):
        sys.exit(f"{printed} is not what the README's command draws today; copy {drawn} over it.\n{difference}")


if __name__ == "__main__":
    main(*sys.argv[1:])
