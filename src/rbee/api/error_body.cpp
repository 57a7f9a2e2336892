#include "rbee/api/error_body.hpp"

#include "rbee/api/json.hpp"
#include "rbee/http/sse.hpp"

#include <boost/json/array.hpp>
#include <boost/json/serialize.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace rbee::api {

namespace json = boost::json;

namespace {

struct Kind {
    Errc code;
    int status;
    std::string_view wire_code;
    std::string_view type; ///< OpenAI's `type`.
    bool retriable;
};

constexpr std::array kinds = {
    Kind{Errc::invalid_argument, 400, "INVALID_REQUEST", "invalid_request_error", false},
    Kind{Errc::unauthenticated, 401, "INVALID_API_KEY", "authentication_error", false},
    Kind{Errc::forbidden, 403, "FORBIDDEN", "permission_error", false},
    Kind{Errc::not_found, 404, "NOT_FOUND", "not_found_error", false},
    Kind{Errc::conflict, 409, "CONFLICT", "invalid_request_error", false},
    Kind{Errc::too_large, 413, "PAYLOAD_TOO_LARGE", "invalid_request_error", false},
    Kind{Errc::busy, 503, "ALL_SLOTS_BUSY", "overloaded_error", true},
    Kind{Errc::unavailable, 503, "UNAVAILABLE", "server_error", true},
    Kind{Errc::resources, 503, "INSUFFICIENT_RESOURCES", "server_error", true},
    Kind{Errc::timeout, 504, "REQUEST_TIMEOUT", "timeout_error", false},
    Kind{Errc::cancelled, 499, "REQUEST_CANCELED", "cancelled_error", false},
    Kind{Errc::unsupported, 501, "NOT_SUPPORTED", "invalid_request_error", false},
    Kind{Errc::io, 502, "UPSTREAM_FAILED", "server_error", true},
    Kind{Errc::corrupt, 500, "INTERNAL", "server_error", false},
    Kind{Errc::internal, 500, "INTERNAL", "server_error", false},
};

/// Codes whose status differs from that of their kind.
struct Exception {
    std::string_view wire_code;
    int status;
};

constexpr std::array exceptions = {
    Exception{"HEADERS_TOO_LARGE", 431},
    Exception{"METHOD_NOT_ALLOWED", 405},
    Exception{"INSUFFICIENT_DISK", 507},
    Exception{"RATE_LIMITED", 429},
    Exception{"HEAD_TIMEOUT", 408},
    Exception{"BODY_TIMEOUT", 408},
    Exception{"TARGET_TOO_LONG", 414},
};

const Kind& kind_of(Errc code) {
    return *std::ranges::find(kinds, code, &Kind::code);
}

Errc errc_of_status(int status) {
    switch (status) {
    case 503:
        return Errc::unavailable;
    case 507:
        return Errc::resources;
    case 408:
        return Errc::timeout;
    case 405:
        return Errc::not_found;
    case 429:
        return Errc::busy;
    case 414:
    case 431:
        return Errc::too_large;
    default:
        break;
    }
    const auto found = std::ranges::find(kinds, status, &Kind::status);
    if (found != kinds.end()) {
        return found->code;
    }
    return status >= 400 && status < 500 ? Errc::invalid_argument : Errc::internal;
}

json::array to_array(const std::vector<FieldError>& fields) {
    json::array out;
    for (const FieldError& field : fields) {
        out.push_back(json::object{
            {"field", field.field}, {"constraint", field.constraint}, {"message", field.message}
        });
    }
    return out;
}

json::object carried_details(const Error& error) {
    return error.details.empty() ? json::object()
                                 : parse_object(error.details).value_or(json::object());
}

/// Seconds for Retry-After: what the error knows (details.retry_after_s), else a moment.
std::string retry_after(const Error& error, const json::object& details) {
    const json::object carried = carried_details(error);
    for (const json::object* from : {&details, &carried}) {
        const json::value* seconds = from->if_contains("retry_after_s");
        const bool whole = seconds != nullptr && seconds->is_int64() && seconds->get_int64() > 0;
        if (whole) {
            return std::to_string(seconds->get_int64());
        }
    }
    return "1";
}

} // namespace

int status_of(const Error& error) {
    const auto found = std::ranges::find(exceptions, error.wire_code, &Exception::wire_code);
    return found != exceptions.end() ? found->status : kind_of(error.code).status;
}

