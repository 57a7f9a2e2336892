#include "rbee/cli/console.hpp"

#include "rbee/cli/printable.hpp"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

namespace rbee::cli {
namespace {

void write_all(int fd, std::string_view text) {
    while (!text.empty()) {
        const ssize_t size = ::write(fd, text.data(), text.size());
        if (size < 0 && errno != EINTR) {
            return; // nowhere left to say so
        }
        text.remove_prefix(size > 0 ? static_cast<std::size_t>(size) : 0);
    }
}

std::size_t terminal_columns(int fd) {
    winsize size{};
    return ::ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

std::string_view code_of(Console::Colour colour) {
    switch (colour) {
    case Console::Colour::red:
        return "31";
    case Console::Colour::green:
        return "32";
    case Console::Colour::yellow:
        return "33";
    case Console::Colour::dim:
        return "2";
    case Console::Colour::bold:
        return "1";
    case Console::Colour::none:
        break;
    }
    return "0";
}

} // namespace

Console::Console(Sink out, Sink err, Options options)
    : out_(std::move(out)), err_(std::move(err)), options_(options) {}

void Console::restrict(bool no_colour, bool quiet) {
    options_.colours = options_.colours && !no_colour;
    options_.quiet = options_.quiet || quiet;
}

void Console::out(std::string_view text) {
    clear_progress();
    out_(text);
}

void Console::out_streamed(std::string_view text) {
    out(options_.out_tty ? without_controls(text) : std::string(text));
}

void Console::status(std::string_view component, std::string_view text) {
    if (!options_.quiet) {
        err(fmt::format("[{}] {}\n", component, one_line(text)));
    }
}

void Console::err(std::string_view text) {
    clear_progress();
    err_(text);
}

void Console::progress(std::string_view line) {
    if (!options_.err_tty || options_.quiet) {
        return;
    }
    err_(fmt::format("\r\x1b[K{}", line));
    progress_shown_ = true;
}

void Console::clear_progress() {
    if (std::exchange(progress_shown_, false)) {
        err_("\r\x1b[K");
    }
}

std::string Console::paint(Colour colour, std::string_view text) const {
    if (!options_.colours || !options_.out_tty || colour == Colour::none) {
        return std::string(text);
    }
    return fmt::format("\x1b[{}m{}\x1b[0m", code_of(colour), text);
}

Console system_console(bool no_colour, bool dumb) {
    Console::Options options;
    options.in_tty = ::isatty(STDIN_FILENO) == 1;
    options.out_tty = ::isatty(STDOUT_FILENO) == 1;
    options.err_tty = ::isatty(STDERR_FILENO) == 1 && !dumb;
    options.colours = !no_colour && !dumb;
    options.columns = terminal_columns(STDERR_FILENO);
    return {
        [](std::string_view text) { write_all(STDOUT_FILENO, text); },
        [](std::string_view text) { write_all(STDERR_FILENO, text); },
        options,
    };
}

} // namespace rbee::cli
