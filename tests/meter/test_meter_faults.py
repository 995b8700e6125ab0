"""Threads, forks, subinterpreters and the end of the interpreter: no crash, no deadlock, no read of freed memory."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch

from core.meter import engines, python_engine
from core.utils.meters import Meter

ENGINES = pytest.mark.parametrize("engine", engines.available())
NEEDS_EXTENSION = pytest.mark.skipif("c++" not in engines.available(), reason="the extension is not built")

EXIT_WITH_THREADS = """
import sys, threading, time
import numpy as np
from core.utils.meters import Meter

engine = sys.argv[1]
large = np.ones(2_000_000 if engine == "c++" else 20_000)
plain, pairs = Meter(engine=engine), Meter(pairs=[("a", "b")], engine=engine)
calls = {
    "large": lambda: plain.update(x=large),
    "converted": lambda: plain.update({"x": np.arange(10)[::2]}),
    "pairs": lambda: pairs.update(a=large, b=large),
    "merge": lambda: plain.merge(other),
}
other = Meter("x", engine=engine)
begun = threading.Semaphore(0)
def work(call):
    call()
    begun.release()
    while True:
        call()
for call in 2 * [calls[name] for name in sys.argv[2].split(",")]:
    threading.Thread(target=work, args=(call,), daemon=True).start()
    begun.acquire()
"""


def run_python(program: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-W", "ignore", "-c", program, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


@ENGINES
@pytest.mark.parametrize("calls", ["large", "converted", "large,converted,pairs,merge"])
def test_the_interpreter_ends_while_daemon_threads_update(engine: str, calls: str) -> None:
    ended = run_python(EXIT_WITH_THREADS, engine, calls)
    assert (ended.returncode, ended.stderr) == (0, "")


@NEEDS_EXTENSION
def test_the_extension_refuses_a_subinterpreter() -> None:
    names = [name for name in ("_interpreters", "_xxsubinterpreters") if name in sys.builtin_module_names]
    module = names[0] if names else "_xxsubinterpreters" if sys.version_info < (3, 13) else "_interpreters"
    program = f"""
import {module} as interpreters
code = '''
try:
    import core._meter
except ImportError as error:
    print(error)
try:
    import numpy
except ImportError as error:
    print("NumPy:", error)
else:
    from core.utils.meters import Meter
    meter = Meter()
    meter.update(x=[1.0, 3.0])
    print(meter.engine, meter.mean("x"))
'''
interpreters.run_string(interpreters.create(), code)
"""
    ended = run_python(program)
    assert ended.returncode == 0, ended.stderr
    refused, rest = ended.stdout.split("\n", 1)
    assert "main interpreter only" in refused or "does not support" in refused
    # From Python 3.12 on, NumPy refuses a subinterpreter, too, and without it there is no meter.
    assert rest == "python 2.0\n" or (sys.version_info >= (3, 12) and rest.startswith("NumPy:"))


@pytest.fixture
def no_switches() -> Iterator[None]:
    """Let threads switch only where one of them releases the GIL itself."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1000)
    yield
    sys.setswitchinterval(before)


def array_of_its_own(size: int) -> "tuple[object, Callable[[], None]]":
    array = np.zeros(size)
    return array, lambda: array.resize(10, refcheck=False)


def view(size: int) -> "tuple[object, Callable[[], None]]":
    array = np.zeros(size)
    return array[1:], lambda: array.resize(10, refcheck=False)


def strided_view(size: int) -> "tuple[object, Callable[[], None]]":
    array = np.zeros(2 * size)
    return array[::2], lambda: array.resize(10, refcheck=False)


def array_on_a_bytearray(size: int) -> "tuple[object, Callable[[], None]]":
    memory = bytearray(8 * size)
    return np.frombuffer(memory), memory.clear


def tensor(size: int) -> "tuple[object, Callable[[], None]]":
    values = torch.zeros(size)
    values.numpy()  # from here on, torch refuses to resize the storage
    return values, lambda: values.untyped_storage().resize_(0) and None


@ENGINES
@pytest.mark.usefixtures("no_switches")
@pytest.mark.parametrize("make", [array_of_its_own, view, strided_view, array_on_a_bytearray, tensor])
@pytest.mark.parametrize("pairs", [[], [("a", "b")]], ids=["alone", "pair"])
def test_memory_cannot_be_freed_during_an_update(
    engine: str, make: "Callable[[int], tuple[object, Callable[[], None]]]", pairs: "list[tuple[str, str]]"
) -> None:
    meter = Meter(pairs=pairs, engine=engine)
    meter.update(a=[1.0], b=[1.0])  # what is imported late is imported now
    values, free = make(2**21 if engine == "c++" else 2**16)
    begun, added = threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        meter.update(a=values, b=values)
        added.set()

    thread = threading.Thread(target=work)
    thread.start()
    begun.wait()  # the thread has released the GIL: to sum, or at its end
    refusal = ""
    try:
        free()
    except (ValueError, RuntimeError, BufferError) as refused:
        refusal = str(refused)
    assert "resiz" in refusal or "re-sized" in refusal or added.is_set()
    thread.join()


@ENGINES
def test_an_array_can_be_resized_after_the_update(engine: str) -> None:
    array = np.ones(20_000)
    meter = Meter(engine=engine)
    meter.update(x=array)
    array.resize(10, refcheck=False)
    meter.update(x=array)
    assert meter.count("x") == 20_010


@ENGINES
@pytest.mark.parametrize("shape", [(), (100_000,)])
def test_a_tensor_whose_storage_was_freed_is_refused(engine: str, shape: "tuple[int, ...]") -> None:
    meter = Meter("x", engine=engine)
    values = torch.ones(shape)
    values.untyped_storage().resize_(0)
    with pytest.raises(TypeError, match=r"x: got a Tensor.*storage has been freed"):
        meter.update(x=values)
    assert meter.count("x") == 0


@ENGINES
@pytest.mark.parametrize("in_a_list", [False, True])
def test_an_element_of_a_freed_storage_is_refused(engine: str, in_a_list: bool) -> None:
    meter = Meter("x", engine=engine)
    element = torch.arange(2**20)[2**20 - 1]  # its address is now null plus 8 MiB
    element.untyped_storage().resize_(0)
    with pytest.raises(TypeError, match=r"x.*: got a Tensor.*storage has been freed"):
        meter.update(x=[element] if in_a_list else element)
    assert meter.count("x") == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_forked_process_can_use_a_meter_that_a_thread_was_updating(monkeypatch: pytest.MonkeyPatch) -> None:
    meter = Meter(engine="python")
    meter.update(x=[1.0, 2.0])
    locked, go_on = threading.Event(), threading.Event()
    check_capacity = python_engine.check_capacity

    def wait_while_locked(*arguments: object) -> None:
        if threading.current_thread() is thread:
            locked.set()
            go_on.wait()
        check_capacity(*arguments)  # type: ignore[arg-type]  # passed on as it came

    monkeypatch.setattr(python_engine, "check_capacity", wait_while_locked)
    thread = threading.Thread(target=lambda: meter.update(x=[30.0]))
    thread.start()
    locked.wait()
    child = os.fork()
    if child == 0:
        import signal

        signal.alarm(20)  # ends a deadlock
        meter.update(x=6.0)
        os._exit(0 if (meter.mean("x"), meter.count("x")) == (3.0, 3) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    go_on.set()
    thread.join()
    assert (meter.mean("x"), meter.count("x")) == (11.0, 3)
