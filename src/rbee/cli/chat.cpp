#include "rbee/cli/chat.hpp"

#include "rbee/base/text.hpp"
#include "rbee/cli/advice.hpp"
#include "rbee/cli/model_choice.hpp"
#include "rbee/cli/printable.hpp"
#include "rbee/domain/model_ref.hpp"

#include <boost/json/array.hpp>
#include <fmt/format.h>

#include <filesystem>
#include <fstream>
#include <utility>

namespace rbee::cli {

namespace asio = boost::asio;
namespace json = boost::json;

namespace {

constexpr std::uint32_t answer_tokens = 1024;

constexpr std::string_view help = R"(/help          this list
/model NAME    talk with another model; without a name: which one it is
/reset         forget the conversation
/save FILE     write the conversation to a file
/exit          leave (also Ctrl+D); Ctrl+C stops an answer
)";

/// Asks for the list of models.
class AskModel final : public Command {
public:
    explicit AskModel(Context& context) : context_(context) {}

    asio::awaitable<Result<int>> run() override {
        const auto models = co_await context_.get("/v1/models");
        if (!models) {
            co_return error_of(models);
        }
        auto chosen = choose_model(*models);
        if (!chosen) {
            co_return error_of(chosen);
        }
        model = std::move(*chosen);
        co_return 0;
    }

    std::string model;

private:
    Context& context_;
};

/// One answer, shown while it comes; in JSON only at its end.
class Answer final : public Command {
public:
    Answer(Context& context, GenerationRequest request)
        : context_(context),
          generation_(context, std::move(request), [this](std::string_view text) {
              if (!context_.options().json) {
                  context_.console().out_streamed(text);
              }
          }) {}

    asio::awaitable<Result<int>> run() override {
        result = co_await generation_.run();
        co_return 0;
    }

    GenerationResult result;

private:
    Context& context_;
    Generation generation_;
};

} // namespace

Chat::Chat(Context& context, ChatOptions options, LineEditor& editor)
    : context_(context), options_(std::move(options)), editor_(editor) {
    if (!options_.sampling.max_tokens) {
        options_.sampling.max_tokens = answer_tokens;
    }
    reset();
}

void Chat::reset() {
    messages_.clear();
    if (!options_.system.empty()) {
        messages_.push_back({"system", options_.system});
    }
}

Result<void> Chat::find_model() {
    if (!options_.model.empty()) {
        return {};
    }
    AskModel ask(context_);
    if (const auto asked = context_.run(ask); !asked) {
        return error_of(asked);
    }
    options_.model = ask.model;
    return {};
}

Result<int> Chat::run() {
    if (const auto model = find_model(); !model) {
        return error_of(model);
    }
    const bool interactive = context_.console().options().in_tty;
    if (interactive) {
        context_.console().status("chat", "model " + options_.model + "; /help shows the commands");
    }
    while (true) {
        LineEditor::Line line = editor_.read();
        if (line.kind == LineEditor::Line::Kind::end) {
            return 0;
        }
        const std::string_view text = trim(line.text);
        if (line.kind == LineEditor::Line::Kind::interrupted || text.empty()) {
            continue;
        }
        if (text.starts_with('/')) {
            if (!obey(text)) {
                return 0;
            }
            continue;
        }
        const auto answered = answer(std::string(text));
        if (!answered && interactive) {
            context_.console().err(error_line(answered.error(), &context_.settings()));
        } else if (!answered || (*answered != 0 && !interactive)) {
            return answered;
        }
    }
}

GenerationRequest Chat::request() const {
    GenerationRequest request;
    request.target = "/v1/chat/completions";
    request.model = options_.model;
    request.stall_limit = std::chrono::seconds(options_.stall_s);
    request.loading_limit = std::chrono::seconds(options_.load_s);
    json::array messages;
    for (const Message& message : messages_) {
        messages.push_back(json::object{{"role", message.role}, {"content", message.content}});
    }
    request.body = {
        {"model", options_.model},
        {"messages", std::move(messages)},
        {"stream", true},
        {"stream_options", json::object{{"include_usage", true}}},
    };
    add_sampling(request.body, options_.sampling);
    return request;
}

Result<int> Chat::answer(std::string question) {
    messages_.push_back({"user", std::move(question)});
    Answer answer(context_, request());
    if (const auto done = context_.run(answer); !done) {
        messages_.pop_back();
        return done;
    }
    return settle(std::move(answer.result));
}

Result<int> Chat::settle(GenerationResult result) {
    if (!context_.options().json && !result.text.empty() && !result.text.ends_with('\n')) {
        context_.console().out("\n");
    }
    if (result.text.empty() && result.ending != GenerationResult::Ending::complete) {
        messages_.pop_back(); // as if it had not been asked, so that it can be asked again
    } else {
        messages_.push_back({"assistant", result.text});
    }
    switch (result.ending) {
    case GenerationResult::Ending::failed:
        return std::unexpected(std::move(result.error));
    case GenerationResult::Ending::interrupted:
        context_.console().status("chat", "stopped");
        return context_.interrupt_code();
    case GenerationResult::Ending::complete:
        break;
    }
    if (context_.options().json) {
        context_.print_json(to_json(result, options_.model));
    }
    return 0;
}

bool Chat::obey(std::string_view line) {
    const auto blank = line.find_first_of(" \t");
    const std::string_view name = line.substr(0, blank);
    const std::string_view rest =
        blank == std::string_view::npos ? std::string_view() : trim(line.substr(blank));
    if (name == "/exit" || name == "/quit") {
        return false;
    }
    if (name == "/help") {
        context_.console().err(help);
    } else if (name == "/reset") {
        reset();
        context_.console().status("chat", "forgotten");
    } else if (name == "/model") {
        use_model(rest);
    } else if (name == "/save") {
        save(rest);
    } else {
        context_.console().err(fmt::format(
            "rbee: there is no command {}. /help shows those there are.\n", one_line(name)
        ));
    }
    return true;
}

void Chat::use_model(std::string_view name) {
    if (!name.empty()) {
        if (const auto ref = domain::parse_model_ref(name); !ref) {
            context_.console().err(error_line(ref.error(), &context_.settings()));
            return;
        }
        options_.model = name;
    }
    context_.console().status("chat", "model " + options_.model);
}

void Chat::save(std::string_view path) {
    if (path.empty()) {
        context_.console().err(
            "rbee: /save needs the name of a file. For example: /save talk.txt.\n"
        );
        return;
    }
    std::error_code ignored;
    if (std::filesystem::exists(path, ignored)) {
        context_.console().err("rbee: that file exists already. Choose another name.\n");
        return;
    }
    std::ofstream file{std::filesystem::path(path)};
    for (const Message& message : messages_) {
        file << message.role << ": " << message.content << "\n\n";
    }
    if (file.flush()) {
        context_.console().status("chat", "saved to " + std::string(path));
    } else {
        context_.console().err("rbee: the file cannot be written. Choose another place.\n");
    }
}

} // namespace rbee::cli
