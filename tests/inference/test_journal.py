"""Two processes that share a folder of results."""

import threading
import time

import pytest

from s2a_jax.errors import UserError
from s2a_jax.files import alone
from s2a_jax.inference import journal
from s2a_jax.inference.journal import Finished, Journal, Shard


def test_a_process_with_other_weights_adds_nothing_and_blocks_nobody(tmp_path):
    first = Journal(tmp_path, "eyes", {"version": "1.0", "weights": "one"}, Shard(0, 2))
    second = Journal(tmp_path, "eyes", {"version": "1.0", "weights": "two"}, Shard(1, 2))
    row = Finished("eye", [], [], {"rv_px": 1}, ())
    first.add(row)
    for _ in range(2):  # also what threads hand in after the refusal
        with pytest.raises(UserError, match="made by other weights"):
            second.add(row)
    assert [path.name for path in tmp_path.iterdir()] == ["eyes-0-of-2.jsonl"]
    assert first.finished([]) == {}  # no journal of other weights to stumble over


def test_a_lock_that_another_process_tries_for_a_moment_is_not_taken_for_a_run(
    tmp_path, monkeypatch
):
    """A lock file that a command without shards left behind, on which two shards meet."""
    mine = Journal(tmp_path, "eyes", {"version": "1.0", "weights": "one"}, Shard(0, 2))
    is_held, entered = threading.Event(), []

    def hold(seconds):
        with alone(tmp_path / ".lock", "the test"):
            is_held.set()
            time.sleep(seconds)

    for seconds, patience in ((0.3, 5.0), (0.6, 0.1)):
        monkeypatch.setattr(journal, "_PATIENCE", patience)
        is_held.clear()
        other = threading.Thread(target=hold, args=[seconds])
        other.start()
        assert is_held.wait(10)
        if seconds < patience:
            with mine.alone():
                entered.append(seconds)
        else:  # a run, not a glance
            with pytest.raises(UserError, match="Another run is at work"), mine.alone():
                entered.append(seconds)
        other.join()
    assert entered == [0.3]


def test_results_of_another_version_are_refused(tmp_path):
    row = Finished("eye", [], [], {"rv_px": 1}, ())
    Journal(tmp_path, "eyes", {"version": "1.0", "weights": "one"}, Shard(0, 1)).add(row)
    newer = Journal(tmp_path, "eyes", {"version": "1.1", "weights": "one"}, Shard(0, 1))
    with pytest.raises(UserError, match=r"by version 1\.0 of s2a-jax, not 1\.1; give another"):
        newer.finished([])


def test_a_file_of_the_user_is_no_journal(tmp_path):
    (tmp_path / "eyes_notes.jsonl").write_text("no journal\n")
    assert Journal(tmp_path, "eyes", {"version": "1.0"}, Shard(0, 1)).finished([]) == {}
