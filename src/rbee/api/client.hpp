#pragma once

#include "rbee/base/secret.hpp"
#include "rbee/http/client.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/json/object.hpp>

#include <memory>
#include <optional>
#include <string>
#include <utility>

namespace rbee::api {

/// Calls to one program of ours: bearer token, JSON, and error answers turned back into Errors.
/// Belongs to the loop of its http::Client, which must outlive it.
class ApiClient {
public:
    ApiClient(http::Client& client, http::Endpoint endpoint, Secret token);
    /// The same with a token that others hold too: a copy has pages of its own, which is too much
    /// for each request. Null: none.
    ApiClient(http::Client& client, http::Endpoint endpoint, std::shared_ptr<const Secret> token);

    [[nodiscard]] const http::Endpoint& endpoint() const { return endpoint_; }

    /// The token of calls from now on.
    void set_token(Secret token) { token_ = std::make_shared<const Secret>(std::move(token)); }

    struct Request {
        std::string method = "GET";
        std::string target;
        std::optional<boost::json::object> body = std::nullopt;
        std::string correlation_id = {}; ///< Sent along when not empty.
    };

    /// Sends a request and parses the answer, which is empty for 204. An answer with a status of
    /// 400 or more becomes the Error that it carries.
    [[nodiscard]] boost::asio::awaitable<Result<boost::json::object>>
    call(Request request, http::CallOptions options);

    /// Sends a request and gives the whole answer, whatever its status.
    [[nodiscard]] boost::asio::awaitable<Result<http::Response>>
    fetch(http::ClientRequest request, http::CallOptions options);

    /// Sends a request whose answer is read as a stream, whatever its status.
    [[nodiscard]] boost::asio::awaitable<Result<std::unique_ptr<http::ResponseStream>>>
    open(http::ClientRequest request, http::CallOptions options);

private:
    void authorise(http::Headers& headers) const;

    http::Client& client_;
    http::Endpoint endpoint_;
    std::shared_ptr<const Secret> token_; ///< May be null.
};

} // namespace rbee::api
