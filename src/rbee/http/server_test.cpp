#include "rbee/http/client.hpp"
#include "rbee/http/relay.hpp"
#include "rbee/http/server.hpp"
#include "rbee/http/sse.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <optional>
#include <string>

namespace rbee::http {
namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;

struct Listener {
    UniqueFd fd;
    Endpoint endpoint;
};

Listener listen_on_loopback() {
    UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    EXPECT_EQ(::listen(fd.get(), 128), 0);
    socklen_t size = sizeof address;
    EXPECT_EQ(::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&address), &size), 0);
    return {std::move(fd), {.host = "127.0.0.1", .port = ntohs(address.sin_port), .unix_path = {}}};
}

/// One loop with a server and a client; the body of a test is a coroutine run to its end.
class Http : public testing::Test {
protected:
    Endpoint serve(Server& server, Handler handler) {
        server.set_handler(
            std::move(handler),
            [](const Error& error, const std::string&) {
                return Response{
                    .status = error.code == Errc::timeout            ? 408
                              : error.code == Errc::invalid_argument ? 400
                                                                     : 500,
                    .body = error.what
                };
            },
            [this](const std::string&, const std::string& what) { reported_ = what; }
        );
        Listener listener = listen_on_loopback();
        EXPECT_TRUE(server.serve(std::move(listener.fd)).has_value());
        return listener.endpoint;
    }

    template <typename Test>
    void run(Test test) {
        bool finished = false;
        asio::co_spawn(context_, test(), [&](const std::exception_ptr& failure) {
            finished = true;
            client_.close_idle();
            context_.stop();
            if (failure) {
                std::rethrow_exception(failure);
            }
        });
        context_.run_for(30s);
        EXPECT_TRUE(finished) << "the test did not end in time";
        // Sessions must be gone before the server that they refer to.
        context_.restart();
        asio::co_spawn(context_, server_.stop(), asio::detached);
        context_.run_for(5s);
    }

    /// Lets handlers that have sent their answer come to their end.
    asio::awaitable<void> idle() {
        while (server_.active_requests() > 0) {
            asio::steady_timer moment(context_, 1ms);
            co_await moment.async_wait(asio::use_awaitable);
        }
    }

    asio::io_context context_{1};
    Reaper reaper_{context_.get_executor()};
    std::string reported_;
    Server server_{context_.get_executor(), reaper_, ServerOptions{.head_limit = 300ms}};
    Client client_{context_.get_executor(), reaper_};
};

asio::awaitable<void> echo(Exchange& exchange) {
    const auto body = co_await exchange.read_body(1000);
    if (!body) {
        Response response;
        response.status = 413;
        response.body = body.error().what;
        const auto sent = co_await exchange.respond(std::move(response));
        EXPECT_TRUE(sent.has_value());
        co_return;
    }
    Response response;
    response.content_type = "text/plain";
    response.body = exchange.head().method + " " + *body;
    const auto sent = co_await exchange.respond(std::move(response));
    EXPECT_TRUE(sent.has_value());
}

TEST_F(Http, AnswersSeveralRequestsOnOneConnection) {
    const Endpoint endpoint = serve(server_, echo);
    run([&]() -> asio::awaitable<void> {
        for (int i = 0; i < 3; ++i) {
            ClientRequest request{.method = "POST", .body = "hello"};
            const auto answer = co_await client_.fetch(endpoint, request, {});
            EXPECT_TRUE(answer.has_value());
            EXPECT_EQ(answer->body, "POST hello");
            EXPECT_EQ(answer->headers.count("X-Correlation-Id"), 1U);
            EXPECT_EQ(server_.connections(), 1U);
        }
    });
}

TEST_F(Http, KeepsAClientsUuidAsCorrelationIdAndReplacesAnythingElse) {
    const Endpoint endpoint = serve(server_, echo);
    run([&]() -> asio::awaitable<void> {
        const std::string id = "0b0b0b0b-1111-4222-8333-444444444444";
        ClientRequest request;
        request.headers.add("X-Correlation-Id", id);
        const auto kept = co_await client_.fetch(endpoint, request, {});
        EXPECT_EQ(kept->headers.find("X-Correlation-Id"), id);
        request.headers.set("X-Correlation-Id", "evil\tid");
        const auto made = co_await client_.fetch(endpoint, request, {});
        EXPECT_NE(made->headers.find("X-Correlation-Id"), "evil\tid");
    });
}

