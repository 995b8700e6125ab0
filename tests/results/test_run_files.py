"""The pause of the garbage collector while many runs are read."""

import gc

from results.run_files import without_garbage_collection


def test_garbage_collection_is_as_before_after_a_pause_even_a_nested_one() -> None:
    assert gc.isenabled()
    with without_garbage_collection():
        assert not gc.isenabled()
        with without_garbage_collection():
            pass
        assert not gc.isenabled()
    assert gc.isenabled()
