#pragma once

#include "rbee/base/result.hpp"
#include "rbee/base/unique_fd.hpp"

#include <boost/asio/any_io_executor.hpp>

#include <functional>
#include <memory>

namespace rbee::process {

/// A pair of sockets by which a child notices its parent's death, whatever the cause: the kernel
/// closes the parent's end. Hand child_end() over in Command::inherit, then close_child_end().
class Lifeline {
public:
    [[nodiscard]] static Result<Lifeline> make();

    [[nodiscard]] int child_end() const { return child_end_.get(); }
    /// After the spawn; the parent does not need that end.
    void close_child_end() { child_end_.reset(); }
    /// Tells the child as death would.
    void cut() { parent_end_.reset(); }
    /// Tells the child that somebody will look for it if this process dies, so that it may go on
    /// for a while. Once is enough. False when the child has gone.
    [[nodiscard]] bool allow_survival() const;

private:
    Lifeline(UniqueFd child_end, UniqueFd parent_end)
        : child_end_(std::move(child_end)), parent_end_(std::move(parent_end)) {}
    UniqueFd child_end_;
    UniqueFd parent_end_;
};

/// The child's side of a Lifeline. Destroying it ends the watch. Belongs to one event loop.
class LifelineWatch {
public:
    LifelineWatch(
        const boost::asio::any_io_executor& executor,
        UniqueFd child_end,
        std::function<void()> on_end
    );
    LifelineWatch(const LifelineWatch&) = delete;
    LifelineWatch& operator=(const LifelineWatch&) = delete;
    ~LifelineWatch();

    /// The parent has allowed this process to go on without it, see Lifeline::allow_survival().
    [[nodiscard]] bool may_survive() const;

private:
    struct State;
    std::shared_ptr<State> state_;
};

/// Calls `on_end` on the loop, once, when the parent is gone. Takes `fd`. Keep what it returns.
[[nodiscard]] std::unique_ptr<LifelineWatch>
watch_lifeline(const boost::asio::any_io_executor& executor, int fd, std::function<void()> on_end);

} // namespace rbee::process