TEST_F(Http, RefusesABodyAboveTheLimitAndClosesTheConnection) {
    const Endpoint endpoint = serve(server_, echo);
    run([&]() -> asio::awaitable<void> {
        ClientRequest request{.method = "POST", .body = std::string(5000, 'x')};
        const auto answer = co_await client_.fetch(endpoint, request, {});
        EXPECT_TRUE(answer.has_value());
        EXPECT_EQ(answer->status, 413);
        EXPECT_EQ(answer->headers.find("Connection"), "close");
    });
}

TEST_F(Http, AHandlerThatThrowsGivesA500AndTheServerGoesOn) {
    const Endpoint endpoint = serve(server_, [](Exchange&) -> asio::awaitable<void> {
        throw std::runtime_error("secret detail");
        co_return;
    });
    run([&]() -> asio::awaitable<void> {
        for (int i = 0; i < 2; ++i) {
            const auto answer = co_await client_.fetch(endpoint, {}, {});
            EXPECT_TRUE(answer.has_value());
            EXPECT_EQ(answer->status, 500);
            EXPECT_FALSE(answer->body.contains("secret"));
        }
        EXPECT_EQ(reported_, "secret detail");
    });
}

TEST_F(Http, AHandlerWithoutAnAnswerGivesA500) {
    const Endpoint endpoint = serve(server_, [](Exchange&) -> asio::awaitable<void> { co_return; });
    run([&]() -> asio::awaitable<void> {
        const auto answer = co_await client_.fetch(endpoint, {}, {});
        EXPECT_EQ(answer->status, 500);
    });
}

TEST_F(Http, StreamsChunksAsTheyAreWritten) {
    const Endpoint endpoint = serve(server_, [](Exchange& exchange) -> asio::awaitable<void> {
        const auto begun = co_await exchange.begin_stream(200, {});
        for (const char* piece : {"one ", "two ", "three"}) {
            const auto sent = co_await exchange.write(piece);
            EXPECT_TRUE(sent.has_value());
        }
        const auto ended = co_await exchange.end_stream();
        EXPECT_TRUE(begun.has_value() && ended.has_value());
    });
    run([&]() -> asio::awaitable<void> {
        const auto answer = co_await client_.fetch(endpoint, {}, {});
        EXPECT_EQ(answer->body, "one two three");
    });
}

TEST_F(Http, ClientThatLeavesCancelsTheRequest) {
    std::optional<CancelReason> reason;
    asio::steady_timer seen(context_, 20s);
    const Endpoint endpoint = serve(server_, [&](Exchange& exchange) -> asio::awaitable<void> {
        const auto body = co_await exchange.read_body(100);
        EXPECT_TRUE(body.has_value());
        asio::steady_timer forever(exchange.executor(), 20s);
        const auto registration = exchange.cancel().on_cancel([&](CancelReason why) {
            reason = why;
            forever.cancel();
        });
        boost::system::error_code ignored;
        co_await forever.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
        seen.cancel();
    });
    run([&]() -> asio::awaitable<void> {
        CancelSource leave;
        asio::steady_timer soon(context_, 20ms);
        soon.async_wait([&](const auto&) { leave.cancel(CancelReason::requested); });
        const auto answer =
            co_await client_.fetch(endpoint, {.method = "POST", .body = "x"}, {.cancel = &leave});
        EXPECT_FALSE(answer.has_value());
        EXPECT_EQ(answer.error().code, Errc::cancelled);
        boost::system::error_code ignored;
        co_await seen.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
        EXPECT_EQ(reason, CancelReason::client_gone);
    });
}

TEST_F(Http, AHeadThatDoesNotCompleteInTimeIsAnswered) {
    const Endpoint endpoint = serve(server_, echo);
    run([&]() -> asio::awaitable<void> {
        asio::ip::tcp::socket socket(context_);
        co_await socket.async_connect(
            {asio::ip::make_address("127.0.0.1"), endpoint.port}, asio::use_awaitable
        );
        co_await socket.async_send(asio::buffer(std::string("GET / HT")), asio::use_awaitable);
        std::string got(1000, '\0');
        const auto size = co_await socket.async_receive(asio::buffer(got), asio::use_awaitable);
        EXPECT_TRUE(std::string_view(got).substr(0, size).starts_with("HTTP/1.1 408"));
    });
}

