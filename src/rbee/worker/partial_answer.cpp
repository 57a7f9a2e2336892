#include "rbee/worker/partial_answer.hpp"

#include "rbee/api/json.hpp"

#include <boost/json/serialize.hpp>

#include <utility>

namespace rbee::worker {

namespace json = boost::json;

namespace {

json::object truncated() {
    return {{"truncated_by", "deadline"}};
}

/// Null when there is no such member or it is of another type.
const json::object* object_in(const json::object& parent, std::string_view name) {
    const json::value* found = parent.if_contains(name);
    return found == nullptr ? nullptr : found->if_object();
}

const json::array* array_in(const json::object& parent, std::string_view name) {
    const json::value* found = parent.if_contains(name);
    return found == nullptr ? nullptr : found->if_array();
}

std::string_view text_in(const json::object& parent, std::string_view name) {
    const json::value* found = parent.if_contains(name);
    const json::string* text = found == nullptr ? nullptr : found->if_string();
    return text == nullptr ? std::string_view() : std::string_view(*text);
}

std::int64_t index_in(const json::object& parent) {
    const json::value* found = parent.if_contains("index");
    return found != nullptr && found->is_int64() ? found->get_int64() : 0;
}

void append_text(json::object& to, std::string_view name, std::string_view text) {
    json::value& value = to[name];
    if (value.is_string()) {
        value.get_string().append(text);
    } else {
        value = text;
    }
}

/// A piece of a tool call: its id and name come once, its arguments bit by bit.
void join_tool_call(const json::object& piece, json::object& call) {
    for (const auto& [name, value] : piece) {
        if (name == "function" && value.is_object()) {
            json::value& function = call["function"];
            if (!function.is_object()) {
                function.emplace_object();
            }
            for (const auto& [part, text] : value.get_object()) {
                if (part == "arguments" && text.is_string()) {
                    append_text(function.get_object(), part, text.get_string());
                } else {
                    function.get_object()[part] = text;
                }
            }
        } else if (name != "index") {
            call[name] = value;
        }
    }
}

json::object openai_usage(const engine::Usage& usage) {
    return {
        {"completion_tokens", usage.completion_tokens},
        {"prompt_tokens", usage.prompt_tokens},
        {"total_tokens", usage.completion_tokens + usage.prompt_tokens},
        {"prompt_tokens_details", {{"cached_tokens", usage.cached_tokens}}},
    };
}

std::string named_event(const json::object& event) {
    return http::format_sse(text_in(event, "type"), json::serialize(event));
}

} // namespace

// OpenAI
// --------------------------------------------------------------------------------------

void PartialCompletion::add(const engine::Chunk& chunk, TimePoint /*made_at*/, std::string& out) {
    if (options_.streaming) {
        out += chunk.wire;
    }
    for (const http::SseEvent& event : reader_.feed(chunk.wire)) {
        take(event.data);
    }
}

void PartialCompletion::take(std::string_view data) {
    const auto chunk = api::parse_object(data);
    if (!chunk) {
        return; // [DONE]
    }
    if (head_.empty()) {
        for (const char* name : {"created", "id", "model", "system_fingerprint", "object"}) {
            if (const json::value* value = chunk->if_contains(name)) {
                head_[name] = *value;
            }
        }
    }
    if (const json::object* timings = object_in(*chunk, "timings")) {
        timings_ = *timings;
    }
    if (const json::array* choices = array_in(*chunk, "choices")) {
        for (const json::value& choice : *choices) {
            if (choice.is_object()) {
                take_choice(choice.get_object());
            }
        }
    }
}

void PartialCompletion::take_choice(const json::object& part) {
    Choice& choice = choices_[index_in(part)];
    choice.finish_reason = text_in(part, "finish_reason");
    if (options_.streaming) {
        return; // what it says has gone to the client
    }
    if (const json::object* logprobs = object_in(part, "logprobs")) {
        if (const json::array* content = array_in(*logprobs, "content")) {
            choice.logprobs.insert(choice.logprobs.end(), content->begin(), content->end());
        }
    }
    if (const std::string_view text = text_in(part, "text"); !text.empty()) {
        append_text(choice.message, "content", text);
    }
    const json::object* delta = object_in(part, "delta");
    if (delta == nullptr) {
        return;
    }
    for (const auto& [name, value] : *delta) {
        if (name == "tool_calls" && value.is_array()) {
            for (const json::value& piece : value.get_array()) {
                if (piece.is_object()) {
                    const json::object& call = piece.get_object();
                    join_tool_call(call, choice.tool_calls[index_in(call)]);
                }
            }
        } else if (name != "role" && value.is_string()) {
            append_text(choice.message, name, value.get_string());
        } else if (!value.is_null()) {
            choice.message[name] = value;
        }
    }
}

void PartialCompletion::finish(const engine::End& end, std::string& out) {
    if (!options_.streaming) {
        out += json::serialize(document(end));
    } else if (ended_by_deadline(end)) {
        end_stream(end, out);
    }
}

void PartialCompletion::end_stream(const engine::End& end, std::string& out) const {
    for (const auto& [index, choice] : choices_) {
        if (!choice.finish_reason.empty()) {
            continue;
        }
        json::object last{{"finish_reason", "length"}, {"index", index}};
        if (chat()) {
            last["delta"] = json::object();
        } else {
            last["text"] = "";
            last["logprobs"] = nullptr;
        }
        json::object event = head_;
        event["choices"] = json::array{std::move(last)};
        event["rbee"] = truncated();
        out += http::format_sse(json::serialize(event));
    }
    if (options_.include_usage) {
        json::object event = head_;
        event["choices"] = json::array();
        event["usage"] = openai_usage(end.usage);
        out += http::format_sse(json::serialize(event));
    }
    out += http::format_sse("[DONE]");
}

json::object PartialCompletion::document(const engine::End& end) const {
    json::object out = head_;
    if (chat()) {
        out["object"] = "chat.completion";
    }
    json::array choices;
    for (const auto& [index, choice] : choices_) {
        choices.push_back(choice_of(index, choice, end));
    }
    out["choices"] = std::move(choices);
    out["usage"] = openai_usage(end.usage);
    if (!timings_.empty()) {
        out["timings"] = timings_;
    }
    if (ended_by_deadline(end)) {
        out["rbee"] = truncated();
    }
    return out;
}

json::object PartialCompletion::choice_of(
    std::int64_t index, const Choice& choice, const engine::End& end
) const {
    const bool cut = choice.finish_reason.empty() && ended_by_deadline(end);
    json::object out{
        {"finish_reason", cut ? "length" : std::string_view(choice.finish_reason)},
        {"index", index},
    };
    json::object message = choice.message;
    if (!message.contains("content")) {
        message["content"] = "";
    }
    if (chat()) {
        message["role"] = "assistant";
        if (!choice.tool_calls.empty()) {
            json::array calls;
            for (const auto& [number, call] : choice.tool_calls) {
                calls.push_back(call);
            }
            message["tool_calls"] = std::move(calls);
        }
        out["message"] = std::move(message);
    } else {
        out["text"] = message.at("content");
        out["logprobs"] = nullptr;
    }
    if (!choice.logprobs.empty()) {
        out["logprobs"] = json::object{{"content", choice.logprobs}};
    }
    return out;
}

// Anthropic
// -----------------------------------------------------------------------------------

void PartialMessage::add(const engine::Chunk& chunk, TimePoint /*made_at*/, std::string& out) {
    if (streaming_) {
        out += chunk.wire;
    }
    for (const http::SseEvent& event : reader_.feed(chunk.wire)) {
        take(event.data);
    }
}

void PartialMessage::take(std::string_view data) {
    const auto event = api::parse_object(data);
    if (!event) {
        return;
    }
    const std::string_view type = text_in(*event, "type");
    if (type == "message_start") {
        if (const json::object* message = object_in(*event, "message")) {
            message_ = *message;
        }
    } else if (type == "content_block_start") {
        if (const json::object* content = object_in(*event, "content_block")) {
            blocks_[index_in(*event)].content = *content;
        }
    } else if (type == "content_block_delta") {
        take_delta(*event);
    } else if (type == "content_block_stop") {
        blocks_[index_in(*event)].open = false;
    } else if (type == "message_delta") {
        if (const json::object* delta = object_in(*event, "delta")) {
            ending_ = *delta;
        }
    }
}

void PartialMessage::take_delta(const json::object& event) {
    const json::object* delta = object_in(event, "delta");
    if (delta == nullptr || streaming_) {
        return;
    }
    Block& block = blocks_[index_in(event)];
    block.input += text_in(*delta, "partial_json");
    for (const char* name : {"text", "thinking", "signature"}) {
        if (delta->contains(name)) {
            append_text(block.content, name, text_in(*delta, name));
        }
    }
}

void PartialMessage::finish(const engine::End& end, std::string& out) {
    if (!streaming_) {
        out += json::serialize(document(end));
    } else if (ended_by_deadline(end)) {
        end_stream(end, out);
    }
}

void PartialMessage::end_stream(const engine::End& end, std::string& out) const {
    for (const auto& [index, block] : blocks_) {
        if (block.open) {
            out += named_event({{"type", "content_block_stop"}, {"index", index}});
        }
    }
    if (ending_.empty()) {
        out += named_event({
            {"type", "message_delta"},
            {"delta", {{"stop_reason", "max_tokens"}, {"stop_sequence", nullptr}}},
            {"usage", {{"output_tokens", end.usage.completion_tokens}}},
            {"rbee", truncated()},
        });
    }
    out += named_event({{"type", "message_stop"}});
}

json::object PartialMessage::document(const engine::End& end) const {
    const bool cut = ended_by_deadline(end);
    json::object out = message_;
    json::array content;
    for (const auto& [index, block] : blocks_) {
        const bool tool = text_in(block.content, "type") == "tool_use";
        if (tool && block.open) {
            continue; // half of its input would be another call than the one that was meant
        }
        json::object item = block.content;
        if (tool) {
            item["input"] = api::parse_object(block.input).value_or(json::object());
        }
        content.push_back(std::move(item));
    }
    out["content"] = std::move(content);
    out["stop_reason"] = "max_tokens";
    for (const auto& [name, value] : ending_) {
        out[name] = value;
    }
    const engine::Usage& usage = end.usage;
    out["usage"] = json::object{
        {"cache_read_input_tokens", usage.cached_tokens},
        {"input_tokens", usage.prompt_tokens - usage.cached_tokens},
        {"output_tokens", usage.completion_tokens},
    };
    if (cut) {
        out["rbee"] = truncated();
    }
    return out;
}

std::unique_ptr<Answer>
make_partial_answer(engine::Dialect dialect, bool streaming, std::string_view body) {
    if (dialect == engine::Dialect::messages) {
        return std::make_unique<PartialMessage>(streaming);
    }
    PartialCompletion::Options options{.dialect = dialect, .streaming = streaming};
    if (streaming) {
        // A body that cannot be read is refused by the engine.
        const json::object fields = api::parse_object(body).value_or(json::object());
        const json::object* wanted = object_in(fields, "stream_options");
        const json::value* usage =
            wanted == nullptr ? nullptr : wanted->if_contains("include_usage");
        options.include_usage = usage != nullptr && usage->is_bool() && usage->get_bool();
    }
    return std::make_unique<PartialCompletion>(options);
}

} // namespace rbee::worker
