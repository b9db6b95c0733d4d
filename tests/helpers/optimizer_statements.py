"""Every rule of an optimizer, stated in NumPy, and ways to walk along a list of gradients."""

import numpy as np

import evengrad as eg


def walk(optimizer, gradients, start=1.0):
    """Return the parameters after each step, in the gradients' dtype."""
    w = eg.tensor(np.full_like(gradients[0], start), requires_grad=True)
    path = []
    for gradient in gradients:
        optimizer.apply_gradients([(eg.tensor(gradient), w)])
        path.append(np.array(w.detach().numpy()))
    return np.array(path)


def steps(*values):
    return [np.array([value]) for value in values]


# ---- statements of the rules, one step a function: (state, gradient, step, parameter) -> step


def root(x, epsilon, convention):
    """Return the root with ε inside for keras and tf1, outside for torch."""
    return np.sqrt(x) + epsilon if convention == "torch" else np.sqrt(x + epsilon)


def adagrad(convention, rate=0.01, lr_decay=0.0):
    epsilon = {"keras": 1e-7, "torch": 1e-10, "tf1": 0.0}[convention]
    state = {"s": 0.0 if convention == "torch" else 0.1}

    def step(g, t):
        state["s"] = state["s"] + g * g
        return rate / (1 + (t - 1) * lr_decay) * g / root(state["s"], epsilon, convention)

    return step


def rmsprop(convention, rate=0.01, momentum=0.0, centered=False):
    rho = 0.99 if convention == "torch" else 0.9
    epsilon = {"keras": 1e-7, "torch": 1e-8, "tf1": 1e-10}[convention]
    state = {"s": 1.0 if convention == "tf1" else 0.0, "a": 0.0, "b": 0.0}

    def step(g, _):
        state["s"] = rho * state["s"] + (1 - rho) * g * g
        state["a"] = rho * state["a"] + (1 - rho) * g
        spread = state["s"] - state["a"] ** 2 if centered else state["s"]
        u = g / root(spread, epsilon, convention)
        if not momentum:
            return rate * u
        if convention == "torch":
            state["b"] = momentum * state["b"] + u
            return rate * state["b"]
        state["b"] = momentum * state["b"] + rate * u
        return state["b"]

    return step


def adadelta(convention, rate=1.0):
    rho = 0.9 if convention == "torch" else 0.95
    epsilon = {"keras": 1e-7, "torch": 1e-6, "tf1": 1e-8}[convention]
    state = {"s": 0.0, "d": 0.0}

    def step(g, _):
        state["s"] = rho * state["s"] + (1 - rho) * g * g
        delta = np.sqrt(state["d"] + epsilon) / np.sqrt(state["s"] + epsilon) * g
        state["d"] = rho * state["d"] + (1 - rho) * delta * delta
        return rate * delta

    return step


def nadam(convention, rate=0.01, b1=0.9, b2=0.999):
    epsilon = 1e-7 if convention == "keras" else 1e-8
    psi = 0.004 if convention == "torch" else 1.0
    state = {"m": 0.0, "v": 0.0, "product": 1.0}

    def mu(t):
        return b1 * (1 - 0.5 * 0.96 ** (t * psi))

    def step(g, t):
        state["m"] = b1 * state["m"] + (1 - b1) * g
        state["v"] = b2 * state["v"] + (1 - b2) * g * g
        if convention == "tf1":
            ahead = b1 * state["m"] + (1 - b1) * g
            size = rate * np.sqrt(1 - b2**t) / (1 - b1**t)
            return size * ahead / (np.sqrt(state["v"]) + epsilon)
        state["product"] *= mu(t)
        ahead = mu(t + 1) * state["m"] / (1 - state["product"] * mu(t + 1))
        ahead = ahead + (1 - mu(t)) * g / (1 - state["product"])
        return rate * ahead / (np.sqrt(state["v"] / (1 - b2**t)) + epsilon)

    return step


