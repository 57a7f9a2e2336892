#include "rbee/api/client.hpp"

#include "rbee/api/error_body.hpp"
#include "rbee/api/json.hpp"

#include <boost/json/serialize.hpp>

#include <utility>

namespace rbee::api {

namespace asio = boost::asio;
namespace json = boost::json;

ApiClient::ApiClient(http::Client& client, http::Endpoint endpoint, Secret token)
    : ApiClient(client, std::move(endpoint), std::make_shared<const Secret>(std::move(token))) {}

ApiClient::ApiClient(
    http::Client& client, http::Endpoint endpoint, std::shared_ptr<const Secret> token
)
    : client_(client), endpoint_(std::move(endpoint)), token_(std::move(token)) {}

void ApiClient::authorise(http::Headers& headers) const {
    if (token_ && !token_->empty()) {
        headers.set("Authorization", "Bearer " + std::string(token_->expose()));
    }
}

asio::awaitable<Result<json::object>> ApiClient::call(Request request, http::CallOptions options) {
    http::ClientRequest message;
    message.method = std::move(request.method);
    message.target = std::move(request.target);
    if (request.body) {
        message.body = json::serialize(*request.body);
    }
    if (!request.correlation_id.empty()) {
        message.headers.add("X-Correlation-Id", std::move(request.correlation_id));
    }
    const auto answer = co_await fetch(std::move(message), options);
    if (!answer) {
        co_return error_of(answer);
    }
    if (answer->status >= 400) {
        co_return std::unexpected(error_from_response(answer->status, answer->body));
    }
    if (answer->body.empty()) {
        co_return json::object();
    }
    auto object = parse_object(answer->body);
    if (!object) {
        co_return std::unexpected(Error{
            Errc::io,
            "the server's answer is not what it should be: " + object.error().what,
            "INVALID_RESPONSE",
        });
    }
    co_return std::move(*object);
}

asio::awaitable<Result<http::Response>>
ApiClient::fetch(http::ClientRequest request, http::CallOptions options) {
    authorise(request.headers);
    auto answer = co_await client_.fetch(endpoint_, std::move(request), options);
    co_return answer;
}

asio::awaitable<Result<std::unique_ptr<http::ResponseStream>>>
ApiClient::open(http::ClientRequest request, http::CallOptions options) {
    authorise(request.headers);
    auto stream = co_await client_.open(endpoint_, std::move(request), options);
    co_return stream;
}

} // namespace rbee::api
