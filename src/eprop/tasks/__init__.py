"""Tasks, one file each: functions that return an `eprop.Experiment`."""
