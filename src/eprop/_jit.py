"""The one door to Numba: decorators, disk cache, threading layer.

Numba does not notice when a callee in another file changes, nor does its cache know the compiler flags. The cache
directory therefore carries a digest of the sources behind compiled code, the Numba version and the flags: stale machine code
cannot be loaded. `bind` makes one loop serve many models without losing that cache.
"""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import functools
import gc
import hashlib
import importlib.metadata
import os
import pathlib
import platform
import shutil
import sys
import tempfile
import threading
import time
import types
import warnings
from collections.abc import Callable, Iterator
from typing import Any

from eprop.errors import CacheWarning

# Files that stand behind this door, and folders of compiled functions and of the constants that these freeze.
COMPILED = (
    "_flags.py",
    "_ingredients.py",
    "_packs.py",
    "_subnormals.py",
    "_vectors.py",
    "equations",
    "kernels",
    "models",
)


def _source_digest() -> str:
    """Digest of every source that compiled code is made of, and of all else that changes it.

    These are `COMPILED`, and any file that uses this door.
    """
    root = pathlib.Path(__file__).parent
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        text = path.read_bytes()
        if path.relative_to(root).parts[0] in COMPILED or b"_jit" in text:
            digest.update(path.relative_to(root).as_posix().encode())
            digest.update(text)
    digest.update(importlib.metadata.version("numba").encode())
    for name in ("NUMBA_BOUNDSCHECK", "NUMBA_CPU_NAME", "NUMBA_CPU_FEATURES", "NUMBA_OPT"):
        digest.update(f"{name}={os.environ.get(name, '')}".encode())
    digest.update(sys.version.encode())
    return digest.hexdigest()[:16]


def cache_root() -> pathlib.Path:
    """Folder of everything the package keeps between runs; ``EPROP_CACHE_DIR`` overrides the user's cache folder."""
    if own := os.environ.get("EPROP_CACHE_DIR"):
        return pathlib.Path(own)
    base = os.environ.get("XDG_CACHE_HOME") or (
        pathlib.Path.home() / ("Library/Caches" if sys.platform == "darwin" else ".cache")
    )
    return pathlib.Path(base) / "eprop"


def _kernel_folder() -> pathlib.Path:
    """Where machine code is kept: in `cache_root`, or if that cannot be written, as long as this process lives.

    Numba would look for another place by itself, and find one without a digest, beside the sources.
    """
    folder = cache_root() / "kernels" / _source_digest()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except OSError as error:
        warnings.warn(
            f"{folder}: cannot be written ({error.strerror or error}); kernels are compiled anew in each process. "
            "Set EPROP_CACHE_DIR to a folder that can",
            CacheWarning,
            stacklevel=2,
        )
    own = tempfile.mkdtemp(prefix="eprop-kernels-")
    atexit.register(shutil.rmtree, own, ignore_errors=True)
    return pathlib.Path(own)


CACHE_DIR = _kernel_folder()
# A waiting thread must not burn the core that another rank needs, but to wake it takes 40 microseconds: GNU's looks some
# 15 microseconds long whether there is work, about what lies between two regions of a step, and sleeps then. The OpenMP
# runtime reads this once, when it starts.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ["OMP_WAIT_POLICY"] = "passive"
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")

import numba  # noqa: E402
import numba.extending  # noqa: E402
from llvmlite import ir  # type: ignore[import-untyped]  # noqa: E402
from numba.core import cgutils, event  # noqa: E402
from numba.core.cpu import CPUTargetOptions  # noqa: E402
from numba.np.arrayobj import populate_array  # noqa: E402

from eprop._flags import compare_quickly  # noqa: E402
from eprop._ingredients import DishCompiler, IngredientCache, IngredientCompiler, IngredientDispatcher  # noqa: E402
from eprop._packs import PACK as PACK  # noqa: E402
from eprop._packs import Access as Access  # noqa: E402
from eprop._packs import access as access  # noqa: E402
from eprop._packs import laying as laying  # noqa: E402
from eprop._packs import record_size as record_size  # noqa: E402
from eprop._subnormals import FLUSHES as FLUSHES  # noqa: E402
from eprop._subnormals import flush_subnormals as flush_subnormals  # noqa: E402
from eprop._subnormals import restore_mode as restore_mode  # noqa: E402
from eprop._vectors import BROAD as BROAD  # noqa: E402
from eprop._vectors import CHUNK as CHUNK  # noqa: E402
from eprop._vectors import WIDE as WIDE  # noqa: E402
from eprop._vectors import add_broad as add_broad  # noqa: E402
from eprop._vectors import add_chunk as add_chunk  # noqa: E402
from eprop._vectors import add_run as add_run  # noqa: E402
from eprop._vectors import add_wide as add_wide  # noqa: E402
from eprop._vectors import lowest as lowest  # noqa: E402
from eprop._vectors import marks as marks  # noqa: E402

