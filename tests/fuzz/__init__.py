"""Odd bytes for everything that reads a run: nothing but WrongInput may come of them.

An input is a run in one file: `run.json` as its first line, `records.jsonl` as the others.
"""
