#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace rbee::cli {

/// `text` on one line and without anything a terminal would act on: line ends and tabs become
/// spaces, other control characters (C0, DEL, C1, bidirectional overrides) become '?'. For names,
/// messages and other text that a server sent.
[[nodiscard]] std::string one_line(std::string_view text);

/// The same, but line ends and tabs stay. For streamed text and logs shown on a terminal.
[[nodiscard]] std::string without_controls(std::string_view text);

/// Columns that `text` takes on a terminal, counting each code point as one.
[[nodiscard]] std::size_t display_width(std::string_view text);

} // namespace rbee::cli
