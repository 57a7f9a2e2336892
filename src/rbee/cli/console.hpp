#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>

namespace rbee::cli {

/// Where a command writes: results to `out`, everything about them to `err`. Nothing is buffered,
/// so tokens appear as they come. Belongs to one thread.
class Console {
public:
    using Sink = std::function<void(std::string_view)>;

    struct Options {
        bool in_tty = false;
        bool out_tty = false;
        bool err_tty = false;
        bool colours = false; ///< Allowed at all; used only on a terminal.
        bool quiet = false;   ///< No status lines and progress bars; errors stay.
        std::size_t columns = 80;
    };

    Console(Sink out, Sink err, Options options);

    [[nodiscard]] const Options& options() const { return options_; }
    void restrict(bool no_colour, bool quiet);

    /// Result text, as it is.
    void out(std::string_view text);
    /// Text that came from a server: neutralised on a terminal, exact elsewhere.
    void out_streamed(std::string_view text);
    /// One status line "[component] text"; nothing when quiet.
    void status(std::string_view component, std::string_view text);
    /// Text for people on the error stream, whatever `quiet` says.
    void err(std::string_view text);
    /// Shows `line` in place of the last one; only on a terminal, and not when quiet.
    void progress(std::string_view line);
    /// Removes the progress line.
    void clear_progress();

    enum class Colour { none, red, green, yellow, dim, bold };
    /// `text` in a colour when the result stream is a coloured terminal.
    [[nodiscard]] std::string paint(Colour colour, std::string_view text) const;

private:
    Sink out_;
    Sink err_;
    Options options_;
    bool progress_shown_ = false;
};

/// A console on file descriptors 1 and 2. `no_colour` and `dumb` come from NO_COLOR and TERM.
[[nodiscard]] Console system_console(bool no_colour, bool dumb);

} // namespace rbee::cli
