"""What `--help` prints."""

import pytest

from s2a_jax.cli import COMMANDS, main


@pytest.mark.parametrize("command", COMMANDS)
def test_help_is_for_people(command, capsys):
    with pytest.raises(SystemExit) as raised:
        main([command, "--help"])
    assert raised.value.code == 0
    printed = capsys.readouterr().out
    assert "%%" not in printed and "%(" not in printed
    assert ("2 to 6.5 mm" in " ".join(printed.split())) == (command == "prepare")
