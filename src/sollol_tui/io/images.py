"""Reading pictures from this machine's disk, as models take them."""

from __future__ import annotations

import base64
import os
import stat
from pathlib import Path

from sollol_tui.core import units
from sollol_tui.core.images import HEAD_BYTES, MOST_BYTES, Image, ImageRefused, kind_of


def read_image(path: str) -> Image | ImageRefused:
    """The picture at a path (`~` is the home directory), or why there is none.

    What it is, its first bytes say, whatever its name is. Nothing but a plain file is opened: a
    pipe or a device might never end.
    """
    place = Path(path).expanduser()
    try:
        about = place.stat()
        if stat.S_ISDIR(about.st_mode):
            return ImageRefused(path, "it is a directory")
        if not stat.S_ISREG(about.st_mode):
            return ImageRefused(path, "it is no plain file")
        with place.open("rb") as file:
            head = file.read(HEAD_BYTES)
            kind = kind_of(head)
            if kind is None:
                return ImageRefused(path, "it is no image (PNG, JPEG, WebP or GIF)")
            if about.st_size > MOST_BYTES:
                return ImageRefused(path, f"{units.size(about.st_size)} is too large")
            data = head + file.read(MOST_BYTES + 1 - len(head))
    except FileNotFoundError:
        return ImageRefused(path, "there is no such file")
    except PermissionError:
        return ImageRefused(path, "it may not be read")
    except (OSError, ValueError, RuntimeError) as error:  # a name too long, with NUL, of nobody
        return ImageRefused(path, _words(error))
    if len(data) > MOST_BYTES:  # it grew meanwhile
        return ImageRefused(path, "it is too large")
    return Image(place.name, kind, len(data), base64.b64encode(data).decode("ascii"))


def _words(error: Exception) -> str:
    if isinstance(error, OSError) and error.errno is not None:
        return os.strerror(error.errno).lower()
    return str(error)
