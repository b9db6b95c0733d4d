"""GradientDoctor: findings of a training as they arise, series, rescue."""

import copy
import sys

import numpy as np
import pytest
from sklearn.datasets import load_digits

import evengrad as eg
from evengrad.callbacks import GradientDoctor
from evengrad.health import Finding
from evengrad.models._model_file import shuffler_of

layers = eg.layers


def rows(count=320, features=6, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(count, features)).astype(np.float32)
    return x, (x[:, 0] + x[:, 1] > 0).astype(np.int64)


def net(*hidden, optimizer="adam", end=2, seed=5):
    model = eg.Sequential([eg.Input((6,)), *hidden, layers.Dense(end, "softmax")], seed=seed)
    model.compile(optimizer, "sparse_categorical_crossentropy", ["accuracy"])
    return model


def healthy():
    return net(*[layers.Dense(24, "relu", kernel_initializer="he_normal") for _ in range(3)])


def logistic_stack(optimizer="sgd"):
    return net(*[layers.Dense(24, "sigmoid") for _ in range(7)], optimizer=optimizer)


def fitted(model, doctor, epochs=3, **arguments):
    return model.fit(*rows(), epochs=epochs, verbose=0, callbacks=[doctor], **arguments)


def test_a_healthy_net_raises_no_alarm_and_leaves_its_series():
    doctor = GradientDoctor(every=2)
    history = fitted(healthy(), doctor)
    assert [one for one in doctor.findings if one.severity != "note"] == []
    health = history.health
    assert health["layers"] == ["dense", "dense_1", "dense_2", "dense_3"]
    assert health["step"].tolist() == list(range(0, 30, 2))
    assert health["epoch"].tolist() == [step // 10 for step in range(0, 30, 2)]
    for name in ("speed", "bias_gradient", "kernel_gradient", "update_ratio", "activation_std"):
        assert health[name].shape == (15, 4)
        assert np.isfinite(health[name]).all()
    for name in ("loss", "learning_rate", "gradient_norm", "clipped"):
        assert health[name].shape == (15,)
    assert health["loss"][-1] < health["loss"][0]
    assert set(health["dead_since"]) == {"dense", "dense_1", "dense_2"}
    assert history.findings == doctor.findings
    # Of the first 256 rows; the end shows what comes before its softmax.
    assert health["activation_histogram"].sum(axis=1).tolist() == [256 * 24] * 3 + [256 * 2]
    assert health["activation_edges"].shape == (4, 33)
    assert (health["activation_edges"][:3, 0] == 0).all()


def test_a_sick_net_is_named_with_its_cause_and_the_layer():
    doctor = GradientDoctor(every=1)
    fitted(logistic_stack(), doctor)
    first = doctor.findings[0]
    assert (first.kind, first.cause) == ("vanishing_gradients", "activation")
    assert first.layer in {"dense", "dense_1"}
    assert first.remedies[0].automatic


def test_other_callbacks_batches_and_validation_stand_beside_it():
    class Counts(eg.callbacks.Callback):
        seen = 0

        def on_train_batch_end(self, batch, logs=None):
            del batch, logs
            self.seen += 1

    x, y = rows()
    counts, doctor = Counts(), GradientDoctor(every=3)
    history = healthy().fit(
        x, y, epochs=2, verbose=0, validation_split=0.25, callbacks=[counts, doctor]
    )
    assert counts.seen == 16
    assert history.health["step"].tolist() == [0, 3, 6, 9, 12, 15]
    batches = [(x[at : at + 32], y[at : at + 32]) for at in range(0, 320, 32)]
    doctor = GradientDoctor(every=3)
    history = healthy().fit(batches, epochs=2, verbose=0, callbacks=[doctor])
    assert history.health["step"].tolist() == [0, 3, 6, 9, 12, 15, 18]


def test_it_warns_or_stops_where_asked_to(advice):
    with advice.heard():
        history = fitted(logistic_stack(), GradientDoctor(every=1, on_finding="warn"))
    assert len(history.epoch) == 3
    told = [one for one in advice.messages if one.startswith("GradientDoctor")]
    assert len(told) == len(set(told))
    assert any("vanishing" in one for one in told)
    doctor = GradientDoctor(every=1, on_finding="stop")
    assert len(fitted(logistic_stack(), doctor, epochs=50).epoch) < 50
    doctor = GradientDoctor(every=1, on_finding="stop")
    assert len(fitted(healthy(), doctor, epochs=5).epoch) == 5


def test_only_the_kinds_that_are_asked_for_are_told():
    doctor = GradientDoctor(every=1, kinds=["dead_units"])
    fitted(logistic_stack(), doctor)
    assert doctor.findings == ()


def test_units_that_die_are_dated():
    model = net(layers.Dense(10, "relu", name="hidden"), optimizer=eg.optimizers.SGD(0.05))

    class Kill(eg.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            del logs
            if epoch == 2:
                kernel, bias, *rest = self.model.get_weights()
                kernel[:, 4], bias[4] = 0.0, -10.0
                self.model.set_weights([kernel, bias, *rest])

    doctor = GradientDoctor(every=1)
    x, y = rows()
    history = model.fit(x, y, epochs=4, verbose=0, callbacks=[Kill(), doctor])
    since = history.health["dead_since"]["hidden"]
    assert since[4] == 2
    assert (np.delete(since, 4) == -1).all()
    dead = history.health["dead"][:, 0]
    assert dead[-1] == pytest.approx(0.1)
    assert dead[0] == 0.0


def test_a_training_is_rescued_from_a_rate_that_is_too_high():
    def trained(doctor):
        model = net(*[layers.Dense(24, "relu", kernel_initializer="he_normal") for _ in range(4)])
        model.compile(eg.optimizers.SGD(3e4), "sparse_categorical_crossentropy", ["accuracy"])
        history = fitted(model, doctor, epochs=25)
        return model, history.history["loss"][-1]

    model, loss = trained(GradientDoctor(every=1))
    assert not loss < 0.7
    doctor = GradientDoctor(every=1, rescue=True)
    model, loss = trained(doctor)
    assert doctor.rescues
    assert float(model.optimizer.learning_rate) == pytest.approx(3e4 * 0.3 ** len(doctor.rescues))
    assert np.isfinite(loss)
    assert all(np.isfinite(weight).all() for weight in model.get_weights())


def test_a_doctor_is_copied_with_what_it_found_and_begins_anew():
    doctor = GradientDoctor(every=2, kinds=["vanishing_gradients"])
    fitted(logistic_stack(), doctor)
    twin = copy.deepcopy(doctor)
    assert twin.findings == doctor.findings
    assert twin.every == 2
    fitted(healthy(), doctor)
    assert doctor.findings == ()


def test_arguments_are_checked():
    for wrong in ({"every": 0}, {"on_finding": "shout"}, {"kinds": ["vanishing"]}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            GradientDoctor(**wrong)
    with pytest.raises(TypeError, match="every"):
        GradientDoctor(every=1.5)


def test_checkpoints_and_resuming_are_as_without(tmp_path):
    def trained(doctor, folder):
        for epochs in (2, 5):
            model = healthy()
            callbacks = [doctor()] if doctor else []
            model.fit(*rows(), epochs=epochs, verbose=0, checkpoint=folder, callbacks=callbacks)
        return model.get_weights()

    plain = trained(None, tmp_path / "plain")
    watched = trained(lambda: GradientDoctor(every=2), tmp_path / "watched")
    for ours, theirs in zip(plain, watched, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_what_the_first_updates_do_is_no_fault_of_the_first_values():
    x, y = rows()
    hidden = [layers.Dense(32, "relu") for _ in range(2)]
    model = eg.Sequential([eg.Input((6,)), *hidden, layers.Dense(1)], seed=0)
    model.compile(eg.optimizers.SGD(50.0), "mse")
    doctor = GradientDoctor(every=1)
    model.fit(x, y.astype(np.float32), epochs=2, verbose=0, callbacks=[doctor])
    first = doctor.findings[0]
    assert (first.kind, first.cause, first.step) == ("large_updates", "learning_rate", 0)
    [exact] = [one for one in doctor.findings if one.kind == "non_finite"]
    assert (exact.cause, exact.tensor) == ("learning_rate", "loss")
    assert exact.rows


def test_the_collapse_of_a_training_is_named_with_its_step_and_layer():
    """Five ELU layers under Adam, as in exercise 8 of Géron's chapter 11, at thrice its rate."""
    images, labels = load_digits(n_class=5, return_X_y=True)
    x, y = (images[:720] / 16).astype("float32"), labels[:720]
    collapsed = 0
    for seed in (0, 1, 2):
        hidden = [layers.Dense(100, "elu", kernel_initializer="he_normal") for _ in range(5)]
        model = eg.Sequential([*hidden, layers.Dense(5, "softmax")], seed=seed)
        model.compile(eg.optimizers.Adam(0.03), "sparse_categorical_crossentropy", ["accuracy"])
        doctor = GradientDoctor(every=5)
        history = model.fit(x, y, batch_size=20, epochs=40, verbose=0, callbacks=[doctor])
        accuracy = np.array(history.history["accuracy"])
        if accuracy[-1] > 0.5:
            continue
        collapsed += 1
        first = doctor.findings[0]
        assert first.kind in {"diverging_loss", "signal_explosion", "large_updates"}
        assert (first.severity, first.cause) == ("error", "learning_rate")
        assert model.get_layer(first.layer) in [*hidden, model.layers[-1]]
        [began] = [one.step for one in doctor.findings if one.kind == "diverging_loss"]
        # After the last epoch in which it was good, up to one of chance.
        good = int(np.flatnonzero(accuracy > 0.9)[-1])
        assert 36 * good <= began
    assert collapsed


def test_a_resumed_training_goes_on_with_series_and_findings(tmp_path):
    def trained(folder, *until):
        for epochs in until:
            model, doctor = logistic_stack(), GradientDoctor(every=3)
            history = fitted(model, doctor, epochs=epochs, checkpoint=folder)
        return doctor, history

    whole, expected = trained(tmp_path / "whole", 5)
    resumed, found = trained(tmp_path / "parts", 2, 5)
    # Watched steps are counted anew, from where the training goes on.
    assert found.health["step"].tolist() == [*range(0, 20, 3), *range(20, 50, 3)]
    assert found.health["epoch"].tolist() == [step // 10 for step in found.health["step"]]
    for name in ("step", "loss", "learning_rate"):
        ours, theirs = found.health["every_step"][name], expected.health["every_step"][name]
        np.testing.assert_array_equal(ours, theirs)
    assert [(one.kind, one.layer) for one in resumed.findings] == [
        (one.kind, one.layer) for one in whole.findings
    ]
    # Nothing is left to train.
    again, history = trained(tmp_path / "parts", 5)
    assert again.findings == resumed.findings
    assert again.findings[0].remedies == resumed.findings[0].remedies
    np.testing.assert_array_equal(history.health["step"], found.health["step"])


def test_a_training_may_be_watched_from_a_checkpoint_on(tmp_path):
    keep = {"checkpoint": tmp_path, "verbose": 0}
    healthy().fit(*rows(), epochs=2, **keep)
    doctor = GradientDoctor(every=2)
    healthy().fit(*rows(), epochs=3, callbacks=[doctor], **keep)
    health = doctor.model.history.health
    assert health["step"].tolist() == list(range(20, 30, 2))
    assert set(health["epoch"]) == {2}
    healthy().fit(*rows(), epochs=4, **keep)


def test_a_rescue_goes_back_and_has_the_schedule_go_on_lower():
    schedule = eg.optimizers.schedules.ExponentialDecay(3e4, 100, 0.5)
    model = net(*[layers.Dense(24, "relu", kernel_initializer="he_normal") for _ in range(4)])
    model.compile(eg.optimizers.SGD(schedule), "sparse_categorical_crossentropy")
    doctor = GradientDoctor(every=1, rescue=True)
    history = fitted(model, doctor, epochs=25)
    assert doctor.rescues
    rate = model.optimizer.learning_rate
    assert rate(7) == pytest.approx(schedule(7) * 0.3 ** len(doctor.rescues))
    # Updates are counted from the state that was healthy, and series are of the way from there.
    steps = history.health["every_step"]["step"]
    assert 0 < model.optimizer.iterations < 250
    np.testing.assert_array_equal(steps, np.arange(model.optimizer.iterations))
    np.testing.assert_array_equal(history.health["step"], steps)


def noisy(optimizer):
    """Return a net with all that a step changes: variables, statistics, streams, slots, counts."""
    model = net(
        layers.Dense(12, "relu", norm=layers.BatchNormalization()),
        layers.Dropout(0.3),
        layers.GaussianNoise(0.1),
        optimizer=optimizer,
    )
    model.build((6,))
    return model


def state_of(model):
    slots = [
        np.array(slot.numpy())
        for weight in model.trainable_weights
        for slot in model.optimizer.slots(weight).values()
    ]
    return [*model.get_weights(), *slots, np.array(int(model.optimizer.iterations))]


@pytest.mark.parametrize(("accumulated", "shuffle"), [(1, False), (2, False), (1, True)])
def test_after_a_rescue_the_training_is_that_of_the_healthy_state_to_the_bit(
    monkeypatch, accumulated, shuffle
):
    grave = Finding("diverging_loss", None, 9.0, 1.0, 29, "error", "learning_rate")
    asked = []

    def judged(examination, thresholds, known):
        del thresholds, known
        asked.append(examination.steps[-1])
        # Ten steps an epoch: the third one goes wrong, the first time.
        return (grave,) if len(asked) == 3 else ()

    monkeypatch.setattr(sys.modules[GradientDoctor.__module__], "judge", judged)
    schedule = eg.optimizers.schedules.ExponentialDecay(0.02, 7, 0.5)
    steps = {"gradient_accumulation_steps": accumulated} if accumulated > 1 else {}
    settings = {"batch_size": 32, "shuffle": shuffle}
    doctor = GradientDoctor(every=1, rescue=True)
    rescued = noisy(eg.optimizers.Adam(schedule, **steps))
    fitted(rescued, doctor, epochs=5, **settings)
    updates = 20 // accumulated
    assert doctor.rescues == [(updates, pytest.approx(0.3 * schedule(updates)))]
    assert asked[:5] == [one // accumulated for one in (9, 19, 29, 29, 39)]

    # By hand: two epochs, and after the third, whose order is used up, two more at another rate.
    by_hand = noisy(eg.optimizers.Adam(schedule, **steps))
    by_hand.fit(*rows(), epochs=2, verbose=0, **settings)
    shuffler = shuffler_of(by_hand)
    shuffler.draws += shuffler.draws // 2
    by_hand.optimizer.learning_rate = eg.optimizers.schedules.Scaled(schedule, 0.3)
    by_hand.fit(*rows(), epochs=2, verbose=0, **settings)
    for ours, theirs in zip(state_of(by_hand), state_of(rescued), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_a_rescue_within_an_epoch_goes_back_at_once():
    class Break(eg.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            del logs
            if batch == 4 and self.model.optimizer.iterations == 15:
                kernel, *rest = self.model.get_weights()
                self.model.set_weights([np.full_like(kernel, np.nan), *rest])

    model, doctor = healthy(), GradientDoctor(every=1, rescue=True)
    history = model.fit(*rows(), epochs=3, verbose=0, callbacks=[Break(), doctor])
    # The epoch's other steps, but one that saw the numbers, are made from the state of before.
    assert [step for step, _ in doctor.rescues] == [10]
    assert model.optimizer.iterations == 10 + 4 + 10
    assert np.isfinite(history.history["loss"][-1])
    np.testing.assert_array_equal(history.health["step"], np.arange(24))
    epochs = history.health["epoch"]
    assert [int((epochs == epoch).sum()) for epoch in range(3)] == [10, 4, 10]


@pytest.mark.parametrize("clips", [{}, {"clipnorm": 0.01}, {"global_clipnorm": 0.01}])
def test_every_step_shows_the_norm_of_the_gradient_where_it_is_known(clips):
    model = net(layers.Dense(10, "relu"), optimizer=eg.optimizers.Adam(0.01, **clips))
    history = fitted(model, GradientDoctor(every=2))
    health, every = history.health, history.health["every_step"]
    for name in ("gradient_norm", "clipped"):
        np.testing.assert_allclose(every[name][::2], health[name], rtol=1e-5)
        known = np.isfinite(every[name][1::2])
        assert known.all() if "global_clipnorm" in clips else not known.any()
    assert (health["gradient_norm"] > 0).all()
    assert (health["clipped"] < 1).any() == bool(clips)
