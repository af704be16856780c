"""A file that is whole after every record, whenever the program dies."""

from __future__ import annotations

import contextlib
import errno
import os
from pathlib import Path

from streamer.errors import OutputError

__all__ = ["RecordFile", "output_error"]


class RecordFile:
    """Appends records, each with a single write to the operating system.

    What has been written survives a killed process, whole; after a crash of the machine the last
    seconds may be missing (no fsync). A record that does not fit on the disk is taken out again,
    so the file stays valid. ``-`` is standard output.
    """

    def __init__(self, path: str | Path, *, keep: bool = False) -> None:
        """``keep`` goes on behind what is there; otherwise the file is emptied."""
        self.path = str(path)
        self._own = self.path != "-"
        self._name = self.path if self._own else "standard output"
        try:
            if self._own:
                Path(path).parent.mkdir(parents=True, exist_ok=True)
                flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | (0 if keep else os.O_TRUNC)
                self._fd = os.open(path, flags, 0o644)
            else:
                self._fd = 1
        except OSError as error:
            raise output_error(self._name, error) from error
        self._size = os.fstat(self._fd).st_size if self._own else 0

    def append(self, record: str) -> None:
        """Write one record. Raises OutputError; the file then ends with the record before."""
        data = record.encode()
        try:
            written = os.write(self._fd, data)
            while written < len(data):
                written += os.write(self._fd, data[written:])
        except OSError as error:
            if self._own:
                with contextlib.suppress(OSError):
                    os.ftruncate(self._fd, self._size)
            raise output_error(self._name, error) from error
        self._size += len(data)

    def close(self) -> None:
        """Give the file back."""
        if self._own and self._fd >= 0:
            os.close(self._fd)
        self._fd = -1


def output_error(where: str, error: OSError) -> OutputError:
    """What to tell the user when ``where`` could not be written."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return OutputError(
            f"There is no room left for {where}; what was written before is whole.",
            code="output.disk-full",
            hint="Free some space or write elsewhere.",
        )
    if error.errno == errno.EPIPE:
        return OutputError(
            f"Nobody reads {where} any more.",
            code="output.closed",
            hint="The program behind the pipe has ended.",
        )
    return OutputError(
        f"{where} cannot be written: {error.strerror}.",
        code="output.unwritable",
        hint="Check the path and its permissions.",
    )
