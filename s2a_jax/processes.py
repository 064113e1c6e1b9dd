"""Several processes that work as one program: their start, their agreements, the death of one.

Each process holds some of the devices, and all run the same program. What one of them alone learns
(a mistake, a signal) is passed on through the key-value store of JAX's coordination service, which
process 0 runs; devices take no part in it.
"""

import contextlib
import inspect
import itertools
import json
import math
import os
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple, NoReturn, TypeVar

from s2a_jax.errors import UserError

T = TypeVar("T")

_ENVIRONMENT = {
    "coordinator": "JAX_COORDINATOR_ADDRESS",
    "processes": "JAX_NUM_PROCESSES",
    "process": "JAX_PROCESS_ID",
}
"""Flag -> environment variable with the same meaning."""
_LAUNCHERS = ("SLURM_STEP_NUM_TASKS", "OMPI_COMM_WORLD_SIZE")
"""Variables with the number of processes that a launcher known to JAX started."""
_WAIT = 3600  # s; the longest that processes wait for each other, as for a compilation
_BEAT = 2.0  # s; how often a process shows that it lives
_SILENCE = 30.0  # s; when it counts as dead
_PIECE = 2**19  # characters of one message between processes
_READ_TOGETHER = 8  # batches of an evaluation between two agreements, in memory at once
_JAX_SILENCE = 120  # s; JAX ends a process without a sentence: later than we do

_ALIVE, _AGREED = "s2a_jax/alive/", "s2a_jax/agreed/"
_codes: list[int] = []  # the exit code, once this process has finished its work
_mistakes: list[str] = []  # that this process has found outside of an agreement
_names = itertools.count()  # of agreements; all processes reach them in the same order


def start(coordinator: str | None, processes: int | None, process: int | None) -> None:
    """Connects this process with the others, before JAX is used.

    Without any value, environment variable or launcher this is the only process, and nothing
    happens.

    Args:
        coordinator: HOST:PORT of process 0, or "auto": JAX asks the cluster (Cloud TPU, SLURM,
            Kubernetes, Open MPI); None: the environment variable.
        processes: their number.
        process: which of them this is.

    Raises:
        UserError: values that do not fit together, or the others cannot be reached.
    """
    given = {"coordinator": coordinator, "processes": processes, "process": process}
    given = {
        flag: os.environ.get(_ENVIRONMENT[flag]) if value is None else value
        for flag, value in given.items()
    }
    is_launched = any(int(os.environ.get(name, 1)) > 1 for name in _LAUNCHERS)
    if not any(given.values()) and given["process"] is None and not is_launched:
        return
    address = given["coordinator"]
    if address in (None, "auto"):
        if not is_launched and address is None:
            raise UserError(
                "--processes and --process need --coordinator=HOST:PORT, the address of process 0."
            )
        count = index = address = None
    else:
        count, index = _whole(given, "processes"), _whole(given, "process")
        if not 0 <= index < count or ":" not in address:
            raise UserError(
                f"--coordinator={address} --processes={count} --process={index}: expected "
                "HOST:PORT, and a process from 0 to processes - 1."
            )
        if count == 1:
            return
    import jax

    timeouts = {"heartbeat_timeout_seconds": _JAX_SILENCE}
    if "shutdown_timeout_seconds" in inspect.signature(jax.distributed.initialize).parameters:
        timeouts["shutdown_timeout_seconds"] = 30  # the first releases that we support lack it
    try:
        jax.distributed.initialize(address, count, index, **timeouts)
    except (RuntimeError, ValueError) as error:  # JAX's errors of all kinds, with long messages
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise UserError(
            f"The processes cannot be connected ({reason}); check the coordinator's address, and "
            "that all processes were started."
        ) from error
    threading.Thread(target=_watch, name="watch", daemon=True).start()


def _whole(given: dict[str, Any], flag: str) -> int:
    value = given[flag]
    try:
        return int(value)
    except (TypeError, ValueError):
        shown = "is missing" if value is None else f"={value} is no whole number"
        raise UserError(
            f"--{flag} {shown}; --coordinator, --processes and --process belong together (or "
            f"{', '.join(_ENVIRONMENT.values())})."
        ) from None


def count() -> int:
    """Number of processes."""
    return _state().num_processes if _client() is not None else 1


