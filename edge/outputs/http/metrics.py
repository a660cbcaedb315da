"""/metrics: what Prometheus reads, in a registry of its own."""

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from edge.messages import EventLine, Pose
from edge.outputs.http.state import State
from edge.outputs.sink import Item

COUNTS: Final = {
    "received": ("mat_frames_received", "Whole frames"),
    "lost": ("mat_frames_lost", "Frames missing by their sequence numbers"),
    "corrupt": ("mat_messages_corrupt", "Messages that cannot be trusted"),
    "dropped": ("mat_frames_dropped", "Frames without a pose"),
    "poses": ("mat_poses", "Frames with a pose"),
    "port_losses": ("mat_port_losses", "Times that the port was lost"),
}
"""Field of Counts -> name and help; they are as of the latest health line."""
BUCKETS_S: Final = (0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)


class Metrics(Collector):
    """Latencies and turns are counted as they come, all else is read from `state` when somebody looks."""

    def __init__(self, state: State, dropped: Callable[[], Mapping[str, int]]) -> None:
        self._state, self._dropped = state, dropped
        self._registry = CollectorRegistry()
        self._registry.register(self)
        self._stages = Histogram(
            "mat_latency_seconds",
            "Of the frames shown here, from their last byte on, by stage",
            ("mat", "stage"),
            registry=self._registry,
            buckets=BUCKETS_S,
        )
        self._turns = Counter("mat_turns", "Times that somebody turned over", ("mat",), registry=self._registry)
        for mat in state.mats:
            self._turns.labels(mat)

    def take(self, item: Item) -> None:
        line = item.line
        if isinstance(line, Pose) and item.picture:
            for stage, ms in item.picture.stages_ms.items():
                self._stages.labels(line.mat, stage).observe(ms / 1000)
        elif isinstance(line, EventLine) and line.event == "turned":
            self._turns.labels(line.mat).inc()

    def text(self) -> bytes:
        """In Prometheus' text format."""
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        for field, (name, documentation) in COUNTS.items():
            family = CounterMetricFamily(name, documentation, labels=("mat",))
            for mat, state in self._state.mats.items():
                if state.health:
                    family.add_metric((mat,), getattr(state.health.counts, field))
            yield family
        age = GaugeMetricFamily("mat_pose_age_seconds", "Since the newest pose shown here came", labels=("mat",))
        occupied = GaugeMetricFamily("mat_occupied", "Whether somebody lies there", labels=("mat",))
        for mat, state in self._state.mats.items():
            age_s = self._state.pose_age_s(mat)
            if age_s is not None:
                age.add_metric((mat,), age_s)
            if state.pose:
                occupied.add_metric((mat,), state.pose.occupied)
        yield age
        yield occupied
        drops = CounterMetricFamily("output_dropped", "Lines that a slow output lost", labels=("output",))
        for output, count in self._dropped().items():
            drops.add_metric((output,), count)
        yield drops
