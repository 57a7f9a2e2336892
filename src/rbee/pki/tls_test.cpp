// TLS of http::Server and http::Client with certificates of this layer.

#include "rbee/auth/secret_file.hpp"
#include "rbee/http/client.hpp"
#include "rbee/http/server.hpp"
#include "rbee/http/tls.hpp"
#include "rbee/pki/files.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace rbee::pki {
namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;
using http::Endpoint;
using http::TlsContext;
using testing::HasSubstr;

UniqueFd listen_on_loopback(std::uint16_t& port) {
    UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    EXPECT_EQ(::listen(fd.get(), 128), 0);
    socklen_t size = sizeof address;
    EXPECT_EQ(::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&address), &size), 0);
    port = ntohs(address.sin_port);
    return fd;
}

/// A server with a certificate for 127.0.0.1 and localhost by a CA of its own, and a client.
class Tls : public testing::Test {
protected:
    Tls() {
        std::string form = testing::TempDir() + "rbee-tls-XXXXXX";
        home_ = ::mkdtemp(form.data());
        folder_.path = home_ / "pki";
        other_.path = home_ / "other";
        EXPECT_TRUE(make_folder(folder_, {"127.0.0.1", "localhost"}, wall()).has_value());
        EXPECT_TRUE(make_folder(other_, {"127.0.0.1", "localhost"}, wall()).has_value());
        server_.set_handler(
            [this](http::Exchange& exchange) { return handle(exchange); },
            [](const Error& error, const std::string&) {
                return http::Response{
                    .status = error.code == Errc::invalid_argument ? 400 : 500, .body = error.what
                };
            },
            [](const std::string&, const std::string&) {}
        );
        server_.on_handshake_failure([this](const std::string&, const Error& why) {
            failures_.push_back(why.what);
        });
    }
    ~Tls() override { std::filesystem::remove_all(home_); }

    static WallTime wall() { return std::chrono::system_clock::now(); }

    void serve(const Folder& folder, bool ask_for_certificates = false) {
        use(folder, ask_for_certificates);
        std::uint16_t port = 0;
        UniqueFd listener = listen_on_loopback(port);
        ASSERT_TRUE(server_.serve(std::move(listener), http::Server::Security::tls).has_value());
        endpoint_ = {.host = "127.0.0.1", .port = port, .unix_path = {}, .secure = true};
    }

    void use(const Folder& folder, bool ask_for_certificates = false) {
        auto context = TlsContext::server(
            {.certificate = folder.certificate(),
             .key = folder.key(),
             .client_ca = ask_for_certificates ? folder_.ca_certificate() : ""}
        );
        ASSERT_TRUE(context.has_value()) << context.error().what;
        server_.use_tls(std::move(*context));
    }

    void trust(http::TlsClientOptions options) {
        auto context = TlsContext::client(options);
        ASSERT_TRUE(context.has_value()) << context.error().what;
        client_.use_tls(std::move(*context));
    }
    void trust(const Folder& folder) {
        trust(
            {.ca_file = folder.ca_certificate(),
             .certificate = {},
             .key = {},
             .pinned_ca = {},
             .server_kind = {}}
        );
    }

    /// Certificate and key of a hive, in files.
    http::TlsClientOptions as_hive(const std::string& name, const Folder& by) {
        const auto key = Key::generate();
        const auto authority = by.authority();
        const auto pem = authority->issue(*key, {hive_uri(name), {"127.0.0.1"}}, wall());
        const std::string base = (home_ / name).string();
        EXPECT_TRUE(auth::write_secret_file(base + ".pem", *pem).has_value());
        EXPECT_TRUE(auth::write_secret_file(base + ".key", key->to_pem().expose()).has_value());
        return {
            .ca_file = folder_.ca_certificate(),
            .certificate = base + ".pem",
            .key = base + ".key",
            .pinned_ca = {},
            .server_kind = {}
        };
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
        context_.restart();
        asio::co_spawn(context_, server_.stop(), asio::detached);
        context_.run_for(5s);
    }

    asio::awaitable<Result<http::Response>> get(std::string target = "/") {
        http::ClientRequest request;
        request.target = std::move(target);
        auto answer = co_await client_.fetch(endpoint_, std::move(request), {});
        co_return answer;
    }

    asio::awaitable<void> pause(Duration time) {
        asio::steady_timer timer(context_, time);
        co_await timer.async_wait(asio::use_awaitable);
    }

