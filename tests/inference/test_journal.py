"""Two processes that share a folder of results."""

import pytest

from s2a_jax.errors import UserError
from s2a_jax.inference.journal import Finished, Journal, Settings, Shard


def test_a_process_with_other_weights_adds_nothing_and_blocks_nobody(tmp_path):
    first = Journal(tmp_path, Settings("one", 0.5), Shard(0, 2))
    second = Journal(tmp_path, Settings("two", 0.5), Shard(1, 2))
    row = Finished("eye", [], [], (4, 4), 1, 2, ())
    first.add(row)
    for _ in range(2):  # also what threads hand in after the refusal
        with pytest.raises(UserError, match="predicted by other weights"):
            second.add(row)
    assert [path.name for path in tmp_path.iterdir()] == ["predictions-0-of-2.jsonl"]
    assert first.finished([]) == {}  # no journal of other weights to stumble over
