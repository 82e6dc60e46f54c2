"""The record of a module of the core: its target processor and its sources, in a ``.json`` file beside the module.

The build runs this file as a program (``CMakeLists.txt``) before the package exists, so it imports nothing of the package:

    python record.py features MACROS               processor features that a compiler uses, from its ``-dM`` output
    python record.py write RECORD CORE name=value ...   write the record of a module, with the digest of the sources in CORE
"""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import subprocess
import sys
import time
from typing import Any

#: Features that a compiler may use for a given processor: the macro, and the name in Linux' ``/proc/cpuinfo``.
_X86 = {
    "SSE3": "pni", "SSSE3": "ssse3", "SSE4_1": "sse4_1", "SSE4_2": "sse4_2", "POPCNT": "popcnt", "LAHF_SAHF": "lahf_lm",
    "AVX": "avx", "F16C": "f16c", "AVX2": "avx2", "FMA": "fma", "BMI": "bmi1", "BMI2": "bmi2", "LZCNT": "abm", "MOVBE": "movbe",
    "ADX": "adx", "GFNI": "gfni", "SSE4A": "sse4a", "FMA4": "fma4", "XOP": "xop", "TBM": "tbm",
    "AVX512F": "avx512f", "AVX512CD": "avx512cd", "AVX512BW": "avx512bw", "AVX512DQ": "avx512dq", "AVX512VL": "avx512vl",
    "AVX512IFMA": "avx512ifma", "AVX512VBMI": "avx512vbmi", "AVX512VBMI2": "avx512_vbmi2", "AVX512VNNI": "avx512_vnni",
    "AVX512BITALG": "avx512_bitalg", "AVX512VPOPCNTDQ": "avx512_vpopcntdq", "AVX512BF16": "avx512_bf16",
    "AVX512FP16": "avx512_fp16", "AVXVNNI": "avx_vnni", "AVXIFMA": "avx_ifma",
}  # fmt: skip
_ARM = {
    "ATOMICS": "atomics", "CRC32": "crc32", "DOTPROD": "asimddp", "FP16_VECTOR_ARITHMETIC": "asimdhp", "SVE": "sve",
    "SVE2": "sve2", "BF16_VECTOR_ARITHMETIC": "bf16", "MATMUL_INT8": "i8mm",
}  # fmt: skip
_NAMES = {**{f"__{m}__": n for m, n in _X86.items()}, **{f"__ARM_FEATURE_{m}": n for m, n in _ARM.items()}}


def features_of(macros: str) -> list[str]:
    """Names in ``/proc/cpuinfo`` of the features that a compiler uses (the lines ``#define NAME VALUE`` of ``-dM``)."""
    defined = {line.split()[1] for line in macros.splitlines() if line.startswith("#define ")}
    return [name for macro, name in _NAMES.items() if macro in defined]


def sources(folder: pathlib.Path) -> list[pathlib.Path]:
    """The sources of the core, in an order that does not depend on the machine."""
    return sorted(path for path in folder.rglob("*") if path.suffix in (".cpp", ".hpp", ".in"))


def digest(folder: pathlib.Path) -> str:
    """Digest that changes with the content or name of any source of the core."""
    import hashlib  # a slow import, and rarely needed

    total = hashlib.sha256()
    for path in sources(folder):
        total.update(path.relative_to(folder).as_posix().encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()[:32]


def commit(checkout: pathlib.Path) -> str:
    """Commit of a checkout, with ``-dirty`` if files have changed since; ``unknown`` without git or outside a repository."""
    command = ["git", "-C", str(checkout), "describe", "--always", "--dirty", "--abbrev=10", "--exclude=*"]
    # A repository around an unpacked source distribution is not ours.
    environment = {**os.environ, "GIT_CEILING_DIRECTORIES": str(checkout.parent)}
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=10, env=environment)
    except (OSError, subprocess.TimeoutExpired):
        return "unknown"
    return done.stdout.strip() or "unknown"


def newest(folder: str | os.PathLike[str]) -> int:
    """Latest modification time of the core's sources and folders, nanoseconds."""
    last = os.stat(folder).st_mtime_ns
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir():
                last = max(last, newest(entry.path))
            elif entry.name.endswith((".cpp", ".hpp", ".in")):
                last = max(last, entry.stat().st_mtime_ns)
    return last


def is_old(record: pathlib.Path, facts: dict[str, Any], folder: pathlib.Path) -> bool:
    """Whether the sources have changed since the module was built; compare times first, because that is fast."""
    if newest(folder) <= facts["read"]:
        return False
    now = time.time_ns()
    if digest(folder) != facts["digest"]:
        return True
    with contextlib.suppress(OSError):  # times may change without the content, as when switching branches
        write(record, {**facts, "read": now})
    return False


def write(record: pathlib.Path, facts: dict[str, Any]) -> None:
    """Write a record atomically, because other processes may read it."""
    part = record.with_name(f"{record.name}.{os.getpid()}")
    part.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    part.replace(record)


def _main(command: str, *arguments: str) -> None:
    if command == "features":
        sys.stdout.write(" ".join(features_of(pathlib.Path(arguments[0]).read_text(encoding="utf-8"))))
        return
    record, core, *values = arguments
    facts: dict[str, Any] = dict(value.split("=", 1) for value in values)
    facts["features"] = facts["features"].split()
    facts["read"] = time.time_ns()  # before reading, so that a change during the build counts as newer
    facts["digest"] = digest(pathlib.Path(core))
    facts["commit"] = commit(pathlib.Path(core).parent)
    write(pathlib.Path(record), facts)


if __name__ == "__main__":
    _main(*sys.argv[1:])
