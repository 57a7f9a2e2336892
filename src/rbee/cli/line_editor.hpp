#pragma once

#include <filesystem>
#include <iosfwd>
#include <memory>
#include <optional>
#include <string>

namespace rbee::cli {

/// Reads lines from the user. Blocks, so it is used only while no loop runs.
class LineEditor {
public:
    virtual ~LineEditor() = default;

    struct Line {
        enum class Kind { text, interrupted, end };
        Kind kind = Kind::end;
        std::string text; ///< Without the line end.
    };
    /// The next line; `interrupted` for Ctrl+C on a half-written one, `end` for Ctrl+D.
    [[nodiscard]] virtual Line read() = 0;
};

/// On a terminal: editing and history through libedit, where the build has it. The history file is
/// created with mode 0600 and kept at 1000 lines. Not thread-safe.
[[nodiscard]] std::unique_ptr<LineEditor>
make_terminal_editor(std::string prompt, std::filesystem::path history_file);

/// For pipes and tests: plain lines of `input`, no prompt.
[[nodiscard]] std::unique_ptr<LineEditor> make_plain_editor(std::istream& input);

} // namespace rbee::cli
