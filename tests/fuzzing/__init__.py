"""A fuzzer: damaged inputs for every reader of files of others, for arguments of tasks and for `set_state`.

The package accepts each input, or refuses it by an error of its own (`tests/property/test_fuzz.py`)::

    TARGETS         what is given damaged inputs                    targets.py, events.py, circuits.py, states.py
    damaged, ...    bytes, texts and arrays with damage in them     mutate.py

An input is a function of the target's name and a number, so that a failure is repeated by these two.
"""
