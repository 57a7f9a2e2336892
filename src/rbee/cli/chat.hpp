#pragma once

#include "rbee/base/result.hpp"
#include "rbee/cli/answer.hpp"
#include "rbee/cli/context.hpp"
#include "rbee/cli/generation.hpp"
#include "rbee/cli/line_editor.hpp"
#include "rbee/cli/options.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace rbee::cli {

/// A conversation: reads lines, answers each with everything said before. Lines that begin with
/// '/' are commands. Not a coroutine, because reading a line blocks; each answer runs the loop.
class Chat {
public:
    Chat(Context& context, ChatOptions options, LineEditor& editor);

    /// Returns the exit code at the end of input or at /exit. From a pipe, the first answer that
    /// fails ends it with an error; on a terminal the conversation goes on.
    [[nodiscard]] Result<int> run();

private:
    struct Message {
        std::string role;
        std::string content;
    };

    [[nodiscard]] Result<void> find_model();
    [[nodiscard]] Result<int> answer(std::string question);
    [[nodiscard]] Result<int> settle(GenerationResult result);
    [[nodiscard]] GenerationRequest request() const;
    /// False to leave.
    [[nodiscard]] bool obey(std::string_view line);
    void use_model(std::string_view name);
    void save(std::string_view path);
    void reset();

    Context& context_;
    ChatOptions options_;
    LineEditor& editor_;
    std::vector<Message> messages_;
};

} // namespace rbee::cli
