"""Fixtures: test models made on the spot, and one shared cluster for tests that change nothing."""

import itertools

import pytest

from harness import Api, Cluster, make_corrupt_model, make_model

tests = itertools.count(1)

HELLO = "Hello from a scripted model.\nIt says this and nothing else."
TOOL_CALL = '<tool_call>{"name": "get_weather", "arguments": {"city": "Paris"}}</tool_call>'


def pytest_collection_modifyitems(items):
    """What looks at the traces of all tests comes last."""
    items.sort(key=lambda item: item.name.startswith("test_after_all_"))


@pytest.fixture(autouse=True)
def own_address():
    """Mistakes are counted by address: those of one test must not be held against the next."""
    number = next(tests)
    Api.source = f"127.0.{1 + number // 250}.{1 + number % 250}"
    yield
    Api.source = None


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
