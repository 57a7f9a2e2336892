// The official client libraries against a running queen. Needs RBEE_URL, RBEE_TOKEN and, for the
// test that kills a worker, RBEE_KILL_PID. Run with: node --test clients.test.mjs
import assert from "node:assert/strict";
import { test } from "node:test";
import Anthropic from "@anthropic-ai/sdk";
import OpenAI from "openai";

const url = process.env.RBEE_URL;
const token = process.env.RBEE_TOKEN;
const hello = process.env.RBEE_HELLO;
const openai = new OpenAI({ baseURL: `${url}/v1`, apiKey: token, maxRetries: 0 });
const anthropic = new Anthropic({ baseURL: url, authToken: token, apiKey: null, maxRetries: 0 });
const user = [{ role: "user", content: "hi" }];

test("openai: chat", async () => {
  const answer = await openai.chat.completions.create({ model: "hello", messages: user });
  assert.equal(answer.choices[0].message.content, hello);
  assert.equal(answer.choices[0].finish_reason, "stop");
});

test("openai: streamed chat", async () => {
  const stream = await openai.chat.completions.create({ model: "hello", messages: user, stream: true });
  let text = "";
  let finish = null;
  for await (const chunk of stream) {
    text += chunk.choices[0]?.delta?.content ?? "";
    finish = chunk.choices[0]?.finish_reason ?? finish;
  }
  assert.equal(text, hello);
  assert.equal(finish, "stop");
});

test("openai: responses, streamed", async () => {
  const stream = await openai.responses.create({ model: "hello", input: "hi", stream: true });
  let text = "";
  for await (const event of stream) {
    if (event.type === "response.output_text.delta") text += event.delta;
  }
  assert.equal(text, hello);
});

test("openai: tool call", async () => {
  const answer = await openai.chat.completions.create({
    model: "tool",
    messages: user,
    tools: [{
      type: "function",
      function: { name: "get_weather", parameters: { type: "object", properties: { city: { type: "string" } } } },
    }],
  });
  const call = answer.choices[0].message.tool_calls[0].function;
  assert.equal(call.name, "get_weather");
  assert.deepEqual(JSON.parse(call.arguments), { city: "Paris" });
});

test("openai: models", async () => {
  const ids = [];
  for await (const model of openai.models.list()) ids.push(model.id);
  assert.ok(ids.includes("hello"));
});

test("openai: embeddings", async () => {
  const answer = await openai.embeddings.create({ model: "embedder", input: ["a", "bc"], encoding_format: "float" });
  assert.equal(answer.data.length, 2);
  assert.ok(answer.data[0].embedding.length >= 16);
});

test("openai: errors are mapped", async () => {
  await assert.rejects(
    openai.chat.completions.create({ model: "nope", messages: user }),
    (error) => error instanceof OpenAI.NotFoundError && error.code === "MODEL_NOT_FOUND",
  );
  const stranger = new OpenAI({ baseURL: `${url}/v1`, apiKey: "wrong", maxRetries: 0 });
  await assert.rejects(stranger.models.list(), OpenAI.AuthenticationError);
  await assert.rejects(
    openai.chat.completions.create({ model: "hello", messages: "not a list" }),
    OpenAI.BadRequestError,
  );
});

test("openai: abort ends the stream", async () => {
  const stream = await openai.chat.completions.create({
    model: "endless", messages: user, stream: true, max_tokens: 100000,
  });
  let chunks = 0;
  for await (const chunk of stream) {
    assert.ok(chunk);
    if (++chunks === 3) stream.controller.abort();
  }
  assert.ok(chunks >= 3);
});

test("anthropic: message and stream", async () => {
  const request = { model: "hello", max_tokens: 300, messages: user };
  const message = await anthropic.messages.create(request);
  assert.equal(message.content[0].text, hello);
  const stream = anthropic.messages.stream(request);
  assert.equal(await stream.finalText(), hello);
});

test("anthropic: errors are mapped", async () => {
  await assert.rejects(
    anthropic.messages.create({ model: "nope", max_tokens: 5, messages: user }),
    Anthropic.NotFoundError,
  );
});

test("openai: a worker that dies in mid-stream makes the call throw", async () => {
  const stream = await openai.chat.completions.create({
    model: "endless", messages: user, stream: true, max_tokens: 100000,
  });
  let chunks = 0;
  await assert.rejects(
    async () => {
      for await (const chunk of stream) {
        assert.ok(chunk);
        if (++chunks === 3) process.kill(Number(process.env.RBEE_KILL_PID), "SIGKILL");
      }
    },
    (error) => error instanceof OpenAI.APIError && /SIGKILL/.test(error.message),
  );
});
