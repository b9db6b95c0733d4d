"""The battery of nets: each is told from the others, and a healthy one is left alone.

One seed each; `make battery` has three, and applies what the doctor advises. The nets lie in
`benches/health/`, which packages of the sources leave out.
"""

import sys
from pathlib import Path

import pytest

HEALTH = Path(__file__).resolve().parents[2] / "benches" / "health"

if not HEALTH.is_dir():
    pytest.skip("benches/health is not part of this copy", allow_module_level=True)

sys.path.insert(0, str(HEALTH))
try:
    import battery
    from drawn import drawn
    from drawn_structures import STRUCTURES
    from nets import NETS
finally:
    sys.path.remove(str(HEALTH))

HEALTHY = [net for net in NETS.values() if net.healthy]
SICK = [net for net in NETS.values() if not net.healthy]
# The first two nets of each kind, and every third healthy one: the whole takes minutes.
KINDS_OF = [net.expected[0].kinds[0] for net in SICK]
FEW_SICK = [net for at, net in enumerate(SICK) if KINDS_OF[:at].count(KINDS_OF[at]) < 2]
FEW_HEALTHY = HEALTHY[::3]

# Sick nets overflow, and `fit` says so.
pytestmark = pytest.mark.filterwarnings("ignore")


def by_name(net):
    return net.name


def test_the_battery_has_nets_of_every_kind():
    from evengrad.health import KINDS

    assert len(NETS) >= 60
    assert len(HEALTHY) >= 25
    expected = {kind for net in SICK for want in net.expected for kind in want.kinds}
    assert expected == set(KINDS)


@pytest.mark.parametrize("net", FEW_HEALTHY, ids=by_name)
def test_a_healthy_net_gets_no_alarm(net):
    outcome = battery.examine(net, 0, cure=False)
    assert [battery.brief(finding) for finding in outcome.alarms] == []


@pytest.mark.parametrize("net", FEW_SICK, ids=by_name)
def test_a_sick_net_is_told_by_kind_layer_and_cause(net):
    outcome = battery.examine(net, 0, cure=False)
    first = battery.brief(outcome.findings[0]) if outcome.findings else "nothing"
    assert outcome.right, f"{first}; expected {' or '.join(map(str, net.expected))}"


# Of the other families, among them a GRU whose inputs are so small that the head's gradient is.
@pytest.mark.parametrize("net", [*drawn(19), *drawn(10, 140, STRUCTURES)], ids=by_name)
def test_nets_drawn_at_random_are_told_too(net):
    assert battery.examine(net, 0, cure=False).right
