#include "rbee/audit/flood_fold.hpp"

#include <utility>

namespace rbee::audit {

bool FloodFold::admit(
    const std::string& type, const std::string& source, TimePoint now, WallTime wall
) {
    const bool known = windows_.contains(type + ' ' + source);
    const std::string& name = known || windows_.size() < options_.sources_max ? source : "others";
    Window& window = windows_[type + ' ' + name];
    if (window.admitted == 0 || now - window.begin >= options_.window) {
        if (window.folded.count > 0) {
            over_.push_back(std::move(window.folded));
        }
        window = {now, 0, {type, name, 0, wall, wall}};
    }
    if (window.admitted < options_.per_window) {
        ++window.admitted;
        return true;
    }
    if (window.folded.count == 0) {
        window.folded.first = wall;
        ++folded_;
    }
    ++window.folded.count;
    window.folded.last = wall;
    return false;
}

std::vector<FloodFold::Folded> FloodFold::take(TimePoint now) {
    std::vector<Folded> out = std::exchange(over_, {});
    for (auto at = windows_.begin(); at != windows_.end();) {
        if (now - at->second.begin < options_.window) {
            ++at;
            continue;
        }
        if (at->second.folded.count > 0) {
            out.push_back(std::move(at->second.folded));
        }
        at = windows_.erase(at);
    }
    folded_ -= out.size();
    return out;
}

} // namespace rbee::audit
