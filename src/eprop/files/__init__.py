"""FILES: read files of any origin safely; write files completely or not at all.

::

    open_regular, read_bytes, read_text, parse_json     regular files, up to a size     reading.py
    JsonObject                                          type of a JSON object           reading.py
    memory_budget, check_budget, parsing, reason_of     limits; errors of parsers       reading.py
    write_bytes, write_text, replacing, output_errors   complete files; full disks      writing.py
    SpikeFile                                           spikes of a run, as they come   spike_file.py
    read_hdf5                                           sizes checked before reading    hdf5.py
"""

from eprop.files.reading import (
    JsonObject,
    check_budget,
    memory_budget,
    number_in,
    open_regular,
    parse_json,
    parsing,
    read_bytes,
    read_text,
    reason_of,
)
from eprop.files.writing import output_errors, replacing, write_bytes, write_text

__all__ = [
    "JsonObject",
    "check_budget",
    "memory_budget",
    "number_in",
    "open_regular",
    "output_errors",
    "parse_json",
    "parsing",
    "read_bytes",
    "read_text",
    "reason_of",
    "replacing",
    "write_bytes",
    "write_text",
]