def index() -> int:
    """Which of them this is; 0 is the only one that writes files other than checkpoints."""
    return _state().process_id if _client() is not None else 0


def is_first() -> bool:
    """Whether this process writes and prints."""
    return index() == 0


def gathered(text: str) -> list[str]:
    """The text of every process, in the order of the processes; all of them must call this.

    Raises:
        UserError: a process does not answer for an hour.
    """
    client = _client()
    if client is None:
        return [text]
    number = next(_names)
    client.key_value_set(f"{_AGREED}{number}/{index()}", text)
    try:
        texts = [
            client.blocking_key_value_get(f"{_AGREED}{number}/{i}", _WAIT * 1000)
            for i in range(count())
        ]
    except RuntimeError as error:
        raise UserError(f"The other processes do not answer ({_line(error)}).") from error
    if is_first() and number:  # all have come here, so nobody reads the one before any more
        client.key_value_delete(f"{_AGREED}{number - 1}/")
    return texts


def exchanged(work: Callable[[], list[str]]) -> list[list[str]]:
    """Does this process's work, and returns the lines that the work of each process returned.

    All processes must call this.

    Args:
        work: returns lines of ASCII, none empty; a mistake in it is the mistake of all.

    Raises:
        UserError: the work of a process raised it, or a process does not answer for an hour.
    """
    with together():
        whole = "\n".join(work())
    pieces = [whole[start : start + _PIECE] for start in range(0, len(whole), _PIECE)]
    received: list[list[str]] = [[] for _ in range(count())]
    for i in range(max(map(int, gathered(str(len(pieces)))))):
        for own, piece in zip(received, gathered("".join(pieces[i : i + 1])), strict=True):
            own.append(piece)
    texts = ("".join(own) for own in received)
    return [text.split("\n") if text else [] for text in texts]


class KnownMistakeError(UserError):
    """A mistake of one process that all know of."""


@contextlib.contextmanager
def together() -> Iterator[None]:
    """Makes a mistake that one process finds the mistake of all, so that none waits for it.

    Inside another `together`, a mistake ends both: one process may find it in the outer one while
    others are in the inner one.
    """
    mistake, found = "", None
    try:
        yield
    except KnownMistakeError:
        raise
    except UserError as error:
        if count() == 1:
            raise
        mistake, found = str(error) or "unknown", error
    for number, text in enumerate(gathered(mistake)):
        if found is not None:
            known = KnownMistakeError(mistake)
            known.exit_code = found.exit_code
            raise known from found
        if text:
            raise KnownMistakeError(f"Process {number}: {text}")


def barrier() -> None:
    """Waits until all processes are here.

    Raises:
        KnownMistakeError: another process has found a mistake and does not come.
    """
    with together():
        pass


@contextlib.contextmanager
def announced() -> Iterator[None]:
    """Tells the others of a mistake that this process has found outside of an agreement.

    They may wait for it in a collective, so that no exception reaches them: `_watch` ends them with
    its sentence.
    """
    try:
        yield
    except KnownMistakeError:
        raise
    except UserError as error:
        _mistakes.append(str(error))
        raise


def read_together(batches: Iterable[T]) -> Iterator[T]:
    """Yields batches that all processes could read, so that none waits in a collective for another.

    Several processes read a few batches, agree that all could, and use them then. All must call
    this, for the same number of batches.

    Raises:
        UserError: a process cannot read a batch.
    """
    batches = iter(batches)
    if count() == 1:
        yield from batches
        return
    while True:
        with together():
            group = list(itertools.islice(batches, _READ_TOGETHER))
        if not group:
            return
        yield from group


class CompiledTogether:
    """A jitted function that no process runs before all have compiled it.

    Processes that compile for different times would otherwise wait inside a collective, which gives
    up after 30 seconds on CPUs.
    """

    def __init__(self, jitted: Callable[..., Any]):
        self.jitted, self._programs = jitted, {}

    def __call__(self, *arguments: Any) -> Any:
        """Calls the function with arrays; shapes and types choose the program."""
        import jax

        leaves = jax.tree.leaves(arguments)
        key = tuple((leaf.shape, leaf.dtype) for leaf in leaves)
        if key not in self._programs:
            self._programs[key] = self.jitted.lower(*arguments).compile()
            barrier()
        return self._programs[key](*arguments)


