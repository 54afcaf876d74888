"""A framework of plain numpy that does as `FAKE_FAULT` says, for tests of the harness."""