std::string wire_code_of(const Error& error) {
    return error.wire_code.empty() ? std::string(kind_of(error.code).wire_code) : error.wire_code;
}

json::object
error_object(const Error& error, std::string_view correlation_id, const json::object& details) {
    const Kind& kind = kind_of(error.code);
    json::object inner{
        {"message", error.what},
        {"type", kind.type},
        {"code", wire_code_of(error)},
        {"param",
         error.fields.empty() ? json::value(nullptr) : json::value(error.fields.front().field)},
        {"correlation_id", correlation_id},
        {"retriable", kind.retriable},
    };
    json::object all = carried_details(error);
    if (!error.fields.empty()) {
        all["errors"] = to_array(error.fields);
    }
    for (const auto& [name, value] : details) {
        all.insert_or_assign(name, value);
    }
    if (!all.empty()) {
        inner["details"] = std::move(all);
    }
    return {{"error", std::move(inner)}};
}

http::Response
error_response(const Error& error, std::string_view correlation_id, const json::object& details) {
    http::Response response;
    response.status = status_of(error);
    response.body = json::serialize(error_object(error, correlation_id, details));
    if (response.status == 401) {
        response.headers.add("WWW-Authenticate", "Bearer realm=\"rbee\"");
    }
    if (response.status == 504 && wire_code_of(error) == "REQUEST_TIMEOUT") {
        // Official clients repeat a 504 unless they are told that it cannot help.
        response.headers.add("X-Deadline-Exceeded", "1");
        response.headers.add("x-should-retry", "false");
    }
    if (response.status == 503) {
        response.headers.add("Retry-After", retry_after(error, details));
    }
    return response;
}

StreamDialect stream_dialect_of(std::string_view path) {
    if (path == "/v1/messages") {
        return StreamDialect::anthropic;
    }
    if (path == "/v1/responses") {
        return StreamDialect::responses;
    }
    const bool ours =
        path == "/v1/inference" || path == "/infer" || path == "/execute" || path == "/v2/tasks";
    return ours ? StreamDialect::rbee : StreamDialect::openai;
}

std::string
error_frame(StreamDialect dialect, const Error& error, std::string_view correlation_id) {
    json::object body = error_object(error, correlation_id);
    switch (dialect) {
    case StreamDialect::openai:
        return http::format_sse(json::serialize(body));
    case StreamDialect::responses: {
        // The official client raises on events of type "error".
        const json::object& inner = body["error"].as_object();
        json::object event{
            {"type", "error"},
            {"code", inner.at("code")},
            {"message", inner.at("message")},
            {"param", nullptr},
            {"correlation_id", correlation_id},
        };
        return http::format_sse("error", json::serialize(event));
    }
    case StreamDialect::anthropic:
        body["type"] = "error";
        return http::format_sse("error", json::serialize(body));
    case StreamDialect::rbee:
        break;
    }
    const json::object event{
        {"type", "error"},
        {"code", wire_code_of(error)},
        {"message", error.what},
        {"correlation_id", correlation_id},
    };
    return http::format_sse(json::serialize(event)) + http::format_sse("[DONE]");
}

Error error_from_response(int status, std::string_view body) {
    Error error{
        errc_of_status(status), fmt::format("the server answered with status {}", status), {}
    };
    const auto object = parse_object(body);
    if (!object) {
        return error;
    }
    const json::value* inner = object->if_contains("error");
    if (inner == nullptr || !inner->is_object()) {
        return error;
    }
    const auto text_of = [inner](std::string_view field) {
        return get_string(inner->get_object(), field).value_or(std::nullopt);
    };
    if (const auto message = text_of("message")) {
        error.what = *message;
    }
    const json::value* details = inner->get_object().if_contains("details");
    if (details != nullptr && details->is_object()) {
        error.details = json::serialize(*details);
    }
    if (const auto code = text_of("code")) {
        error.wire_code = *code;
        if (error.wire_code == "ALL_SLOTS_BUSY" || error.wire_code == "QUEUE_FULL") {
            error.code = Errc::busy;
        } else if (error.wire_code.starts_with("INSUFFICIENT_")) {
            error.code = Errc::resources;
        }
    }
    return error;
}

} // namespace rbee::api
