#include "rbee/api/error_body.hpp"
#include "rbee/base/text.hpp"
#include "rbee/cli/answer.hpp"
#include "rbee/cli/commands.hpp"
#include "rbee/cli/generation.hpp"
#include "rbee/cli/model_choice.hpp"

#include <boost/json/array.hpp>
#include <boost/json/serialize.hpp>
#include <fmt/format.h>

#include <istream>
#include <iterator>
#include <utility>

namespace rbee::cli {

namespace asio = boost::asio;
namespace json = boost::json;

namespace {

constexpr std::uint32_t chat_tokens = 256;
constexpr std::uint32_t raw_tokens = 20;

class Infer final : public Command {
public:
    Infer(Context& context, InferOptions options, std::istream& input)
        : context_(context), options_(std::move(options)), input_(input) {}

    asio::awaitable<Result<int>> run() override;

private:
    [[nodiscard]] Result<void> read_prompt();
    [[nodiscard]] asio::awaitable<Result<void>> find_model();
    [[nodiscard]] GenerationRequest request() const;
    [[nodiscard]] json::object raw_body() const;
    [[nodiscard]] Result<int> finish(const GenerationResult& result);
    void keep_partial(const GenerationResult& result);
    void end_line(const std::string& text);

    Context& context_;
    InferOptions options_;
    std::istream& input_;
};

Result<void> Infer::read_prompt() {
    const bool from_input = options_.prompt == "-" || !options_.prompt_given;
    if (from_input) {
        if (!options_.prompt_given && context_.console().options().in_tty) {
            return fail(
                Errc::invalid_argument,
                "a prompt is missing; write it in quotes: rbee infer \"Hello\""
            );
        }
        options_.prompt.assign(std::istreambuf_iterator<char>(input_), {});
        while (options_.prompt.ends_with('\n') || options_.prompt.ends_with('\r')) {
            options_.prompt.pop_back();
        }
    }
    if (trim(options_.prompt).empty()) {
        return fail(Errc::invalid_argument, "the prompt is empty");
    }
    return {};
}

asio::awaitable<Result<void>> Infer::find_model() {
    if (!options_.model.empty()) {
        co_return Result<void>();
    }
    const auto models = co_await context_.get("/v1/models");
    if (!models) {
        co_return error_of(models);
    }
    auto model = choose_model(*models);
    if (!model) {
        co_return error_of(model);
    }
    options_.model = std::move(*model);
    co_return Result<void>();
}

json::object Infer::raw_body() const {
    json::object body{{"model", options_.model}, {"prompt", options_.prompt}, {"stream", true}};
    if (!options_.node.empty()) {
        body["node"] = options_.node;
    }
    if (!options_.backend.empty()) {
        body["backend"] = options_.backend;
    }
    if (options_.device) {
        body["device"] = *options_.device;
    }
    return body;
}

GenerationRequest Infer::request() const {
    GenerationRequest request;
    request.model = options_.model;
    request.timeout_s = options_.timeout_s;
    request.stall_limit = std::chrono::seconds(options_.stall_s);
    request.loading_limit = std::chrono::seconds(options_.load_s);
    if (options_.raw) {
        const bool placed =
            !options_.node.empty() || !options_.backend.empty() || options_.device.has_value();
        request.target = placed ? "/v2/tasks" : "/v1/inference";
        request.body = raw_body();
    } else {
        request.target = "/v1/chat/completions";
        json::array messages;
        if (!options_.system.empty()) {
            messages.push_back(json::object{{"role", "system"}, {"content", options_.system}});
        }
        messages.push_back(json::object{{"role", "user"}, {"content", options_.prompt}});
        request.body = {
            {"model", options_.model},
            {"messages", std::move(messages)},
            {"stream", true},
            {"stream_options", json::object{{"include_usage", true}}},
        };
    }
    add_sampling(request.body, options_.sampling);
    return request;
}

asio::awaitable<Result<int>> Infer::run() {
    if (const auto prompt = read_prompt(); !prompt) {
        co_return error_of(prompt);
    }
    const auto model = co_await find_model();
    if (!model) {
        co_return error_of(model);
    }
    if (!options_.sampling.max_tokens) {
        options_.sampling.max_tokens = options_.raw ? raw_tokens : chat_tokens;
    }
    Generation generation(context_, request(), [this](std::string_view text) {
        if (!context_.options().json) {
            context_.console().out_streamed(text);
        }
    });
    const GenerationResult result = co_await generation.run();
    co_return finish(result);
}

void Infer::end_line(const std::string& text) {
    if (!context_.options().json && !text.empty() && !text.ends_with('\n')) {
        context_.console().out("\n");
    }
}

void Infer::keep_partial(const GenerationResult& result) {
    if (result.text.empty()) {
        return;
    }
    const auto saved = save_partial(context_.environment()("TMPDIR").value_or("/tmp"), result.text);
    const std::string count = token_count(result, options_.sampling.max_tokens);
    context_.console().status(
        "infer",
        saved ? fmt::format("stopped after {}; the text so far is in {}", count, *saved)
              : fmt::format("stopped after {}; {}", count, saved.error().what)
    );
}

Result<int> Infer::finish(const GenerationResult& result) {
    end_line(result.text);
    if (result.ending == GenerationResult::Ending::interrupted) {
        context_.console().status("infer", "cancelled");
        return context_.interrupt_code();
    }
    if (result.ending == GenerationResult::Ending::failed) {
        keep_partial(result);
        if (!context_.options().json) {
            return std::unexpected(result.error);
        }
        json::object error = api::error_object(
            result.error, result.request_id, {{"partial", to_json(result, options_.model)}}
        );
        context_.console().err(json::serialize(error) + "\n");
        return 1;
    }
    if (context_.options().json) {
        context_.print_json(to_json(result, options_.model));
    }
    if (result.summary.finish_reason == "length") {
        context_.console().status(
            "infer",
            fmt::format(
                "cut at {}; --max-tokens allows more",
                token_count(result, options_.sampling.max_tokens)
            )
        );
    }
    return 0;
}

} // namespace

std::unique_ptr<Command> make_infer(Context& context, InferOptions options, std::istream& input) {
    return std::make_unique<Infer>(context, std::move(options), input);
}

} // namespace rbee::cli
