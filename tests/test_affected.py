"""Which tests `make check` takes for a change."""

import affected


def test_tests_of_a_module_are_the_nearest():
    found = affected.distances(["keras_rnnx/callbacks/backup.py"])
    # `keras_rnnx.callbacks` names the module; benchmarks use it too.
    assert [name for name in found if found[name] == 1] == ["test_backup.py"]
    found = affected.distances(["keras_rnnx/layers/stack/stack.py"])
    assert {"test_stack.py", "test_stack_calls.py"} <= {
        n for n in found if found[n] == 1
    }
    assert found["test_cells.py"] > 1


def test_what_helpers_of_tests_use_counts():
    found = affected.distances(["tests/oracles/lstms.py"])
    assert 1 <= found["test_cells.py"] <= 3
    assert "test_backup.py" not in found


def test_a_page_concerns_tests_that_name_it_and_settings_concern_all():
    assert "test_docs.py" in affected.distances(["docs/choosing.md"])
    everything = affected.distances(["tests/conftest.py", "tests/test_bptt.py"])
    assert len(everything) > 60 and everything["test_bptt.py"] == 0


def test_a_file_that_nothing_names_concerns_no_test():
    name = "no" + "thing"
    assert affected.distances([f"keras_rnnx/{name}.txt"]) == {}
