#include "rbee/audit/verify.hpp"
#include "rbee/cli/audit_folders.hpp"
#include "rbee/cli/commands.hpp"
#include "rbee/cli/printable.hpp"

#include <boost/json/array.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

namespace rbee::cli {

namespace asio = boost::asio;
namespace json = boost::json;

namespace {

json::object report_json(const std::string& folder, const audit::Report& report) {
    json::object out{
        {"folder", folder},
        {"service", report.service},
        {"verdict", audit::to_string(report.verdict)},
        {"segments", report.segments},
        {"records", report.records},
        {"macs_checked", report.macs},
        {"macs_unchecked", report.macs_unchecked},
        {"last", fmt::format("{}:{}", report.last_id, to_hex(report.last.hash))},
        {"unverified", report.unverified},
        {"torn_bytes", report.torn_bytes},
        {"gaps", report.gaps},
        {"gap_events", report.gap_events},
        {"pruned_to", report.pruned_to},
        {"live", report.live},
    };
    if (report.bad) {
        out["bad"] = json::object{
            {"id", report.bad->fault.id},
            {"segment", report.bad->segment},
            {"line", report.bad->line},
            {"reason", report.bad->fault.reason},
        };
    }
    return out;
}

/// Tampered is worse than torn, torn is worse than a gap.
int worse(int a, int b) {
    if (a == 0 || b == 0) {
        return a + b;
    }
    return std::min(a, b);
}

class AuditVerify final : public Command {
public:
    AuditVerify(Context& context, AuditVerifyOptions options)
        : context_(context), options_(std::move(options)) {}

    asio::awaitable<Result<int>> run() override {
        const auto folders = audit_folders(context_, options_.log);
        if (!folders) {
            co_return error_of(folders);
        }
        json::array rows;
        int code = 0;
        for (const std::string& folder : *folders) {
            auto request = request_for(folder);
            if (!request) {
                co_return error_of(request);
            }
            const auto report = audit::verify(*request);
            if (!report) {
                co_return error_of(report);
            }
            code = worse(code, static_cast<int>(report->verdict));
            if (context_.options().json) {
                rows.emplace_back(report_json(folder, *report));
            } else {
                show(folder, *report);
            }
        }
        if (context_.options().json) {
            context_.print_json({{"logs", std::move(rows)}, {"exit_code", code}});
        }
        co_return code;
    }

private:
    [[nodiscard]] Result<audit::VerifyOptions> request_for(const std::string& folder) const {
        audit::VerifyOptions out{.folder = folder, .key = {}, .witness = {}};
        if (!options_.key_file.empty()) {
            std::ifstream file(options_.key_file);
            const Secret text(std::string(std::istreambuf_iterator<char>(file), {}));
            out.key = audit::FirstKey::parse(text.expose());
            if (!out.key) {
                return fail(
                    Errc::invalid_argument,
                    options_.key_file + ": is not what `rbee audit init` printed"
                );
            }
        }
        if (!options_.witness.empty()) {
            out.witness = audit::Witness::parse(options_.witness);
            if (!out.witness) {
                return fail(Errc::invalid_argument, "--witness must be ID:HASH");
            }
        }
        return out;
    }

    void show(const std::string& folder, const audit::Report& report) {
        Console& console = context_.console();
        const bool good = report.verdict == audit::Verdict::ok;
        const bool bad = report.verdict == audit::Verdict::tampered;
        console.out(fmt::format(
            "{}  {}  {} records in {} segments\n",
            console.paint(
                good ? Console::Colour::green
                     : (bad ? Console::Colour::red : Console::Colour::yellow),
                audit::to_string(report.verdict)
            ),
            one_line(folder),
            report.records,
            report.segments
        ));
        if (report.bad) {
            console.out(fmt::format(
                "  first bad record: {} {}\n  in {}, line {}; {} records behind it prove nothing\n",
                one_line(report.bad->fault.id),
                one_line(report.bad->fault.reason),
                one_line(report.bad->segment),
                report.bad->line,
                report.unverified
            ));
        }
        if (report.torn_bytes > 0) {
            console.out(fmt::format(
                "  an unfinished end of {} bytes, never durable; the next start sets it aside\n",
                report.torn_bytes
            ));
        }
        if (report.gaps > 0) {
            console.out(fmt::format(
                "  the log itself says that {} events could not be recorded ({} gaps)\n",
                report.gap_events,
                report.gaps
            ));
        }
        if (report.macs_unchecked) {
            console.out("  its MACs were not checked: that needs --key-file\n");
        }
        console.out(
            fmt::format("  last good record: {}:{}\n", report.last_id, to_hex(report.last.hash))
        );
    }

    Context& context_;
    AuditVerifyOptions options_;
};

} // namespace

std::unique_ptr<Command> make_audit_verify(Context& context, AuditVerifyOptions options) {
    return std::make_unique<AuditVerify>(context, std::move(options));
}

} // namespace rbee::cli
