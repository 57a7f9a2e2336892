#include "rbee/hive/audit_options.hpp"

namespace rbee::hive {

Result<void> fill_audit(const OptionValues& values, audit::Settings& into) {
    for (const audit::SettingRow& row : audit::setting_rows()) {
        const config::Given* given = values.find(row.setting.name);
        if (given == nullptr) {
            continue;
        }
        if (const auto applied = row.apply(into, given->text()); !applied) {
            return wrong(applied.error(), *given);
        }
    }
    return {};
}

} // namespace rbee::hive
