#include "rbee/base/activity.hpp"
#include "rbee/base/text.hpp"
#include "rbee/engine/client_fields.hpp"
#include "rbee/engine/engine.hpp"
#include "rbee/engine/llama_engine.hpp"

#include <exception>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

#include "json.h"
#include "server-common.h"
#include "server-context.h"
#include "server-http.h"

namespace rbee::engine {
namespace {

Reply error_reply(const std::string& message, error_type type) {
    const json error = format_error_response(message, type);
    Reply reply;
    reply.status = json_value(error, "code", 500);
    reply.content_type = "application/json; charset=utf-8";
    reply.body = safe_json_to_str(json{{"error", error}});
    return reply;
}

const server_http_context::handler_t& handler_of(const server_routes& routes, Route route) {
    switch (route) {
    case Route::embeddings:
        return routes.post_embeddings_oai;
    case Route::rerank:
        return routes.post_rerank;
    case Route::tokenize:
        return routes.post_tokenize;
    case Route::detokenize:
        return routes.post_detokenize;
    case Route::apply_template:
        return routes.post_apply_template;
    case Route::count_tokens:
        return routes.post_anthropic_count_tokens;
    case Route::props:
        return routes.get_props;
    case Route::slots:
        return routes.get_slots;
    case Route::lora_adapters_get:
        return routes.get_lora_adapters;
    case Route::lora_adapters_set:
        return routes.post_lora_adapters;
    case Route::infill:
        return routes.post_infill;
    case Route::models:
        break;
    }
    return routes.get_models;
}

std::map<std::string, std::string> query_parameters(std::string_view query) {
    std::map<std::string, std::string> parameters;
    for (const std::string_view pair : split(query, '&')) {
        const auto equals = pair.find('=');
        const auto name = percent_decode(pair.substr(0, equals));
        const auto value =
            percent_decode(equals == std::string_view::npos ? "" : pair.substr(equals + 1));
        if (name && value && !name->empty()) {
            parameters[*name] = *value;
        }
    }
    return parameters;
}

/// What llama.cpp gets to read: infill is a generation, so its body needs the same care.
std::string checked_body(const Call& call, int context_tokens, bool allow_remote_images) {
    if (nests_too_deep(call.body)) {
        throw std::invalid_argument("the JSON body nests too deep");
    }
    if (call.body.empty()) {
        return {}; // a GET, or its handler says what it misses
    }
    json body = parse_body(call.body);
    if (!allow_remote_images) {
        refuse_remote_media(body);
    }
    if (call.route != Route::infill) {
        return call.body;
    }
    if (!body.is_object()) {
        throw std::invalid_argument("the body must be a JSON object");
    }
    restrict_client_fields(body, context_tokens);
    return safe_json_to_str(body);
}

/// Whether the inference loop has to compute for an answer.
bool needs_decodes(Route route) {
    return route == Route::embeddings || route == Route::rerank || route == Route::infill;
}

/// The whole body of a reply, streamed ones included.
std::string whole_body(server_http_res& response) {
    std::string body = std::move(response.data);
    if (!response.is_stream()) {
        return body;
    }
    response.data.clear();
    for (bool more = true; more;) {
        std::string part;
        more = response.next(part);
        body += part;
    }
    return body;
}

} // namespace

void LlamaEngine::call(Call call, ReplyFn done) {
    const auto shared_done = std::make_shared<ReplyFn>(std::move(done));
    bool posted = false;
    if (state_ == State::serving) {
        posted = call_pool_->post([this, call = std::move(call), shared_done] {
            (*shared_done)(answer(call));
        });
    }
    if (!posted) {
        // Not from here: the caller may hold what `done` needs.
        const auto refuse = [shared_done] {
            (*shared_done)(error_reply("the engine is busy or stopping", ERROR_TYPE_UNAVAILABLE));
        };
        if (!end_pool_->post(refuse)) {
            refuse();
        }
    }
}

Reply LlamaEngine::answer(const Call& call) {
    // Both conditions stay true once true, which llama.cpp asserts.
    const std::function<bool()> should_stop = [this] {
        return state_ == State::stopped || failed_;
    };
    if (should_stop()) {
        return error_reply("the engine is stopping", ERROR_TYPE_UNAVAILABLE);
    }
    try {
        const std::string body = checked_body(call, meta_->slot_n_ctx, allow_remote_images_);
        const server_http_req request{
            query_parameters(call.query), {}, {}, call.query, body, {}, should_stop
        };
        std::optional<ActivityTask> owed;
        if (needs_decodes(call.route)) {
            owed.emplace(*activity_);
        }
        const auto response = handler_of(*routes_, call.route)(request);
        Reply reply;
        reply.status = response->status;
        reply.content_type = response->content_type;
        reply.body = whole_body(*response);
        response->on_complete();
        if (should_stop() && reply.body.empty()) {
            return error_reply("the engine is stopping", ERROR_TYPE_UNAVAILABLE);
        }
        return reply;
    } catch (const std::invalid_argument& error) {
        return error_reply(error.what(), ERROR_TYPE_INVALID_REQUEST);
    } catch (const common_json_error& error) {
        return error_reply(error.what(), ERROR_TYPE_INVALID_REQUEST);
    } catch (const std::exception& error) {
        return error_reply(error.what(), ERROR_TYPE_SERVER);
    } catch (...) {
        return error_reply("unknown exception", ERROR_TYPE_SERVER);
    }
}

} // namespace rbee::engine
