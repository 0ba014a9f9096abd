"""Ratings in, a prepared data set out: tensors to train, test and rank with, and what is needed to read them.

A prepared data set is a folder named by its digest:

    train/train.protobuf        the train rows, in a random order; train-00000-of-0000n.protobuf where there
                                are several shards, which make up the same file one after another
    test/test.protobuf          the test ratings, ascending by user and movie
    ranking/ranking.protobuf    sampled users against every movie that they have not rated in the train part
    catalog.json                columns, titles, genres (data_prep.catalog)
    histories.bin               what each user has rated in either part (data_prep.histories)
    manifest.json               counts, sizes, checksums, settings (data_prep.manifest)
"""

import fcntl
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from data_prep import stages
from data_prep.formats.input_data import InputData, open_input
from data_prep.manifest import Manifest, PrepareSettings
from data_prep.stages import Progress
from data_prep.store import Folder

_SCRATCH = ".scratch"
_WORKING = ".data-prep-"


def prepare(
    source: Path, destination: Path, *, settings: PrepareSettings, progress: Progress | None = None
) -> Manifest:
    """Prepare the data set in the folder, zip archive or file `source`, as `prepare_opened` does."""
    report = progress or _silent
    report("Opening the data set", 0.0)
    with open_input(source, max_bad_rows=settings.max_bad_rows) as data:
        return prepare_opened(data, destination, settings=settings, progress=report)


def prepare_opened(
    data: InputData, destination: Path, *, settings: PrepareSettings, progress: Progress
) -> Manifest:
    """Prepare a data set as `destination`/<digest>.

    What is there already and complete is left as it is. Otherwise everything is written beside it and put in
    place by one rename: a run that fails or is killed leaves no <digest> folder. `progress` gets (what is
    being done, share done from 0 to 1). Raises DataError.
    """
    digest = stages.digest_of(data, settings)
    folder = destination / digest
    if (finished := read_finished(folder)) is not None:
        progress("Already prepared", 1.0)
        return finished
    with working_folder(destination, digest) as unfinished:
        store, scratch = Folder(unfinished), unfinished / _SCRATCH
        scratch.mkdir()
        described = stages.plan(data, store, settings=settings, scratch=scratch, progress=progress)
        stages.encode_all(
            store,
            described,
            scratch=scratch,
            progress=lambda doing, share: progress(doing, 0.75 + 0.25 * share),
        )
        finished = stages.finish(store, scratch=scratch)
        shutil.rmtree(scratch)
        _put_in_place(unfinished, folder)
    progress("Prepared", 1.0)
    return finished


def read_finished(folder: Path) -> Manifest | None:
    """The manifest of the prepared data set in `folder`, or None where it is missing or incomplete."""
    return stages.read_manifest(Folder(folder))


@contextmanager
def working_folder(parent: Path, name: str) -> Iterator[Path]:
    """A new hidden folder in `parent`, removed in the end if it is still there.

    Those that killed runs have left are removed, too: a folder in use is locked, and a lock goes with the
    process that holds it.
    """
    parent.mkdir(parents=True, exist_ok=True)
    folder = parent / f"{_WORKING}{name}-{uuid.uuid4().hex}"
    with ExitStack() as in_use:
        # Nobody takes a folder that is not locked yet for one that is left.
        with _locked(parent, wait=True):
            for left in parent.glob(f"{_WORKING}*"):
                with suppress(BlockingIOError, FileNotFoundError), _locked(left):
                    shutil.rmtree(left, ignore_errors=True)
            folder.mkdir()
            in_use.enter_context(_locked(folder))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _locked(folder: Path, *, wait: bool = False) -> Iterator[None]:
    """Hold a folder's lock. Raises BlockingIOError where another process does and this one is not to wait."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        yield
    finally:
        os.close(descriptor)


def _put_in_place(unfinished: Path, folder: Path) -> None:
    try:
        unfinished.rename(folder)
    except OSError:
        if not folder.exists():
            raise
        # Another run was quicker, or something incomplete stands in the way.
        if read_finished(folder) is None:
            shutil.rmtree(folder)
            unfinished.rename(folder)


def _silent(_doing: str, _share: float) -> None:
    pass