    asio::awaitable<void> handle(http::Exchange& exchange) {
        ++requests_;
        const auto body = co_await exchange.read_body(64UL * 1024 * 1024);
        if (!body) {
            co_return;
        }
        if (exchange.head().path == "/wait") {
            bool gone = false;
            const auto on_gone = exchange.cancel().on_cancel([&](CancelReason) { gone = true; });
            for (int i = 0; i < 500 && !gone; ++i) {
                co_await pause(10ms);
            }
            saw_client_go_ = gone;
            co_return;
        }
        if (exchange.head().path == "/stream") {
            (void)co_await exchange.begin_stream(200, {});
            (void)co_await exchange.write("first,");
            while (!may_end_) {
                co_await pause(5ms);
            }
            (void)co_await exchange.write("last");
            (void)co_await exchange.end_stream();
            co_return;
        }
        http::Response response;
        response.body = exchange.head().path == "/echo" ? *body : exchange.peer_identity() + ".";
        (void)co_await exchange.respond(std::move(response));
    }

    std::filesystem::path home_;
    Folder folder_;
    Folder other_;
    asio::io_context context_{1};
    http::Reaper reaper_{context_.get_executor()};
    http::Client client_{context_.get_executor(), reaper_};
    http::Server server_{context_.get_executor(), reaper_, {.head_limit = 500ms}};
    Endpoint endpoint_;
    std::vector<std::string> failures_;
    int requests_ = 0;
    bool saw_client_go_ = false;
    bool may_end_ = false;
};

TEST_F(Tls, ServesAClientThatTrustsTheCa) {
    serve(folder_);
    trust(folder_);
    run([this]() -> asio::awaitable<void> {
        for (int i = 0; i < 3; ++i) {
            const auto answer = co_await get();
            EXPECT_TRUE(answer.has_value()) << answer.error().what;
            EXPECT_EQ(answer->body, ".") << "a client without a certificate is nobody";
        }
    });
    EXPECT_TRUE(failures_.empty());
}

TEST_F(Tls, CarriesLargeBodiesBothWays) {
    serve(folder_);
    trust(folder_);
    run([this]() -> asio::awaitable<void> {
        http::ClientRequest request;
        request.method = "POST";
        request.target = "/echo";
        for (std::size_t i = 0; i < 3'000'000; ++i) {
            request.body.push_back(static_cast<char>('a' + i % 23));
        }
        const std::string sent = request.body;
        const auto answer = co_await client_.fetch(endpoint_, std::move(request), {});
        EXPECT_TRUE(answer.has_value()) << answer.error().what;
        EXPECT_TRUE(answer && answer->body == sent);
    });
}

TEST_F(Tls, AnUnknownCaIsRefusedAndNamed) {
    serve(folder_);
    trust(other_);
    run([this]() -> asio::awaitable<void> {
        const auto answer = co_await get();
        EXPECT_FALSE(answer.has_value());
        EXPECT_EQ(answer.error().wire_code, "CERTIFICATE_UNTRUSTED");
        EXPECT_THAT(answer.error().what, HasSubstr("127.0.0.1"));
    });
    EXPECT_EQ(requests_, 0);
    EXPECT_EQ(failures_.size(), 1U);
}

TEST_F(Tls, ACertificateForAnotherHostIsRefused) {
    std::filesystem::remove_all(other_.path);
    ASSERT_TRUE(make_folder(other_, {"10.1.1.1", "queen.lan"}, wall()).has_value());
    serve(other_);
    trust(other_);
    run([this]() -> asio::awaitable<void> {
        for (const char* host : {"127.0.0.1", "localhost"}) {
            endpoint_.host = host;
            const auto answer = co_await get();
            EXPECT_FALSE(answer.has_value());
            EXPECT_EQ(answer.error().wire_code, "CERTIFICATE_UNTRUSTED") << answer.error().what;
        }
    });
    EXPECT_EQ(requests_, 0);
}

