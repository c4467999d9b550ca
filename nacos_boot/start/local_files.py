"""Read the settings in files beside a program, which are needed before Nacos is asked.

Source: Spring Boot reference, "External Application Properties", "Profile Specific Files".
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from nacos_boot.documents.activation import Activated, activated
from nacos_boot.documents.error import MAX_DOCUMENT_BYTES, DocumentError
from nacos_boot.documents.parse import Document, kind_of, parse
from nacos_boot.documents.profiles import DEFAULT
from nacos_boot.start.startup import StartError

_APPLICATION = "application"
# As in Spring, a .properties file goes before a .yml file of the same name.
_ENDINGS = ("yaml", "yml", "properties")


@dataclass(frozen=True, slots=True)
class _File:
    path: Path
    documents: Sequence[Document]
    of_profile: bool

    def activated(self, profiles: Sequence[str] | None) -> Activated:
        try:
            return activated(self.path.name, self.documents, profiles, of_profile=self.of_profile)
        except DocumentError as error:
            raise StartError(f"{self.path}: {error}", final=True) from error


class LocalFiles:
    """`bootstrap.yml`, `application.yml`, their `-{profile}` variants; .yaml and .properties, too.

    All of them may be absent but one of the first two. Raises StartError for those that cannot be
    read.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stems = list(dict.fromkeys([path.stem, _APPLICATION]))
        self._general = {stem: list(self._read(stem)) for stem in self._stems}
        if not any(self._general.values()):
            raise StartError(
                f"{path} does not exist, and {_APPLICATION}.yml beside it neither; one of them must"
                " hold the settings that are needed before Nacos is asked",
                final=True,
            )

    def unconditional(self) -> list[Activated]:
        """Give what is said whatever the profiles, from the weakest to the strongest."""
        return [file.activated(None) for files in self._general.values() for file in files]

    def for_profiles(self, profiles: Sequence[str]) -> tuple[list[Activated], frozenset[str], int]:
        """Give what is said for the profiles, from the weakest to the strongest.

        And which profiles have a file of their own; and how many of the files come before those
        for profiles that no other file goes before.
        """
        found: list[Activated] = []
        with_file: set[str] = set()
        below = 0
        for stem, files in self._general.items():
            found += [file.activated(profiles) for file in files]
            below = len(found) if files else below
            for profile in profiles or (DEFAULT,):
                for file in self._read(f"{stem}-{profile}", of_profile=True):
                    with_file.add(profile)
                    found.append(file.activated(profiles))
        return found, frozenset(with_file), below

    def names_for(self, profile: str) -> list[str]:
        """Name the files in which a profile is looked for, for messages."""
        return [f"{stem}-{profile}.yml" for stem in self._stems]

    def _read(self, stem: str, *, of_profile: bool = False) -> Iterator[_File]:
        names = [f"{stem}.{ending}" for ending in _ENDINGS]
        if stem == self._path.stem and self._path.name not in names:
            names.append(self._path.name)
        for name in names:
            path = self._path.with_name(name)
            text = _text(path)
            if text is not None:
                try:
                    yield _File(path, parse(text, kind_of(name)), of_profile)
                except DocumentError as error:
                    raise StartError(f"{path}: {error}", final=True) from error


def _text(path: Path) -> str | None:
    try:
        with path.open("rb") as file:
            # More than a document may have is not even read.
            data = file.read(MAX_DOCUMENT_BYTES + 4)
        return data.decode()
    except FileNotFoundError:
        return None
    except UnicodeDecodeError as error:
        if error.start >= MAX_DOCUMENT_BYTES:
            reason = f"it is larger than {MAX_DOCUMENT_BYTES} bytes"
        else:
            line = data.count(b"\n", 0, error.start) + 1
            reason = f"line {line} is not UTF-8 text; save the file as UTF-8"
        raise StartError(f"{path} cannot be read ({reason})", final=True) from error
    except OSError as error:
        raise StartError(f"{path} cannot be read ({error})", final=True) from error
