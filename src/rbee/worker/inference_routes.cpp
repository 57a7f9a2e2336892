#include "rbee/worker/inference_routes.hpp"

#include "rbee/api/error_body.hpp"
#include "rbee/api/gate.hpp"
#include "rbee/api/json.hpp"
#include "rbee/api/route_fields.hpp"
#include "rbee/domain/validate.hpp"
#include "rbee/worker/generation.hpp"
#include "rbee/worker/infer_request.hpp"
#include "rbee/worker/partial_answer.hpp"

#include <boost/json/object.hpp>

#include <memory>
#include <string>
#include <utility>
#include <variant>

namespace rbee::worker {

namespace asio = boost::asio;

using engine::Dialect;

void InferenceRoutes::install(http::Router& router) {
    const auto add = [&](const char* method, const char* path, http::Handler handler) {
        router.add(method, path, std::move(handler), http::Access::infer);
    };
    for (const char* path : {"/v1/inference", "/infer", "/execute"}) {
        add("POST", path, [this](http::Exchange& exchange) { return infer(exchange); });
    }
    const std::pair<const char*, Dialect> dialects[] = {
        {"/v1/completions", Dialect::completions},
        {"/v1/chat/completions", Dialect::chat},
        {"/v1/responses", Dialect::responses},
        {"/v1/messages", Dialect::messages},
    };
    for (const auto& [path, dialect] : dialects) {
        add("POST", path, [this, kind = dialect](http::Exchange& exchange) {
            return generate(exchange, kind);
        });
    }
    add("DELETE", "/v1/inference/{id}", [this](http::Exchange& exchange) {
        return cancel_by_path(exchange);
    });
    add("POST", "/cancel", [this](http::Exchange& exchange) { return cancel_by_body(exchange); });
}

asio::awaitable<void> InferenceRoutes::infer(http::Exchange& exchange) {
    const auto body = co_await api::read_object(exchange, exchange.inference_body_bytes_max());
    if (!body) {
        co_await refuse(exchange, Dialect::infer, body.error());
        co_return;
    }
    auto parsed = parse_infer_request(*body);
    if (const auto* errors = std::get_if<std::vector<FieldError>>(&parsed)) {
        core_.metrics.request(Dialect::infer, Outcome::invalid);
        http::Response response =
            api::error_response(to_error(*errors), exchange.correlation_id(), to_details(*errors));
        const auto sent = co_await exchange.respond(std::move(response));
        (void)sent; // a client that left needs no answer
        co_return;
    }
    const InferRequest& request = std::get<InferRequest>(parsed);
    const auto deadline_ms = api::get_unsigned(*body, "deadline_ms");
    if (!deadline_ms) {
        co_await refuse(exchange, Dialect::infer, deadline_ms.error());
        co_return;
    }
    auto deadline = begin_deadline(exchange, *deadline_ms, request.stream);
    if (!deadline) {
        co_await refuse(exchange, Dialect::infer, deadline.error());
        co_return;
    }
    const std::string& correlation_id = exchange.correlation_id();
    const std::string job_id = request.job_id.empty() ? correlation_id : request.job_id;
    // Ours fits 32 bits, so that it comes back as it is when a client sends it again.
    const std::uint64_t seed = request.seed.value_or(to_engine_seed(core_.random()));
    Plan plan{
        .dialect = Dialect::infer,
        .body = to_engine_body(request, seed),
        .answer = std::make_unique<InferAnswer>(InferAnswer::Options{
            .job_id = job_id,
            .model = core_.settings.model_name,
            .seed = seed,
            .started_at = core_.timers.clock().wall(),
            .streaming = request.stream,
        }),
        .ids = {correlation_id, job_id},
        .deadline = std::move(*deadline),
    };
    Generation generation(core_, exchange, std::move(plan));
    co_await generation.run();
}

asio::awaitable<void> InferenceRoutes::generate(http::Exchange& exchange, Dialect dialect) {
    auto body = co_await exchange.read_body(exchange.inference_body_bytes_max());
    if (!body) {
        co_await refuse(exchange, dialect, body.error());
        co_return;
    }
    const auto fields = api::route_fields(*body);
    if (!fields) {
        co_await refuse(exchange, dialect, fields.error());
        co_return;
    }
    auto deadline = begin_deadline(exchange, fields->deadline_ms, fields->stream);
    if (!deadline) {
        co_await refuse(exchange, dialect, deadline.error());
        co_return;
    }
    auto answer = (*deadline)->partial() ? make_partial_answer(dialect, fields->stream, *body)
                                         : std::make_unique<WireAnswer>(dialect, fields->stream);
    Plan plan{
        .dialect = dialect,
        .body = std::move(*body),
        .engine_streams = fields->stream || (*deadline)->partial(),
        .answer = std::move(answer),
        .ids = {exchange.correlation_id()},
        .deadline = std::move(*deadline),
    };
    Generation generation(core_, exchange, std::move(plan));
    co_await generation.run();
}

Result<std::unique_ptr<api::RequestDeadline>> InferenceRoutes::begin_deadline(
    http::Exchange& exchange, std::optional<std::int64_t> deadline_ms, bool stream
) {
    return core_.deadlines.begin(
        exchange, {.model = core_.settings.model_name, .deadline_ms = deadline_ms, .stream = stream}
    );
}

asio::awaitable<void>
InferenceRoutes::refuse(http::Exchange& exchange, Dialect dialect, Error error) {
    core_.metrics.request(dialect, Outcome::invalid);
    co_await api::respond_error(exchange, std::move(error));
}

asio::awaitable<void> InferenceRoutes::cancel_by_path(http::Exchange& exchange) {
    core_.running.cancel(exchange.path_parameters.front(), CancelReason::requested);
    http::Response response;
    response.status = 204;
    const auto sent = co_await exchange.respond(std::move(response));
    (void)sent; // the cancel has happened whether or not anybody reads this
}

asio::awaitable<void> InferenceRoutes::cancel_by_body(http::Exchange& exchange) {
    const auto body = co_await api::read_object(exchange);
    if (!body) {
        co_await api::respond_error(exchange, body.error());
        co_return;
    }
    const auto job_id = api::require_string(*body, "job_id");
    const auto good =
        job_id ? domain::check_text("job_id", *job_id) : Result<void>(error_of(job_id));
    if (!good) {
        co_await api::respond_error(exchange, good.error());
        co_return;
    }
    core_.running.cancel(*job_id, CancelReason::requested);
    co_await api::respond_json(exchange, 202, {{"message", "cancel accepted"}});
}

} // namespace rbee::worker
