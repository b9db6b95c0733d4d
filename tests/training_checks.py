"""What training changes, for tests of what must not."""


def everything(model):
    """Return all state that training changes, as bytes."""
    optimizer = model.optimizer
    slots = [
        slot.numpy().tobytes()
        for weight in model.trainable_weights
        for slot in (optimizer.slots(weight).values() if optimizer.iterations else [])
    ]
    streams = [
        stream.draws
        for _, layer in model._named_layers()
        for stream in layer._state.generators.values()
    ]
    rate = optimizer.learning_rate
    return (
        [weight.tobytes() for weight in model.get_weights()],
        slots,
        streams,
        model._shuffler().draws,
        optimizer.iterations,
        optimizer._core.memory,
        optimizer._core.accumulated,
        rate,
        repr(optimizer),
    )
