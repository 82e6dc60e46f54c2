"""Files that `eprop new-task` writes, one for each kind of data; each runs as it is."""
