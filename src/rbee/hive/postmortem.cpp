#include "rbee/hive/postmortem.hpp"

#include "rbee/base/text.hpp"
#include "rbee/process/log_file.hpp"
#include "rbee/telemetry/redact.hpp"

#include <boost/json/array.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <limits>
#include <system_error>
#include <utility>

namespace rbee::hive {

namespace json = boost::json;

namespace {

/// More ids of requests than this are only counted.
constexpr std::size_t requests_max = 256;

std::int64_t whole_ms(Duration length) {
    return std::chrono::duration_cast<std::chrono::milliseconds>(length).count();
}

/// "850 ms", "12.5 s", "3 min", "2.1 h": short and exact enough for a sentence.
std::string spoken(Duration length) {
    const std::chrono::duration<double> seconds = length;
    if (seconds.count() < 1) {
        return fmt::format("{} ms", whole_ms(length));
    }
    if (seconds.count() < 120) {
        return fmt::format("{:.1f} s", seconds.count());
    }
    return seconds.count() < 7200 ? fmt::format("{:.0f} min", seconds.count() / 60)
                                  : fmt::format("{:.1f} h", seconds.count() / 3600);
}

std::string what_comes_next(const Postmortem::Outlook& next) {
    if (next.next_restart && next.attempt > next.attempts_max) {
        return fmt::format(
            "; all {} restarts are used up, a trial at {}", next.attempts_max, *next.next_restart
        );
    }
    if (next.next_restart) {
        return fmt::format(
            "; restart {} of {} at {}", next.attempt, next.attempts_max, *next.next_restart
        );
    }
    const bool given_up =
        next.state == domain::WorkerState::crashed || next.state == domain::WorkerState::failed;
    return given_up ? "; it is not started again" : "";
}

json::value or_null(const auto& value) {
    return value ? json::value(*value) : json::value(nullptr);
}

json::value text_or_null(const std::string& text) {
    return text.empty() ? json::value(nullptr) : json::value(telemetry::redact(text));
}

json::array requests_of(const Supervisor::ExitReport& report) {
    json::array requests;
    for (const std::string& id : report.requests) {
        if (requests.size() == requests_max) {
            break;
        }
        requests.emplace_back(telemetry::redact(id));
    }
    return requests;
}

json::value usage_of(const process::ExitStatus& status) {
    if (!status.usage) {
        return nullptr;
    }
    return json::object{
        {"user_ms", whole_ms(status.usage->user)},
        {"system_ms", whole_ms(status.usage->system)},
        {"peak_memory_bytes", status.usage->peak_bytes},
        {"major_faults", status.usage->major_faults},
    };
}

json::value cause_of(const Supervisor::ExitReport& report) {
    return report.requested ? json::value(nullptr) : json::value(to_string(crash_cause(report)));
}

json::object restart_of(const Postmortem::Outlook& next) {
    return {
        {"attempt", next.attempt},
        {"attempts_max", next.attempts_max},
        {"next_at", or_null(next.next_restart)},
        {"state", domain::to_string(next.state)},
        {"reason", text_or_null(next.reason)},
    };
}

} // namespace

CrashCause crash_cause(const Supervisor::ExitReport& report) {
    switch (report.kind) {
    case domain::ExitKind::out_of_memory:
        return CrashCause::out_of_memory;
    case domain::ExitKind::configuration:
        return CrashCause::configuration;
    case domain::ExitKind::clean:
        return CrashCause::clean_exit;
    default:
        break;
    }
    if (report.stalled || report.forced) { // without being asked: it did not get on
        return report.ready ? CrashCause::stalled : CrashCause::loading;
    }
    if (!report.status.signal) {
        return report.status.code ? CrashCause::exit_code : CrashCause::unknown;
    }
    switch (*report.status.signal) {
    case SIGSEGV:
    case SIGBUS:
        return CrashCause::segfault;
    case SIGABRT:
        return CrashCause::abort;
    case SIGKILL:
        return CrashCause::killed;
    default:
        return CrashCause::other_signal;
    }
}

std::string summary_of(const Postmortem& death) {
    const Supervisor::ExitReport& report = death.report;
    const std::string fatal = report.pulse ? report.pulse->fatal : std::string();
    const auto& usage = report.status.usage;
    return telemetry::redact(fmt::format(
        "{}{}{} after {}{}{}",
        // What it gave as the cause itself, unless that is known already.
        report.how.contains(fatal) ? "" : fatal,
        report.how.contains(fatal) ? "" : "; ",
        report.how,
        spoken(report.died - report.started),
        usage ? fmt::format(", {} of memory at most", human_bytes(usage->peak_bytes)) : "",
        what_comes_next(death.next)
    ));
}

json::object to_json(const Postmortem& death, const std::string& id) {
    const Supervisor::ExitReport& report = death.report;
    const api::WorkerInfo& worker = report.worker;
    json::object out{
        {"id", id},
        {"worker_id", worker.id},
        {"summary", summary_of(death)},
        {"died_at", to_rfc3339(death.died_at)},
        {"started_at", worker.started_at},
        {"uptime_ms", whole_ms(report.died - report.started)},
        {"model", worker.model},
        {"model_ref", worker.model_ref},
        {"backend", worker.backend},
        {"device", worker.device},
        {"pid", or_null(worker.pid)},
        {"kind", domain::to_string(report.kind)},
        {"cause", cause_of(report)},
        {"how", telemetry::redact(report.how)},
        {"exit_code", or_null(report.status.code)},
        {"signal", or_null(report.status.signal)},
        {"core_dumped", report.status.core_dumped},
        {"state", domain::to_string(worker.state)},
        {"was_ready", report.ready.has_value()},
        {"stalled", report.stalled},
        {"load_fraction", worker.load_fraction},
        {"steps", report.pulse ? json::value(report.pulse->steps) : json::value(nullptr)},
        {"fatal", text_or_null(report.pulse ? report.pulse->fatal : std::string())},
        {"memory_bytes", worker.memory_bytes},
        {"oom_evidence", text_or_null(report.oom_evidence)},
        {"usage", usage_of(report.status)},
        {"requests", requests_of(report)},
        {"requests_total", report.requests.size()},
        {"restart", restart_of(death.next)},
        {"log", death.log},
        {"log_cut", death.log_cut},
    };
    out["dying_ms"] =
        report.dying ? json::value(whole_ms(report.died - *report.dying)) : json::value(nullptr);
    return out;
}

LogEnd read_log_end(const std::string& path, std::uint64_t from) {
    std::error_code error;
    const std::uint64_t size = std::filesystem::file_size(path, error);
    // A file that was cut meanwhile holds only what this process wrote, or it is in the older one.
    const std::uint64_t own =
        !error && size >= from ? size - from : std::numeric_limits<std::uint64_t>::max();
    const process::LogFile file(path, std::numeric_limits<std::uint64_t>::max());
    LogEnd end;
    // One byte more tells whether the first line is whole. Part of a secret would not be known as
    // one, so a line that is cut is left out.
    auto text =
        file.tail(static_cast<std::size_t>(std::min<std::uint64_t>(own, postmortem_log_bytes + 1)));
    if (!text) {
        return end;
    }
    end.cut = text->size() > postmortem_log_bytes;
    if (end.cut) {
        const auto line_end = text->find('\n');
        text->erase(0, line_end == std::string::npos ? text->size() : line_end + 1);
    }
    end.text = telemetry::redact_lines(*text);
    return end;
}

} // namespace rbee::hive
