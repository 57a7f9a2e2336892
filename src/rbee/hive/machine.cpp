#include "rbee/hive/machine.hpp"

#include "rbee/base/unique_fd.hpp"
#include "rbee/process/spawn.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <csignal>
#include <utility>

namespace rbee::hive {

namespace asio = boost::asio;

namespace {

constexpr std::size_t answer_bytes_max = 64UL * 1024;
constexpr auto answer_limit = std::chrono::seconds(5);

/// Reads until the end of file or the limit; false when the limit was passed.
bool read_all(const UniqueFd& from, std::string& into) {
    const auto due = std::chrono::steady_clock::now() + answer_limit;
    std::array<char, 4096> bytes{};
    while (into.size() < answer_bytes_max) {
        const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
            due - std::chrono::steady_clock::now()
        );
        pollfd wait{.fd = from.get(), .events = POLLIN, .revents = 0};
        if (left.count() <= 0 || ::poll(&wait, 1, static_cast<int>(left.count())) <= 0) {
            return false;
        }
        const auto got = ::read(from.get(), bytes.data(), bytes.size());
        if (got <= 0) {
            return got == 0;
        }
        into.append(bytes.data(), static_cast<std::size_t>(got));
    }
    return false;
}

/// Starts the query with its output at `output`.
Result<pid_t>
start_query(const std::string& program, std::vector<std::string> environment, int output) {
    return process::spawn_process({
        .program = program,
        .args = {fmt::format("--query-gpu={}", nvidia_smi_fields), "--format=csv,noheader,nounits"},
        .env = std::move(environment),
        .output_fd = output,
    });
}

} // namespace

GpuAnswer ask_nvidia_smi(const std::string& program, std::vector<std::string> environment) {
    std::array<int, 2> ends{};
    if (program.empty() || ::pipe2(ends.data(), O_CLOEXEC) != 0) {
        return {{}, program.empty()};
    }
    const UniqueFd read(ends[0]);
    UniqueFd write(ends[1]);
    const auto pid = start_query(program, std::move(environment), write.get());
    write.reset();
    if (!pid) {
        return {{}, pid.error().code == Errc::not_found};
    }
    std::string text;
    const bool whole = read_all(read, text);
    if (!whole) {
        ::kill(*pid, SIGKILL);
    }
    int status = 0;
    ::waitpid(*pid, &status, 0);
    if (!whole || !WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        return {};
    }
    return {parse_nvidia_smi(text).value_or(std::vector<api::BackendInfo>()), false};
}

asio::awaitable<Machine::Snapshot> Machine::refresh(Duration age) {
    if (looked_at_ && clock_.now() - *looked_at_ < age) {
        co_return last_;
    }
    struct Found {
        Resources resources;
        GpuAnswer gpus;
    };
    Found found = co_await pool_.run([options = options_, skip = gpus_absent_] {
        Found out{read_resources(options.disk_of), {{}, true}};
        if (!skip) {
            out.gpus = ask_nvidia_smi(options.nvidia_smi, options.environment);
        }
        return out;
    });
    looked_at_ = clock_.now();
    gpus_absent_ = found.gpus.program_missing;
    Device cpu = cpu_device(found.resources.ram_total, found.resources.ram_available);
    last_ = {
        found.resources,
        merge_devices(std::move(cpu), std::move(found.gpus.gpus), options_.worker_backends)
    };
    co_return last_;
}

} // namespace rbee::hive