TEST_F(Tls, TheServerMustBeTheOneThatWasMeant) {
    serve(folder_);
    const std::string ca = folder_.ca_certificate();
    const auto code = [this]() -> asio::awaitable<std::string> {
        const auto answer = co_await get();
        co_return answer ? "" : answer.error().wire_code;
    };
    run([&]() -> asio::awaitable<void> {
        trust(
            {.ca_file = ca, .certificate = {}, .key = {}, .pinned_ca = {}, .server_kind = "queen:"}
        );
        EXPECT_EQ(co_await code(), "");
        trust({.ca_file = ca, .certificate = {}, .key = {}, .pinned_ca = {}, .server_kind = "hive:"}
        );
        EXPECT_EQ(co_await code(), "CERTIFICATE_UNTRUSTED");
        trust(folder_);
        endpoint_.identity = std::string(queen_uri);
        EXPECT_EQ(co_await code(), "");
        endpoint_.identity = hive_uri("attic");
        EXPECT_EQ(co_await code(), "CERTIFICATE_UNTRUSTED");
    });
}

TEST_F(Tls, APinnedCaNeedsNoFile) {
    serve(folder_);
    const auto authority = folder_.authority();
    trust(
        {.ca_file = {},
         .certificate = {},
         .key = {},
         .pinned_ca = authority->fingerprint(),
         .server_kind = {}}
    );
    run([this]() -> asio::awaitable<void> {
        const auto answer = co_await get();
        EXPECT_TRUE(answer.has_value()) << answer.error().what;
    });
}

TEST_F(Tls, AnotherCaThanThePinnedOneIsRefused) {
    serve(folder_);
    const auto authority = other_.authority();
    trust(
        {.ca_file = {},
         .certificate = {},
         .key = {},
         .pinned_ca = authority->fingerprint(),
         .server_kind = {}}
    );
    run([this]() -> asio::awaitable<void> {
        const auto answer = co_await get();
        EXPECT_FALSE(answer.has_value());
        EXPECT_EQ(answer.error().wire_code, "CERTIFICATE_UNTRUSTED");
    });
    EXPECT_EQ(requests_, 0);
}

TEST_F(Tls, TheUriOfAClientCertificateIsItsIdentity) {
    serve(folder_, true);
    trust(as_hive("attic", folder_));
    run([this]() -> asio::awaitable<void> {
        EXPECT_EQ((co_await get())->body, "hive:attic.");
        client_.close_idle(); // the next connection resumes the session, and must know it as well
        EXPECT_EQ((co_await get())->body, "hive:attic.");
    });
}

TEST_F(Tls, AClientCertificateOfAnotherCaIsRefused) {
    serve(folder_, true);
    trust(as_hive("attic", other_));
    run([this]() -> asio::awaitable<void> {
        const auto answer = co_await get();
        EXPECT_FALSE(answer.has_value());
    });
    EXPECT_EQ(requests_, 0);
    EXPECT_EQ(failures_.size(), 1U);
}

TEST_F(Tls, AClientWithoutCertificateIsServedAsNobody) {
    serve(folder_, true);
    trust(folder_);
    run([this]() -> asio::awaitable<void> { EXPECT_EQ((co_await get())->body, "."); });
}

TEST_F(Tls, SessionsAreResumed) {
    serve(folder_);
    auto context = TlsContext::client(
        {.ca_file = folder_.ca_certificate(),
         .certificate = {},
         .key = {},
         .pinned_ca = {},
         .server_kind = {}}
    );
    run([&]() -> asio::awaitable<void> {
        for (const bool resumed : {false, true}) {
            asio::ip::tcp::socket tcp(context_);
            co_await tcp.async_connect(
                {asio::ip::address_v4::loopback(), endpoint_.port}, asio::use_awaitable
            );
            http::Stream stream(http::Stream::Socket(std::move(tcp)), reaper_);
            const auto secured = co_await stream.connect_tls(*context, endpoint_, 5s);
            EXPECT_TRUE(secured.has_value());
            EXPECT_EQ(stream.resumed(), resumed);
            (void)co_await stream.write("GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", 1s);
            std::array<char, 512> bytes{};
            (void)co_await stream.read_some(bytes, 5s); // brings the tickets, too
            stream.close();
        }
    });
}

TEST_F(Tls, PlainHttpIsToldToUseHttps) {
    serve(folder_);
    endpoint_.secure = false;
    run([this]() -> asio::awaitable<void> {
        const auto answer = co_await get();
        EXPECT_TRUE(answer.has_value()) << answer.error().what;
        EXPECT_EQ(answer->status, 400);
        EXPECT_THAT(answer->body, HasSubstr("HTTPS"));
    });
    EXPECT_EQ(requests_, 0);
    EXPECT_EQ(failures_.size(), 1U);
}