TEST_F(Http, ConnectingToNobodyIsUnavailable) {
    const Endpoint endpoint = serve(server_, echo);
    run([&]() -> asio::awaitable<void> {
        Endpoint nobody = listen_on_loopback().endpoint; // the socket is closed again at once
        const auto answer = co_await client_.fetch(nobody, {}, {});
        EXPECT_FALSE(answer.has_value());
        EXPECT_EQ(answer.error().code, Errc::unavailable);
        EXPECT_NE(endpoint, nobody);
    });
}

/// Relays to `upstream` and remembers how it ended.
Handler relay_to(Client& client, Endpoint upstream, RelayOutcome& outcome) {
    return [&client, upstream, &outcome](Exchange& exchange) -> asio::awaitable<void> {
        auto opened = co_await client.open(upstream, {}, {.cancel = &exchange.cancel()});
        EXPECT_TRUE(opened.has_value());
        outcome = co_await relay(**opened, exchange, [](const Error& error) {
            return format_sse("broken: " + error.what);
        });
    };
}

Headers event_stream() {
    Headers headers;
    headers.add("Content-Type", "text/event-stream");
    return headers;
}

TEST_F(Http, RelayPassesAStreamOnWhole) {
    Server upstream(context_.get_executor(), reaper_, {});
    const Endpoint behind = serve(upstream, [](Exchange& exchange) -> asio::awaitable<void> {
        const auto begun = co_await exchange.begin_stream(200, event_stream());
        for (const char* piece : {"data: a\n", "\ndata: b\n\nda", "ta: c\n\n"}) {
            const auto sent = co_await exchange.write(piece);
            EXPECT_TRUE(sent.has_value() && begun.has_value());
        }
        const auto ended = co_await exchange.end_stream();
        EXPECT_TRUE(ended.has_value());
    });
    RelayOutcome outcome{.kind = RelayOutcome::Kind::client_gone};
    const Endpoint front = serve(server_, relay_to(client_, behind, outcome));
    run([&]() -> asio::awaitable<void> {
        const auto answer = co_await client_.fetch(front, {}, {});
        EXPECT_EQ(answer->body, "data: a\n\ndata: b\n\ndata: c\n\n");
        EXPECT_EQ(answer->content_type, "text/event-stream");
        co_await idle();
        EXPECT_EQ(outcome.kind, RelayOutcome::Kind::complete);
        co_await upstream.stop();
    });
}

TEST_F(Http, RelayEndsABrokenStreamWithAnErrorFrameOnAnEventBoundary) {
    Server upstream(context_.get_executor(), reaper_, {});
    const Endpoint behind = serve(upstream, [](Exchange& exchange) -> asio::awaitable<void> {
        const auto begun = co_await exchange.begin_stream(200, event_stream());
        const auto sent = co_await exchange.write("data: whole\n\ndata: half of an ev");
        EXPECT_TRUE(sent.has_value() && begun.has_value());
        exchange.abort();
    });
    RelayOutcome outcome;
    const Endpoint front = serve(server_, relay_to(client_, behind, outcome));
    run([&]() -> asio::awaitable<void> {
        const auto answer = co_await client_.fetch(front, {}, {});
        EXPECT_TRUE(answer.has_value());
        EXPECT_TRUE(answer->body.starts_with("data: whole\n\ndata: broken: ")) << answer->body;
        EXPECT_FALSE(answer->body.contains("half"));
        co_await idle();
        EXPECT_EQ(outcome.kind, RelayOutcome::Kind::upstream_failed);
        co_await upstream.stop();
    });
}

TEST_F(Http, RelayCutsABrokenPlainBodyVisibly) {
    Server upstream(context_.get_executor(), reaper_, {});
    const Endpoint behind = serve(upstream, [](Exchange& exchange) -> asio::awaitable<void> {
        const auto begun = co_await exchange.begin_stream(200, {}, 100);
        const auto sent = co_await exchange.write("ten bytes.");
        EXPECT_TRUE(sent.has_value() && begun.has_value());
        exchange.abort();
    });
    RelayOutcome outcome;
    const Endpoint front = serve(server_, relay_to(client_, behind, outcome));
    run([&]() -> asio::awaitable<void> {
        const auto answer = co_await client_.fetch(front, {}, {});
        EXPECT_FALSE(answer.has_value());
        co_await idle();
        EXPECT_EQ(outcome.kind, RelayOutcome::Kind::upstream_failed);
        co_await upstream.stop();
    });
}

} // namespace
} // namespace rbee::http
