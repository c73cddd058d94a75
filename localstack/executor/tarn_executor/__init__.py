"""Runs Lambda functions in LocalStack as child processes of this machine: no Docker, no image, the binary as it is.

runtime_api.py  the HTTP that a runtime speaks
sandbox.py      one process behind it, with Lambda's limits; also used by tests without LocalStack
warden.py       ends processes whose parent was killed
plugin.py       what LocalStack loads. The folder *.dist-info beside this one names it; LocalStack finds it when its parent is on PYTHONPATH.
"""
