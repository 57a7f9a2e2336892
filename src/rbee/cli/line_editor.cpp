#include "rbee/cli/line_editor.hpp"

#include "rbee/base/text.hpp"
#include "rbee/base/unique_fd.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <cstdio>
#include <iostream>
#include <istream>
#include <utility>

#ifdef RBEE_HAVE_LIBEDIT
#include <histedit.h>
#endif

namespace rbee::cli {
namespace {

/// Lines of a stream; with a prompt when somebody sits there and libedit is missing.
class PlainEditor final : public LineEditor {
public:
    PlainEditor(std::istream& input, std::string prompt)
        : input_(input), prompt_(std::move(prompt)) {}

    Line read() override {
        if (!prompt_.empty()) {
            std::cerr << prompt_ << std::flush;
        }
        Line line;
        if (std::getline(input_, line.text)) {
            line.kind = Line::Kind::text;
        }
        return line;
    }

private:
    std::istream& input_;
    std::string prompt_;
};

#ifdef RBEE_HAVE_LIBEDIT

class TerminalEditor final : public LineEditor {
public:
    TerminalEditor(std::string prompt, std::filesystem::path history_file)
        : prompt_(std::move(prompt)), history_file_(std::move(history_file)),
          history_(history_init()), editor_(el_init("rbee", stdin, stderr, stderr)) {
        HistEvent event{};
        history(history_, &event, H_SETSIZE, history_lines_max);
        history(history_, &event, H_SETUNIQUE, 1);
        prepare_file();
        history(history_, &event, H_LOAD, history_file_.c_str());
        if (editor_ == nullptr) {
            return;
        }
        el_set(editor_, EL_CLIENTDATA, this);
        el_set(editor_, EL_PROMPT, &TerminalEditor::show_prompt);
        el_set(editor_, EL_EDITOR, "emacs");
        el_set(editor_, EL_HIST, history, history_);
        // Ctrl+C is a key here, not a signal: it drops the line and stays.
        el_set(editor_, EL_SETTY, "-d", "-isig", nullptr);
        // The wide form keeps these two literals; the narrow one makes copies that el_end() leaks.
        el_wset(editor_, EL_ADDFN, L"rbee-interrupt", L"Drop the line", &TerminalEditor::drop_line);
        el_set(editor_, EL_BIND, "^C", "rbee-interrupt", nullptr);
        el_set(editor_, EL_BIND, "^R", "em-inc-search-prev", nullptr);
        el_set(editor_, EL_SIGNAL, 0);
    }
    TerminalEditor(const TerminalEditor&) = delete;
    TerminalEditor& operator=(const TerminalEditor&) = delete;
    ~TerminalEditor() override {
        if (editor_ != nullptr) {
            el_end(editor_);
        }
        history_end(history_);
    }

    Line read() override {
        if (editor_ == nullptr) {
            return {};
        }
        dropped_ = false;
        int length = 0;
        const char* text = el_gets(editor_, &length);
        if (dropped_) {
            return {Line::Kind::interrupted, {}};
        }
        if (text == nullptr || length <= 0) {
            return {};
        }
        std::string_view line(text, static_cast<std::size_t>(length));
        line = line.substr(0, line.find('\n'));
        if (!trim(line).empty()) {
            HistEvent event{};
            history(history_, &event, H_ENTER, std::string(line).c_str());
            history(history_, &event, H_SAVE, history_file_.c_str());
        }
        return {Line::Kind::text, std::string(line)};
    }

private:
    static constexpr int history_lines_max = 1000;

    static TerminalEditor& self(EditLine* editor) {
        void* data = nullptr;
        el_get(editor, EL_CLIENTDATA, &data);
        return *static_cast<TerminalEditor*>(data);
    }

    static char* show_prompt(EditLine* editor) { return self(editor).prompt_.data(); }

    static unsigned char drop_line(EditLine* editor, wint_t /*key*/) {
        self(editor).dropped_ = true;
        std::fputs("^C\n", stderr);
        return CC_EOF;
    }

    /// libedit saves with the usual permissions; what people ask is nobody else's business.
    void prepare_file() {
        const UniqueFd fd(
            ::open(history_file_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600)
        );
        if (fd.valid()) {
            ::fchmod(fd.get(), 0600);
        }
    }

    std::string prompt_;
    std::filesystem::path history_file_;
    History* history_;
    EditLine* editor_;
    bool dropped_ = false;
};

#endif

} // namespace

std::unique_ptr<LineEditor>
make_terminal_editor(std::string prompt, [[maybe_unused]] std::filesystem::path history_file) {
#ifdef RBEE_HAVE_LIBEDIT
    return std::make_unique<TerminalEditor>(std::move(prompt), std::move(history_file));
#else
    return std::make_unique<PlainEditor>(std::cin, std::move(prompt));
#endif
}

std::unique_ptr<LineEditor> make_plain_editor(std::istream& input) {
    return std::make_unique<PlainEditor>(input, std::string());
}

} // namespace rbee::cli
