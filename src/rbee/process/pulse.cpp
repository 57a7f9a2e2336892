#include "rbee/process/pulse.hpp"

#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <new>
#include <system_error>
#include <utility>

namespace rbee::process {
namespace {

constexpr std::size_t page_bytes = 4096;
constexpr std::uint32_t page_magic = 0x52425031; // "RBP1"; another layout needs another number
constexpr int no_exit_code = -1;
constexpr unsigned int memfd_noexec_seal = 0x0008; // MFD_NOEXEC_SEAL, Linux 6.3
constexpr int seals = F_SEAL_SHRINK | F_SEAL_GROW;

/// What lies in the shared page. Both sides may be different builds of rbee after an upgrade.
struct Page {
    std::uint32_t magic = page_magic;
    std::atomic<std::uint32_t> fatal_bytes = 0; ///< Written last: then the text is whole.
    std::array<char, pulse_owner_max + 1> owner{};
    pthread_mutex_t lock{};
    Activity activity;
    std::atomic<std::uint64_t> beats = 0;
    std::atomic<int> exit_code = no_exit_code;
    std::atomic<int> fatal_code = no_exit_code;
    std::atomic<bool> fatal_taken = false;
    std::array<char, pulse_fatal_max> fatal{};
};
static_assert(sizeof(Page) <= page_bytes);
static_assert(std::atomic<int>::is_always_lock_free && std::atomic<bool>::is_always_lock_free);

std::unexpected<Error> failed(Errc code, std::string_view what, int error) {
    return fail(code, std::string(what) + ": " + std::generic_category().message(error));
}

Page& page_at(void* memory) {
    return *static_cast<Page*>(memory);
}

std::optional<int> code_of(const std::atomic<int>& word) {
    const int code = word.load(std::memory_order_relaxed);
    return code == no_exit_code ? std::nullopt : std::optional(code);
}

/// A file in memory that nobody can cut: reading a shorter one would kill the reader.
UniqueFd make_memory() {
    constexpr const char* name = "rbee-pulse";
    constexpr unsigned int flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
    UniqueFd fd(::memfd_create(name, flags | memfd_noexec_seal));
    if (!fd.valid() && errno == EINVAL) {
        fd.reset(::memfd_create(name, flags));
    }
    if (fd.valid() &&
        (::ftruncate(fd.get(), page_bytes) != 0 || ::fcntl(fd.get(), F_ADD_SEALS, seals) != 0)) {
        fd.reset();
    }
    return fd;
}

bool make_lock(pthread_mutex_t& lock) {
    pthread_mutexattr_t attributes;
    if (::pthread_mutexattr_init(&attributes) != 0) {
        return false;
    }
    const bool made = ::pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED) == 0 &&
                      ::pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST) == 0 &&
                      ::pthread_mutex_init(&lock, &attributes) == 0;
    ::pthread_mutexattr_destroy(&attributes);
    return made;
}

/// A descriptor that is one of our pages, mapped; nothing when it is not.
void* map_page(int fd, int protection) {
    struct stat status{};
    const int found = ::fcntl(fd, F_GET_SEALS);
    if (found < 0 || (found & seals) != seals || ::fstat(fd, &status) != 0 ||
        status.st_size != page_bytes) {
        return nullptr;
    }
    void* memory = ::mmap(nullptr, page_bytes, protection, MAP_SHARED, fd, 0);
    if (memory == MAP_FAILED) {
        return nullptr;
    }
    if (page_at(memory).magic != page_magic) {
        ::munmap(memory, page_bytes);
        return nullptr;
    }
    return memory;
}

/// The part of the lock that the kernel looks at when its holder dies (set_robust_list(2)).
std::uint32_t* word_of(Page& page) {
    // glibc's layout; the kernel's interface is in terms of it.
    return reinterpret_cast<std::uint32_t*>(&page.lock.__data.__lock);
}

} // namespace

Result<PulsePage> PulsePage::make(std::string_view owner) {
    if (owner.size() > pulse_owner_max) {
        return fail(Errc::invalid_argument, "the name of a page's owner is too long");
    }
    UniqueFd fd = make_memory();
    if (!fd.valid()) {
        return failed(Errc::resources, "cannot make a page to share", errno);
    }
    void* memory = ::mmap(nullptr, page_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0);
    if (memory == MAP_FAILED) {
        return failed(Errc::resources, "cannot map a page to share", errno);
    }
    PulsePage made(std::move(fd), memory);
    auto* page = new (memory) Page;
    std::ranges::copy(owner, page->owner.begin());
    if (!make_lock(page->lock) || ::mprotect(memory, page_bytes, PROT_READ) != 0) {
        return fail(Errc::resources, "cannot make a robust lock");
    }
    return made;
}

