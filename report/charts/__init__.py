"""One module a kind of chart; each has `section`, which takes the groups and gives what the page shows."""
