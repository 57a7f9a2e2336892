"""Fixtures: test models made on the spot, and one shared cluster for tests that change nothing."""

import pytest

from harness import Cluster, make_corrupt_model, make_model

HELLO = "Hello from a scripted model.\nIt says this and nothing else."
TOOL_CALL = '<tool_call>{"name": "get_weather", "arguments": {"city": "Paris"}}</tool_call>'


@pytest.fixture(scope="session")
def models_dir(tmp_path_factory):
    """A models directory with one model for each purpose."""
    directory = tmp_path_factory.mktemp("models")

    make_model(directory, "hello", "--kind", "scripted", "--text", HELLO)
    make_model(directory, "tool", "--kind", "scripted", "--tools", "--text", TOOL_CALL)
    make_model(directory, "count-a", "--kind", "scripted", "--count", "2000", "--seed", "1")
    make_model(directory, "count-b", "--kind", "scripted", "--count", "2000", "--seed", "2", "--start", "1000")
    make_model(directory, "tiny", "--seed", "3")
    make_model(directory, "embedder", "--seed", "4")
    make_model(directory, "endless", "--eos", "never", "--preset", "mid")
    make_corrupt_model(directory)
    return directory


@pytest.fixture(scope="session")
def shared(tmp_path_factory, models_dir):
    """A cluster for tests that leave it as it was."""
    cluster = Cluster(tmp_path_factory.mktemp("home"), models_dir)
    yield cluster
    code = cluster.stop()
    assert code == 0, cluster.queen.log_text()


@pytest.fixture
def cluster(tmp_path, models_dir):
    """A cluster of the test's own."""
    made = Cluster(tmp_path, models_dir)
    yield made
    code = made.stop()
    assert code == 0, made.queen.log_text()
