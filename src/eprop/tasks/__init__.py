"""THE TASKS, one file each, pure data: inputs, targets and a score."""

from eprop.errors import ParameterError
from eprop.tasks.base import Classification, Task, Trials, check_choice, suggestion
from eprop.tasks.nmnist import NMNIST

#: Every task by name; one line each.
TASKS: dict[str, type[Task]] = {
    NMNIST.name: NMNIST,
}


def task_named(name: str) -> type[Task]:
    """The task with a name, such as ``"nmnist"``.

    Raises
    ------
    ParameterError
        If there is none; the message suggests the nearest.
    """
    if name not in TASKS:
        raise ParameterError(f"no task {name!r}; there are: {', '.join(TASKS)}{suggestion(str(name), TASKS)}")
    return TASKS[name]


__all__ = ["NMNIST", "TASKS", "Classification", "Task", "Trials", "check_choice", "suggestion", "task_named"]