Result<PulsePage> PulsePage::of_process(pid_t pid, int fd, std::string_view owner) {
    const std::string path = "/proc/" + std::to_string(pid) + "/fd/" + std::to_string(fd);
    UniqueFd opened(::open(path.c_str(), O_RDWR | O_CLOEXEC));
    if (!opened.valid()) {
        const int error = errno;
        const bool denied = error == EACCES || error == EPERM;
        return failed(denied ? Errc::forbidden : Errc::not_found, "cannot open " + path, error);
    }
    void* memory = map_page(opened.get(), PROT_READ);
    if (memory == nullptr) {
        return fail(Errc::corrupt, path + " is no page of a worker");
    }
    PulsePage page(UniqueFd(), memory);
    const auto& name = page_at(memory).owner;
    if (std::string_view(name.data(), ::strnlen(name.data(), name.size())) != owner) {
        return fail(Errc::corrupt, path + " is the page of another worker");
    }
    return page;
}

PulsePage::PulsePage(PulsePage&& other) noexcept
    : fd_(std::move(other.fd_)), memory_(std::exchange(other.memory_, nullptr)) {}

PulsePage& PulsePage::operator=(PulsePage&& other) noexcept {
    if (this != &other) {
        std::swap(fd_, other.fd_);
        std::swap(memory_, other.memory_);
    }
    return *this;
}

PulsePage::~PulsePage() {
    if (memory_ != nullptr) {
        ::munmap(memory_, page_bytes);
    }
}

std::uint32_t* PulsePage::lock_address() const {
    return word_of(page_at(memory_));
}

std::uint32_t PulsePage::lock_word() const {
    return std::atomic_ref(*lock_address()).load(std::memory_order_acquire);
}

Pulse PulsePage::read() const {
    const Page& page = page_at(memory_);
    const std::uint32_t word = lock_word();
    Pulse pulse;
    pulse.died = holder_died(word);
    pulse.held = !pulse.died && (word & FUTEX_TID_MASK) != 0;
    pulse.steps = page.activity.steps.load(std::memory_order_relaxed);
    pulse.busy = page.activity.busy.load(std::memory_order_relaxed);
    pulse.patience =
        std::chrono::milliseconds(page.activity.patience_ms.load(std::memory_order_relaxed));
    pulse.beats = page.beats.load(std::memory_order_relaxed);
    pulse.exit_code = code_of(page.exit_code);
    const std::size_t bytes = page.fatal_bytes.load(std::memory_order_acquire);
    if (bytes != 0) {
        pulse.fatal.assign(page.fatal.data(), std::min(bytes, page.fatal.size()));
        pulse.fatal_code = code_of(page.fatal_code);
    }
    return pulse;
}

bool holder_died(std::uint32_t lock_word) {
    return (lock_word & FUTEX_OWNER_DIED) != 0;
}

Result<PulseHolder> PulseHolder::take(int fd) {
    void* memory = map_page(fd, PROT_READ | PROT_WRITE);
    if (memory == nullptr) {
        return fail(Errc::corrupt, "descriptor " + std::to_string(fd) + " is no pulse page");
    }
    ::fcntl(fd, F_SETFD, FD_CLOEXEC); // it stays open for a hive that adopts this process
    Page& page = page_at(memory);
    // A dead holder's lock could be locked again, but its page tells of that process.
    const bool fresh = std::atomic_ref(*word_of(page)).load(std::memory_order_acquire) == 0;
    if (!fresh || ::pthread_mutex_trylock(&page.lock) != 0) {
        ::munmap(memory, page_bytes);
        return fail(Errc::conflict, "another process has taken the pulse page");
    }
    // The kernel wakes who waits only when this is set. As the lock is never given back, its
    // holder can set it, and a watcher needs to write nothing.
    std::atomic_ref(*word_of(page)).fetch_or(FUTEX_WAITERS, std::memory_order_release);
    return PulseHolder(memory);
}

Activity& PulseHolder::activity() const {
    return page_at(memory_).activity;
}

void PulseHolder::beat() const {
    page_at(memory_).beats.fetch_add(1, std::memory_order_relaxed);
}

void PulseHolder::fatal(std::string_view text, int exit_code) const {
    Page& page = page_at(memory_);
    if (text.empty() || page.fatal_taken.exchange(true, std::memory_order_acq_rel)) {
        return;
    }
    const std::size_t bytes = std::min(text.size(), page.fatal.size());
    std::copy_n(text.begin(), bytes, page.fatal.begin());
    page.fatal_code.store(exit_code, std::memory_order_relaxed);
    page.fatal_bytes.store(static_cast<std::uint32_t>(bytes), std::memory_order_release);
}

void PulseHolder::leaving(int exit_code) const {
    page_at(memory_).exit_code.store(exit_code, std::memory_order_relaxed);
}

} // namespace rbee::process
