"""A fuzzer: damaged inputs for every reader, the configuration and `set_state`; each is accepted or refused by an error of ours.

::

    mutate          bytes and texts with damage in them       mutate.py
    ALL             what is given damaged inputs              registry.py
    TARGETS, ...    recordings, configurations, states        targets.py, *_targets.py
    run, Outcome    inputs one after the other, and a count   run.py

An input is a function of the target's name and a number, so that a failure is repeated by these two.
"""
