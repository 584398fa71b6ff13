"""tools/scaling.py: its formulas and its simulation against closed forms."""
import math
import pathlib
import random
import statistics
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tools"))

import scaling  # noqa: E402


def test_one_server_is_pollaczek_and_khinchine():
    draw = random.Random(1)
    for services in ([2.0], [1.0, 3.0], [draw.expovariate(1) for _ in range(1000)]):
        mean, second = statistics.fmean(services), statistics.fmean(s * s for s in services)
        for busy in (0.1, 0.5, 0.9):
            rate = busy / mean
            assert math.isclose(scaling.latency(1, rate, services), mean + rate * second / (2 * (1 - busy)), rel_tol=1e-12)


def test_waiting_of_exponential_servers():
    """M/M/2: C = 2 a^2 / ((2 - a) (2 + 2 a + ...)), written out for two servers: a^2 / (2 + a)."""
    for load in (0.2, 1.0, 1.9):
        assert math.isclose(scaling.erlang_c(2, load), load**2 / (2 + load), rel_tol=1e-12)
        assert math.isclose(scaling.wait_exponential(2, load, 1.0), load**2 / (4 - load**2), rel_tol=1e-12)


def test_constant_servers():
    """M/D/2 at half of its capacity: 0.1767 service times, from Crommelin's series."""
    load, wait = 1.0, 0.0
    for i in range(1, 400):
        tail = [math.exp(-i * load + j * math.log(i * load) - math.lgamma(j + 1)) for j in range(2 * i, 2 * i + 400)]
        wait += sum(tail) - 2 / load * sum(tail[1:])
    assert scaling.wait_constant(2, load, 1.0) == pytest.approx(wait, rel=0.03)


@pytest.mark.parametrize("way", ["random", "in turn", "better of two", "least connections"])
def test_simulated_nodes(way):
    """One node: all ways are M/D/1.  Eight: those that look do better than the one that does not, and none is quicker than a photo."""
    arrivals = scaling.poisson(0.7, 60000, seed=5)
    one = scaling.simulate(way, arrivals, [1.0], 1)
    assert statistics.fmean(one) == pytest.approx(1 + 0.7 / (2 * 0.3), rel=0.03)
    eight = scaling.simulate(way, scaling.poisson(0.7 * 8, 60000, seed=5), [1.0], 8)
    blind = scaling.simulate("random", scaling.poisson(0.7 * 8, 60000, seed=5), [1.0], 8)
    assert min(eight) >= 1 - 1e-9
    if way == "random":
        assert statistics.fmean(eight) == pytest.approx(1 + 0.7 / (2 * 0.3), rel=0.05)
    else:
        assert statistics.fmean(eight) < 0.8 * statistics.fmean(blind)


def test_a_slow_node_drowns_where_the_choice_is_blind():
    arrivals = scaling.poisson(0.7 * 10, 30000, seed=2)
    assert max(scaling.simulate("in turn", arrivals, [1.0], 10, slow=0.1)) > 1000
    assert max(scaling.simulate("least connections", arrivals, [1.0], 10, slow=0.1)) < 20


def test_requests_that_found_a_daemon_idle():
    assert scaling.unhindered([(0, 2), (1, 4), (2.5, 5), (6, 7)], 1) == [2, 1]
    assert scaling.unhindered([(0, 2), (1, 4), (1.5, 5), (6, 7)], 2) == [2, 3, 1]