compare_quickly()

# What Numba raises where it cannot compile a function.
COMPILE_ERRORS = (numba.core.errors.NumbaError, numba.core.errors.UnsupportedBytecodeError)
prange = numba.prange
JIT_DISABLED = bool(numba.config.DISABLE_JIT)
# An index out of bounds inside a parallel region would not be reported: with bounds checks on, loops run serially.
_PARALLEL = not numba.config.BOUNDSCHECK
# error_model="numpy": a zero test at each division would keep loops from vectorising.
# No function is called from C.
_OPTIONS: dict[str, Any] = {"error_model": "numpy", "cache": True, "nogil": True, "no_cfunc_wrapper": True}
_OUTER = {**_OPTIONS, "_nrt": False, "pipeline_class": DishCompiler}
# What only compiled code calls needs no way in from Python, which took a quarter of the time to compile, nor machine code.
_INNER = {**_OUTER, "no_cpython_wrapper": True, "pipeline_class": IngredientCompiler}
_INLINE = {**_INNER, "forceinline": True}
# Numba can tell LLVM that no two arrays of a call overlap, but has no option for it; this adds one.
CPUTargetOptions.noalias = CPUTargetOptions.Mapping("noalias")
_APART = {**_INNER, "noalias": True}


class _CollectLater(event.Listener):  # type: ignore[misc]
    """Keeps Python's garbage collector still while Numba compiles.

    It looked for cycles among millions of new objects, few of them garbage, for a tenth of the time. Numba compiles one
    function at a time, with those it calls.
    """

    def __init__(self) -> None:
        self._depth, self._was_on = 0, False

    def on_start(self, event: Any) -> None:
        """The outermost function begins."""
        if self._depth == 0:
            self._was_on = gc.isenabled()
            gc.disable()
        self._depth += 1

    def on_end(self, event: Any) -> None:
        """It is done, or has failed."""
        self._depth -= 1
        if self._depth == 0 and self._was_on:
            gc.enable()


event.register("numba:compile", _CollectLater())


def in_package(thing: Any) -> bool:
    """Whether a function or a class is the package's own."""
    return bool(thing.__module__.split(".")[0] == "eprop")


def _compiled(function: Callable[..., Any], **options: Any) -> Callable[..., Any]:
    """Give a function to the compiler.

    Machine code of a user's own functions is not kept by itself: Numba would not see that a function has changed that they call,
    and finds no place for those from a prompt. It is kept within the loops, see `engine.own_code`.

    Where machine code is kept is settled here, for this function alone: Numba reads its environment again whenever a
    variable of it has changed, so a directory set once would be forgotten, and the code would land, without the digest,
    in ``__pycache__`` beside the sources. Other packages keep the directory they have.
    """
    theirs, numba.config.CACHE_DIR = numba.config.CACHE_DIR, str(CACHE_DIR)
    try:
        kept = in_package(function)
        made = numba.njit(**{**_OPTIONS, **options, "cache": kept})(function)
        if JIT_DISABLED:
            return made
        if options.get("pipeline_class") is IngredientCompiler:
            made.__class__, made.compile_with_way_in = IngredientDispatcher, _with_way_in
            if kept:
                made._cache = IngredientCache(function)
        elif kept:
            made.compile = _by_one_process(made.compile, f"{function.__module__}.{function.__qualname__}")
        return made
    finally:
        numba.config.CACHE_DIR = theirs


def _with_way_in(function: Callable[..., Any]) -> Callable[..., Any]:
    """An ingredient to be called from Python: under a name of its own, or the disk cache would take it for the ingredient."""
    plain = types.FunctionType(
        function.__code__, function.__globals__, function.__name__, function.__defaults__, function.__closure__
    )
    plain.__qualname__, plain.__module__ = f"{function.__qualname__}_alone", function.__module__
    return _compiled(plain, **_OUTER)


def _by_one_process(compile_for: Callable[..., Any], name: str) -> Callable[..., Any]:
    """Of processes that want the same machine code, ranks of a first run for one, let one make it: the others find it on disk."""

    def compile_or_wait(signature: Any) -> Any:
        which = hashlib.sha256(f"{name} {signature}".encode()).hexdigest()[:16]
        # In this order in all threads, or one might wait for a file and another for the compiler.
        with numba.core.compiler_lock.global_compiler_lock, _alone(CACHE_DIR / f"{which}.lock"), interrupts_kept():
            return compile_for(signature)

    return compile_or_wait


