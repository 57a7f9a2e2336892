#pragma once

#include "rbee/api/client.hpp"
#include "rbee/api/types.hpp"
#include "rbee/base/secret.hpp"
#include "rbee/http/client.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/json/object.hpp>

#include <functional>
#include <memory>
#include <string>
#include <utility>

namespace rbee::queen {

/// The queen's calls to hives, with her token. Belongs to the loop of the http::Client, which must
/// outlive it; it must outlive its calls.
class HiveClient {
public:
    using SharedSecret = std::shared_ptr<const Secret>;

    HiveClient(http::Client& client, Secret token) : client_(client) {
        set_token(std::move(token));
    }

    /// The token of calls from now on.
    void set_token(Secret token) { token_ = std::make_shared<const Secret>(std::move(token)); }
    /// Gives the token of a hive that has one of its own; null: the usual one.
    void choose_token(std::function<SharedSecret(const http::Endpoint& hive)> choose) {
        choose_ = std::move(choose);
    }
    /// Hears of a hive that refuses our token. The call fails with Errc::io, HIVE_MISCONFIGURED:
    /// not the client's token is wrong, but ours, and it would be again.
    void on_refusal(std::function<void(const http::Endpoint& hive)> listener) {
        refused_ = std::move(listener);
    }

    /// A control call: JSON in, JSON out, error answers as Errors.
    [[nodiscard]] boost::asio::awaitable<Result<boost::json::object>>
    call(http::Endpoint hive, api::ApiClient::Request request, http::CallOptions options);

    /// A call whose answer is passed on as it comes.
    [[nodiscard]] boost::asio::awaitable<Result<std::unique_ptr<http::ResponseStream>>>
    open(http::Endpoint hive, http::ClientRequest request, http::CallOptions options);

    /// A control call whose answer is passed on whole, whatever its status.
    [[nodiscard]] boost::asio::awaitable<Result<http::Response>>
    fetch(http::Endpoint hive, http::ClientRequest request, http::CallOptions options);

    /// GET /v1/report, at most 5 s.
    [[nodiscard]] boost::asio::awaitable<Result<api::HiveReport>> report(http::Endpoint hive);

private:
    [[nodiscard]] api::ApiClient api_for(const http::Endpoint& hive) const;
    [[nodiscard]] Error refused_by(const http::Endpoint& hive) const;

    http::Client& client_;
    SharedSecret token_;
    std::function<SharedSecret(const http::Endpoint&)> choose_;
    std::function<void(const http::Endpoint&)> refused_;
};

/// The error without what only we may know: addresses of our machines (behaviour.md 2.2).
[[nodiscard]] Error for_client(const Error& error);

} // namespace rbee::queen
