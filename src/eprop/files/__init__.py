"""FILES: read what may come from anywhere, write whole files or none.

::

    open_regular, read_bytes, read_text, parse_json     regular files, up to a size     reading.py
    memory_budget, check_budget, parsing                how much; third-party parsers   reading.py
    written_aside, write_text, output_errors, explain   whole files; full disks         writing.py
    hdf5_process                                        HDF5 in a process of its own    hdf5.py
    state_root, own_mark, trust_task, is_trusted        what this user has made         trust.py
"""

from eprop.files.reading import (
    GIGA,
    check_budget,
    check_disk,
    memory_budget,
    open_regular,
    parse_json,
    parsing,
    read_bytes,
    read_text,
    told,
)
from eprop.files.writing import explain, output_errors, write_text, written_aside

__all__ = [
    "GIGA", "check_budget", "check_disk", "explain", "memory_budget", "open_regular", "output_errors", "parse_json",
    "parsing", "read_bytes", "read_text", "told", "write_text", "written_aside",
]  # fmt: skip