@contextlib.contextmanager
def _alone(path: pathlib.Path) -> Iterator[None]:
    """Wait for whoever else holds a file; where files cannot be held, go on. It is let go if the process dies."""
    with contextlib.ExitStack() as held:
        with contextlib.suppress(OSError):
            fcntl.flock(held.enter_context(path.open("a")), fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def interrupts_kept() -> Iterator[None]:
    """Context in which Ctrl-C is heard in a call back from C as well: there it is reported as an error that is ignored.

    LLVM hands over machine code in such a call, and it is then that Python hears of what came in the long time before.
    Numba finds no machine code and fails; what is raised here instead is what was lost.
    """
    lost: list[BaseException] = []
    report = sys.unraisablehook

    def keep(ignored: Any) -> None:
        if isinstance(ignored.exc_value, KeyboardInterrupt):
            lost.append(ignored.exc_value)
        else:
            report(ignored)

    sys.unraisablehook = keep
    try:
        yield
    except BaseException:
        if not lost:
            raise
    finally:
        sys.unraisablehook = report
    if lost:
        raise lost[0]


def kernel(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a function of scalars and arrays, serially."""
    return _compiled(function)


def inline(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile an `inner` function that disappears into whatever calls it: a scalar one, or one that is called in one place.

    An array is passed as seven numbers or more, and a table of arrays as hundreds: in short steps such calls took a fifth of
    the time.
    """
    return _compiled(function, **_INLINE)


def inner(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a function for inner loops, which must not allocate arrays.

    It holds no references of its own to its arrays: counting them up and down, atomically, at every call and view cost
    more than the work itself (e-prop+ on N-MNIST ran 3 times slower). The caller keeps the arrays alive, and is
    compiled itself. Called from Python it is compiled once more, with a way in (see `outer`).
    """
    return _compiled(function, **_INNER)


def outer(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a function like `inner`, but one that is called from Python foremost."""
    return _compiled(function, **_OUTER)


def apart(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile an `inner` function none of whose arrays overlaps another that is written.

    The compiler then needs no check of that, and vectorises loops over more arrays than it would ever check.
    """
    return _compiled(function, **_APART)


def parallel_kernel(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a function whose ``prange`` loops run on threads."""
    return _compiled(function, parallel=_PARALLEL)


def bind(
    template: Callable[..., Any], name: str, *, parallel: bool = False, inlined: bool = False, apart: bool = False,
    outer: bool = False, **bound: Any,
) -> Callable[..., Any]:  # fmt: skip
    """Compile ``template`` with some of its global names replaced by ``bound``.

    A function passed as an argument, or closed over, would never be found in the disk cache. Replacing a *global*
    keeps the cache working, as long as each combination has its own qualified name: ``name`` must differ whenever
    ``bound`` does. Like `inner`, the result must not allocate; ``inlined``, ``apart`` and ``outer`` make it like `inline`,
    `apart` and `outer`.
    """
    made = types.FunctionType(template.__code__, {**template.__globals__, **bound}, name, template.__defaults__)
    made.__qualname__ = name
    made.__doc__ = template.__doc__
    made.__module__ = template.__module__
    options = {**(_OUTER if outer else _INNER), "forceinline": inlined, "noalias": apart}
    return _compiled(made, parallel=parallel and _PARALLEL, **options)


@functools.cache
def _start_threads() -> None:
    """Start Numba's threads, once, and not from the caller's thread.

    Numba sets OpenMP's number of threads for whoever starts them. NEST in the same process counts on that number being
    its own and would crash at its next call.
    """
    starter = threading.Thread(target=numba.set_num_threads, args=(1,))
    starter.start()
    starter.join()


def _tick(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    """Code of `ticks`: the counter of the processor that user programs may read, and that no throttling slows."""
    name = "llvm.readcyclecounter" if platform.machine().lower() in ("x86_64", "amd64") else "llvm.readsteadycounter"
    word = ir.IntType(64)
    return builder.call(cgutils.get_or_insert_function(builder.module, ir.FunctionType(word, []), name), [])


@numba.extending.intrinsic  # type: ignore[untyped-decorator]
def _compiled_ticks(typing: Any) -> Any:
    return numba.int64(), _tick


def _fetch(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    """Code of `fetch`: a hint to the processor, which ignores places that do not exist."""
    array = context.make_array(signature.args[0])(context, builder, arguments[0])
    byte, word = ir.IntType(8).as_pointer(), ir.IntType(32)
    place = builder.bitcast(builder.gep(array.data, [arguments[1]]), byte)
    hint = ir.FunctionType(ir.VoidType(), [byte, word, word, word])
    read, soon, data = word(0), word(3), word(1)
    builder.call(cgutils.get_or_insert_function(builder.module, hint, "llvm.prefetch.p0i8"), [place, read, soon, data])
    return context.get_dummy_value()


@numba.extending.intrinsic  # type: ignore[untyped-decorator]
def _compiled_fetch(typing: Any, array: Any, index: Any) -> Any:
    return numba.void(array, index), _fetch


def _claim(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    """Code of `claim`."""
    count, word = context.make_array(signature.args[0])(context, builder, arguments[0]).data, ir.IntType(64)
    return builder.atomic_rmw("add", count, word(1), "monotonic")


@numba.extending.intrinsic  # type: ignore[untyped-decorator]
def _compiled_claim(typing: Any, count: Any) -> Any:
    return numba.int64(count), _claim


def _held(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    """Code of `held`."""
    given = context.make_array(signature.args[0])(context, builder, arguments[0])
    moved = context.make_array(signature.return_type)(context, builder, arguments[0])
    moved.data = builder.gep(given.data, [arguments[1]])
    return moved._getvalue()


@numba.extending.intrinsic  # type: ignore[untyped-decorator]
def _compiled_held(typing: Any, array: Any, offset: Any) -> Any:
    return array(array, numba.int64), _held


@functools.cache
def rows_of(entries: int) -> Callable[..., Any]:
    """``rows(array, a)``: the first ``entries`` rows of ``array[a]``, each as an array of its own.

    A function compiled by `apart` that is given them knows that they do not overlap, which a loop over rows of one table has to
    find out each time: for 50 neurons that took as long as the loop.
    """

    @numba.extending.intrinsic  # type: ignore[untyped-decorator]
    def rows(typing: Any, array: Any, a: Any) -> Any:
        row = numba.types.Array(array.dtype, 1, "C")

        def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            table = context.make_array(array)(context, builder, arguments[0])
            _, height, width = cgutils.unpack_tuple(builder, table.shape)
            stride, made = cgutils.unpack_tuple(builder, table.strides)[-1], []
            first = builder.mul(arguments[1], height)
            for c in range(entries):
                one = context.make_array(row)(context, builder)
                place = builder.gep(table.data, [builder.mul(builder.add(first, width.type(c)), width)])
                populate_array(one, place, [width], [stride], table.itemsize, table.meminfo)
                made.append(one._getvalue())
            return context.make_tuple(builder, signature.return_type, made)

        return numba.types.UniTuple(row, entries)(array, numba.uint64), code

    def plain(array: Any, a: Any) -> tuple[Any, ...]:
        """Like the compiled one."""
        return tuple(array[a, :entries])

    return plain if JIT_DISABLED else rows


if JIT_DISABLED:
    ticks = time.perf_counter_ns

    def claim(count: Any) -> int:
        """The next number."""
        count[0] += 1
        return int(count[0]) - 1

    def held(array: Any, offset: Any) -> Any:
        """The array: its columns are alike."""
        return array

    def fetch(array: Any, index: Any) -> None:
        """Nothing."""
else:
    # Let the processor fetch an element of an array (contiguous, the index is that of the flattened one) that will be read soon.
    fetch = _compiled_fetch
    # An array (contiguous) seen from ``offset`` entries further on: where columns are alike, all can be read from one of them,
    # which the compiler then does once.
    held = _compiled_held
    # Count on from ``count[0]`` (int64), and return what it was: whichever thread asks, each gets a number of its own.
    claim = _compiled_claim
    # Ticks since some moment; how long one is differs from machine to machine. Reading them takes a few nanoseconds.
    ticks = _compiled_ticks


def set_threads(count: int) -> None:
    """Let the next parallel region use ``count`` threads (at most as many as Numba started with)."""
    _start_threads()
    numba.set_num_threads(max(1, min(count, numba.config.NUMBA_NUM_THREADS)))


def available_threads() -> int:
    """Threads Numba can use in this process."""
    return int(numba.config.NUMBA_NUM_THREADS)


def describe() -> dict[str, Any]:
    """Versions and settings that matter for speed, for ``eprop info``."""
    try:
        layer = numba.threading_layer()
    except ValueError:  # no parallel region has run yet
        layer = f"{numba.config.THREADING_LAYER} (not started)"
    return {
        "numba": numba.__version__,
        "threading_layer": layer,
        "threads": available_threads(),
        "jit": not JIT_DISABLED,
        "kernel_cache": str(CACHE_DIR),
    }


@contextlib.contextmanager
def watch_compiling(started: Callable[[], None]) -> Iterator[None]:
    """Call ``started`` whenever a function is compiled instead of loaded from the cache."""

    class Listener(event.Listener):  # type: ignore[misc]
        def on_start(self, event: Any) -> None:
            started()

        def on_end(self, event: Any) -> None:
            pass

    with event.install_listener("numba:compile", Listener()):
        yield
