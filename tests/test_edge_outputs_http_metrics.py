"""/metrics, read back with Prometheus' own parser."""

import pytest
from live_items import LiveMat
from prometheus_client.parser import text_string_to_metric_families

from edge.latency import STAGES
from edge.outputs.http.metrics import COUNTS, Metrics
from edge.outputs.http.state import State
from edge.outputs.sink import Item

Samples = dict[tuple[str, ...], float]


def samples(metrics: Metrics) -> Samples:
    """Name and values of the labels -> value, without histograms' buckets."""
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(metrics.text().decode())
        for sample in family.samples
        if not sample.name.endswith("_bucket")
    }


@pytest.fixture
def state() -> State:
    return State(["bed"], lambda: 100.0)


@pytest.fixture
def metrics(state: State) -> Metrics:
    return Metrics(state, lambda: {"mqtt://host": 3})


def feed(state: State, metrics: Metrics, items: list[Item]) -> None:
    for item in items:
        state.take(item)
        metrics.take(item)


def test_counts_are_those_of_the_latest_health(state: State, metrics: Metrics) -> None:
    mat = LiveMat()
    mat.stream.lost, mat.stream.corrupt, mat.session.dropped, mat.session.port_losses = 4, 5, 6, 7
    feed(state, metrics, [*mat.meet(), *mat.frame(), *mat.frame(), *mat.stale()])
    found = samples(metrics)
    values = {field: found[f"{name}_total", "bed"] for field, (name, _) in COUNTS.items()}
    assert values == {"received": 2, "lost": 4, "corrupt": 5, "dropped": 6, "poses": 2, "port_losses": 7}
    assert found["output_dropped_total", "mqtt://host"] == 3


def test_latencies_are_split_by_stage_and_turns_are_counted(state: State, metrics: Metrics) -> None:
    mat = LiveMat()
    items = [*mat.meet(), *mat.lying()]
    feed(state, metrics, [*items, mat.event("turned", "from supine to left"), mat.event("fresh", "again")])
    found = samples(metrics)
    poses = [item for item in items if item.picture]
    inferred = [
        item.picture.stages_ms["inference"] for item in poses if item.picture and "inference" in item.picture.stages_ms
    ]
    assert found["mat_latency_seconds_count", "bed", "wait"] == len(poses)
    assert found["mat_latency_seconds_count", "bed", "inference"] == len(inferred) > 0
    assert found["mat_latency_seconds_sum", "bed", "inference"] == pytest.approx(sum(inferred) / 1000)
    assert {key[2] for key in found if key[0] == "mat_latency_seconds_sum"} == set(STAGES)
    assert found["mat_turns_total", "bed"] == 1


def test_age_and_occupancy_are_of_the_newest_pose(state: State, metrics: Metrics) -> None:
    assert ("mat_pose_age_seconds", "bed") not in samples(metrics)
    feed(state, metrics, LiveMat().lying())
    found = samples(metrics)
    assert found["mat_pose_age_seconds", "bed"] == 0
    assert found["mat_occupied", "bed"] == 1


def test_two_views_in_one_process_do_not_share_their_figures(state: State, metrics: Metrics) -> None:
    feed(state, metrics, LiveMat().lying())
    other = Metrics(State(["bed"]), dict)
    assert samples(other) == {("mat_turns_total", "bed"): 0.0} | {
        key: value for key, value in samples(other).items() if key[0] == "mat_turns_created"
    }
