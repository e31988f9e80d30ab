"""Where the value of a setting comes from: the environment, or a file that holds a secret.

The first of these that names a setting gives it: the environment, as NAME or as NAME_FILE with the path
of a file that holds the value; a folder with a file for each setting, as Docker and Kubernetes make
them; a file of lines NAME=VALUE. Files are read once in a process, so a changed one counts after a
restart.
"""

from __future__ import annotations

import stat
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from dotenv import dotenv_values

from core.errors import SettingsError

FOLDER, LINES = "CRYPTOSATX_SECRETS_DIR", "CRYPTOSATX_SECRETS_FILE"
_SUFFIX = "_FILE"
_MOST_BYTES = 64 * 1024


@dataclass(frozen=True)
class Given:
    """The text of a setting, and the file it was read from; None: the environment itself."""

    text: str = field(repr=False)
    path: Path | None = None

    @property
    def source(self) -> str:
        return "environment" if self.path is None else f"file {self.path}"


def relevant(environ: Mapping[str, str], names: Collection[str]) -> dict[str, str]:
    """What of an environment is about settings, without what is empty."""
    asked = _asked(tuple(names))
    # A page asks a hundred times in a run, and there are fewer variables than names.
    found = {name: environ[name].strip() for name in environ if name in asked}
    return {name: text for name, text in found.items() if text}


@lru_cache(maxsize=8)
def _asked(names: tuple[str, ...]) -> frozenset[str]:
    return frozenset((*names, *(name + _SUFFIX for name in names)))


def is_file_of_setting(name: str, names: Collection[str]) -> bool:
    """Whether an environment variable says where the value of a setting is.

    >>> is_file_of_setting("DATABASE_URL_FILE", ["DATABASE_URL"])
    True
    """
    return name.endswith(_SUFFIX) and name.removesuffix(_SUFFIX) in names


def gather(environ: Mapping[str, str], names: Collection[str]) -> dict[str, Given]:
    """The value of every setting that is given somewhere; `SettingsError` names what is not there."""
    found: dict[str, Given] = {}
    for name in names:
        path = environ.get(name + _SUFFIX)
        if path is not None and name in environ:
            raise SettingsError(f"Both {name} and {name}{_SUFFIX} are set: keep one of the two.")
        if path is not None:
            found[name] = Given(_read(Path(path), name + _SUFFIX), Path(path))
        elif name in environ:
            found[name] = Given(environ[name])
    for name, given in (*_folder(environ, names), *_lines(environ, names)):
        found.setdefault(name, given)
    return {name: given for name, given in found.items() if given.text}


def exposed(paths: Collection[Path]) -> list[str]:
    """A sentence about each file of secrets that others on this machine may read or write."""
    told = []
    for path in sorted(set(paths)):
        try:
            mode = path.stat().st_mode
        except OSError:
            continue  # It was read, and is gone since.
        may = [word for word, bits in (("read", 0o004), ("change", 0o022)) if mode & bits]
        if may:
            told.append(
                f"Others may {' and '.join(may)} {path} ({stat.S_IMODE(mode):04o}), which holds "
                "settings: give it to the user of this program and chmod 400 it."
            )
    return told


def _folder(environ: Mapping[str, str], names: Collection[str]) -> Iterator[tuple[str, Given]]:
    place = environ.get(FOLDER)
    if place is None:
        return
    folder = Path(place)
    if not folder.is_dir():
        raise SettingsError(f"{FOLDER}={place}: there is no such folder.")
    for name in names:
        # Docker's names of secrets are written small by custom.
        for path in (folder / name, folder / name.lower()):
            if name not in (FOLDER, LINES) and path.is_file():
                yield name, Given(_read(path, FOLDER), path)
                break


def _lines(environ: Mapping[str, str], names: Collection[str]) -> Iterator[tuple[str, Given]]:
    place = environ.get(LINES)
    if place is None:
        return
    path = Path(place)
    _read(path, LINES)
    told = dotenv_values(path, interpolate=False, encoding="utf-8")
    unknown = sorted(name for name in told if name not in names or name in (FOLDER, LINES))
    if unknown:
        raise SettingsError(f"{path} sets {', '.join(unknown)}, which is no setting there.")
    for name, text in told.items():
        yield name, Given((text or "").strip(), path)


def _read(path: Path, said_by: str) -> str:
    """What a file holds, without the white space around it."""
    try:
        with path.open("rb") as file:
            content = file.read(_MOST_BYTES + 1)
        if len(content) > _MOST_BYTES:
            raise SettingsError(f"{said_by}: {path} is too long to hold settings.")
        return content.decode().strip()
    except OSError as error:
        raise SettingsError(f"{said_by}: {path} cannot be read ({error.strerror}).") from error
    except UnicodeDecodeError:
        raise SettingsError(f"{said_by}: {path} is no text.") from None
