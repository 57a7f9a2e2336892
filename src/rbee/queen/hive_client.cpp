#include "rbee/queen/hive_client.hpp"

#include <chrono>
#include <utility>

namespace rbee::queen {

namespace asio = boost::asio;
namespace json = boost::json;

api::ApiClient HiveClient::api_for(const http::Endpoint& hive) const {
    const SharedSecret own = choose_ ? choose_(hive) : nullptr;
    return {client_, hive, own ? own : token_};
}

Error HiveClient::refused_by(const http::Endpoint& hive) const {
    if (refused_) {
        refused_(hive);
    }
    return {Errc::io, "the hive does not accept the token of this queen", "HIVE_MISCONFIGURED"};
}

asio::awaitable<Result<json::object>>
HiveClient::call(http::Endpoint hive, api::ApiClient::Request request, http::CallOptions options) {
    api::ApiClient api = api_for(hive);
    auto answer = co_await api.call(std::move(request), options);
    if (!answer && answer.error().code == Errc::unauthenticated) {
        co_return std::unexpected(refused_by(hive));
    }
    co_return answer;
}

asio::awaitable<Result<std::unique_ptr<http::ResponseStream>>>
HiveClient::open(http::Endpoint hive, http::ClientRequest request, http::CallOptions options) {
    api::ApiClient api = api_for(hive);
    auto stream = co_await api.open(std::move(request), options);
    if (stream && (*stream)->head().status == 401) {
        co_return std::unexpected(refused_by(hive));
    }
    co_return stream;
}

asio::awaitable<Result<http::Response>>
HiveClient::fetch(http::Endpoint hive, http::ClientRequest request, http::CallOptions options) {
    api::ApiClient api = api_for(hive);
    auto answer = co_await api.fetch(std::move(request), options);
    if (!answer) {
        co_return error_of(answer);
    }
    if (answer->status == 401) {
        co_return std::unexpected(refused_by(hive));
    }
    if (answer->content_type.empty()) {
        answer->content_type = "application/json";
    }
    // Fields of the hive's connection are not for the client; framing is made anew.
    http::Headers kept;
    if (const auto after = answer->headers.find("Retry-After")) {
        kept.add("Retry-After", std::string(*after));
    }
    answer->headers = std::move(kept);
    co_return answer;
}

asio::awaitable<Result<api::HiveReport>> HiveClient::report(http::Endpoint hive) {
    http::CallOptions limits;
    limits.head_limit = std::chrono::seconds(5);
    limits.body_limit = std::chrono::seconds(5);
    api::ApiClient::Request request;
    request.target = "/v1/report";
    const auto answer = co_await call(std::move(hive), std::move(request), limits);
    if (!answer) {
        co_return error_of(answer);
    }
    auto report = api::report_from_json(*answer);
    if (!report) {
        // Not the client's request is wrong, but the hive's answer.
        co_return fail(
            Errc::io,
            "the hive's report is not what it should be: " + report.error().what,
            "INVALID_RESPONSE"
        );
    }
    co_return report;
}

Error for_client(const Error& error) {
    const bool from_connect = error.code == Errc::unavailable && error.wire_code.empty();
    if (from_connect) {
        return {Errc::unavailable, "the hive cannot be reached", "HIVE_UNAVAILABLE"};
    }
    if (error.wire_code == "CERTIFICATE_UNTRUSTED" || error.wire_code == "NOT_TLS") {
        return {
            Errc::unavailable,
            "the hive did not show a certificate to be trusted",
            "HIVE_UNAVAILABLE"
        };
    }
    if (error.code == Errc::io && error.wire_code.empty()) {
        return {Errc::io, "the connection to the hive broke", "UPSTREAM_FAILED"};
    }
    return error;
}

} // namespace rbee::queen
