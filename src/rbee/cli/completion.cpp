#include "rbee/cli/completion.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <functional>
#include <vector>

namespace rbee::cli {
namespace {

using Visit = std::function<void(const std::string& path, const CommandTree& command)>;

/// Calls `visit` for every command; the path of the root is its name, "rbee".
void walk(const CommandTree& command, const std::string& path, const Visit& visit) {
    visit(path, command);
    for (const CommandTree& child : command.commands) {
        walk(child, path + " " + child.name, visit);
    }
}

std::vector<std::string> option_names(const std::vector<OptionInfo>& options) {
    std::vector<std::string> names;
    for (const OptionInfo& option : options) {
        names.insert(names.end(), option.names.begin(), option.names.end());
    }
    return names;
}

std::vector<std::string> words_of(const CommandTree& command) {
    std::vector<std::string> words = command.positional_choices;
    for (const CommandTree& child : command.commands) {
        words.push_back(child.name);
    }
    return words;
}

/// Inside single quotes, for all three shells: descriptions are ours and short.
std::string quoted(std::string text) {
    for (auto at = text.find('\''); at != std::string::npos; at = text.find('\'', at)) {
        text.erase(at, 1);
    }
    return "'" + text + "'";
}

constexpr auto bash_head = R"(# bash completion for rbee; made by: rbee completion bash
_rbee() {
    local word="${COMP_WORDS[COMP_CWORD]}" previous="${COMP_WORDS[COMP_CWORD-1]}"
    local path="rbee" words="" options="" files="" i
    for ((i = 1; i < COMP_CWORD; i++)); do
        case "$path ${COMP_WORDS[i]}" in
)";

constexpr auto bash_tail = R"(    if [[ -n $files ]]; then
        mapfile -t COMPREPLY < <(compgen -f -- "$word")
    elif [[ $word == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$options" -- "$word")
    else
        mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
    fi
}
complete -F _rbee rbee
)";

std::string bash(const CommandTree& root) {
    std::string paths;
    std::string values;
    std::string words;
    const std::string common = fmt::format("{}", fmt::join(option_names(root.options), " "));
    walk(root, root.name, [&](const std::string& path, const CommandTree& command) {
        if (&command != &root) {
            paths += fmt::format("            '{0}') path='{0}' ;;\n", path);
        }
        const auto own =
            &command == &root ? std::vector<std::string>() : option_names(command.options);
        words += fmt::format(
            "        '{}') words='{}' options='{}' ;;\n",
            path,
            fmt::join(words_of(command), " "),
            fmt::join(own, " ")
        );
        for (const OptionInfo& option : command.options) {
            if (!option.takes_value) {
                continue;
            }
            for (const std::string& name : option.names) {
                const std::string pattern = &command == &root
                                                ? fmt::format("*\" {}\"", name)
                                                : quoted(fmt::format("{} {}", path, name));
                values += fmt::format(
                    "        {}) words='{}' options='' {} ;;\n",
                    pattern,
                    fmt::join(option.choices, " "),
                    option.takes_file ? "files=1" : ""
                );
            }
        }
    });
    return std::string(bash_head) + paths + "        esac\n    done\n    case \"$path\" in\n" +
           words + "    esac\n    options=\"$options " + common +
           "\"\n    case \"$path $previous\" in\n" + values + "    esac\n" + bash_tail;
}

std::string zsh(const CommandTree& root) {
    std::string cases;
    std::string paths;
    const auto entry = [](const OptionInfo& option, const std::string& name) {
        std::string text = fmt::format("{}:{}", name, option.description);
        return "            " + quoted(text) + "\n";
    };
    std::string common;
    for (const OptionInfo& option : root.options) {
        for (const std::string& name : option.names) {
            common += entry(option, name);
        }
    }
    walk(root, root.name, [&](const std::string& path, const CommandTree& command) {
        if (&command != &root) {
            paths += fmt::format("            '{0}') path_now='{0}' ;;\n", path);
        }
        std::string words;
        for (const std::string& choice : command.positional_choices) {
            words += "            " + quoted(choice) + "\n";
        }
        for (const CommandTree& child : command.commands) {
            words += "            " + quoted(child.name + ":" + child.description) + "\n";
        }
        std::string options;
        for (const OptionInfo& option : command.options) {
            for (const std::string& name : option.names) {
                options += &command == &root ? "" : entry(option, name);
            }
        }
        cases += fmt::format(
            "        '{}')\n        items=(\n{}        )\n        flags=(\n{}        )\n        "
            ";;\n",
            path,
            words,
            options
        );
    });
    return "#compdef rbee\n# zsh completion for rbee; made by: rbee completion zsh\n"
           "_rbee() {\n    local path_now=rbee i\n    local -a items flags common\n"
           "    for ((i = 2; i < CURRENT; i++)); do\n        case \"$path_now $words[i]\" in\n" +
           paths + "        esac\n    done\n    case \"$path_now\" in\n" + cases +
           "    esac\n    common=(\n" + common +
           "    )\n"
           "    if [[ $PREFIX == -* ]]; then\n"
           "        _describe -o option flags -- common\n"
           "    elif (( $#items )); then\n"
           "        _describe command items\n"
           "    else\n"
           "        _files\n"
           "    fi\n"
           "}\n"
           "if [[ $funcstack[1] == _rbee ]]; then\n    _rbee \"$@\"\nelse\n    compdef _rbee "
           "rbee\nfi\n";
}

std::string fish_option(const OptionInfo& option, const std::string& condition) {
    std::string line = "complete -c rbee " + condition;
    for (const std::string& name : option.names) {
        line += name.starts_with("--") ? " -l " + name.substr(2) : " -s " + name.substr(1);
    }
    if (option.takes_value) {
        line += option.takes_file ? " -r -F" : " -x";
    }
    if (!option.choices.empty()) {
        line += fmt::format(" -a '{}'", fmt::join(option.choices, " "));
    }
    return line + " -d " + quoted(option.description) + "\n";
}

std::string fish(const CommandTree& root) {
    std::string out = "# fish completion for rbee; made by: rbee completion fish\n"
                      "complete -c rbee -f\n";
    for (const OptionInfo& option : root.options) {
        out += fish_option(option, "");
    }
    walk(root, root.name, [&](const std::string& path, const CommandTree& command) {
        std::string condition = "-n __fish_use_subcommand";
        if (&command != &root) {
            std::string seen;
            for (std::size_t at = path.find(' '); at != std::string::npos;) {
                const std::size_t next = path.find(' ', at + 1);
                const std::string word = path.substr(at + 1, next - at - 1);
                seen += (seen.empty() ? "" : "; and ") + ("__fish_seen_subcommand_from " + word);
                at = next;
            }
            condition = "-n " + quoted(seen);
        }
        for (const CommandTree& child : command.commands) {
            out += fmt::format(
                "complete -c rbee {} -a {} -d {}\n",
                condition,
                quoted(child.name),
                quoted(child.description)
            );
        }
        for (const std::string& choice : command.positional_choices) {
            out += fmt::format("complete -c rbee {} -a {}\n", condition, quoted(choice));
        }
        if (&command != &root) {
            for (const OptionInfo& option : command.options) {
                out += fish_option(option, condition);
            }
        }
    });
    return out;
}

} // namespace

Result<std::string> completion_script(const CommandTree& root, const std::string& shell) {
    if (shell == "bash") {
        return bash(root);
    }
    if (shell == "zsh") {
        return zsh(root);
    }
    if (shell == "fish") {
        return fish(root);
    }
    return fail(Errc::invalid_argument, "completion scripts exist for bash, zsh and fish");
}

} // namespace rbee::cli