def adamax(convention, rate=0.01, b1=0.9, b2=0.999):
    epsilon = 1e-7 if convention == "keras" else 1e-8
    state = {"m": 0.0, "u": 0.0}

    def step(g, t):
        state["m"] = b1 * state["m"] + (1 - b1) * g
        if convention == "torch":
            state["u"] = np.maximum(b2 * state["u"], np.abs(g) + epsilon)
            return rate * state["m"] / ((1 - b1**t) * state["u"])
        state["u"] = np.maximum(b2 * state["u"], np.abs(g))
        return rate * state["m"] / ((1 - b1**t) * (state["u"] + epsilon))

    return step


def lion(_, rate=0.01, b1=0.9, b2=0.99):
    state = {"m": 0.0}

    def step(g, _):
        direction = np.sign(b1 * state["m"] + (1 - b1) * g)
        state["m"] = b2 * state["m"] + (1 - b2) * g
        return rate * direction

    return step


def adam(convention, rate=0.01, b1=0.9, b2=0.999):
    epsilon = 1e-7 if convention == "keras" else 1e-8
    state = {"m": 0.0, "v": 0.0}

    def step(g, t):
        state["m"] = b1 * state["m"] + (1 - b1) * g
        state["v"] = b2 * state["v"] + (1 - b2) * g * g
        if convention == "torch":
            unbiased = np.sqrt(state["v"] / (1 - b2**t))
            return rate * state["m"] / (1 - b1**t) / (unbiased + epsilon)
        size = rate * np.sqrt(1 - b2**t) / (1 - b1**t)
        return size * state["m"] / (np.sqrt(state["v"]) + epsilon)

    return step


def amsgrad(convention, rate=0.01, b1=0.9, b2=0.999, **_):
    """The largest v so far, before its bias is corrected, in place of v."""
    epsilon = 1e-7 if convention == "keras" else 1e-8
    state = {"m": 0.0, "v": 0.0, "most": 0.0}

    def step(g, t):
        state["m"] = b1 * state["m"] + (1 - b1) * g
        state["v"] = b2 * state["v"] + (1 - b2) * g * g
        state["most"] = np.maximum(state["most"], state["v"])
        if convention == "torch":
            unbiased = np.sqrt(state["most"] / (1 - b2**t))
            return rate * state["m"] / (1 - b1**t) / (unbiased + epsilon)
        size = rate * np.sqrt(1 - b2**t) / (1 - b1**t)
        return size * state["m"] / (np.sqrt(state["most"]) + epsilon)

    return step


def sgd(_, rate=0.01):
    return lambda g, t: rate * g  # noqa: ARG005 - the signature of a rule


def momentum(convention, rate=0.01, momentum=0.9, nesterov=False):
    state = {"a": 0.0}

    def step(g, _):
        if convention == "keras":
            state["a"] = momentum * state["a"] - rate * g
            return -(momentum * state["a"] - rate * g) if nesterov else -state["a"]
        state["a"] = momentum * state["a"] + g
        return rate * (g + momentum * state["a"]) if nesterov else rate * state["a"]

    return step


# The class, its statement, and the arguments of both.
RULES = [
    ("SGD", sgd, {}),
    ("SGD", momentum, {"momentum": 0.9}),
    ("SGD", momentum, {"momentum": 0.9, "nesterov": True}),
    ("Adam", adam, {}),
    ("Adam", amsgrad, {"beta_2": 0.9, "amsgrad": True}),
    ("Adagrad", adagrad, {}),
    ("RMSprop", rmsprop, {}),
    ("RMSprop", rmsprop, {"momentum": 0.9}),
    ("RMSprop", rmsprop, {"centered": True}),
    ("RMSprop", rmsprop, {"momentum": 0.5, "centered": True}),
    ("Adadelta", adadelta, {}),
    ("Nadam", nadam, {}),
    ("Adamax", adamax, {}),
]


def stated(step, gradients, start=1.0, before=None):
    """Return the path of a rule; `before` gives the decayed parameter and the gradient."""
    w = np.full_like(gradients[0], start)
    path = []
    for t, g in enumerate(gradients, 1):
        if before is not None:
            w, g = before(w, g)  # noqa: PLW2901 - what the rule sees
        w = w - step(g, t)
        path.append(w)
    return np.array(path)
