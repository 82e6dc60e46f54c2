"""``python -m eprop``: the command line, as where several ranks or another interpreter run it."""

from eprop.cli import main

if __name__ == "__main__":
    main()
