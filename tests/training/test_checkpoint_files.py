"""Files of checkpoints: damaged, cut off, replaced, on a full disk; arguments about them."""

# ruff: noqa: ARG002 - functions have the signatures that they are called with

import os
import resource
import signal

import pytest
from checkpoint_checks import bits, net, run

import evengrad as eg
from evengrad import callbacks


def test_what_a_killed_process_left_is_removed(tmp_path):
    left = tmp_path / "checkpoint-000001-00000000.safetensors.0a1b2c3d.tmp"
    left.write_bytes(b"half")
    run(net(), 1, checkpoint=tmp_path)
    assert not left.exists()


def test_what_cannot_be_read_is_passed_over(tmp_path):
    run(net(), 2, checkpoint=tmp_path)
    (tmp_path / "checkpoint-000009-00000000.safetensors").mkdir()
    assert run(net(), 3, checkpoint=tmp_path).epoch == [0, 1, 2]


def damage(path):
    content = bytearray(path.read_bytes())
    content[-3] ^= 0xFF
    path.write_bytes(content)


def test_a_damaged_newest_file_is_named_and_the_one_before_is_taken(tmp_path, advice):
    whole = net()
    expected = bits(whole, run(whole, 5))
    run(net(), 3, checkpoint=tmp_path)
    damage(tmp_path / "checkpoint-000003-00000000.safetensors")
    again = net()
    with advice.heard():
        assert bits(again, run(again, 5, checkpoint=tmp_path)) == expected
    assert "checkpoint-000003-00000000.safetensors" in advice.text


def test_a_checkpoint_is_no_model_and_says_what_it_is(tmp_path):
    model = net()
    run(model, 1, checkpoint=tmp_path, keep=1)
    (path,) = tmp_path.iterdir()
    for load in (eg.load_model, model.load_weights):
        with pytest.raises(eg.FileFormatError, match=r"is a checkpoint.*fit\(checkpoint="):
            load(path)


@pytest.mark.parametrize("resume", [True, "auto"])
def test_all_files_damaged_is_an_error(tmp_path, resume):
    run(net(), 3, checkpoint=tmp_path)
    for path in tmp_path.iterdir():
        damage(path)
    with pytest.raises(eg.FileFormatError, match="resume=False"):
        run(net(), 5, checkpoint=tmp_path, resume=resume)
    run(net(), 1, checkpoint=tmp_path, resume=False)
    run(net(), 2, checkpoint=tmp_path, resume=True)


def test_a_cut_off_file_is_damaged(tmp_path):
    run(net(), 1, checkpoint=tmp_path, keep=1)
    (path,) = tmp_path.iterdir()
    for size in (0, 7, 100, path.stat().st_size - 1):
        path.write_bytes(path.read_bytes()[:size])
        with pytest.raises(eg.FileFormatError):
            run(net(), 2, checkpoint=tmp_path)


@pytest.mark.parametrize("keep", [1, 2, 3])
def test_so_many_files_stay(tmp_path, keep):
    folder = tmp_path / "made" / "anew"
    run(net(), 6, checkpoint=folder, keep=keep)
    assert len(list(folder.iterdir())) == keep


def test_resume_true_wants_a_checkpoint_and_false_replaces(tmp_path):
    with pytest.raises(FileNotFoundError, match="resume"):
        run(net(), checkpoint=tmp_path, resume=True)
    run(net(), 9, checkpoint=tmp_path)
    fresh = net()
    history = run(fresh, 2, checkpoint=tmp_path, resume=False)
    assert history.epoch == [0, 1]
    whole = net()
    assert bits(fresh, history) == bits(whole, run(whole, 2))
    assert max(path.name for path in tmp_path.iterdir()).startswith("checkpoint-000002")


def test_a_full_disk_is_told_and_the_older_checkpoint_loads(tmp_path, advice):
    whole = net()
    expected = bits(whole, run(whole, 5))

    class FillDisk(callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 2:
                resource.setrlimit(resource.RLIMIT_FSIZE, (200, before[1]))

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        with advice.heard():
            model = net()
            history = run(model, 5, checkpoint=tmp_path, callbacks=[FillDisk()])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert bits(model, history) == expected
    assert "no checkpoint could be written" in advice.text
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "checkpoint-000001-00000000.safetensors",
        "checkpoint-000002-00000000.safetensors",
    ]
    again = net()
    assert bits(again, run(again, 5, checkpoint=tmp_path)) == expected


@pytest.mark.parametrize("folder", ["ck", "deep/ck"])
def test_a_relative_folder_stays_where_it_is(tmp_path, monkeypatch, folder):
    class Moves(callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            elsewhere = tmp_path / f"elsewhere{epoch}"
            elsewhere.mkdir()
            os.chdir(elsewhere)

    monkeypatch.chdir(tmp_path)
    run(net(), 3, checkpoint=folder, callbacks=[Moves()])
    assert len(list((tmp_path / folder).iterdir())) == 2


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ({"checkpoint_every": "epochs of 3"}, "checkpoint_every"),
        ({"checkpoint_every": 3}, "checkpoint_every"),
        ({"checkpoint_every": "0 steps"}, "checkpoint_every"),
        ({"checkpoint_every": "1.5 steps"}, "checkpoint_every"),
        ({"keep": 0}, "keep"),
        ({"resume": "yes"}, "resume"),
    ],
)
def test_arguments_are_checked_first(tmp_path, given, error):
    with pytest.raises(ValueError, match=error):
        run(net(), checkpoint=tmp_path / "ck", **given)
    assert not (tmp_path / "ck").exists()


def test_resume_without_a_folder_is_an_error():
    with pytest.raises(ValueError, match="checkpoint"):
        run(net(), resume=True)


def test_a_file_is_no_folder(tmp_path):
    path = tmp_path / "file"
    path.write_text("")
    with pytest.raises(ValueError, match="folder"):
        run(net(), checkpoint=path)


def test_one_training_at_a_time_writes_into_a_folder(tmp_path):
    refused = []

    class TrainsAnother(callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            before = sorted(path.name for path in tmp_path.iterdir())
            for resume in ("auto", True, False):
                with pytest.raises(RuntimeError, match="another training writes into") as info:
                    run(net(), 2, checkpoint=tmp_path, resume=resume)
                refused.append(str(info.value))
            assert sorted(path.name for path in tmp_path.iterdir()) == before

    run(net(), 2, checkpoint=tmp_path, callbacks=[TrainsAnother()])
    assert len(refused) == 6
    assert str(tmp_path) in refused[0]
    # Its end, and an error, let others in.
    with pytest.raises(ValueError, match="another training"):
        run(net(), 3, checkpoint=tmp_path, batch_size=3)
    assert run(net(), 3, checkpoint=tmp_path).epoch == [0, 1, 2]
