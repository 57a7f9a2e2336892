#include "rbee/hive/machine.hpp"

#include "rbee/base/unique_fd.hpp"
#include "rbee/process/disk_load.hpp"
#include "rbee/process/resources.hpp"
#include "rbee/process/spawn.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <system_error>
#include <utility>

namespace rbee::hive {

namespace asio = boost::asio;

namespace {

constexpr std::size_t answer_bytes_max = 64UL * 1024;
constexpr auto answer_limit = std::chrono::seconds(5);
/// Two looks nearer to each other than this say nothing about how busy the machine is.
constexpr auto comparable_after = std::chrono::milliseconds(500);

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

/// Free bytes of the disk that holds `directory`, or will once it is made.
std::uint64_t available_at(std::filesystem::path directory) {
    std::error_code error;
    while (!std::filesystem::exists(directory, error) && directory.has_relative_path()) {
        directory = directory.parent_path();
    }
    const auto disk = process::disk(directory.empty() ? "." : directory.string());
    return disk ? disk->available_bytes : 0;
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

asio::awaitable<std::uint64_t> Machine::ram_available() {
    const auto memory = co_await pool_.run([] { return process::memory(); });
    co_return memory ? memory->available_bytes : 0;
}

void Machine::compare(Counters now) {
    const bool first = !before_;
    const Duration passed = first ? Duration::zero() : now.at - before_->at;
    if (!first && passed < comparable_after) {
        return;
    }
    last_.idle_cpus =
        process::idle_half(process::allowed_cpus(), first ? now.idle : before_->idle, now.idle);
    if (!first && now.disk_busy_ms && before_->disk_busy_ms) {
        const auto busy = *now.disk_busy_ms - std::min(*now.disk_busy_ms, *before_->disk_busy_ms);
        const std::chrono::duration<double, std::milli> all = passed;
        last_.disk_busy = std::min(1.0, static_cast<double>(busy) / all.count());
    }
    before_ = std::move(now);
}

asio::awaitable<Machine::Snapshot> Machine::refresh(Duration age) {
    if (looked_at_ && clock_.now() - *looked_at_ < age) {
        co_return last_;
    }
    struct Found {
        Resources resources;
        std::uint64_t log_disk_available = 0;
        Counters counters;
        GpuAnswer gpus;
    };
    Found found = co_await pool_.run([options = options_, &clock = clock_, skip = gpus_absent_] {
        Found out;
        out.resources = read_resources(options.disk_of);
        out.log_disk_available = available_at(options.log_dir);
        out.counters.at = clock.now();
        out.counters.idle = process::idle_ticks();
        out.counters.disk_busy_ms = process::disk_busy_ms(options.disk_of);
        out.gpus.program_missing = true;
        if (!skip) {
            out.gpus = ask_nvidia_smi(options.nvidia_smi, options.environment);
        }
        return out;
    });
    looked_at_ = clock_.now();
    gpus_absent_ = found.gpus.program_missing;
    Device cpu = cpu_device(found.resources.ram_total, found.resources.ram_available);
    last_.resources = found.resources;
    last_.log_disk_available = found.log_disk_available;
    last_.devices =
        merge_devices(std::move(cpu), std::move(found.gpus.gpus), options_.worker_backends);
    compare(std::move(found.counters));
    co_return last_;
}

} // namespace rbee::hive
