"""Errors read well and codes are stable."""

from __future__ import annotations

from streamer import errors
from streamer.errors import InputError, StreamerError


def test_an_error_says_what_why_and_its_code() -> None:
    error = InputError("There is no file a.wav.", code="audio.not-found", hint="Check the path.")
    assert str(error) == "There is no file a.wav. Check the path. [audio.not-found]"


def test_every_error_of_the_tree_has_an_exit_code_of_its_own() -> None:
    classes = [getattr(errors, name) for name in errors.__all__]
    assert all(issubclass(cls, StreamerError) for cls in classes)
    assert len({cls.exit_code for cls in classes}) == len(classes)
