#pragma once

#include "rbee/api/error_body.hpp"
#include "rbee/base/assert.hpp"
#include "rbee/base/unique_fd.hpp"
#include "rbee/cli/program.hpp"
#include "rbee/http/reaper.hpp"
#include "rbee/http/server.hpp"
#include "rbee/http/sse.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <condition_variable>
#include <csignal>
#include <exception>
#include <filesystem>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace rbee::cli::testing {

/// What the fake queen answers to one request.
struct Script {
    int status = 200;
    std::string body{};                ///< For an answer in one piece.
    std::vector<std::string> pieces{}; ///< For a stream.
    enum class Ending { clean, cut, hang, interrupt } ending = Ending::clean;
};

/// A real HTTP server on its own thread that says what it is told, and remembers what it was asked.
class FakeQueen {
public:
    struct Seen {
        std::string method;
        std::string target;
        std::string body;
        http::Headers headers;
    };

    FakeQueen() : reaper_(loop_.get_executor()), server_(loop_.get_executor(), reaper_, {}) {
        server_.set_handler(
            [this](http::Exchange& exchange) { return serve(exchange); },
            [](const Error& error, const std::string& id) {
                return api::error_response(error, id);
            },
            [](const std::string&, const std::string&) {}
        );
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        UniqueFd listener(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
        socklen_t size = sizeof address;
        RBEE_ASSERT(::bind(listener.get(), reinterpret_cast<sockaddr*>(&address), size) == 0);
        RBEE_ASSERT(::listen(listener.get(), 16) == 0);
        ::getsockname(listener.get(), reinterpret_cast<sockaddr*>(&address), &size);
        port_ = ntohs(address.sin_port);
        RBEE_ASSERT(server_.serve(std::move(listener)).has_value());
        thread_ = std::thread([this] { loop_.run(); });
    }
    FakeQueen(const FakeQueen&) = delete;
    FakeQueen& operator=(const FakeQueen&) = delete;
    ~FakeQueen() {
        try {
            boost::asio::co_spawn(loop_, close(), boost::asio::detached);
        } catch (const std::exception&) {
            loop_.stop(); // or else the thread would never end
        }
        thread_.join();
    }

    [[nodiscard]] std::string url() const { return fmt::format("http://127.0.0.1:{}", port_); }

    /// Answers `method path` with the scripts in turn; the last one stays.
    void on(const std::string& method, const std::string& path, std::vector<Script> scripts) {
        const std::lock_guard lock(mutex_);
        scripts_[method + " " + path] = std::move(scripts);
    }
    void on(const std::string& method, const std::string& path, std::string body) {
        on(method, path, {Script{200, std::move(body)}});
    }
    [[nodiscard]] std::vector<Seen>
    seen(const std::string& method, const std::string& prefix) const {
        const std::lock_guard lock(mutex_);
        std::vector<Seen> out;
        for (const Seen& one : seen_) {
            if (one.method == method && one.target.starts_with(prefix)) {
                out.push_back(one);
            }
        }
        return out;
    }

private:
    Script note(const Seen& seen, const std::string& path) {
        const std::lock_guard lock(mutex_);
        seen_.push_back(seen);
        auto found = scripts_.find(seen.method + " " + path);
        if (found == scripts_.end()) {
            return {404, R"({"error":{"message":"no such route","code":"NOT_FOUND"}})"};
        }
        Script script = found->second.front();
        if (found->second.size() > 1) {
            found->second.erase(found->second.begin());
        }
        return script;
    }

    boost::asio::awaitable<void> serve(http::Exchange& exchange) {
        const auto body = co_await exchange.read_body(1024UL * 1024);
        const auto& head = exchange.head();
        const Script script =
            note({head.method, head.target, body.value_or(""), head.headers}, head.path);
        if (script.pieces.empty() && script.ending == Script::Ending::clean) {
            http::Response response;
            response.status = script.status;
            response.body = script.body;
            (void)co_await exchange.respond(std::move(response));
            co_return;
        }
        http::Headers headers;
        headers.add("Content-Type", "text/event-stream");
        (void)co_await exchange.begin_stream(script.status, std::move(headers));
        for (const std::string& piece : script.pieces) {
            (void)co_await exchange.write(piece);
        }
        if (script.ending == Script::Ending::interrupt) {
            boost::asio::steady_timer pause(loop_, std::chrono::milliseconds(50));
            co_await pause.async_wait(boost::asio::as_tuple(boost::asio::use_awaitable));
            ::kill(::getpid(), SIGINT);
        }
        if (script.ending == Script::Ending::clean) {
            (void)co_await exchange.end_stream();
            co_return;
        }
        boost::asio::steady_timer wait(loop_, std::chrono::seconds(20));
        const auto gone = exchange.cancel().on_cancel([&wait](CancelReason) { wait.cancel(); });
        if (script.ending != Script::Ending::cut && !exchange.cancel().cancelled()) {
            co_await wait.async_wait(boost::asio::as_tuple(boost::asio::use_awaitable));
        }
        exchange.abort();
    }

    boost::asio::awaitable<void> close() {
        co_await server_.stop();
        reaper_.stop();
        loop_.stop();
    }

    boost::asio::io_context loop_{1};
    http::Reaper reaper_;
    http::Server server_;
    std::uint16_t port_ = 0;
    mutable std::mutex mutex_;
    std::map<std::string, std::vector<Script>> scripts_;
    std::vector<Seen> seen_;
    std::thread thread_;
};

/// A new folder that goes with its owner.
class TemporaryFolder {
public:
    TemporaryFolder() {
        std::string pattern = (std::filesystem::temp_directory_path() / "rbee-cli-XXXXXX").string();
        RBEE_ASSERT(::mkdtemp(pattern.data()) != nullptr);
        path_ = pattern;
    }
    TemporaryFolder(const TemporaryFolder&) = delete;
    TemporaryFolder& operator=(const TemporaryFolder&) = delete;
    ~TemporaryFolder() {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }
    [[nodiscard]] const std::filesystem::path& path() const { return path_; }

private:
    std::filesystem::path path_;
};

/// A console that keeps what is written.
struct CapturedConsole {
    std::string out;
    std::string err;
    Console console;

    explicit CapturedConsole(Console::Options options = {})
        : console(
              [this](std::string_view text) { out += text; },
              [this](std::string_view text) { err += text; },
              options
          ) {}
    CapturedConsole(const CapturedConsole&) = delete;
    CapturedConsole& operator=(const CapturedConsole&) = delete;
    ~CapturedConsole() = default;
};

/// "data: ...\n\n"
inline std::string sse(const std::string& data) {
    return http::format_sse(data);
}

/// One chunk of a chat completion.
inline std::string chunk(const std::string& text) {
    return sse(fmt::format(R"({{"model":"tiny","choices":[{{"delta":{{"content":"{}"}}}}]}})", text)
    );
}

inline std::string chunk_end(const std::string& reason = "stop") {
    return sse(fmt::format(R"({{"choices":[{{"delta":{{}},"finish_reason":"{}"}}]}})", reason)) +
           sse(R"({"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2}})") +
           sse("[DONE]");
}

} // namespace rbee::cli::testing
