"""What create, update, delete, read and preview of a command do; the same for local and remote ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.contract.resource import UNKNOWN, Failed, Resource, failure

if TYPE_CHECKING:
    from pathlib import Path


def test_create_runs_the_command_and_keeps_both_streams(command: Resource) -> None:
    made = command.create(create="echo out; echo problem >&2")
    assert (made["stdout"], made["stderr"]) == ("out", "problem")


def test_the_state_holds_every_input_and_both_outputs(command: Resource) -> None:
    made = command.create(create="true", delete="true", triggers=["one", 2.0])
    inputs = {"create": "true", "delete": "true", "triggers": ["one", 2.0], "stdout": "", "stderr": ""}
    assert {name: made[name] for name in inputs} == inputs
    assert made.properties.keys() - inputs.keys() <= {"connection"}


def test_an_id_begins_with_the_name_and_is_never_the_same(command: Resource) -> None:
    first, second = command.create(), command.create()
    assert first.id.startswith("web1")
    assert second.id.startswith("web1")
    assert first.id != second.id


def test_an_output_loses_one_newline_at_its_end_and_nothing_else(command: Resource) -> None:
    assert command.create(create=r"printf '\n  a\n\n'")["stdout"] == "\n  a\n"
    assert command.create(create=r"printf 'a '")["stdout"] == "a "


def test_without_create_nothing_runs_and_both_outputs_are_empty(command: Resource, note: Path) -> None:
    made = command.create(update=f"touch {note}", delete=f"touch {note}")
    assert (made["stdout"], made["stderr"]) == ("", "")
    assert not note.exists()


def test_stdin_goes_to_create_update_and_delete(command: Resource, note: Path) -> None:
    inputs = {"create": "cat", "update": "cat; echo again", "delete": f"cat > {note}"}
    made = command.create(**inputs, stdin="one\n")
    assert made["stdout"] == "one"
    made = command.update(made, **inputs, stdin="two\n")
    assert made["stdout"] == "two\nagain"
    command.delete(made)
    assert note.read_text() == "two\n"


def test_without_stdin_a_command_reads_nothing(command: Resource) -> None:
    assert command.create(create="cat; echo done")["stdout"] == "done"
    assert command.create(create="cat; echo done", stdin="")["stdout"] == "done"


def test_a_command_need_not_read_its_stdin(command: Resource) -> None:
    assert command.create(create="echo done", stdin="x" * 1_000_000)["stdout"] == "done"


def test_long_input_and_output_arrive_whole(command: Resource) -> None:
    text = "metrics tunnel\n" * 100_000
    assert command.create(create="cat", stdin=text, logging="none")["stdout"] == text.removesuffix("\n")


def test_text_beyond_ascii_arrives_as_it_is(command: Resource) -> None:
    assert command.create(create="cat; printf ' “tunnel”'", stdin="größer")["stdout"] == "größer “tunnel”"


def test_output_that_is_no_utf_8_fails_the_command(command: Resource) -> None:
    assert command.create(create=r"printf '\303\244'")["stdout"] == "ä"
    with pytest.raises(Failed) as caught:
        command.create(create=r"printf '\303'")
    assert "invalid UTF-8" in caught.value.text


def test_a_failed_create_fails_the_resource(command: Resource) -> None:
    with pytest.raises(Failed) as caught:
        command.create(create="exit 3", delete="true")
    assert caught.value.code == "UNKNOWN"
    assert command.create(create="exit 0", delete="true").id


def test_update_runs_update_with_the_new_inputs(command: Resource) -> None:
    made = command.create(create="echo created", update="echo old")
    assert command.update(made, create="echo created", update="echo new")["stdout"] == "new"


def test_without_update_an_update_runs_create(command: Resource) -> None:
    made = command.create(create="echo old")
    assert command.update(made, create="echo new")["stdout"] == "new"


def test_an_update_without_any_command_keeps_the_outputs(command: Resource) -> None:
    made = command.create(create="echo old; echo problem >&2")
    kept = command.update(made, delete="true")
    assert (kept["stdout"], kept["stderr"]) == ("old", "problem")
    assert "create" not in kept.properties


def test_a_failed_update_fails_and_may_be_tried_again(command: Resource, note: Path) -> None:
    made = command.create(create="echo old")
    attempt = f"test -e {note} && echo new"
    assert "status 1" in failure(command.update, made, create=attempt)
    note.touch()
    assert command.update(made, create=attempt)["stdout"] == "new"


def test_delete_runs_what_was_recorded(command: Resource, note: Path) -> None:
    made = command.create(delete=f"cat > {note}", stdin="recorded")
    assert not note.exists()
    command.delete(made)
    assert note.read_text() == "recorded"


def test_without_delete_a_delete_runs_nothing(command: Resource, note: Path) -> None:
    made = command.create(create=f"echo once >> {note}")
    command.delete(made)
    assert note.read_text() == "once\n"


def test_a_failed_delete_fails(command: Resource) -> None:
    made = command.create(delete="exit 4")
    assert "status 4" in failure(command.delete, made)


def test_a_preview_runs_nothing_and_knows_no_outputs(command: Resource, note: Path) -> None:
    shown = command.previewed().create(create=f"touch {note}")
    assert (shown["stdout"], shown["stderr"]) == (UNKNOWN, UNKNOWN)
    assert shown["create"] == f"touch {note}"
    assert not note.exists()
    command.create(create=f"touch {note}")
    assert note.exists()


def test_a_preview_of_an_update_runs_nothing_and_knows_no_outputs(command: Resource, note: Path) -> None:
    made = command.create(create="echo old")
    shown = command.previewed().update(made, create=f"touch {note}")
    assert (shown["stdout"], shown["stderr"]) == (UNKNOWN, UNKNOWN)
    assert not note.exists()
    command.update(made, create=f"touch {note}")
    assert note.exists()


def test_a_preview_of_an_update_with_no_change_knows_the_outputs(command: Resource) -> None:
    made = command.create(create="echo old")
    assert command.previewed().update(made, create="echo old")["stdout"] == "old"


def test_a_preview_of_an_update_that_only_adds_an_input_knows_the_outputs(command: Resource) -> None:
    made = command.create(create="echo old")
    assert command.previewed().update(made, create="echo old", update="echo new")["stdout"] == "old"
    assert command.previewed().update(made, update="echo new")["stdout"] == UNKNOWN


def test_an_update_takes_an_ignored_input_from_the_state(command: Resource) -> None:
    made = command.create(create="cat", stdin="old")
    assert command.update(made, create="cat", stdin="new", ignoring=["stdin"])["stdout"] == "old"
    assert command.update(made, create="cat", stdin="new")["stdout"] == "new"


def test_refresh_sees_nothing(command: Resource, note: Path) -> None:
    made = command.create(create=f"echo ran >> {note}")
    note.unlink()
    assert command.read(made) == made
    assert not note.exists()
