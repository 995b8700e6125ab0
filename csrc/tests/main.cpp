#include <string_view>

#include "../simd.hpp"
#include "test.hpp"

int main() {
    for (const Test& test : tests()) {
        const int before = failures();
        test.body();
        if (failures() != before) std::printf("FAILED: %s\n", test.sentence);
    }
    const std::string_view level = pyml::level_name(pyml::best_level());
    std::printf("%zu tests up to level %s, %d failed checks\n", tests().size(), level.data(), failures());
    return failures() == 0 ? 0 : 1;
}
