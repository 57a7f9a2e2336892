#include "rbee/api/gate_audit.hpp"

#include "rbee/api/audit_hold.hpp"
#include "rbee/api/json.hpp"
#include "rbee/audit/events.hpp"
#include "rbee/domain/validate.hpp"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include <optional>

namespace rbee::api {

namespace json = boost::json;

namespace {

/// Longest text that a field of an event takes, with room for a mark that it was cut.
constexpr std::size_t shown_bytes_max = 512;

/// The address of a peer without its port.
std::string address_of(std::string_view peer) {
    const auto colon = peer.rfind(':');
    std::string_view host = colon == std::string_view::npos ? peer : peer.substr(0, colon);
    if (host.starts_with('[') && host.ends_with(']')) {
        host = host.substr(1, host.size() - 2);
    }
    return std::string(host);
}

/// What a stranger sent, as a record may have it: a bad byte must not keep the event out.
std::string shown(std::string_view text) {
    return domain::harmless(text, shown_bytes_max);
}

audit::Actor actor_of(const http::Exchange& exchange, std::string_view ip) {
    const bool open = exchange.principal == "dev";
    return {
        .user_id = exchange.actor,
        .ip = ip,
        .auth_method = open ? "internal" : "bearer_token",
    };
}

/// The broken rules that an answer names; empty when it names none.
json::array broken_rules(const http::Response& response) {
    const auto body = parse_object(response.body);
    if (!body) {
        return {};
    }
    const json::value whole(*body);
    boost::system::error_code absent;
    const json::value* errors = whole.find_pointer("/error/details/errors", absent);
    return errors != nullptr && errors->is_array() ? errors->get_array() : json::array();
}

std::string text_in(const json::value& rule, std::string_view name) {
    if (!rule.is_object()) {
        return {};
    }
    return get_string(rule.get_object(), name).value_or(std::nullopt).value_or("");
}

} // namespace

bool GateAudit::changes_something(const http::Exchange& exchange, http::Access needed) {
    return needed == http::Access::admin && exchange.head().method != "GET";
}

void GateAudit::record_let_in(http::Exchange& exchange, http::Access needed) {
    using audit::EventClass;
    const bool request = needed == http::Access::infer && exchange.head().method == "POST";
    const std::string ip = address_of(exchange.peer());
    const std::string path = shown(exchange.head().path);
    record_and_hold(
        exchange,
        *logger_,
        audit::make_event(audit::AuthSuccess{
            .actor = actor_of(exchange, ip),
            .method = exchange.head().method,
            .path = path,
            .service_id = service_,
            .correlation_id = exchange.correlation_id(),
            .kind = changes_something(exchange, needed) ? EventClass::control
                    : request                           ? EventClass::inference
                                                        : EventClass::security,
        })
    );
}

void GateAudit::record_refused(http::Exchange& exchange, std::string_view reason) {
    const std::string ip = address_of(exchange.peer());
    const std::string path = shown(exchange.head().path);
    const std::string method = shown(exchange.head().method);
    record_and_hold(
        exchange,
        *logger_,
        audit::make_event(audit::AuthFailure{
            .attempted_user = exchange.actor,
            .reason = reason,
            .ip = ip,
            .method = method,
            .path = path,
            .service_id = service_,
            .correlation_id = exchange.correlation_id(),
        })
    );
}

void GateAudit::record_limited(http::Exchange& exchange, const Limit& limit) {
    const std::string ip = address_of(exchange.peer());
    const std::string path = shown(exchange.head().path);
    record_and_hold(
        exchange,
        *logger_,
        audit::make_event(audit::RateLimitExceeded{
            .ip = ip,
            .endpoint = path,
            .limit = limit.allowed,
            .actual = limit.allowed + 1,
            .window_seconds = limit.window_s,
            .correlation_id = exchange.correlation_id(),
        })
    );
}

void GateAudit::record_invalid(http::Exchange& exchange, const http::Response& response) {
    const std::string ip = address_of(exchange.peer());
    const std::string endpoint = shown(exchange.head().path);
    for (const json::value& rule : broken_rules(response)) {
        const std::string field = text_in(rule, "field");
        const std::string message = text_in(rule, "message");
        if (message.contains("path traversal")) {
            // Messages never repeat the input, so the record names the field in its place.
            record_and_hold(
                exchange,
                *logger_,
                audit::make_event(audit::PathTraversalAttempt{
                    .actor = actor_of(exchange, ip), .attempted_path = field, .endpoint = endpoint
                })
            );
        } else if (field == "model_ref" || field == "model") {
            record_and_hold(
                exchange,
                *logger_,
                audit::make_event(audit::MalformedModelRejected{
                    .validation_error = message, .severity = "low", .action_taken = "refused"
                })
            );
        }
    }
}

} // namespace rbee::api
