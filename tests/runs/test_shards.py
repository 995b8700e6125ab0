"""The shards of an evaluation: their ranges, their files, and what refuses to be merged."""

import os
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.runs import shards
from core.runs.shards import Part, Shard, ShardError, merge_parts, read_shard, read_shards, share, write_shard

SETTING = {"evaluators": ["denoising"], "checkpoint": "sha256:0"}


def shard(index: int, of: int, ids: list[int], setting: dict[str, object] = SETTING) -> Shard:
    part = Part(np.array(ids, np.int64), {"loss": np.array(ids) * 0.1} if ids else {}, wall_time_s=1.5)
    return Shard(index, of, setting, {"denoising": part})


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Seven samples in three shards, the second of which is empty."""
    path = tmp_path / "shards" / shards.setting_key(SETTING)
    for one in (shard(3, 3, [4, 5, 6]), shard(1, 3, [0, 1, 2, 3]), shard(2, 3, [])):
        write_shard(path, one)
    return path


@given(st.integers(0, 1000), st.integers(1, 50))
def test_shares_are_disjoint_cover_everything_and_differ_by_one_at_most(n: int, of: int) -> None:
    parts = [share(n, index, of) for index in range(1, of + 1)]
    assert [i for part in parts for i in part] == list(range(n))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_values_come_back_to_the_bit_in_the_order_of_the_samples(directory: Path) -> None:
    found = read_shards(directory)
    assert [one.index for one in found] == [1, 2, 3]
    part = merge_parts(found, "denoising", [6, 0, 1, 2, 3, 4, 5])
    assert part.values["loss"].tolist() == [6 * 0.1, 0.0, 0.1, 2 * 0.1, 3 * 0.1, 4 * 0.1, 0.5]
    assert part.wall_time_s == 4.5


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        (range(9), "evaluator 'denoising': measured by no shard: samples 7, 8."),
        (range(1, 7), "evaluator 'denoising': no part of the evaluation: sample 0."),
    ],
)
def test_a_missing_and_a_foreign_sample_are_named(directory: Path, ids: range, message: str) -> None:
    with pytest.raises(ShardError, match=re.escape(message)):
        merge_parts(read_shards(directory), "denoising", ids)


def test_a_sample_that_two_shards_measured_is_named(directory: Path) -> None:
    write_shard(directory, shard(2, 3, [3]))
    with pytest.raises(ShardError, match="'denoising': measured by two shards: sample 3"):
        merge_parts(read_shards(directory), "denoising", range(7))


def test_missing_shards_are_named_with_the_command_that_makes_them(directory: Path) -> None:
    (directory / "1-of-3.npz").unlink()
    (directory / "3-of-3.npz").unlink()
    with pytest.raises(ShardError, match=r"missing: shards 1/3, 3/3\. Make each with pyml-eval RUN --shard I/3\."):
        read_shards(directory)


def test_a_copy_under_another_name_is_refused(directory: Path) -> None:
    (directory / "2-of-3.npz").write_bytes((directory / "1-of-3.npz").read_bytes())
    with pytest.raises(ShardError, match=r"2-of-3\.npz holds share 1 of 3: it occurs twice or was renamed"):
        read_shards(directory)


def test_shares_of_two_divisions_are_refused(directory: Path) -> None:
    write_shard(directory, shard(1, 2, [0, 1, 2]))
    with pytest.raises(ShardError, match=r"mixes shares of 2 and 3: delete 1-of-2\.npz, or the rest"):
        read_shards(directory)


def test_a_shard_of_another_checkpoint_is_refused(directory: Path) -> None:
    write_shard(directory, shard(2, 3, [], {**SETTING, "checkpoint": "sha256:1"}))
    with pytest.raises(ShardError, match=r"2-of-3\.npz belongs to another evaluation or checkpoint"):
        read_shards(directory)


def test_a_shard_with_other_evaluators_is_refused(directory: Path) -> None:
    write_shard(directory, Shard(2, 3, SETTING, {"likelihood": Part(np.array([], np.int64))}))
    with pytest.raises(ShardError, match=r"2-of-3\.npz has other evaluators than 1-of-3\.npz"):
        read_shards(directory)


def test_a_flipped_bit_is_refused_or_changes_nothing(directory: Path) -> None:
    path = directory / "3-of-3.npz"
    whole, refused = path.read_bytes(), 0
    for place in range(0, len(whole), 97):
        path.write_bytes(bytes([*whole[:place], whole[place] ^ 0x10, *whole[place + 1 :]]))
        try:
            found = read_shard(path)  # the bit may be one that means nothing, such as a file's time in the archive
        except ShardError as error:
            assert "cannot be used" in str(error)  # noqa: PT017
            refused += 1
        else:
            assert found.parts["denoising"].values["loss"].tolist() == [4 * 0.1, 0.5, 6 * 0.1]
    assert refused > 10


def test_values_that_the_meter_does_not_fit_are_refused(directory: Path) -> None:
    path = directory / "3-of-3.npz"
    with np.load(path) as file:
        arrays = dict(file)
    arrays["0.value.loss"][0] += 1e-16 + 0.1
    np.savez(path, **arrays)
    with pytest.raises(ShardError, match="the meter holds other values than the arrays"):
        read_shard(path)


def test_a_directory_without_shards_says_how_they_are_made(tmp_path: Path) -> None:
    with pytest.raises(ShardError, match=r"holds no shards\. Make them: pyml-eval RUN --shard 1/2, then 2/2"):
        read_shards(tmp_path)


def test_a_second_process_does_not_merge_at_the_same_time(directory: Path) -> None:
    with shards.exclusively(directory), pytest.raises(BlockingIOError), shards.exclusively(directory):
        pass


def test_merged_shards_are_deleted_and_noted(directory: Path) -> None:
    assert shards.missing_shares(directory, 3) == []
    assert not shards.is_merged(directory)
    shards.mark_merged(directory, 3)
    assert shards.is_merged(directory)
    assert not list(directory.glob("*.npz"))


@pytest.mark.parametrize("level", [0, 1])
def test_shards_are_neither_read_nor_written_out_of_the_run(directory: Path, level: int) -> None:
    place = [directory, directory.parent][level]
    outside = directory.parents[2] / f"{directory.parents[1].name}-outside"
    place.rename(outside)
    place.symlink_to(outside)
    held = sorted(outside.rglob("*"))
    with pytest.raises(ShardError, match=r"is a link that leads out of the run. Delete it"):
        read_shards(directory)
    with pytest.raises(ShardError, match=r"is a link that leads out of the run. Delete it"):
        write_shard(directory, shard(1, 1, [0]))
    assert sorted(outside.rglob("*")) == held


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="named pipes")
def test_a_lock_that_is_a_named_pipe_does_not_block(directory: Path) -> None:
    os.mkfifo(directory / shards.LOCK)
    with shards.exclusively(directory):
        pass