def compiled_together(jitted: Callable[..., Any]) -> Callable[..., Any]:
    """The function itself for one process."""
    return CompiledTogether(jitted) if count() > 1 else jitted


def _state() -> Any:
    from jax._src import distributed  # the only way to the store; orbax takes it too

    return distributed.global_state


def _client() -> Any:
    return _state().client if "jax" in sys.modules else None


class _Sign(NamedTuple):
    """A sign of life of a process.

    Attributes:
        beat: how many came before.
        code: the exit code once the process has finished its work, or None.
        mistake: what `announced` tells, or "".
    """

    beat: int
    code: int | None
    mistake: str


def _watch() -> None:
    """Ends this process with a sentence when another one is dead, or has failed alone."""
    client, others = _client(), [i for i in range(count()) if i != index()]
    answered = time.monotonic()
    seen: dict[int, tuple[_Sign | None, float]] = {i: (None, answered) for i in others}  # last new
    failed = dict.fromkeys(others, answered)  # when it was last known not to have failed
    for beat in itertools.count():
        if client is not _client():  # shut down
            return
        try:
            _show_sign(client, beat)
            signs = _signs(client)
            answered = time.monotonic()
        except RuntimeError as error:  # process 0, where the store is, has gone
            if time.monotonic() - answered > _SILENCE / 2 and not _codes:
                end(f"process 0 has gone ({_line(error)})")
        else:
            for i in others:
                sign = signs.get(i)
                if sign != seen[i][0]:
                    seen[i] = (sign, answered)
                elif sign and answered - seen[i][1] > _SILENCE:
                    end(f"process {i} has been silent for {_SILENCE:.0f} seconds")
                if sign is None or not sign.code:
                    failed[i] = answered
                elif answered - failed[i] > _SILENCE and not _codes:
                    end(f"process {i} has failed")
                if sign is not None and sign.mistake and not _codes and not _mistakes:
                    _codes.append(2)
                    _show_sign(client, beat)  # so that nobody waits for this process
                    print(f"error: Process {i}: {sign.mistake}", file=sys.stderr, flush=True)
                    _disconnect()
                    os._exit(2)
        time.sleep(_BEAT)


def _show_sign(client: Any, beat: int) -> None:
    sign = _Sign(beat, *(_codes[:1] or [None]), *(_mistakes[:1] or [""]))
    client.key_value_set(f"{_ALIVE}{index()}", json.dumps(sign), allow_overwrite=True)


def _signs(client: Any) -> dict[int, _Sign]:
    """Process -> its newest sign of life."""
    signs = client.key_value_dir_get(_ALIVE)
    return {int(key.rpartition("/")[2]): _Sign(*json.loads(sign)) for key, sign in signs}


def finish(code: int) -> None:
    """Waits until all processes have finished, so that none loses process 0, and disconnects.

    Args:
        code: the exit code of this process.
    """
    client = _client()
    if client is None:
        return
    _codes.append(code)
    deadline = time.monotonic() + 2 * _SILENCE if code else math.inf
    while time.monotonic() < deadline:
        try:
            signs = _signs(client)
        except RuntimeError:  # process 0 has left already
            return
        if len(signs) == count() and all(sign.code is not None for sign in signs.values()):
            break
        time.sleep(_BEAT / 10)
    _disconnect()


def _disconnect() -> None:
    import jax

    with contextlib.suppress(RuntimeError):  # another process did not wait
        jax.distributed.shutdown()


def is_lost(error: Exception) -> bool:
    """Whether an error of JAX means that another process has gone."""
    return count() > 1 and any(
        text in str(error) for text in ("Gloo", "Connection", "heartbeat", "UNAVAILABLE")
    )


def end_lost(error: Exception) -> NoReturn:
    """Ends the program after an error that `is_lost` recognises."""
    end(f"the connection to another process broke ({_line(error)})")


def end(reason: str) -> NoReturn:
    """Ends the program at once with exit code 1; JAX would wait for the others, and then abort."""
    print(
        f"error: {reason[0].upper()}{reason[1:]}; this process ends too. Start all processes "
        "again: the run resumes from its last checkpoint.",
        file=sys.stderr,
        flush=True,
    )
    os._exit(1)


def _line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
