#include "../queued_measure.hpp"
#include "data.hpp"
#include "reference.hpp"
#include "test.hpp"

using namespace pyml;

TEST("a queued measure has the same state as a plain one, whenever it is read") {
    for (const NamedLevel& entry : kLevels) {
        if (entry.level > best_level()) continue;
        Random random(41);
        for (const Family& family : families()) {
            QueuedMeasure queued(entry.level);
            Reference reference;
            for (int i = 0; i < 700; ++i) {
                const double x = family.draw(random);
                queued.add(x);
                reference.add(x);
                if (i == 0 || i == 15 || i == 127 || i == 128 || i == 300) {
                    CHECK(queued.settled().state() == reference.state());
                }
            }
            CHECK(queued.settled().state() == reference.state());
        }
    }
}

TEST("other updates, and merging a measure with itself, include the queued observations") {
    QueuedMeasure queued(best_level());
    Reference reference;
    for (int round = 0; round < 10; ++round) {
        for (int i = 0; i < 50; ++i) queued.add(0.1 * i);
        queued.settled().add_weighted(0.7, 3);
    }
    queued.add(-1);
    queued.settled().merge(queued.settled());
    for (int twice = 0; twice < 2; ++twice) {
        for (int round = 0; round < 10; ++round) {
            for (int i = 0; i < 50; ++i) reference.add(0.1 * i);
            reference.add(0.7, 3);
        }
        reference.add(-1);
    }
    CHECK(queued.settled().state() == reference.state());
    CHECK(queued.settled().n_samples() == UInt128({2 * (500 + 30 + 1), 0}));
}
