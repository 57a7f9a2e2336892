#include "rbee/queen/options.hpp"

#include "rbee/config/load_settings.hpp"
#include "rbee/config/settings_text.hpp"
#include "rbee/config/toml_file.hpp"
#include "rbee/pki/files.hpp"
#include "rbee/queen/model_deadlines.hpp"
#include "rbee/queen/option_rows.hpp"

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <chrono>
#include <optional>
#include <utility>

namespace rbee::queen {
namespace {

using Kind = config::Setting::Kind;

constexpr std::string_view token_file_name = "token-file";

constexpr std::string_view model_example =
    "# Deadlines of a single model; what is not given here is as in [deadline]. As many of these\n"
    "# tables as there are such models; a reload applies them.\n"
    "#[[deadline.model]]\n"
    "#name = \"my-model\"\n"
    "#default_s = 30\n"
    "#first_token_s = 30\n"
    "#stream_s = 600\n"
    "#max_s = 1800\n"
    "#strict = false";

/// What the command line says, before anything is checked.
struct Raw {
    std::vector<std::vector<std::string>> rows; ///< As option_rows().
    std::string config;
    std::optional<int> token_fd;
    bool validate = false;
    std::string print; ///< The form, or empty.
};

void declare(CLI::App& cli, Raw& raw) {
    cli.set_version_flag("--version", "queen-rbee " RBEE_VERSION);
    raw.rows.resize(settings().size());
    for (std::size_t i = 0; i < settings().size(); ++i) {
        const config::Setting& setting = settings()[i];
        const std::string flag = fmt::format(
            "{}--{}",
            setting.short_flag == 0 ? "" : std::string("-") + setting.short_flag + ",",
            setting.name
        );
        const std::string help(setting.help);
        if (setting.bare) {
            cli.add_flag_callback(flag, [&row = raw.rows[i]] { row = {"on"}; }, help);
            continue;
        }
        auto* option = cli.add_option(flag, raw.rows[i], help)->expected(1);
        if (setting.kind == Kind::list) {
            option->delimiter(',')->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
        } else {
            option->multi_option_policy(CLI::MultiOptionPolicy::Throw);
        }
    }
    cli.add_option("--token-fd", raw.token_fd, "Descriptor to read the API token from");
    cli.add_option(
        "-c,--config",
        raw.config,
        "Settings file (TOML) [RBEE_QUEEN_CONFIG, ~/.config/rbee/queen.toml, "
        "/etc/rbee/queen.toml]"
    );
    cli.add_flag(
        "--validate-config", raw.validate, "Check all settings and the files they name, and end"
    );
    cli.add_flag(
        "--print-config{toml}",
        raw.print,
        "Print a settings file with every setting and its default, or with =markdown a table"
    );
    cli.footer(
        "Every setting can also come from the environment or the file; flags win, then the\n"
        "environment. Token: --token-file, the systemd credential api_token,\n"
        "LLORCH_API_TOKEN_FILE, LLORCH_API_TOKEN, $RBEE_HOME/token; the first that is there.\n"
        "SIGHUP: settings, tokens and certificates are read again."
    );
}

void set_places(Options& options, const Surroundings& around) {
    const auto home = around.environment("RBEE_HOME");
    options.home =
        home && !home->empty() ? *home : around.environment("HOME").value_or(".") + "/.rbee";
    options.database = options.home + "/beehives.db";
    options.pki_dir = options.home + "/pki";
    const auto slash = around.program_path.rfind('/');
    options.hive_binary = slash == std::string::npos
                              ? "rbee-hive"
                              : around.program_path.substr(0, slash) + "/rbee-hive";
}

/// Fills in what --tls stands for, and checks what was named.
Result<void> complete_tls(Options& options) {
    if (options.tls && !options.tls_files.on()) {
        const pki::Folder folder{options.pki_dir};
        options.tls_files.certificate = folder.certificate();
        options.tls_files.key = folder.key();
        if (options.tls_files.ca.empty()) {
            options.tls_files.ca = folder.ca_certificate();
        }
    }
    return pki::check_tls_files(options.tls_files);
}

Result<void> complete_log(Options& options, const Surroundings& around) {
    const auto style = telemetry::parse_log_style(
        options.log_texts.format, options.log_texts.level, around.stderr_is_terminal
    );
    if (!style) {
        return error_of(style);
    }
    options.log = *style;
    return {};
}

/// Puts the values into the options; an error says where the value came from.
Result<void> apply_values(const config::SettingValues& values, Options& options) {
    for (const OptionRow& row : option_rows()) {
        const auto found = values.find(row.setting.name);
        if (found == values.end()) {
            continue;
        }
        const config::Given& given = found->second;
        const bool flag = given.origin == config::Given::Origin::flag;
        options.token_file_flag =
            options.token_file_flag || (flag && row.setting.name == token_file_name);
        if (const auto applied = apply(row, options, given.text()); !applied) {
            return flag ? applied
                        : std::unexpected(
                              applied.error().within(given.where + ": " + row.setting.key)
                          );
        }
    }
    return {};
}

Result<Options> make_options(const Raw& raw, const Surroundings& around) {
    const auto begun = std::chrono::steady_clock::now();
    Options options;
    set_places(options, around);
    options.token_fd = raw.token_fd;
    config::LoadQuery query{
        .program = "queen",
        .file = raw.config,
        .sources = {.flags = {}, .environment = around.environment}
    };
    for (std::size_t i = 0; i < raw.rows.size(); ++i) {
        query.sources.flags[std::string(settings()[i].name)] = raw.rows[i];
    }
    ModelDeadlines models;
    auto loaded = config::load_settings(settings(), std::move(query), [&](config::TomlFile& file) {
        auto tables = read_model_deadlines(file);
        if (tables) {
            models = std::move(*tables);
        }
        return tables ? Result<void>() : error_of(tables);
    });
    if (!loaded) {
        return error_of(loaded);
    }
    options.config = std::move(*loaded);
    options.config.extras = flattened(models);
    if (const auto applied = apply_values(options.config.values, options); !applied) {
        return error_of(applied);
    }
    for (const Result<void>& step : {
             complete_log(options, around),
             complete_tls(options),
             set_model_deadlines(options, models),
         }) {
        if (!step) {
            return error_of(step);
        }
    }
    options.config.took = std::chrono::duration_cast<std::chrono::microseconds>(
        std::chrono::steady_clock::now() - begun
    );
    return options;
}

CommandLine complaint(std::string_view what) {
    return {.options = std::nullopt, .exit_code = 1, .text = fmt::format("queen-rbee: {}\n", what)};
}

CommandLine answer(std::string text) {
    return {.options = std::nullopt, .exit_code = 0, .text = std::move(text)};
}

/// Fills `raw`, or says what ends the program before anything else is looked at.
std::optional<CommandLine> parse(const std::vector<std::string>& arguments, Raw& raw) {
    CLI::App cli(
        "The control plane of rbee: routes prompts to workers on all hives.", "queen-rbee"
    );
    declare(cli, raw);
    try {
        auto reversed = std::vector<std::string>(arguments.rbegin(), arguments.rend());
        cli.parse(std::move(reversed));
    } catch (const CLI::CallForHelp&) {
        return answer(cli.help());
    } catch (const CLI::CallForVersion&) {
        return answer("queen-rbee " RBEE_VERSION "\n");
    } catch (const CLI::ParseError& error) {
        return complaint(error.what());
    }
    return std::nullopt;
}

} // namespace

std::string tokens_file(const Options& options) {
    return options.tokens_file.empty() ? options.home + "/tokens.toml" : options.tokens_file;
}

CommandLine
parse_command_line(const std::vector<std::string>& arguments, const Surroundings& around) {
    Raw raw;
    if (auto ended = parse(arguments, raw)) {
        return std::move(*ended);
    }
    if (!raw.print.empty()) {
        auto text =
            config::printed_settings(raw.print, settings(), {"queen-rbee", "queen"}, model_example);
        return text ? answer(std::move(*text)) : complaint(text.error().what);
    }
    auto options = make_options(raw, around);
    if (!options) {
        return complaint(options.error().what);
    }
    return {
        .options = std::move(*options), .exit_code = 0, .text = {}, .validate_only = raw.validate
    };
}

Result<Options>
read_options(const std::vector<std::string>& arguments, const Surroundings& around) {
    Raw raw;
    if (const auto ended = parse(arguments, raw)) {
        return fail(Errc::invalid_argument, ended->text);
    }
    return make_options(raw, around);
}

} // namespace rbee::queen
