// The answers of handlers, declared beside the gate that calls them.
#include "rbee/api/error_body.hpp"
#include "rbee/api/gate.hpp"
#include "rbee/api/json.hpp"

#include <boost/json/serialize.hpp>

#include <utility>

namespace rbee::api {

namespace asio = boost::asio;
namespace json = boost::json;

asio::awaitable<void> respond_error(http::Exchange& exchange, Error error) {
    const auto sent = co_await exchange.respond(error_response(error, exchange.correlation_id()));
    (void)sent; // the client may have gone; there is nobody else to tell
}

asio::awaitable<void> respond_json(http::Exchange& exchange, int status, json::object body) {
    http::Response response;
    response.status = status;
    response.body = json::serialize(body);
    const auto sent = co_await exchange.respond(std::move(response));
    (void)sent; // the client may have gone; there is nobody else to tell
}

asio::awaitable<Result<json::object>>
read_object(http::Exchange& exchange, std::uint64_t bytes_max) {
    const auto body = co_await exchange.read_body(bytes_max);
    if (!body) {
        co_return error_of(body);
    }
    co_return parse_object(*body);
}

} // namespace rbee::api
