"""Networks with known outputs, behind the commands that segment images."""

import pytest

from s2a_jax.inference import batches
from tests.networks import intensity, put_in_place


@pytest.fixture
def intensity_network(monkeypatch):
    """A network whose probability of a vessel is the intensity, and of the FAZ its square."""
    put_in_place(monkeypatch, intensity)


@pytest.fixture
def computed(monkeypatch):
    """The number of images of each batch that was computed."""
    counts = []
    start = batches.BatchPredictor.start

    def count(self, images):
        counts.append(len(images))
        return start(self, images)

    monkeypatch.setattr(batches.BatchPredictor, "start", count)
    return counts
