#include "rbee/cli/stream_decoder.hpp"

#include "rbee/api/error_body.hpp"
#include "rbee/api/json.hpp"
#include "rbee/cli/json_view.hpp"

#include <utility>

namespace rbee::cli {

namespace json = boost::json;
using Kind = StreamEvent::Kind;

namespace {

/// Our stop reasons in the words of the OpenAI API.
std::string finish_reason_of(const std::string& stop_reason) {
    if (stop_reason == "MAX_TOKENS") {
        return "length";
    }
    if (stop_reason == "EOS" || stop_reason == "STOP_SEQUENCE" || stop_reason.empty()) {
        return "stop";
    }
    return stop_reason;
}

bool has_error(const json::object& object) {
    const json::value* error = object.if_contains("error");
    return error != nullptr && !error->is_null();
}

void become_failed(StreamEvent& event, Error error) {
    event.kind = Kind::failed;
    event.error = std::move(error);
}

} // namespace

std::vector<StreamEvent> StreamDecoder::feed(std::string_view bytes) {
    std::vector<StreamEvent> out;
    for (const http::SseEvent& event : reader_.feed(bytes)) {
        if (!ended_) {
            decode(event, out);
        }
    }
    if (reader_.overflowed() && !ended_) {
        ended_ = true;
        StreamEvent event;
        become_failed(event, {Errc::corrupt, "the server sent an event of more than 16 MiB", {}});
        out.push_back(std::move(event));
    }
    return out;
}

void StreamDecoder::decode(const http::SseEvent& sse, std::vector<StreamEvent>& out) {
    StreamEvent event;
    if (sse.data == "[DONE]") {
        if (!complete_) {
            return; // says that the stream ends, not that the answer is whole
        }
        event.kind = Kind::finished;
    } else if (const auto object = api::parse_object(sse.data); !object) {
        become_failed(event, {Errc::corrupt, "the server sent an event that is not JSON", {}});
    } else if (const std::string type = text_of(*object, "type"); has_error(*object)) {
        Error error = api::error_from_response(500, sse.data);
        become_failed(event, std::move(error));
    } else if (!type.empty()) {
        decode_typed(*object, type, event);
    } else if (object->contains("token") || object->contains("done")) {
        decode_plain(*object, event);
    } else {
        decode_openai(*object, event);
    }
    if (event.kind == Kind::text || event.kind == Kind::thought) {
        ++summary_.pieces;
    }
    ended_ = event.kind == Kind::finished || event.kind == Kind::failed;
    complete_ = complete_ && event.kind != Kind::failed;
    out.push_back(std::move(event));
}

void StreamDecoder::decode_typed(
    const json::object& object, std::string_view type, StreamEvent& event
) {
    if (type == "token") {
        event.kind = Kind::text;
        event.text = text_of(object, "t");
    } else if (type == "started") {
        event.kind = Kind::started;
        summary_.model = text_of(object, "model");
    } else if (type == "end") {
        summary_.finish_reason = finish_reason_of(text_of(object, "stop_reason"));
        summary_.completion_tokens = number_of(object, "tokens_out");
        complete_ = true;
    } else if (type == "error") {
        become_failed(event, {Errc::internal, text_of(object, "message"), text_of(object, "code")});
    }
}

void StreamDecoder::decode_plain(const json::object& object, StreamEvent& event) {
    if (object.contains("token")) {
        event.kind = Kind::text;
        event.text = text_of(object, "token");
        return;
    }
    const json::value& done = object.at("done");
    if (done.is_bool() && done.get_bool()) {
        summary_.completion_tokens = number_of(object, "total_tokens");
        summary_.finish_reason = "stop";
        complete_ = true;
    }
}

void StreamDecoder::decode_openai(const json::object& object, StreamEvent& event) {
    if (summary_.model.empty()) {
        summary_.model = text_of(object, "model");
    }
    take_usage(object);
    const json::value* choices = object.if_contains("choices");
    if (choices == nullptr || !choices->is_array() || choices->get_array().empty() ||
        !choices->get_array().front().is_object()) {
        return;
    }
    const json::object& choice = choices->get_array().front().get_object();
    if (const json::object* delta = object_of(choice, "delta")) {
        event.text = text_of(*delta, "content");
        event.kind = event.text.empty() ? Kind::note : Kind::text;
        if (event.text.empty()) {
            event.text = text_of(*delta, "reasoning_content");
            event.kind = event.text.empty() ? Kind::note : Kind::thought;
        }
    } else if (choice.contains("text")) {
        event.text = text_of(choice, "text");
        event.kind = event.text.empty() ? Kind::note : Kind::text;
    }
    if (std::string reason = text_of(choice, "finish_reason"); !reason.empty()) {
        summary_.finish_reason = std::move(reason);
        complete_ = true;
    }
}

void StreamDecoder::take_usage(const json::object& object) {
    if (const json::object* usage = object_of(object, "usage")) {
        summary_.prompt_tokens = number_of(*usage, "prompt_tokens");
        summary_.completion_tokens = number_of(*usage, "completion_tokens");
    }
}

} // namespace rbee::cli
