"""A file area: folders of small text files, kept in memory."""

from __future__ import annotations

import errno
import os
import random

from tools._vocabulary import words

FOLDERS = ("docs", "drafts", "logs", "notes")
STEMS = words(
    """
    address alarm asset backup balance bonus branch bundle campus cellar chapter charter cluster comet compass coupon
    crew curve depot diary draft ember engine entry estate export fabric ferry field forum garage gravel harvest hotel
    index island ladder ledger letter locker manual matrix memo meter mirror mission model orchard outline parcel patent
    """
)
ENDINGS = ("txt", "md", "csv")
LINES = words("anchor basket candle dagger eagle fiddle gadget hammer jacket kernel magnet needle oyster pebble quarry")


class Toolkit:
    """Ten files, drawn anew for every seed. Errors are those of the operating system."""

    example = ("list_files_by_ending", {"ending": "md"})

    def __init__(self, seed: int = 0) -> None:
        self._random = random.Random(f"files {seed}")
        self.files = {self._new_path(): " ".join(self._random.sample(LINES, 3)) for _ in range(10)}

    def _new_path(self) -> str:
        stem, ending = self._random.choice(STEMS), self._random.choice(ENDINGS)
        return f"{self._random.choice(FOLDERS)}/{stem}{self._random.randint(1, 30)}.{ending}"

    def list_files(self, folder: str) -> list[str]:
        """Names of the files in a folder.

        Args:
            folder: One of docs, drafts, logs, notes.
        """
        if folder not in FOLDERS:
            raise _missing(folder)
        return [path.partition("/")[2] for path in self.files if path.startswith(f"{folder}/")]

    def list_files_by_ending(self, ending: str, limit: int = 5) -> list[str]:
        """Paths of the files of a kind, in all folders.

        Args:
            ending: Such as txt.
            limit: Most results.
        """
        return [path for path in self.files if path.endswith("." + ending)][:limit]

    def read_file(self, path: str) -> str:
        """Text of a file.

        Args:
            path: Folder and name.
        """
        return self.files[self._known(path)]

    def read_file_size(self, path: str) -> dict:
        """Number of characters and words of a file.

        Args:
            path: Folder and name.
        """
        text = self.files[self._known(path)]
        return {"characters": len(text), "words": len(text.split())}

    def write_file(self, path: str, text: str, append: bool = False) -> dict:
        """Write a file; what it held is lost.

        Args:
            path: Folder and name.
            text: What to write.
            append: Keep what the file holds and add to it.
        """
        folder, _, name = path.partition("/")
        if folder not in FOLDERS or not name:
            raise _missing(path)
        self.files[path] = (self.files.get(path, "") if append else "") + text
        return {"path": path, "characters": len(self.files[path])}

    def move_file(self, path: str, target: str) -> dict:
        """Move or rename a file.

        Args:
            path: Folder and name.
            target: New folder and name.
        """
        self._known(path)
        if target in self.files:
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), target)
        self.files[target] = self.files.pop(path)
        return {"path": target}

    def delete_file(self, path: str) -> dict:
        """Remove a file.

        Args:
            path: Folder and name.
        """
        del self.files[self._known(path)]
        return {"deleted": path, "files_left": len(self.files)}

    def _known(self, path: str) -> str:
        if path in FOLDERS:
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
        if path not in self.files:
            raise _missing(path)
        return path


def _missing(path: str) -> FileNotFoundError:
    return FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