TEST_F(Tls, HttpsToAPlainPortFailsReadably) {
    std::uint16_t port = 0;
    ASSERT_TRUE(server_.serve(listen_on_loopback(port)).has_value());
    endpoint_ = {.host = "127.0.0.1", .port = port, .unix_path = {}, .secure = true};
    trust(folder_);
    run([this]() -> asio::awaitable<void> {
        const auto answer = co_await get();
        EXPECT_FALSE(answer.has_value());
        EXPECT_EQ(answer.error().code, Errc::unavailable);
    });
}

TEST_F(Tls, AHandshakeThatStandsStillEndsInTimeAndHoldsNobodyUp) {
    serve(folder_);
    trust(folder_);
    run([this]() -> asio::awaitable<void> {
        std::vector<asio::ip::tcp::socket> idlers;
        for (int i = 0; i < 20; ++i) {
            auto& socket = idlers.emplace_back(context_);
            co_await socket.async_connect(
                {asio::ip::address_v4::loopback(), endpoint_.port}, asio::use_awaitable
            );
            if (i % 2 == 0) {
                co_await asio::async_write(
                    socket, asio::buffer("\x16\x03\x01", 3), asio::use_awaitable
                );
            }
        }
        EXPECT_TRUE((co_await get()).has_value());
        const auto begun = std::chrono::steady_clock::now();
        for (auto& socket : idlers) {
            boost::system::error_code error;
            char byte = 0;
            co_await asio::async_read(
                socket, asio::buffer(&byte, 1), asio::redirect_error(asio::use_awaitable, error)
            );
            EXPECT_TRUE(error);
        }
        EXPECT_LT(std::chrono::steady_clock::now() - begun, 5s);
    });
    EXPECT_EQ(failures_.size(), 20U);
}

TEST_F(Tls, TheServerSeesItsClientGo) {
    serve(folder_);
    trust(folder_);
    run([this]() -> asio::awaitable<void> {
        CancelSource cancel;
        http::CallOptions options;
        options.cancel = &cancel;
        asio::steady_timer timer(context_, 100ms);
        timer.async_wait([&](const boost::system::error_code&) {
            cancel.cancel(CancelReason::requested);
        });
        http::ClientRequest request;
        request.target = "/wait";
        const auto answer = co_await client_.fetch(endpoint_, std::move(request), options);
        EXPECT_FALSE(answer.has_value());
        EXPECT_EQ(answer.error().code, Errc::cancelled);
        for (int i = 0; i < 200 && !saw_client_go_; ++i) {
            co_await pause(10ms);
        }
        EXPECT_TRUE(saw_client_go_);
    });
}

TEST_F(Tls, NewConnectionsUseANewCertificateAndOldOnesGoOn) {
    serve(folder_);
    trust(folder_);
    run([this]() -> asio::awaitable<void> {
        http::ClientRequest request;
        request.target = "/stream";
        auto stream = co_await client_.open(endpoint_, std::move(request), {});
        EXPECT_TRUE(stream.has_value());
        std::string text((co_await (*stream)->next()).value_or(""));

        use(other_);
        const auto refused = co_await get();
        EXPECT_FALSE(refused.has_value()) << "the new certificate is by another CA";

        may_end_ = true;
        while (true) {
            const auto bytes = co_await (*stream)->next();
            EXPECT_TRUE(bytes.has_value());
            if (!bytes || bytes->empty()) {
                break;
            }
            text.append(*bytes);
        }
        EXPECT_EQ(text, "first,last");
    });
}

TEST_F(Tls, BadFilesAreNamed) {
    const auto message = [](const http::TlsServerFiles& files) {
        const auto made = TlsContext::server(files);
        return made ? std::string() : made.error().what;
    };
    const std::string certificate = folder_.certificate();
    const std::string key = folder_.key();
    EXPECT_THAT(message({"/nowhere.pem", key, ""}), HasSubstr("/nowhere.pem"));
    EXPECT_THAT(message({certificate, "/nowhere.key", ""}), HasSubstr("/nowhere.key"));
    EXPECT_THAT(message({certificate, other_.key(), ""}), HasSubstr(other_.key()));
    EXPECT_THAT(message({certificate, key, "/nowhere-ca.pem"}), HasSubstr("/nowhere-ca.pem"));
    EXPECT_THAT(message({certificate, key, key}), HasSubstr("CA"));
    ::chmod(key.c_str(), 0640);
    EXPECT_THAT(message({certificate, key, ""}), HasSubstr("chmod 600"));
}

} // namespace
} // namespace rbee::pki
