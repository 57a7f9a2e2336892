"""A prompt goes through queen, hive and worker and streams back."""

import concurrent.futures
import json
import re

from conftest import HELLO, TOOL_CALL
from harness import wait_for


def test_streamed_chat_is_exactly_what_the_model_says(shared):
    assert shared.api.chat_text("hello") == HELLO


def test_unary_chat(shared):
    answer = shared.api.post(
        "/v1/chat/completions",
        {"model": "hello", "messages": [{"role": "user", "content": "hi"}]},
    )
    assert answer.status == 200, answer.body
    body = answer.json()
    assert body["choices"][0]["message"]["content"] == HELLO
    assert body["choices"][0]["finish_reason"] == "stop"
    assert body["usage"]["completion_tokens"] >= len(HELLO)


def test_completions_and_native_inference(shared):
    answer = shared.api.post("/v1/completions", {"model": "hello", "prompt": "x", "max_tokens": 5})
    assert answer.json()["choices"][0]["text"] == HELLO[:5]
    with shared.api.stream(
        "/v1/inference", {"model": "hello", "prompt": "x", "max_tokens": 5, "job_id": "job-1"}
    ) as (status, _, events):
        assert status == 200
        got = [data for _, data in events]
    assert got[-1] == "[DONE]"
    parsed = [json.loads(data) for data in got[:-1]]
    assert parsed[0]["type"] == "started" and parsed[0]["job_id"] == "job-1"
    tokens = [event for event in parsed if event["type"] == "token"]
    assert "".join(event["t"] for event in tokens) == HELLO[:5]
    assert [event["i"] for event in tokens] == list(range(5))
    assert parsed[-1]["type"] == "end" and parsed[-1]["stop_reason"] == "MAX_TOKENS"


def test_responses_messages_and_tools(shared):
    answer = shared.api.post("/v1/responses", {"model": "hello", "input": "hi"})
    assert answer.status == 200, answer.body
    assert HELLO in json.dumps(answer.json(), ensure_ascii=False).replace("\\n", "\n")
    answer = shared.api.post(
        "/v1/messages",
        {"model": "hello", "max_tokens": 200, "messages": [{"role": "user", "content": "hi"}]},
    )
    assert answer.status == 200, answer.body
    assert answer.json()["content"][0]["text"] == HELLO
    tools = [{"type": "function", "function": {"name": "get_weather", "parameters": {
        "type": "object", "properties": {"city": {"type": "string"}}}}}]
    answer = shared.api.post(
        "/v1/chat/completions",
        {"model": "tool", "tools": tools, "messages": [{"role": "user", "content": "Paris?"}]},
    )
    assert answer.status == 200, answer.body
    choice = answer.json()["choices"][0]
    assert choice["finish_reason"] == "tool_calls"
    call = choice["message"]["tool_calls"][0]["function"]
    assert call["name"] == "get_weather"
    assert json.loads(call["arguments"]) == json.loads(TOOL_CALL[11:-12])["arguments"]


def test_tokenize_and_models(shared):
    tokens = shared.api.post("/tokenize", {"model": "hello", "content": "abc"}).json()["tokens"]
    text = shared.api.post("/detokenize", {"model": "hello", "tokens": tokens}).json()["content"]
    assert text == "abc"
    models = {m["id"]: m for m in shared.api.get("/v1/models").json()["data"]}
    assert {"hello", "tool", "tiny", "endless", "count-a"} <= set(models)
    assert models["hello"]["object"] == "model"


def test_schema_forces_json(shared):
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    answer = shared.api.post(
        "/v1/chat/completions",
        {
            "model": "tiny", "max_tokens": 60, "temperature": 0,
            "messages": [{"role": "user", "content": "x"}],
            "response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}},
        },
    )
    assert answer.status == 200, answer.body
    assert answer.json()["choices"][0]["message"]["content"].lstrip().startswith("{")


def test_two_models_twenty_streams_every_token_in_order(cluster):
    """Two models on one hive, 20 streams of both: nothing lost, doubled, reordered or mixed."""
    workers = {model: cluster.spawn(model) for model in ("count-a", "count-b")}
    body = {"prompt": "x", "max_tokens": 400, "temperature": 0}
    expected = {}
    for model, worker in workers.items():
        answer = cluster.worker_api(worker).post("/v1/completions", body)
        assert answer.status == 200, answer.body
        expected[model] = answer.json()["choices"][0]["text"]
        numbers = [int(n) for n in re.findall(r"\d+", expected[model])]
        assert numbers == [(numbers[0] + i) % 2000 for i in range(400)]
    assert expected["count-a"] != expected["count-b"]

    def one(model):
        text = ""
        with cluster.api.stream(
            "/v1/completions", {**body, "model": model, "stream": True}
        ) as (status, _, events):
            assert status == 200
            for _, data in events:
                if data != "[DONE]":
                    text += json.loads(data)["choices"][0]["text"]
        return model, text

    with concurrent.futures.ThreadPoolExecutor(20) as pool:
        results = list(pool.map(one, ["count-a", "count-b"] * 10))
    assert len(results) == 20
    for model, text in results:
        assert text == expected[model]
    for model in workers:
        wait_for(
            lambda m=model: cluster.find(workers[m]["id"])["slots_available"] == 4,
            what="all slots free again",
        )
