"""Networks with known outputs, behind the commands that segment images."""

import pytest

from s2a_jax.inference import batches, segmenter


@pytest.fixture
def intensity_network(monkeypatch):
    """A network whose probability of a vessel is the intensity, and of the FAZ its square."""

    def predict_step(_, images, *, module):
        return {"rv": images, "faz": images**2}

    monkeypatch.setattr(batches, "predict_step", predict_step)
    # It traces the network of the shipped weights, which takes longer than the rest of a command.
    monkeypatch.setattr(segmenter, "check_variables", lambda *_: None)


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
